/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Putting a patch into a process and taking it out again.
 *
 * The life of a patch, as the record has it.  Each change of the process comes
 * after the record says that it may have been made:
 *
 *   state      memory   entries        threads              next
 *   (none)     no       before         -                    loading
 *   loading    perhaps  before         -                    enabling, (none)
 *   enabling   yes      before, gate   unpatched, patched   applied, disabling
 *   applied    yes      gate, new      patched              disabling
 *   disabling  yes      new, gate      patched, unpatched   restoring, enabling
 *   restoring  yes      gate, before   unpatched            unloading, retained
 *   unloading  perhaps  before         -                    (none)
 *   retained   yes      before         -                    (for ever)
 *
 * In enabling and disabling every gate leads to the dispatcher, which leads each thread
 * by its own state; so both are right at any moment, whoever is there to see it, and
 * either turns into the other.  A tool that finds a patch in another state than applied
 * or retained has come after one that was killed, or that left it (no_wait).
 */
#ifndef STITCH_TRANSITION_APPLY_H
#define STITCH_TRANSITION_APPLY_H

#include "machine.h"
#include "process.h"
#include "record.h"
#include "slp.h"

struct apply_options {
	unsigned timeout_ms;
	/* Started is enough: what is left is left to a later command. */
	bool no_wait;
	/* Called now and then while threads are waited for. */
	enum machine_order (*wait)(void *arg, const struct progress *progress);
	void *wait_arg;
};

struct apply_result {
	struct machine_stats stats;
	char name[256];       /* of the patch, where that was chosen */
	size_t nr_funcs;
	size_t memory;        /* bytes mapped for the patch */
	uint64_t total_ns;
	unsigned held;        /* times that all threads were held to change one entry */
	bool retained;        /* its memory stays in the process for good */
	bool is_left;         /* its memory is there still: a later command returns it */
	unsigned faulted_callbacks; /* that did what a program dies of and were broken off */
	bool pending;         /* the transition runs: some threads are not switched */
	bool eh_registered;   /* the target's unwinder knows the new code */
	size_t children;      /* processes that it forked meanwhile, and that were brought on */
	/* Functions of which patches have the version in effect, and that are this one's from
	 * now on; one of those patches, and a function of both. */
	size_t nr_covered;
	char covered[256], covered_func[256];
};

/*
 * Applies a patch: starts its transition and follows it.  When the time is over, or it is
 * cancelled, the transition is reversed.  Errors: already-applied, object-not-loaded,
 * build-id-differs, locked, and those of link, redirect and machine.  After any error but
 * ERR_CHANGED the process is as it was.
 */
struct err *apply_patch(struct process *process, const struct slp *slp,
			const struct apply_options *options, struct apply_result *result)
	__attribute__((warn_unused_result));
/* Everything but the change: says what apply_patch() would say now. */
struct err *apply_check(struct process *process, const struct slp *slp,
			const struct apply_options *options, struct apply_result *result)
	__attribute__((warn_unused_result));
/* Is something of it left to be done, by apply_resume() say? */
bool apply_is_unfinished(const struct process *process, const struct record *record,
			 const struct record_patch *patch);
/*
 * Takes a patch out, whatever state it is in; name NULL: the newest.  A patch that cannot
 * leave in time is enabled again.  Errors: no-such-patch, locked, and those of machine.
 */
struct err *apply_revert(struct process *process, const char *name,
			 const struct apply_options *options,
			 struct apply_result *result) __attribute__((warn_unused_result));
/* Goes on with what was left or interrupted. Error: no-transition. */
struct err *apply_resume(struct process *process, const struct apply_options *options,
			 struct apply_result *result) __attribute__((warn_unused_result));
/*
 * Reverses the transition that runs, or forces its threads; through the tool that follows
 * it if there is one.  Errors: no-transition, locked, and those of machine.
 */
struct err *apply_cancel(struct process *process, const struct apply_options *options,
			 struct apply_result *result) __attribute__((warn_unused_result));
struct err *apply_force(struct process *process, const struct apply_options *options,
			struct apply_result *result) __attribute__((warn_unused_result));
/*
 * The first two for an object that no thread is in: process->standing stands before its
 * first constructor, or has run its destructors and is about to unmap it (kernel,
 * klp_module_coming, klp_module_going).  No stack is looked at, no thread waited for.
 */
struct err *apply_alone(struct process *process, const struct slp *slp,
			const struct apply_options *options, struct apply_result *result)
	__attribute__((warn_unused_result));
struct err *apply_revert_alone(struct process *process, const char *name,
			       const struct apply_options *options,
			       struct apply_result *result)
	__attribute__((warn_unused_result));
/* Ends whatever was begun, and what an object left behind that is gone. */
struct err *apply_recover(struct process *process, const struct apply_options *options,
			  struct apply_result *result) __attribute__((warn_unused_result));

#endif
