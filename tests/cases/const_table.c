// EXPECT: carried f
#include "live.h"
static const int limits[] = { 10,
	20, //-
	15, //+
	30, 77, 88, 99, 111 };
NOINLINE int f(int i) { return limits[i]; }
const char *check(int v) { volatile int one = 1; EXPECT(v, f(one), 20, 15); return NULL; }
