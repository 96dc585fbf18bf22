/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which sources of a tree may read which others, by the text of what they include: never
 * less than what a compiler reads, whatever compiler that is.  By names without their
 * folders, for in which one it is found only the compiler knows.
 */
#ifndef STITCH_BUILD_READERS_H
#define STITCH_BUILD_READERS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "err.h"

struct readers {
	json_t *of; /* by name: the names of those that read it */
};

/* Of a file of the tree, by its path in it and with its text: may be more than text. */
typedef void readers_visit(void *arg, const char *path, const char *text, size_t size);

/* Reads all of a tree; visit sees each file. End it with readers_done(). */
struct err *readers_scan(struct readers *readers, const char *tree, readers_visit *visit,
			 void *arg) __attribute__((warn_unused_result));
void readers_done(struct readers *readers);

/* Adds name, and the names of all that read it by any way, to the keys of an object. */
void readers_reach(const struct readers *readers, const char *name, json_t *reached);

/* By its ending a text that nobody but a compiler reads, unless it says what else. */
bool readers_is_code(const char *name);

#endif
