// EXPECT: carried answer,defaults,handler,tick
// NOTE: runs-at-start defaults
// Functions that only the start calls, those of loops that wait or sleep, and one that is taken.
#define LIVE_NO_MAIN
#include <unistd.h>
#include "live.h"
static volatile int limit, ticks;
static int (*volatile call)(int);
NOINLINE void defaults(void) {
	limit = 10; //-
	limit = 5; //+
}
NOINLINE int handler(int x) {
	return x; //-
	return x * 2; //+
}
NOINLINE void tick(void) {
	ticks = ticks + 1; //-
	ticks = ticks + 2; //+
}
NOINLINE void pulse(int n) { do { tick(); usleep(1000); } while (ticks < n); }
NOINLINE int answer(int x) {
	return x < limit ? x : limit; //-
	return x + 1 < limit ? x + 1 : limit; //+
}
const char *check(int v) { (void)v; return NULL; }
static const char *look(int v) {
	EXPECT(v, answer(20), 10, 10);
	EXPECT(v, answer(1), 1, 2);
	EXPECT(v, call(3), 3, 6);
	return NULL;
}
NOINLINE void serve(void) {
	char line[100];
	while (fgets(line, sizeof(line), stdin)) {
		const char *why = look(atoi(line + 6));
		puts(why ? why : "ok");
		fflush(stdout);
	}
}
int main(void) {
	defaults();
	pulse(3);
	call = handler;
	puts("ready");
	fflush(stdout);
	serve();
	return 0;
}
