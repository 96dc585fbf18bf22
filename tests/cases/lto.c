// EXPECT: refused lto
// BUILDS: -O2 -flto
#include "live.h"
NOINLINE int f(int x) {
	return x; //-
	return x + 1; //+
}
const char *check(int v) { (void)v; return f(1) == 1 ? NULL : "f"; }
