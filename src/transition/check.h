/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * May a thread be switched?  The stack check of the kernel's klp_check_stack(): its
 * reliable trace must hold none of the code that the transition takes out of use.
 */
#ifndef STITCH_TRANSITION_CHECK_H
#define STITCH_TRANSITION_CHECK_H

#include "dispatch.h"
#include "record.h"
#include "stacks.h"

/* Code that no thread may be in or return to. */
struct forbidden {
	struct range range;
	const char *name; /* of its function, for people */
};

struct check {
	struct stacks *stacks;
	/*
	 * The patch whose gates threads pass now; NULL: who is in a stub is in no trace.  A
	 * thread on its way to the dispatcher's decision is where it came from: at the
	 * function's entry, and in no version of it.
	 */
	const struct record_patch *passing;
	const struct dispatch *dispatch;
	struct forbidden *forbidden;
	size_t nr_forbidden;
};

struct verdict {
	bool is_clear;
	enum unwind_reason reason; /* not UNWIND_OK: the trace is not reliable */
	const char *what;          /* the outermost forbidden function found, NULL: none */
	unsigned frame;            /* where that was, or where the trace ended; 0 innermost */
	uint64_t pc;               /* there */
	uint64_t caller;           /* where that function will return to; 0: not known */
	/* Its caller's stack pointer behind that call; 0: the stack is not one, or not known. */
	uint64_t leaves_at;
	/* It is so only if the thread gets these registers: in front of a function again. */
	bool rewinds;
	struct regs regs;
};

void check_forbid(struct check *check, struct range range, const char *name);
/* The name of what holds an address; NULL: nothing. */
const char *check_name_at(const struct check *check, uint64_t addr);
/* All that is forbidden lies in [*low, *high). */
void check_bounds(const struct check *check, uint64_t *low, uint64_t *high);
void check_forget(struct check *check);
/* thread stands. */
struct verdict check_thread(struct check *check, const struct thread *thread);

#endif
