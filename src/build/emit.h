/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From compared units to a patch file: what is carried, and what every
 * reference of it means in the running binary.
 */
#ifndef STITCH_BUILD_EMIT_H
#define STITCH_BUILD_EMIT_H

#include "compare.h"
#include "explain.h"
#include "locate.h"
#include "match.h"
#include "slp.h"
#include "startup.h"

/* A program or library that the patch is for. */
struct emit_object {
	const struct match *match;
	const char *name;        /* of the running binary */
	struct startup startup;  /* of the linked image */
};

struct emit_unit {
	const char *name;      /* for people: the object file */
	size_t object;         /* that it is part of */
	struct compare compare;
	struct locate locate;  /* of the object as built for the image */
	bool is_new;           /* a file that the change adds: no twin, no place */
};

struct emit_note {
	char *kind, *text;
};

struct emit {
	struct emit_object *objects; /* one or more, of one architecture */
	size_t nr_objects;
	struct explain explain;  /* the diff's lines, and the units' */
	struct emit_unit *units;
	size_t nr_units;
	const char *patch_name, *description, *created_by;
	bool replace;
	/* results */
	size_t nr_funcs, nr_new, nr_line;
	struct emit_note *notes;
	size_t nr_notes;
};

/*
 * Writes the patch.  Errors: nothing-to-patch, no-match, folded-function,
 * tls-new, reference-unknown, changed-constant and slp_write's.
 */
struct err *emit_patch(struct emit *emit, const char *path)
	__attribute__((warn_unused_result));
void emit_note(struct emit *emit, const char *kind, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void emit_done(struct emit *emit);

#endif
