/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What can be known of a thread without stopping it.
 *
 * A thread that sleeps in a system call is where /proc/TID/syscall says, and stays there as
 * long as it is not scheduled: schedstat counts how often it was (kernel/sched/stats.h,
 * sched_info_arrive(), before it runs an instruction).  So a look between two equal counts
 * saw one moment of it.  Nothing is asked of the thread: it does not wake, no call of it
 * returns EINTR, and nobody can tell.
 */
#ifndef STITCH_TARGET_GLANCE_H
#define STITCH_TARGET_GLANCE_H

#include "process.h"

/* The thread that was asked last: several questions of one are asked in a row. */
struct glance {
	pid_t tid; /* 0: none */
	int fd;
};

/* How often it has been given a processor; false: the kernel does not tell. */
bool glance_count(struct glance *last, pid_t tid, uint64_t *count);
void glance_done(struct glance *last);
/*
 * It is asleep in a system call: its pc and sp, in regs that are partial, with its thread
 * pointer, which the caller knows.  False: it runs, waits for a processor, or stands for a
 * tracer.
 */
bool glance_regs(const struct process *process, pid_t tid, uint64_t tp, struct regs *regs);
/*
 * A thread's thread pointer by what the C library and the kernel agree on: the block that
 * holds the list of robust mutexes that it has told the kernel of (set_robust_list(2)), and
 * in it the thread's own ID.  A thread that was not made by the C library has none, and one
 * that shares another's block is not the one whose ID stands there: those have to be stopped
 * to be known.
 */
bool glance_tp(const struct process *process, pid_t tid, uint64_t *tp);
/* Learns from a thread that stands, of which tp is known, where in the block that is. */
void glance_learn(struct process *process, pid_t tid, uint64_t tp);

#endif
