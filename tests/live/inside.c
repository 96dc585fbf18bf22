// A thread that is half of the time in the function.
#include <pthread.h>
#include <unistd.h>
#include <sys/prctl.h>
#include "live.h"
NOINLINE int callee(void) { usleep(200000); return 5; }
NOINLINE int slow(int x) {
	int y = callee();
	return x + y; //-
	return x + y * 100; //+
}
static void *sleeper(void *arg) {
	prctl(PR_SET_NAME, "sleeper");
	for (;;) {
		slow(1);
		usleep(200000);
	}
	return arg;
}
void start(void) {
	pthread_t t;
	pthread_create(&t, NULL, sleeper, NULL);
}
const char *check(int v) { (void)v; return NULL; }
const char *command(const char *line) { (void)line; return NULL; }
