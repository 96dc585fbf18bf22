// A thread that vforks all the time; its children live for some milliseconds.
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>
#include "live.h"
static volatile int wrong;
NOINLINE int f(int x) {
	return x + 1; //-
	return x + 1000; //+
}
static void *maker(void *arg) {
	for (;;) {
		int got, child = vfork();
		if (!child) {
			got = f(1);
			if (got != 2 && got != 1001)
				wrong = 1;
			usleep(3000);
			_exit(0);
		}
		waitpid(child, NULL, 0);
	}
	return arg;
}
void start(void) { pthread_t t; pthread_create(&t, NULL, maker, NULL); }
const char *check(int v) { EXPECT(v, f(1), 2, 1001); return wrong ? "wrong in a child" : NULL; }
