// EXPECT: carried work.constprop.0
// EXPECT clang: carried work
#include "live.h"
static __attribute__((noinline)) int work(int x, int mode) {
	if (mode == 3)
		return x * 3 + (int)strlen(live_why); //-
		return x * 4 + (int)strlen(live_why); //+
	return atoi("5") + mode;
}
NOINLINE int f(int x) { return work(x, 3); }
const char *check(int v) { live_why[0] = 0; EXPECT(v, f(2), 6, 8); return NULL; }
