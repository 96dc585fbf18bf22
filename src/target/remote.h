/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * System calls made in the target by one of its own threads.
 *
 * The thread is stopped, does the call and stands where it stood, with every
 * register as it was; vector registers are never touched, for no code runs but
 * the system call.  The way back needs nobody: it is prepared on the thread's
 * stack below the red zone and in a few bytes of code in the unused end of an
 * executable page before the thread is sent there, so a tool that dies at any
 * moment leaves a thread that finishes the call and goes on with its own work.
 */
#ifndef STITCH_TARGET_REMOTE_H
#define STITCH_TARGET_REMOTE_H

#include "borrow.h"
#include "record.h"

struct remote {
	struct borrowed b;
	uint64_t code;     /* address of the way back */
	bool placed;       /* the way back stands at code */
	bool busy;         /* the thread is in our code */
	bool is_deaf;      /* and takes no signal there */
	uint64_t mask;     /* which it blocks itself */
};

/*
 * Borrows a thread: the first that can be stopped in a state that allows it.
 * Errors: seccomp (a filter is active and may not be suspended), no-slack (no
 * room for the code), not-now (no thread could be borrowed), gone.
 */
struct err *remote_begin(struct process *process, struct remote *remote)
	__attribute__((warn_unused_result));
/*
 * One system call; *result is what the kernel returned, -errno included.
 * ERR_NOT_NOW if a signal came first: the thread was let go to take it and
 * the call was not made; begin again.
 */
struct err *remote_call(struct remote *remote, long nr, const uint64_t args[6],
			int64_t *result) __attribute__((warn_unused_result));
/* Gives the thread back. Harmless after an error and twice. */
void remote_end(struct remote *remote);

/*
 * Borrows, does all the calls of plan in order, gives back; begins again with
 * another thread when a signal comes between, from the call that was not made.
 */
struct remote_plan {
	long nr;
	uint64_t args[6];
	int64_t result;
	bool done;
	bool may_fail;  /* else an error of the call ends the plan */
	const char *what;
};

struct err *remote_run(struct process *process, struct remote_plan *plan, size_t nr)
	__attribute__((warn_unused_result));

/*
 * Private memory at exactly these places.  ERR_NOT_NOW room-taken: the process has mapped
 * something of its own at one of them since its mappings were read; those before it in
 * the array are mapped.
 */
struct remote_mapping {
	struct range range;
	int prot;
	int flags;      /* of mmap(2), beside those that are said already */
};

struct err *remote_map(struct process *process, const struct remote_mapping *list, size_t nr)
	__attribute__((warn_unused_result));
/*
 * True if *err was room-taken: it is freed, the mappings have been read anew, and what was
 * to be mapped may be tried elsewhere.  Not for ever: *tries, from 0, counts.
 */
bool remote_look_elsewhere(struct process *process, struct err **err, int *tries);

#endif
