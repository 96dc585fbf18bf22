// Threads that start programs without pause, each in another way, and call the function.
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>
#include "live.h"
static volatile int wrong;
static volatile long nr_started[4];
NOINLINE int inner(int x) {
	return x + 1; //-
	return x + 1000; //+
}
NOINLINE int f(int x) {
	return inner(x) + 1; //-
	return inner(x) + 1000; //+
}
static void call(void) {
	int got = f(1);
	if (got != 3 && got != 2001)
		wrong = got;
}
/* What they start is this program, which ends at once. */
static const char self[] = "/proc/self/exe";
static char *const argv[] = { "spawned", NULL }, *const env[] = { "SPAWNED=1", NULL };
__attribute__((constructor)) static void end_at_once(void) {
	if (getenv("SPAWNED"))
		_exit(0);
}
static char stack[16384] __attribute__((aligned(16)));
static int in_clone(void *arg) {
	call();
	execve(self, argv, env);
	_exit(arg != NULL);
}
static pid_t start_one(long way) {
	pid_t child = 0;
	switch (way) {
	case 0:
		return posix_spawn(&child, self, NULL, NULL, argv, env) ? -1 : child;
	case 1:
		child = vfork();
		break;
	case 2:
		child = fork();
		break;
	default:
		return clone(in_clone, stack + sizeof(stack), CLONE_VM | CLONE_VFORK | SIGCHLD, NULL);
	}
	if (child)
		return child;
	call();
	execve(self, argv, env);
	_exit(1);
}
static void *starter(void *arg) {
	for (;;) {
		pid_t child = start_one((long)arg);
		int status = 0;
		call();
		if (child < 0 || waitpid(child, &status, 0) != child || status)
			wrong = 1000000 + (int)(long)arg;
		nr_started[(long)arg]++;
	}
	return arg;
}
void start(void) {
	pthread_t t;
	for (long i = 0; i < 4; i++)
		pthread_create(&t, NULL, starter, (void *)i);
}
const char *check(int v) {
	EXPECT(v, f(1), 3, 2001);
	if (wrong)
		snprintf(live_why, sizeof(live_why), "wrong: %d", wrong);
	return wrong ? live_why : NULL;
}
const char *command(const char *line) {
	static char text[80];
	if (strcmp(line, "count"))
		return NULL;
	snprintf(text, sizeof(text), "%ld %ld %ld %ld", nr_started[0], nr_started[1],
		 nr_started[2], nr_started[3]);
	return text;
}
