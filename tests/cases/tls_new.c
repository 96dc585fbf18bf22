// EXPECT: refused tls-new
#include "live.h"
static __thread int fresh; //+
NOINLINE int f(int x) {
	return x; //-
	return x + fresh++; //+
}
const char *check(int v) { (void)v; return f(1) == 1 ? NULL : "f"; }
