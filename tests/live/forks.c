// A thread sits in the function; meanwhile children are forked.
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include "live.h"
static int pipes[2];
static volatile int inside;
NOINLINE int wait_here(void) { char c; inside = 1; return read(pipes[0], &c, 1) < 0 ? -1 : 5; }
NOINLINE int slow(int x) {
	int y = wait_here();
	return x + y; //-
	return x + y * 100; //+
}
NOINLINE int quick(int x) {
	return x + 1; //-
	return x + 1000; //+
}
static void *sleeper(void *arg) { for (;;) if (slow(1) < 0) break; return arg; }
void start(void) {
	pthread_t t;
	if (pipe(pipes))
		exit(1);
	pthread_create(&t, NULL, sleeper, NULL);
	while (!inside)
		usleep(1000);
}
static int asks[2], answers[2], child;
static const char *fork_one(int vforked)
{
	static char text[40];
	if (pipe(asks) || pipe(answers))
		return "no pipe";
	child = vforked ? vfork() : fork();
	if (!child) {
		char c;
		if (vforked) {
			usleep(300000);
			_exit(0);
		}
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		while (read(asks[0], &c, 1) == 1) {
			int value = quick(0);
			if (write(answers[1], &value, sizeof(value)) != sizeof(value))
				break;
		}
		_exit(0);
	}
	snprintf(text, sizeof(text), "%d", child);
	return text;
}
const char *check(int v) { EXPECT(v, quick(0), 1, 1000); return NULL; }
const char *command(const char *line) {
	static char text[40];
	int value = 0;
	if (!strcmp(line, "go"))
		return write(pipes[1], "x", 1) == 1 ? "ok" : "no";
	if (!strcmp(line, "fork") || !strcmp(line, "vfork"))
		return fork_one(*line == 'v');
	if (!strcmp(line, "child")) {
		if (write(asks[1], "x", 1) != 1 || read(answers[0], &value, sizeof(value)) < 0)
			return "no";
		snprintf(text, sizeof(text), "%d", value);
		return text;
	}
	if (!strcmp(line, "end")) {
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
		return "ok";
	}
	return NULL;
}
