/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Children of fork.
 *
 * A child has its parent's memory as it was when it was made: entries, dispatcher, table
 * and record, in the middle of a transition.  It runs on rightly, for its one thread has
 * its creator's thread pointer and so its state; and it is brought to the same end as its
 * parent when that has come to it.
 */
#ifndef STITCH_TRANSITION_CHILDREN_H
#define STITCH_TRANSITION_CHILDREN_H

#include "apply.h"

struct children_of {
	pid_t pid;             /* of the parent */
	char name[256];        /* of the patch */
	uint64_t arena;        /* the first one's place, the same in every child */
	const struct slp *slp; /* NULL: not needed */
	bool applied;          /* how it ended; false: the patch is out */
};

/*
 * Finds children whose transition has not ended and ends it; *nr: how many were. The first
 * error is returned when all have been tried.
 */
struct err *children_bring_on(const struct children_of *of, const struct apply_options *options,
			      size_t *nr) __attribute__((warn_unused_result));

#endif
