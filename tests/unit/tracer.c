/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * When a tracer has ended its tracees are nobody's, at once: the next may seize them.  And
 * one that sleeps in a system call is let go without having been woken.
 */
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "glance.h"
#include "tap.h"
#include "tracer.h"

enum { ROUNDS = 2000 };

static long do_ptrace(long request, pid_t pid)
{
	return syscall(SYS_ptrace, request, pid, NULL, NULL);
}

static struct err *seize(void *arg)
{
	const pid_t *pid = arg;

	return do_ptrace(PTRACE_SEIZE, *pid) ? err_new(ERR_FAILED, "seize", "refused") : NULL;
}

static bool seize_and_end(pid_t pid)
{
	struct tracer tracer;
	struct err *err = tracer_start(&tracer);

	if (!err)
		err = tracer_do(&tracer, seize, &pid);
	tracer_end(&tracer);
	err_free(err);
	return !err;
}

/* Nobody's, a moment after its tracer: by this very thread, which waits for nothing. */
static bool seize_at_once(pid_t pid)
{
	bool seized = seize_and_end(pid) && !do_ptrace(PTRACE_SEIZE, pid);
	int status;

	do_ptrace(PTRACE_INTERRUPT, pid);
	waitpid(pid, &status, __WALL);
	do_ptrace(PTRACE_DETACH, pid);
	return seized;
}

int main(void)
{
	pid_t pid = fork();
	uint64_t before = 0, after = 1;
	struct glance last = { 0 };
	unsigned good = 0;
	int status;

	if (!pid)
		for (;;)
			pause();
	usleep(50000);
	glance_count(&last, pid, &before);
	while (good < ROUNDS && seize_and_end(pid))
		good++;
	ok(good == ROUNDS && glance_count(&last, pid, &after) && after == before,
	   "seized %u times, one tracer after the other, and never woken", good);
	for (good = 0; good < ROUNDS && seize_at_once(pid);)
		good++;
	ok(good == ROUNDS, "and by another thread %u times", good);
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	ok(!glance_count(&last, pid, &after) && !glance_count(&last, pid, &after),
	   "who is gone has no count");
	glance_done(&last);
	return tap_done();
}
