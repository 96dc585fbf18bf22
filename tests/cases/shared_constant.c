// EXPECT: refused changed-constant
#include "live.h"
extern const int limit[4];
const int limit[4] = { 1, 2, 3,
	4 //-
	5 //+
};
NOINLINE int f(int i) { return limit[i]; }
const char *check(int v) { (void)v; volatile int i = 0; return f(i) == 1 ? NULL : "f"; }
