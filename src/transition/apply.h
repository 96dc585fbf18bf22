/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Putting a patch into a process and taking it out again.
 *
 * The life of a patch, as the record has it.  Each change of the process comes
 * after the record says that it may have been made:
 *
 *   state      memory   entries           slots   next
 *   (none)     no       before            -       loading
 *   loading    perhaps  before            -       arming, (none)
 *   arming     yes      before, islands   old     applied, unloading
 *              yes      islands, new      new     applied
 *   applied    yes      new               new     reverting
 *   reverting  yes      new, islands      new     reverting
 *              yes      islands, before   old     unloading, retained
 *   unloading  perhaps  before            old     (none)
 *   retained   yes      before            old     (for ever)
 *
 * A tool that finds a patch in loading, arming, reverting or unloading has come after one
 * that was killed; recover() goes on from there: the slots say on which side.
 */
#ifndef STITCH_TRANSITION_APPLY_H
#define STITCH_TRANSITION_APPLY_H

#include "hold.h"
#include "process.h"
#include "record.h"
#include "slp.h"

struct apply_options {
	unsigned timeout_ms;
	bool (*wait)(void *arg, const struct blocker *blocker, unsigned waited_ms);
	void *wait_arg;
};

struct apply_result {
	struct hold_stats hold;
	char name[256];       /* revert: of the patch that was chosen */
	size_t nr_funcs;
	size_t memory;        /* bytes mapped for the patch */
	uint64_t total_ns;
	bool retained;        /* revert: its memory stays in the process */
	bool eh_registered;   /* the target's unwinder knows the new code */
};

/*
 * Applies a patch.  Errors: already-applied, object-not-loaded,
 * build-id-differs, locked, and those of link, redirect and hold.  After any
 * error but ERR_CHANGED the process is as it was.
 */
struct err *apply_patch(struct process *process, const struct slp *slp,
			const struct apply_options *options, struct apply_result *result)
	__attribute__((warn_unused_result));
/* Everything but the change: says what apply_patch() would say now. */
struct err *apply_check(struct process *process, const struct slp *slp,
			const struct apply_options *options, struct apply_result *result)
	__attribute__((warn_unused_result));
/*
 * Takes a patch out, whatever state it is in; name NULL: the newest.
 * Errors: no-such-patch, locked, and those of hold.
 */
struct err *apply_revert(struct process *process, const char *name,
			 const struct apply_options *options,
			 struct apply_result *result) __attribute__((warn_unused_result));

#endif
