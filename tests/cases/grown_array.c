// EXPECT: refused changed-size
#include "live.h"
int array[
	4 //-
	8 //+
	];
NOINLINE int f(int i) { return array[i]; }
const char *check(int v) { (void)v; return f(0) ? "f" : NULL; }
