// EXPECT: refused changed-initial-value
#include "live.h"
static int one(void) { return 1; }
static int two(void) { return 2; }
int (*hook)(void) =
	one; //-
	two; //+
NOINLINE int f(int x) {
	return hook() + x + two(); //-
	return hook() + x + 1 + one(); //+
}
const char *check(int v) { (void)v; return f(0) ? NULL : "f"; }
