// EXPECT: carried tiny
// EXPECT clang: carried check,main,tiny
// APPLY: refused function-too-short
// BUILDS: -Os
#include "live.h"
NOINLINE int tiny(void) {
	return 0; //-
	return 1; //+
}
NOINLINE int neighbour(void) { return 42; }
const char *check(int v) { (void)v; return tiny() == 0 && neighbour() == 42 ? NULL : "changed"; }
