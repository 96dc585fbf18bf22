// EXPECT: carried f
// LIBRARY
// BUILDS: -O2; clang -O2
#define LIVE_NO_MAIN
#include "live.h"
static int calls;
int exported = 5;
NOINLINE int helper(int x) { calls++; return x + exported; }
NOINLINE int f(int x) {
	return helper(x); //-
	return helper(x) * 2; //+
}
const char *check(int v) {
	int before = calls;
	EXPECT(v, f(1), 6, 12);
	return calls == before + 1 ? NULL : "helper not called once";
}
