/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One object file as the comparison sees it: its sections by what they mean,
 * and where each relocation really points.
 *
 * A relocation names a symbol and an addend, and one against a section's own
 * symbol says nothing by itself; here it is the section and the offset that the
 * instruction refers to.
 */
#ifndef STITCH_BUILD_UNIT_H
#define STITCH_BUILD_UNIT_H

#include "image.h"

enum part_kind {
	PART_IGNORED,  /* not in memory, or of no consequence: debug info, notes */
	PART_CODE,
	PART_RODATA,   /* constants, also those that need relocation */
	PART_STRINGS,  /* merged strings: only their text counts */
	PART_DATA,
	PART_TLS,
	PART_INIT,     /* pointers to constructors and destructors */
	PART_EH,       /* .eh_frame: follows the code */
	PART_LSDA,     /* .gcc_except_table */
	PART_OTHER,    /* in memory, meaning unknown */
};

struct unit_ref {
	uint64_t off;       /* of the field in its section */
	uint32_t type;
	uint32_t symbol;    /* as the file has it */
	int64_t addend;
	enum reloc_formula formula;
	uint8_t size;       /* bytes of the field */
	bool in_insn;       /* the field is bits of an instruction, which are 0 here */
	bool is_branch;     /* of a call or jump */
	bool is_access;     /* of code that reads or writes what is there: no address comes of it */
	uint32_t section;   /* what it points into, 0: an undefined symbol */
	uint64_t at;        /* offset there */
};

struct unit_part {
	enum part_kind kind;
	const struct section *section;
	struct unit_ref *refs; /* in order of off */
	size_t nr_refs;
};

struct unit {
	struct image *image;  /* owned */
	struct unit_part *parts; /* by section number */
	const char *file;     /* name of its FILE symbol, "" */
	/* private: named symbols by section, and by name */
	uint32_t *by_section, *section_start;
	const struct symbol **by_name;
	size_t nr_by_name;
	uint64_t **labels;  /* by section: offsets that references lead to, sorted */
	size_t *nr_labels;
};

/* Takes the image over. */
struct err *unit_load(struct image *image, struct unit **unit)
	__attribute__((warn_unused_result));
void unit_free(struct unit *unit);

/*
 * The end of the unnamed thing that starts at an offset: the next offset that
 * anything refers to, or the section's end.
 */
uint64_t unit_chunk_end(const struct unit *unit, uint32_t section, uint64_t at);

/* The named symbol that holds an offset of a section; NULL if none does. */
const struct symbol *unit_symbol_at(const struct unit *unit, uint32_t section, uint64_t at);
/* A defined symbol by name; NULL if there is none. Functions and objects only. */
const struct symbol *unit_find_symbol(const struct unit *unit, const char *name);
/* A name that the source or the compiler gave, not the assembler. */
bool unit_is_named(const struct unit *unit, const struct symbol *sym);
/* The function that a section begins with; NULL for other sections. */
const struct symbol *unit_function(const struct unit *unit, uint32_t section);
/*
 * All functions of a code section, by address and one of each: more than that where a
 * source names the section itself, or is assembler. The caller frees.
 */
const struct symbol **unit_functions(const struct unit *unit, uint32_t section, size_t *nr);

/* "counter" of "counter.12"; false if the name has no such number. */
bool unit_is_numbered(const char *name, size_t *base_size);
/*
 * A name that a compiler makes for a static local, which says which of several of a name it
 * is only by their order: GCC's "count.12", clang's "f.count" and "f.count.3", and of C++
 * "_ZZ1fvE5count" and "_ZZ1fvE5count_0".  base_size leaves the order out.
 */
bool unit_is_static_local(const char *name, size_t *base_size);
bool unit_same_base(const char *a, const char *b);
/* "foo" of "foo.cold" and "foo.cold.3"; false if it is no such name. */
bool unit_is_cold(const char *name, size_t *parent_size);

#endif
