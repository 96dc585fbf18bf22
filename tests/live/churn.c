// Eight threads that create and join threads without pause.
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>
#include "live.h"
static atomic_int wrong;
static atomic_long made;
NOINLINE int f(int x) {
	return x + 1; //-
	return x + 1000; //+
}
static void *child(void *arg) {
	int got = f(1);
	if (got != 2 && got != 1001)
		wrong = 1;
	usleep(200);
	return arg;
}
static void *creator(void *arg) {
	for (;;) {
		pthread_t t;
		if (!pthread_create(&t, NULL, child, NULL)) {
			pthread_join(t, NULL);
			made++;
		}
	}
	return arg;
}
void start(void) {
	pthread_t t;
	for (int i = 0; i < 8; i++)
		pthread_create(&t, NULL, creator, NULL);
}
const char *check(int v) {
	long before = made;
	EXPECT(v, f(1), 2, 1001);
	usleep(50000);
	return wrong ? "wrong result" : made == before ? "nothing was created" : NULL;
}
