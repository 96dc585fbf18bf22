/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What people call an address: function, source file and line.
 *
 * From the object's own symbols and, where it is installed, its debug information,
 * which is found by build ID on this machine and nowhere else (libdwfl).  Nothing
 * here decides anything.
 */
#ifndef STITCH_TARGET_NAMES_H
#define STITCH_TARGET_NAMES_H

#include "process.h"

struct names;

struct name {
	const char *symbol; /* NULL: none is known; all live as long as names */
	uint64_t off;       /* of the pc in it */
	const char *file;   /* NULL: no line is known */
	int line;
};

struct names *names_new(const struct process *process);
void names_free(struct names *names);
void names_freep(struct names **names);
#define AUTO_NAMES __attribute__((cleanup(names_freep)))

/* pc, and lookup: the byte that is asked about (struct unwind_frame). */
struct name names_find(struct names *names, const struct object *object, uint64_t pc,
		       uint64_t lookup);

#endif
