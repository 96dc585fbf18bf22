// A child of vfork lives until it is told to end; another thread sits in the function.
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>
#include "live.h"
static int pipes[2], orders[2], ends[2];
static volatile int inside, child, of_child, of_parent;
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
static void *maker(void *arg) {
	char c;
	while (read(orders[0], &c, 1) == 1) {
		int got = vfork();
		if (!got) {
			child = getpid();
			if (read(ends[0], &c, 1) == 1)
				of_child = quick(0);
			_exit(0);
		}
		waitpid(got, NULL, 0);
		of_parent = quick(0);
	}
	return arg;
}
void start(void) {
	pthread_t t;
	if (pipe(pipes) || pipe(orders) || pipe(ends))
		exit(1);
	pthread_create(&t, NULL, sleeper, NULL);
	pthread_create(&t, NULL, maker, NULL);
	while (!inside)
		usleep(1000);
}
const char *check(int v) { EXPECT(v, quick(0), 1, 1000); return NULL; }
const char *command(const char *line) {
	static char text[40];
	if (!strcmp(line, "go"))
		return write(pipes[1], "x", 1) == 1 ? "ok" : "no";
	if (!strcmp(line, "vfork")) {
		child = of_child = of_parent = 0;
		if (write(orders[1], "x", 1) != 1)
			return "no";
		while (!child)
			usleep(1000);
		return "ok";
	}
	/* The parent goes on only when its child has ended. */
	if (!strcmp(line, "waits"))
		return of_parent ? "no" : "ok";
	if (!strcmp(line, "end")) {
		if (write(ends[1], "x", 1) != 1)
			return "no";
		while (!of_parent)
			usleep(1000);
		snprintf(text, sizeof(text), "%d %d", of_child, of_parent);
		return text;
	}
	return NULL;
}
