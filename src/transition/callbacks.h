/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The callbacks of a patch (kernel, Documentation/livepatch/callbacks.rst): which are due
 * follows from two marks of each object in the record, so that each is called once,
 * whichever tool comes to it.
 */
#ifndef STITCH_TRANSITION_CALLBACKS_H
#define STITCH_TRANSITION_CALLBACKS_H

#include "job.h"

/*
 * Calls those of one kind that are due, in the order of the patch's objects; none of our
 * threads may be seized.  Errors: callback-refused (pre_patch said no: those before it
 * have to be followed by post_unpatch), and those of call_function().
 */
struct err *callbacks_run(struct job *job, enum slp_callback which)
	__attribute__((warn_unused_result));
/* Waits for one that an earlier tool began, and marks it. Error: call-runs. */
struct err *callbacks_settle(struct job *job) __attribute__((warn_unused_result));
/* An applied patch has one that runs, or post_patch has still to be called. */
bool callbacks_are_open(const struct record_patch *patch);
/* Another patch has taken its place: none will be called (kernel, atomic replace). */
void callbacks_forget(struct record_patch *patch);

#endif
