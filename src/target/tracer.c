/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tracer.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <unistd.h>

enum { GONE_US = 30, GONE_TRIES = 100000 };

static void wait_for(sem_t *sem)
{
	while (sem_wait(sem) && errno == EINTR)
		;
}

static void *work(void *arg)
{
	struct tracer *tracer = arg;

	tracer->tid = gettid();
	for (;;) {
		wait_for(&tracer->todo);
		if (!tracer->job)
			return NULL;
		tracer->err = tracer->job(tracer->arg);
		sem_post(&tracer->done);
	}
}

struct err *tracer_start(struct tracer *tracer)
{
	int error;

	*tracer = (struct tracer){ .runs = true };
	sem_init(&tracer->todo, 0, 0);
	sem_init(&tracer->done, 0, 0);
	error = pthread_create(&tracer->thread, NULL, work, tracer);
	if (!error)
		return NULL;
	tracer->runs = false;
	return err_sys(error, "a thread that traces");
}

struct err *tracer_do(struct tracer *tracer, struct err *(*job)(void *arg), void *arg)
{
	sigset_t all, old;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	tracer->job = job;
	tracer->arg = arg;
	sem_post(&tracer->todo);
	wait_for(&tracer->done);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return tracer->err;
}

void tracer_end(struct tracer *tracer)
{
	if (!tracer->runs)
		return;
	tracer->runs = false;
	tracer->job = NULL;
	sem_post(&tracer->todo);
	pthread_join(tracer->thread, NULL);
	/* That was when it had left the program; its tracees it leaves a little later, on its
	 * way out of the kernel (kernel/exit.c, exit_mm() and exit_notify()). */
	for (unsigned i = 0; i < GONE_TRIES && !tgkill(getpid(), tracer->tid, 0); i++)
		usleep(GONE_US);
	sem_destroy(&tracer->todo);
	sem_destroy(&tracer->done);
}

struct err *tracer_run(struct err *(*job)(void *arg), void *arg)
{
	struct tracer tracer;
	struct err *err = tracer_start(&tracer);

	if (err)
		return err;
	err = tracer_do(&tracer, job, arg);
	tracer_end(&tracer);
	return err;
}
