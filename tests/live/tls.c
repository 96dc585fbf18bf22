// A library's thread-local variables, in its own functions that change, for several threads.
#ifdef LIBRARY
static __thread int mine = 40;
__thread int other = 2;
int sum(int x);
int sum(int x) {
	mine += x;
	return mine + other; //-
	return mine * other; //+
}
#else
#include <pthread.h>
#include "live.h"
int sum(int x);
const char *why;
static void *other_thread(void *arg) {
	long v = (long)arg;
	/* A thread of its own begins with the first values. */
	if (sum(0) != (v ? 80 : 42) || sum(2) != (v ? 84 : 44))
		why = "another thread's variables";
	return NULL;
}
const char *check(int v) {
	static int mine = 40;
	pthread_t t;
	why = NULL;
	mine++;
	EXPECT(v, sum(1), mine + 2, mine * 2);
	pthread_create(&t, NULL, other_thread, (void *)(long)v);
	pthread_join(t, NULL);
	return why;
}
#endif
