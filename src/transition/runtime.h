/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the patches of a process share while they are there: the lists of shadow variables
 * and the transition that runs.  The code that uses it is in the patches; the layout is
 * struct klp_runtime_ of include/stitch/livepatch.h.
 *
 * It outlives the patches as long as there are shadow variables, which a later patch may
 * take over.
 */
#ifndef STITCH_TRANSITION_RUNTIME_H
#define STITCH_TRANSITION_RUNTIME_H

#include "job.h"

/* Makes it if there is none; recorded before it is mapped. */
struct err *runtime_need(struct job *job) __attribute__((warn_unused_result));
/*
 * When no patch uses it and no shadow variable is left it goes, and what was mapped for
 * those, too.
 */
struct err *runtime_drop(struct job *job) __attribute__((warn_unused_result));
/* The patch's own struct klp_patch leads to it. */
struct err *runtime_join(struct job *job) __attribute__((warn_unused_result));
/* For klp_get_prev_state(): the job's patch is in transition, and what it came on top of. */
struct err *runtime_set_transition(struct job *job, bool runs)
	__attribute__((warn_unused_result));
/* Address of the word with the thread that changes the lists; 0: there is none. */
uint64_t runtime_lock(const struct record *record);

#endif
