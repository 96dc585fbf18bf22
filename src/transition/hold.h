/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The first transition: all threads are held together, for as long as their
 * stacks are checked.
 *
 * The threads are stopped one after the other; if no stack holds a function
 * that the change takes out of use, the change is made and all go on; if one
 * does, all go on at once and it is tried again, later and later, until the
 * time is over.  A trace that is not complete counts as one that holds it.
 */
#ifndef STITCH_TRANSITION_HOLD_H
#define STITCH_TRANSITION_HOLD_H

#include "process.h"
#include "record.h"
#include "stacks.h"

/* Code that no thread may be in or return to. */
struct forbidden {
	struct range range;
	const char *name;
};

struct blocker {
	pid_t tid;
	char thread_name[17];
	enum unwind_reason reason; /* UNWIND_OK: the trace holds what */
	const char *what;          /* the function; of forbidden */
	unsigned frame;            /* 0 is the innermost */
	uint64_t pc;
	uint64_t since_ms;         /* clock_ms() when it was first seen so */
};

struct hold_stats {
	unsigned tries;
	size_t threads;
	uint64_t pause_ns;       /* of the last hold, from the first stop on */
	uint64_t worst_pause_ns; /* of all */
	unsigned fixed_eintr;    /* system calls that begin anew instead of EINTR */
};

struct hold {
	struct process *process;
	struct stacks *stacks;
	struct forbidden *forbidden;
	size_t nr_forbidden;
	unsigned timeout_ms;
	/* Called with all threads stopped and clear; NULL: only look. */
	struct err *(*change)(void *arg);
	void *arg;
	/* Called between tries; false ends the waiting ("cancelled"). */
	bool (*wait)(void *arg, const struct blocker *blocker, unsigned waited_ms);
	void *wait_arg;
	struct hold_stats stats;
	struct blocker blocker;  /* the last one seen */
};

/* Errors: busy, unreliable, does-not-stop, traced, cancelled, gone; change's. */
struct err *hold_run(struct hold *hold) __attribute__((warn_unused_result));
void hold_forbid(struct hold *hold, struct range range, const char *name);

#endif
