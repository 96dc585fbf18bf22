// EXPECT: carried f,g
#include "live.h"
static inline __attribute__((always_inline)) int both(int x) {
	return x + 1; //-
	return x + 2; //+
}
NOINLINE int f(int x) { return both(x) * 2; }
NOINLINE int g(int x) { return both(x) * 3; }
const char *check(int v) { EXPECT(v, f(1), 4, 6); EXPECT(v, g(1), 6, 9); return NULL; }
