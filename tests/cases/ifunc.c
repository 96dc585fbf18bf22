// EXPECT: carried f
// BUILDS: -O2; -O2 -static
#include "live.h"
static int one(int x) { return x + 1; }
static int (*choose(void))(int) { return one; }
int chosen(int x) __attribute__((ifunc("choose")));
NOINLINE int f(int x) {
	return chosen(x); //-
	return chosen(x) * 2 + (int)strlen(live_why); //+
}
const char *check(int v) { live_why[0] = 0; EXPECT(v, f(4), 5, 10); return NULL; }
