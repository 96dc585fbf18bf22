// A thread sits in the function until it is told to go.
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>
#include <sys/prctl.h>
#include "live.h"
static int pipes[2];
static atomic_int inside, other_rounds;
static __thread int no_wait;
NOINLINE int callee(void) { char c; if (no_wait) return 5; inside++; if (read(pipes[0], &c, 1) < 0) return -1; return 5; }
NOINLINE int slow(int x) {
	int y = callee();
	return x + y; //-
	return x + y * 100; //+
}
static void *sleeper(void *arg) {
	prctl(PR_SET_NAME, "sleeper");
	for (;;)
		if (slow(1) < 0)
			break;
	return arg;
}
static void *other(void *arg) { for (;;) { other_rounds++; usleep(1000); } return arg; }
void start(void) {
	pthread_t t;
	if (pipe(pipes))
		exit(1);
	pthread_create(&t, NULL, sleeper, NULL);
	pthread_create(&t, NULL, other, NULL);
	while (!inside)
		usleep(1000);
}
/* A busy machine may let nobody run for a while. */
const char *check(int v)
{
	int before = other_rounds;

	(void)v;
	for (int n = 0; n < 1000 && other_rounds <= before + 5; n++)
		usleep(30000);
	return other_rounds > before + 5 ? NULL : "the other thread stands";
}
const char *command(const char *line) {
	if (!strcmp(line, "go"))
		return write(pipes[1], "x", 1) == 1 ? "ok" : "no";
	if (!strcmp(line, "version")) {
		no_wait = 1;
		return slow(0) == 5 ? "old" : "new";
	}
	return NULL;
}
