/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Stacks that no thread is on, which the machine has to know of (target/suspended.h). */
#ifndef STITCH_TRANSITION_SEEK_H
#define STITCH_TRANSITION_SEEK_H

#include "machine.h"

/*
 * Is one of them in what check holds?  m->suspended is the find, or says that there is none.
 * While all threads stand the answer is right; else it may be wrong either way, and is good
 * for no more than to tell whether they should be made to.
 */
struct err *seek_suspended(struct machine *m, bool *found)
	__attribute__((warn_unused_result));

#endif
