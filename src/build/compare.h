/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Two builds of one source file, section by section.
 *
 * Both were compiled alike, so what is equal but for relocations, and whose
 * relocations point to equal things, is unchanged.  "Equal things" are strings
 * with the same text, constants with the same contents, functions and variables
 * with the same name; static locals, which the compiler numbers (count.3), are
 * paired by the unchanged functions that use them.
 *
 * Every section of the new object ends in exactly one state; a change that no
 * state can carry is refused by name.
 */
#ifndef STITCH_BUILD_COMPARE_H
#define STITCH_BUILD_COMPARE_H

#include "unit.h"

enum part_state {
	STATE_IGNORED,   /* not in memory, or follows other parts (.eh_frame) */
	STATE_SAME,
	STATE_CHANGED,   /* code or constants: to be carried */
	STATE_NEW,
	STATE_LINE,      /* differs only by line numbers: not carried */
};

struct compare {
	const struct unit *a, *b;
	enum part_state *state;   /* by section number of b */
	const struct symbol **pair; /* by symbol number of b: its twin in a */
	bool *differs;            /* by symbol number of b: of the functions of a changed
				   * section those that changed */
	struct compare_memo *memo;  /* private */
	uint32_t *taken;            /* parts that were taken for the same on the way to one */
	size_t nr_taken;
	unsigned depth;
};

/*
 * Compares; errors name what cannot be carried: changed-initial-value,
 * changed-size, changed-constructor, changed-section, ambiguous-static-local,
 * changed-ifunc, tls-changed, no-function-sections.
 */
struct err *compare_units(const struct unit *a, const struct unit *b, struct compare *out)
	__attribute__((warn_unused_result));
/* A file that the change adds: all of it is new. Error: changed-constructor. */
struct err *compare_new_unit(const struct unit *b, struct compare *out)
	__attribute__((warn_unused_result));
void compare_done(struct compare *compare);

/*
 * Takes the functions out that are the same in two more builds of the same
 * sources in which __LINE__ is a constant: STATE_CHANGED becomes STATE_LINE.
 */
struct err *compare_drop_line_noise(struct compare *compare, const struct unit *a_line,
				    const struct unit *b_line)
	__attribute__((warn_unused_result));

/*
 * What a changed function whose instructions are the same refers to that is another, a half
 * sentence that the caller frees; NULL: its instructions changed.
 */
char *compare_reference(const struct compare *compare, const struct symbol *func);
/* Code that changed and has run, for it is called when the object is loaded. Error:
 * changed-constructor. */
struct err *compare_constructors(const struct compare *compare)
	__attribute__((warn_unused_result));
bool compare_is_changed(const struct compare *compare);
/* The twin in a of a symbol of b; NULL if it is new. */
const struct symbol *compare_twin(const struct compare *compare, const struct symbol *b);
/* True if the contents in memory and all relocations of two objects are equal:
 * a quick look that needs no sections of their own for functions. */
bool compare_plain_equal(const struct image *a, const struct image *b);

#endif
