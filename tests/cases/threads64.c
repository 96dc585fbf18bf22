// EXPECT: carried f
// BUILDS: -O2 -pthread
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>
#include "live.h"
static atomic_int wrong, must_be;
NOINLINE int f(int x) {
	return x + 1; //-
	return x + 1000; //+
}
static void *run(void *arg) {
	unsigned i = 0;
	for (;;) {
		int must = must_be, got = f(5);
		if ((got != 6 && got != 1005) || (must == 1 && must_be == 1 && got != 6) ||
		    (must == 2 && must_be == 2 && got != 1005))
			wrong = 1;
		if (++i % 64 == 0)
			usleep(500);
	}
	return arg;
}
void start(void) {
	pthread_t t;
	for (int i = 0; i < 64; i++)
		pthread_create(&t, NULL, run, NULL);
}
const char *check(int v) {
	must_be = v + 1;
	usleep(50000);
	must_be = 0;
	return wrong ? "a thread saw a wrong result" : NULL;
}
