/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Learning that a thread has left a function, at once and without stopping it before.
 *
 * An execution breakpoint of perf_event_open(2) on the function's return address, for that
 * thread alone; where there are none the thread is polled for.  (A uprobe is no way: one that
 * is taken out while threads meet it can end the program, docs/porting.md.)  The tool puts no
 * byte into the target, and the event ends with the tool.  Where the thread
 * has a signal that it neither blocks nor handles and whose default is to be ignored, the
 * event also sends it that one (fcntl(2), F_SETSIG): under ptrace the thread then stands
 * at the very return address and can be switched there, even if it goes straight back
 * into the function; if no tool is there any more the kernel drops the signal.  Else the
 * tool only hears of it.
 */
#ifndef STITCH_TRANSITION_STRAGGLER_H
#define STITCH_TRANSITION_STRAGGLER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct straggler {
	int fd;          /* -1: not waited for by event */
	uint64_t addr;
	int sig;         /* 0: the thread gets none */
};

#define STRAGGLER_NONE { -1, 0, 0 }

/* Waits for the thread at addr; keeps what is there if it is for the same. */
void straggler_wait(struct straggler *straggler, pid_t tid, uint64_t addr);
/* The same for a thread that has not run yet: its signal mask is not what it will be. */
void straggler_wait_newborn(struct straggler *straggler, pid_t tid, uint64_t addr);
void straggler_done(struct straggler *straggler);
/* The stopped thread has the signal of this event: it must not get it. */
bool straggler_is_here(const struct straggler *straggler, pid_t tid, int sig);

#endif
