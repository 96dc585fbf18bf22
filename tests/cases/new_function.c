// EXPECT: carried f
// EXPECT clang: carried check,f,main
// NEW: 1
#include "live.h"
static int total;
static NOINLINE int added(int x) { total += x; return total; } //+
NOINLINE int f(int x) {
	total = x;
	return x; //-
	return added(x) + added(1); //+
}
const char *check(int v) { EXPECT(v, f(3), 3, 6 + 7); return NULL; }
