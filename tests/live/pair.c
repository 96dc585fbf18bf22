// Two functions that must change together, called by threads without pause.
// check 2: every thread saw one version or the other, never a mix.
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>
#include "live.h"
static atomic_int wrong, must_be;
NOINLINE int first(int x) {
	return x + 1; //-
	return x + 1000; //+
}
NOINLINE int second(int x) {
	return x - 1; //-
	return x - 1000; //+
}
static NOINLINE int both(int x) { return second(first(x)); }
static void *run(void *arg) {
	for (;;) {
		int must = must_be, one;
		/* A change comes between two calls; a mix within both() is wrong only
		 * if it stays: look again. */
		if (both(7) != 7 && both(7) != 7)
			wrong = 1;
		one = first(0);
		if (must && must == must_be && one != (must == 1 ? 1 : 1000))
			wrong = 2;
	}
	return arg;
}
void start(void) {
	pthread_t t;
	for (int i = 0; i < 3; i++)
		pthread_create(&t, NULL, run, NULL);
}
const char *check(int v) {
	if (both(7) != 7)
		return "the two functions differ in version";
	if (v < 2 && first(0) != (v ? 1000 : 1))
		return v ? "old, must be new" : "new, must be old";
	if (v < 2) {
		must_be = v + 1;
		usleep(5000);
		must_be = 0;
	}
	return wrong == 1 ? "a thread saw a mix" : wrong ? "a thread saw another version" : NULL;
}
