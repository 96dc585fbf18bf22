// EXPECT: carried f
// NOTE: line-numbers
#include <assert.h>
#include "live.h"
NOINLINE int f(int x) {
	return x + 1; //-
	int y = x; //+
	y += 2; //+
	return y; //+
}
NOINLINE int g(int x) { assert(x > 0); return x * 2; }
NOINLINE int h(int x) { if (x > 100) return __LINE__; return 0; }
const char *check(int v) { EXPECT(v, f(1), 2, 3); return g(2) == 4 && !h(1) ? NULL : "g"; }
