/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where the symbols of an object file are in the linked image that holds it.
 *
 * Names of local symbols are no identity: several files of a program may have
 * a static function of the same name.  The linker keeps each file's local
 * symbols together behind a FILE symbol; the group that fits an object is the
 * one that has its locals, with their sizes and, for functions, their code.
 */
#ifndef STITCH_BUILD_LOCATE_H
#define STITCH_BUILD_LOCATE_H

#include "image.h"
#include "match.h"
#include "unit.h"

struct locate {
	const struct image *image;  /* linked, with symbols */
	const struct unit *unit;    /* the object as it was built for it */
	size_t first, last;         /* its group: symbol numbers [first, last) */
};

/*
 * Finds the group; *found is false if the object is not part of the image.
 * Error: ambiguous-file (two groups fit).
 */
struct err *locate_unit(const struct image *image, const struct unit *unit,
			struct locate *locate, bool *found)
	__attribute__((warn_unused_result));

/* A symbol of the object, by name, in the image; NULL if it is not there. */
const struct symbol *locate_symbol(const struct locate *locate, const char *name);
/* A symbol that any file of the image defines for all. NULL: none. */
const struct symbol *locate_global(const struct image *image, const char *name);
/* 1.. among the symbols of that name in order of address; 0 if it is the only one. */
unsigned locate_sympos(const struct image *image, const struct symbol *sym);

#endif
