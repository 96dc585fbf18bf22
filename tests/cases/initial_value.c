// EXPECT: refused changed-initial-value
#include "live.h"
int level =
	3; //-
	4; //+
NOINLINE int f(void) { return level; }
const char *check(int v) { (void)v; return f() == 3 ? NULL : "level"; }
