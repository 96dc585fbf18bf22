/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Why a function is in a patch, and which function carries a line of the diff.
 *
 * Told from the line tables of the objects that differ: a changed line is where its code
 * is, in each function that it was inlined into.  A line without code of its own (a
 * declaration, a comment, what is not compiled in) is said to have none.
 */
#ifndef STITCH_BUILD_EXPLAIN_H
#define STITCH_BUILD_EXPLAIN_H

#include <jansson.h>

#include "compare.h"

struct explain {
	struct diff_file *files;     /* private */
	size_t nr_files;
	struct explained *functions; /* private */
	size_t nr_functions;
};

/* The lines of a unified diff, of whose names strip parts are left out (patch -p). */
void explain_diff(struct explain *explain, const char *diff, unsigned strip);
/* Two objects of one source, with debug information; old_file may be NULL. */
void explain_unit(struct explain *explain, const char *old_file, const char *new_file,
		  const struct compare *compare);
/* Why a changed function of the unit is carried. The caller frees. */
char *explain_reason(const struct explain *explain, const struct compare *compare,
		     const struct symbol *func);
/*
 * [{file, first, last, removed, functions: [name], macro: true}], without a function: no code
 * of its own (a declaration, data, a comment), or none that is compiled in.  A macro's code
 * is that of the lines which use it.
 */
json_t *explain_lines(const struct explain *explain);
void explain_done(struct explain *explain);

#endif
