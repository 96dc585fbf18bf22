/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One turn over all threads: each that needs it is asked to stop, seen as soon as it
 * stands, and goes on.
 */
#ifndef STITCH_TRANSITION_TURN_H
#define STITCH_TRANSITION_TURN_H

#include "machine.h"

/* What a pass does with threads. */
struct visit {
	bool (*needs)(struct machine *m, struct thread *thread);
	/* The same without a stop, where that can be: nothing has to stand for it now. */
	bool (*peek)(struct machine *m, struct thread *thread);
	/* It stands, and its thread pointer is known. */
	struct err *(*act)(struct machine *m, struct thread *thread);
};

/* m->visit is what is done; *left of the threads are not done yet. */
struct err *turn_pass(struct machine *m, size_t *left)
	__attribute__((warn_unused_result));
/* Of threads_follow(): a thread stands, asked to or not. */
void turn_stopped(void *arg, struct thread *thread);
/* What threads have reported meanwhile. */
struct err *turn_take_events(struct machine *m) __attribute__((warn_unused_result));
/* What stacks and code are found by: mappings come and go while others run. */
struct err *turn_refresh(struct machine *m) __attribute__((warn_unused_result));

#endif
