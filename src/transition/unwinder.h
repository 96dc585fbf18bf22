/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * When the process's own unwinder, libgcc's list, is told of a patch (link/ehreg.h): before
 * the first thread can come to the patch's code, and no more when the last has been seen
 * outside.  All threads are held for it, none in libgcc, unless nobody uses the list.
 */
#ifndef STITCH_TRANSITION_UNWINDER_H
#define STITCH_TRANSITION_UNWINDER_H

#include "job.h"

/* Error: machine_hold()'s, if a thread does not leave libgcc in time. */
struct err *unwinder_tell(struct job *job) __attribute__((warn_unused_result));
/* What cannot be taken out of the list stays, and the patch's memory with it. */
struct err *unwinder_untell(struct job *job) __attribute__((warn_unused_result));

/*
 * The same with nobody held (job->alone).  The list may be in use by other threads: the
 * first says so before anything is done (unwinder-in-use).
 */
struct err *unwinder_check_alone(const struct job *job) __attribute__((warn_unused_result));
struct err *unwinder_tell_alone(struct job *job) __attribute__((warn_unused_result));

#endif
