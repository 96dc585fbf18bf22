// A loop that begins two bytes into its function, under the jump of a patch.
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>
#include "live.h"
enum { VERSION =
	1 //-
	10 //+
};
static atomic_int wrong;
static atomic_long calls;
NOINLINE int f(int n) {
	int sum = 0;
	do sum += n; while (--n > 0);
	return sum * VERSION;
}
static void *run(void *arg) {
	for (;;) {
		int value = f(100);
		if (value != 5050 && value != 50500 && value != 505000) wrong = value;
		calls++;
	}
	return arg;
}
void start(void) {
	pthread_t t;
	for (int i = 0; i < 3; i++) pthread_create(&t, NULL, run, NULL);
}
const char *command(const char *line) {
	long before = calls;
	(void)line;
	for (int n = 0; n < 250 && calls == before; n++) usleep(20000);
	snprintf(live_why, sizeof(live_why), "%d %s", wrong ? wrong : f(1), calls == before ? "stands" : "runs");
	return live_why;
}
const char *check(int v) { EXPECT(v, f(100), 5050, 50500); return wrong ? "wrong" : NULL; }
