/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From a source tree, a diff and a build command to a patch file.
 *
 * The working folder keeps what each step made, by its number:
 *
 *   tree             where both builds are made, one after the other: paths in
 *                    objects (__FILE__, debug info) are the same in both
 *   1-original/      tree built as it is; capture, log
 *   2-patched/       the same with the diff: as a rule only what reads a file that it
 *                    changes is compiled, and nothing linked; capture, log
 *   3-sections/      the objects that differ, each compiled once more as in 1
 *                    and as in 2 with a section for every function
 *
 * What a step made is used again as long as what it was made from is the same.
 */
#ifndef STITCH_BUILD_BUILD_H
#define STITCH_BUILD_BUILD_H

#include <stdbool.h>
#include <stddef.h>

#include "err.h"

struct build_options {
	const char *source, *patch, *output, *work;
	const char *name, *description;
	/* Files of which the one that the change is in is patched: the program
	 * and the libraries of a process, or one file.  Empty: as built. */
	char **binaries;
	size_t nr_binaries;
	size_t nr_preferred;   /* of them, from the first: of equals one of these is the one */
	/* Types whose layout may change: no object of them outlives the change. */
	char **layouts;
	size_t nr_layouts;
	bool constructors;     /* changed ones are left as they are */
	unsigned strip;
	bool full;             /* build all with the diff, not only what reads what it changes */
	bool together;         /* all of binaries that the change is in: one patch */
	bool is_other;         /* of several patches not the first, which has said what is in none */
	bool replace;          /* the patch takes the place of all before it */
	char **command;
	const char *self;      /* this program's file, to act as the compilers */
	const char *created_by;
	void (*progress)(void *arg, const char *text);
	void *arg;
};

struct build_note {
	char *kind, *text;
};

struct build_result {
	char *object;          /* name of the file that is patched */
	char *matched;         /* how the rebuild was matched with it */
	size_t nr_units;       /* object files of the original build */
	size_t nr_compared;    /* that differ and were compared */
	size_t nr_funcs, nr_new, nr_line;
	struct build_note *notes;
	size_t nr_notes;
	/* Other files of options->binaries that the change is in, too: a patch is of one. */
	char **others;
	size_t nr_others;
};

struct err *build_patch(const struct build_options *options, struct build_result *result)
	__attribute__((warn_unused_result));
void build_result_done(struct build_result *result);

#endif
