// EXPECT: carried f
#include "live.h"
NOINLINE int f(int x) {
	static int n; //-
	n += x; return n > 0 ? 5 : 6; //-
	return x > 0 ? 7 : 8; //+
}
const char *check(int v) { EXPECT(v, f(1), 5, 7); return NULL; }
