/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Functions called in the target by one of its own threads, under the rules of a signal
 * handler: on a stack of its own, all signals blocked but those of its own faults, and
 * with the thread's whole state in memory, registers, vectors and signal mask.
 *
 * The way there and back is prepared before the thread is sent, by one change of its
 * registers (arch->call_frames), so a tool that dies leaves a thread that makes the call
 * and goes on with its own work.  The marks at the stack's end tell who comes later.
 */
#ifndef STITCH_TARGET_CALL_H
#define STITCH_TARGET_CALL_H

#include "borrow.h"

struct call {
	uint64_t code;       /* of arch->call_code, in the target */
	uint64_t stack, stack_size; /* a multiple of 64; the last CALL_FRAMES bytes are ours */
	uint64_t function, argument;
	uint64_t restore;    /* two words: an address, and the int that it has to have again
			      * when the function is broken off; 0: none */
	uint64_t lock;       /* a word: the thread whose ID is in it is not borrowed; 0: none */
};

enum call_state { CALL_NOT_BEGUN, CALL_RUNS, CALL_IS_DONE };

/*
 * Makes the call; *result is the function's, an int.  *faulted: it was broken off, the
 * result is -EFAULT.  The marks must be clear (call_clear()).  Errors: not-ported,
 * shadow-stack; no-thread, and call-runs (it has not returned within timeout_ms, and
 * goes on by itself), both not now; gone.
 */
struct err *call_function(struct process *process, const struct call *call,
			  unsigned timeout_ms, int64_t *result, bool *faulted)
	__attribute__((warn_unused_result));
/* Before the call is announced to anybody: it has not begun. */
struct err *call_clear(const struct process *process, const struct call *call)
	__attribute__((warn_unused_result));
/*
 * What the marks say of a call that an earlier tool may have begun; a thread that it had
 * sent and that has not got there yet is looked for.
 */
struct err *call_look(struct process *process, const struct call *call,
		      enum call_state *state, int64_t *result)
	__attribute__((warn_unused_result));

#endif
