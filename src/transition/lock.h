/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One tool at a time for each process: a name in the abstract socket namespace,
 * which the kernel frees when its holder dies, however that happens.
 */
#ifndef STITCH_TRANSITION_LOCK_H
#define STITCH_TRANSITION_LOCK_H

#include "process.h"

struct lock {
	int fd;
};

#define LOCK_NONE { -1 }
#define AUTO_LOCK __attribute__((cleanup(lock_release)))

/* Error: locked (another stitch is at work on the process). */
struct err *lock_take(const struct process *process, struct lock *lock)
	__attribute__((warn_unused_result));
void lock_release(struct lock *lock);

#endif
