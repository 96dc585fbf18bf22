/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A thread of the tool that traces.
 *
 * PTRACE_DETACH wants a thread that stands.  The end of a tracer does not: the kernel lets
 * each of its tracees go as it is, running, asleep in the kernel, or standing
 * (kernel/ptrace.c, exit_ptrace()), and takes back what it was asked to stop for.  So what
 * seizes many threads runs in a thread of its own, and ends with it.
 */
#ifndef STITCH_TARGET_TRACER_H
#define STITCH_TARGET_TRACER_H

#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>
#include <sys/types.h>

#include "err.h"

struct tracer {
	pthread_t thread;
	pid_t tid;
	sem_t todo, done;
	struct err *(*job)(void *arg); /* NULL: end */
	void *arg;
	struct err *err;               /* of the job, until it is taken */
	bool runs;
};

/* It begins, with nothing to do. Error: system. */
struct err *tracer_start(struct tracer *tracer) __attribute__((warn_unused_result));
/* Has a job done, and waits for it.  Signals to the tool are for the tracer meanwhile. */
struct err *tracer_do(struct tracer *tracer, struct err *(*job)(void *arg), void *arg)
	__attribute__((warn_unused_result));
/*
 * It ends, and every thread that it has seized has been let go when this returns. Harmless
 * twice.
 */
void tracer_end(struct tracer *tracer);
/* Has one job done, by a tracer that ends with it. */
struct err *tracer_run(struct err *(*job)(void *arg), void *arg)
	__attribute__((warn_unused_result));

#endif
