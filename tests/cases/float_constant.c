// EXPECT: carried f
// BUILDS: -O2; clang -O2
#include "live.h"
NOINLINE double f(double x) {
	return x * 1.5; //-
	return x * 2.5; //+
}
const char *check(int v) { EXPECT(v, (long)(f(10) * 10), 150, 250); return NULL; }
