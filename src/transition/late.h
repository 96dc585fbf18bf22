/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Objects that come and go while a patch of theirs is to be in effect (kernel,
 * klp_module_coming and klp_module_going).
 *
 * The process is followed: each thread has an execution breakpoint of perf_event_open on
 * the function that the dynamic linker calls for debuggers.  An object that has come gets
 * its patch before its first constructor, one that goes loses it when its destructors have
 * run and before it is unmapped; only the thread that does this stands meanwhile.  When
 * the tool dies the events go with it.
 *
 * Other stitches that have to work on the process ask the follower to step aside; it lets
 * all threads go and comes back when they are done.
 */
#ifndef STITCH_TRANSITION_LATE_H
#define STITCH_TRANSITION_LATE_H

#include "apply.h"

enum late_event {
	LATE_WAITS,    /* an object of the patch is not there */
	LATE_APPLIED,  /* before its constructors, if late, else as ever */
	LATE_REVERTED, /* the object goes */
	LATE_REFUSED,  /* err says why; tried again when the object comes again */
};

struct late_view {
	void *arg;
	void (*tell)(void *arg, enum late_event what, const struct apply_result *result,
		     const struct err *err);
	bool (*is_over)(void *arg); /* the user has had enough; asked now and then */
};

/*
 * Returns NULL when the user has had enough: the patch stays as it is.  Errors: gone (the
 * process has ended or runs another program), no-dynamic-linker, followed (another stitch
 * follows it), traced, not-permitted.
 */
struct err *late_follow(struct process *process, const struct slp *slp,
			const struct apply_options *options, const struct late_view *view)
	__attribute__((warn_unused_result));

#endif
