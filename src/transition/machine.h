/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The threads of a transition: each is stopped on its own, checked and switched, and goes
 * on; the others run.
 *
 * Threads stay ours (seized, running) as long as the machine is there, so that one that is
 * made meanwhile has its creator's state before its first instruction (kernel,
 * klp_copy_process).  Signals that they get pass through the tool to them, each as it was.
 *
 * The steps of tests/model/transition.pml: learn, switch, see_outside.
 */
#ifndef STITCH_TRANSITION_MACHINE_H
#define STITCH_TRANSITION_MACHINE_H

#include "check.h"
#include "dispatch.h"
#include "glance.h"
#include "lock.h"
#include "process.h"
#include "threads.h"
#include "tracer.h"

/* A thread that cannot be switched yet, and why. */
struct blocker {
	pid_t tid;
	char thread_name[17];
	enum unwind_reason reason; /* UNWIND_OK: what, or it does not stop */
	const char *what;          /* the function that it is in; of the forbidden */
	bool does_not_stop;
	unsigned frame;            /* 0 is the innermost */
	uint64_t pc;
	uint64_t since_ms;         /* clock_ms() when it was first seen so */
	uint64_t here_ms;          /* and when it was first seen at this pc */
};

struct progress {
	bool to_patched;
	size_t total, switched;
	const struct blocker *blocker; /* who waits longest; NULL: nobody known */
	unsigned waited_ms;
};

enum machine_order { ORDER_GO_ON, ORDER_CANCEL, ORDER_FORCE };

struct machine_stats {
	unsigned passes;
	size_t threads;
	uint64_t worst_pause_ns; /* that any one thread stood */
	uint64_t total_pause_ns; /* of all of them */
	unsigned stops;
	unsigned looks;          /* at threads that slept and were not stopped for it */
	unsigned fixed_eintr;    /* system calls that begin anew instead of EINTR */
	unsigned stragglers;     /* switched by the event of their return */
};

struct machine {
	struct process *process;
	struct threads threads;
	struct stacks stacks;
	struct check check;
	struct dispatch *dispatch;
	enum thread_patch_state target;
	const struct lock *lock;   /* whose questions are answered while it waits */
	/* Called now and then while threads are waited for; NULL: go on. */
	enum machine_order (*wait)(void *arg, const struct progress *progress);
	void *wait_arg;
	enum machine_order asked;  /* by another tool */
	struct blocker suspended;  /* a stack that no thread is on; what is NULL: none */
	struct machine_stats stats;
	struct tracer tracer;      /* whose all threads are */
	struct window window;      /* the tracer's, open while threads are ours */
	bool can_peek;             /* at threads that sleep, without stopping them */
	struct glance glance;
	struct err *failed;        /* in a callback */
	uint64_t refreshed_at, refresh_took; /* ns */
	uint64_t began_ms;
	const struct visit *visit; /* what is done with threads that stand */
	bool is_switching, seeks_suspended;
	bool all_known;            /* whose thread pointers: as of this pass */
	unsigned wave;             /* of seeing every thread outside */
};

/* Seizes all threads and learns their thread pointers. dispatch NULL: only to look. */
struct err *machine_begin(struct machine *machine, struct process *process,
			  const struct record *record, struct dispatch *dispatch)
	__attribute__((warn_unused_result));
/* Lets all threads go. Harmless after an error and twice. */
void machine_end(struct machine *machine);

/*
 * Switches every thread to the target; check holds what none may be in.  Errors: busy,
 * unreliable, does-not-stop when timeout_ms are over; cancelled, forced, when that was
 * asked for (the caller forces); traced, gone.  Then some threads are switched and some are not.
 */
struct err *machine_switch(struct machine *machine, enum thread_patch_state target,
			   unsigned timeout_ms) __attribute__((warn_unused_result));
/*
 * The same for a process that has code which switches stacks: a suspended stack may be
 * taken up by any thread, so all threads are held, every stack and all writable memory is
 * looked through, and all are switched at once.
 */
struct err *machine_switch_held(struct machine *machine, enum thread_patch_state target,
				unsigned timeout_ms) __attribute__((warn_unused_result));
/* One look at each thread, nothing switched; the same errors. */
struct err *machine_look(struct machine *machine) __attribute__((warn_unused_result));
/* Every thread to the target, whatever it is in. */
struct err *machine_force(struct machine *machine, enum thread_patch_state target)
	__attribute__((warn_unused_result));
/*
 * Returns when each thread has been seen once with a whole stack and outside what check
 * holds and every patch's stubs; the errors of machine_switch().
 */
struct err *machine_see_outside(struct machine *machine, unsigned timeout_ms)
	__attribute__((warn_unused_result));
/* And no suspended stack holds it either: all threads are held for that look. */
struct err *machine_see_suspended(struct machine *machine, unsigned timeout_ms)
	__attribute__((warn_unused_result));
/*
 * The one thing that needs all threads at once: change is called when all stand and none
 * is in what check holds (nothing: no stack is looked at).  For the list of another's that
 * is changed under its lock (libgcc's), and for entries that no store can change.
 */
struct err *machine_hold(struct machine *machine, unsigned timeout_ms,
			 struct err *(*change)(void *arg), void *arg)
	__attribute__((warn_unused_result));

#endif
