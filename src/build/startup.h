/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which functions of a program run only while it starts.
 *
 * A change to one of them applies cleanly and changes nothing in a process that has
 * started, so the build says so.  It is told from the code of the linked image: whatever
 * its address is taken of may be called at any time (handlers, threads), and so may all
 * that is called in the loop in which the program waits for work; what is reached from
 * main() or a constructor only, past all that, has run already.  A loop that waits by a
 * library's means is not seen as one, so this is a warning and refuses nothing.
 */
#ifndef STITCH_BUILD_STARTUP_H
#define STITCH_BUILD_STARTUP_H

#include "image.h"

struct startup {
	uint64_t *only;  /* entries of such functions, sorted */
	size_t nr;
};

/* Nothing for libraries, programs at fixed addresses, and code that cannot be decoded. */
void startup_find(const struct image *image, struct startup *startup);
void startup_done(struct startup *startup);
bool startup_has(const struct startup *startup, uint64_t vaddr);

#endif
