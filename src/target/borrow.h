/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One thread of the target, stopped and borrowed for something that the tool needs done.
 */
#ifndef STITCH_TARGET_BORROW_H
#define STITCH_TARGET_BORROW_H

#include <sys/ptrace.h>

#include "process.h"
#include "threads.h"

/* What who follows a process and lends a thread of it has to have set. */
#define BORROW_OPTIONS (PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | \
			PTRACE_O_TRACEVFORK | PTRACE_O_TRACEEXEC)

struct borrowed {
	struct process *process;
	struct threads threads;
	struct thread *thread;  /* stopped */
	struct regs saved;      /* its own registers */
	struct window window;   /* open while it stands */
	size_t room;            /* bytes that are to be had below its stack pointer */
	bool suspended_seccomp; /* until it is given back, or the tool dies */
};

/*
 * Borrows the thread that it costs least to borrow, of those that can be stopped in a
 * state that allows it.  Errors: seccomp (a filter is active and may not be suspended),
 * no-thread (not now), gone, traced.
 */
struct err *borrow_begin(struct process *process, size_t room, struct borrowed *b)
	__attribute__((warn_unused_result));
/* The bytes that its fp_sets take at most; they; the signals that it blocks. */
size_t borrow_fp_max(const struct borrowed *b);
struct err *borrow_fp(const struct borrowed *b, uint8_t *fp, size_t *size)
	__attribute__((warn_unused_result));
struct err *borrow_mask(const struct borrowed *b, uint64_t *mask)
	__attribute__((warn_unused_result));
/*
 * Which it takes from here on, while it stands; with all blocked nothing comes between what
 * it is sent to do.  For a thread whose way home sets its own mask, too, if the tool dies.
 */
struct err *borrow_set_mask(const struct borrowed *b, uint64_t mask)
	__attribute__((warn_unused_result));
/* Gives it back as it stands. Harmless after an error and twice. */
void borrow_end(struct borrowed *b);
/*
 * Has done what borrows: by a tracer that ends with it, for of the threads that are tried one
 * may not stop, and is let go by nothing else; or by the caller, who has one that stands.
 */
struct err *borrow_do(struct process *process, struct err *(*job)(void *arg), void *arg)
	__attribute__((warn_unused_result));
/*
 * Lets it run to its next system call's entry or exit.  Errors: signal (it stopped for
 * something else, which is kept for it), system (not within timeout_ms), gone.
 */
struct err *borrow_run(struct borrowed *b, unsigned timeout_ms)
	__attribute__((warn_unused_result));

#endif
