// EXPECT: carried f
// NOTE: line-numbers
#include "live.h"
NOINLINE int f(int x) {
	return x + 1; //-
	int y = x; //+
	y += 2; //+
	return y; //+
}
static int last_line;
static __attribute__((noinline)) void report(int x, int line) {
	if (x > 1000) { last_line = line; puts("large"); }
	live_why[x & 1] = (char)(line > 100000);
}
NOINLINE int g(int x) { report(x, __LINE__); return x * 2; }
NOINLINE int h(int x) { report(x + 1, __LINE__); return x * 3; }
const char *check(int v) { EXPECT(v, f(1), 2, 3); return g(2) == 4 && h(1) == 3 && !last_line ? NULL : "g"; }
