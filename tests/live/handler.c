// A call that ends under the jump of a patch, in a function that has something to do when a
// thread ends in it: exception tables know of it by its return address.
#include <pthread.h>
#include <unistd.h>
#include "live.h"
static int pipes[2], ending[2];
static pthread_t waits;
static volatile int cleaned;
static void clean(char *c) { (void)c; cleaned++; }
NOINLINE int slow(int x) {
	char c;
	if (read(pipes[0], &c, 1) < 0) return -1;
	return x; //-
	return x + 1; //+
}
NOINLINE int through(int (*f)(void)) {
	char c __attribute__((cleanup(clean)));
	return f() + 1; //-
	return f() + 2; //+
}
static int leaves(void) { pthread_exit(NULL); }
static int comes_back(void) { return 1; }
static void *sleeper(void *arg) { for (;;) if (slow(1) < 0) break; return arg; }
/* It was there before, for one that is made in a transition has the state of its beginning. */
static void *ends(void *arg) {
	char c;
	if (read(ending[0], &c, 1) == 1) through(leaves);
	return arg;
}
void start(void) {
	pthread_t t;
	if (pipe(pipes) || pipe(ending)) exit(1);
	pthread_create(&t, NULL, sleeper, NULL);
	pthread_create(&waits, NULL, ends, NULL);
	usleep(20000);
}
const char *check(int v) { EXPECT(v, through(comes_back), 2, 3); return NULL; }
const char *command(const char *line) {
	if (!strcmp(line, "go"))
		return write(pipes[1], "x", 1) == 1 ? "ok" : "no";
	cleaned = 0;
	if (write(ending[1], "x", 1) != 1) return "no";
	pthread_join(waits, NULL);
	pthread_create(&waits, NULL, ends, NULL);
	snprintf(live_why, sizeof(live_why), "cleaned %d", cleaned);
	return live_why;
}
