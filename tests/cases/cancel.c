// EXPECT: carried f
// BUILDS: -O2 -pthread -fexceptions
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>
#include "live.h"
static atomic_int cleaned, inside;
static int pipes[2];
static void clean(void *by) { cleaned += *(int *)by; }
NOINLINE int f(int x) {
	int c, by = 1; //-
	int c, by = 100; //+
	pthread_cleanup_push(clean, &by);
	inside = 1;
	c = (int)read(pipes[0], &c, 1);
	pthread_cleanup_pop(0);
	return c + x;
}
static void *run(void *arg) { f(1); return arg; }
void start(void) { if (pipe(pipes)) exit(1); }
const char *check(int v) {
	pthread_t t;
	cleaned = inside = 0;
	pthread_create(&t, NULL, run, NULL);
	while (!inside)
		usleep(100);
	pthread_cancel(t);
	pthread_join(t, NULL);
	EXPECT(v, cleaned, 1, 100);
	return NULL;
}
