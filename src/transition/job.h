/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One piece of work on one process: what the steps of a transition share.
 */
#ifndef STITCH_TRANSITION_JOB_H
#define STITCH_TRANSITION_JOB_H

#include "apply.h"
#include "dispatch.h"
#include "ehreg.h"
#include "landing.h"
#include "link.h"
#include "lock.h"
#include "machine.h"

struct job {
	struct process *process;
	const struct apply_options *options;
	struct apply_result *result;
	struct lock lock;
	struct record record;
	struct record_patch *patch; /* that this is about; of record */
	struct dispatch dispatch;
	struct machine machine;
	struct ehreg eh;
	/* No thread can be in what the patch changes: the object has not run yet, or will not
	 * any more.  The thread that is about to begin or end it stands (process->standing). */
	bool alone;
};

#define REFUSE(reason, ...) err_new(ERR_UNSUPPORTED, reason, __VA_ARGS__)

/* The record says that the patch is in the state; what it announces may begin. */
struct err *job_set_state(struct job *job, enum patch_state state)
	__attribute__((warn_unused_result));

/* ---- memory.c: the memory of a patch -------------------------------------- */

/* Maps all that the record has of it and was not there: arena, landings, dispatcher. */
struct err *memory_map(struct job *job) __attribute__((warn_unused_result));
struct err *memory_write(const struct job *job, const struct linked *linked,
			 const struct landings *landings) __attribute__((warn_unused_result));
/* Only the dispatcher, for a patch that is there. */
struct err *memory_map_dispatch(struct job *job) __attribute__((warn_unused_result));
struct err *memory_unmap_dispatch(struct job *job) __attribute__((warn_unused_result));
/* All of a patch's arena is where the record has it. */
bool memory_is_there(const struct process *process, const struct record_patch *patch);
/*
 * Nothing leads to the patch any more, but pointers to what it has may be anywhere: what no
 * pointer leads to goes, the rest stays, to be used again should the patch come again.
 */
struct err *memory_retain(struct job *job) __attribute__((warn_unused_result));
/*
 * Nothing leads to the patch (any more): out of memory and out of the record, which
 * goes, too, when it would be empty.
 */
struct err *memory_drop(struct job *job) __attribute__((warn_unused_result));
/* After a refusal the process is as it was: no record where none was. */
void memory_drop_empty_record(struct job *job);

/* ---- steps.c: the states of a patch ---------------------------------------- */

/* Its memory is there: entries lead to the dispatcher, threads are switched, settled. */
struct err *steps_enable(struct job *job) __attribute__((warn_unused_result));
/* From applied, or in the middle of enabling: threads are switched back, entries too. */
struct err *steps_disable(struct job *job) __attribute__((warn_unused_result));
/* A transition that runs, the other way round (kernel, klp_reverse_transition). */
struct err *steps_turn(struct job *job) __attribute__((warn_unused_result));
/* The same two for an object that nobody is in (job->alone). */
struct err *steps_enable_alone(struct job *job) __attribute__((warn_unused_result));
struct err *steps_disable_alone(struct job *job) __attribute__((warn_unused_result));
/* Lets the threads go. Harmless when none are held, and twice. */
void steps_let_go(struct job *job);
/* Goes on from where a tool before this one died, in the direction that it had. */
struct err *steps_resume(struct job *job) __attribute__((warn_unused_result));
/* What applying would take out of use, held against every stack now. */
struct err *steps_look(struct job *job, const struct record_patch *planned)
	__attribute__((warn_unused_result));

#endif
