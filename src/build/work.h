/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the parts of a build share: the working folder, the objects that differ, and the
 * programs and libraries that they are in.
 */
#ifndef STITCH_BUILD_WORK_H
#define STITCH_BUILD_WORK_H

#include "build.h"
#include "capture.h"
#include "compare.h"
#include "locate.h"
#include "match.h"
#include "types.h"

/* A pair of objects that differ. */
struct pair {
	const struct captured *old, *new;
	const char *name;      /* of the object file, for people */
	struct unit *plain;    /* as it was built for the image; of a new file: the patched one */
	struct unit *a, *b;    /* with a section for every function */
	struct compare compare;
	struct locate locate;
	bool compared, in_image, is_new;
	bool gone;             /* what it was compiled from: a trial of configure's, mostly */
	struct err *refusal;   /* what of its change cannot be carried */
};

/* One more program or library that the patch is for, as the first in struct job. */
struct target {
	const struct captured *link;
	struct image *linked, *running;
	char *running_name;
	struct match match;
};

struct job {
	const struct build_options *o;
	struct build_result *result;
	char *work;            /* absolute */
	int lock;              /* on it, for as long as this is at work; -1: not yet */
	struct capture old, new;
	struct pair *pairs;
	size_t nr_pairs;
	const struct captured *link; /* in the original build, what made the next */
	struct image *linked;  /* the reference image */
	struct image *running;
	char *running_name;
	bool is_preferred;     /* running is one of those */
	const char **fits;     /* of the given binaries, those that hold a change */
	size_t nr_fits;
	const char **namesakes; /* and those that have no more than the name of what holds one */
	size_t nr_namesakes;
	char *unlike;          /* of those that hold none, one that has the name of what does */
	struct match match;
	struct type_changes types;
	struct target *more;   /* with --together */
	size_t nr_more;
};

void work_progress(const struct job *job, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* A path in the working folder. The caller frees. */
char *work_path(const struct job *job, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* ---- builds.c: the tree, built as it is and with the diff ------------------------------- */

/* Errors: build-failed, patch-does-not-apply, no-objects. */
struct err *work_build_both(struct job *job) __attribute__((warn_unused_result));
/* Applies the diff to what lies in tree. Error: patch-does-not-apply. */
struct err *work_apply_diff(const struct job *job, const char *step)
	__attribute__((warn_unused_result));
/* Puts the tree of a step ("1-original") where both were built, and back again. */
struct err *work_tree_in_place(const struct job *job, const char *step)
	__attribute__((warn_unused_result));
struct err *work_tree_back(const struct job *job) __attribute__((warn_unused_result));

/* ---- quick.c: only what reads a file that changes ---------------------------------------- */

/* Not *done: all of it has to be built; then nothing is left of the try. */
struct err *work_build_quick(const struct job *job, const char *step, bool *done)
	__attribute__((warn_unused_result));

/* ---- pairs.c: the objects that differ ---------------------------------------------------- */

/* Error: nothing-to-patch. */
struct err *work_find_pairs(struct job *job) __attribute__((warn_unused_result));
/* Compiles them again, a section for each function, and compares; what of a pair cannot be
 * carried is its refusal, for it may be in no image that is patched. */
struct err *work_compare_pairs(struct job *job) __attribute__((warn_unused_result));

/* ---- choose.c: the programs and libraries ------------------------------------------------ */

/* Which pairs an image holds, and where; how many. */
size_t work_locate_pairs(struct job *job, const struct image *image, struct err **err);
/*
 * Which of the files that the change adds are in what the patched build made in the place
 * of an image; where it made nothing, all are taken to be in the first.
 */
struct err *work_locate_new(struct job *job, const struct captured *link, bool is_first)
	__attribute__((warn_unused_result));
/* Of what was linked and what was given the two that fit best. Errors: not-linked,
 * which-binary, no-match. */
struct err *work_choose(struct job *job) __attribute__((warn_unused_result));
/* Errors: match.h's, no-build-id. */
struct err *work_match(struct job *job) __attribute__((warn_unused_result));
/* What else the change is in. */
void work_note_others(struct job *job);
/* --together: one patch for all of them, which switch in one transition. */
struct err *work_join_others(struct job *job) __attribute__((warn_unused_result));

#endif
