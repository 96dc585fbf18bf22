// EXPECT: refused nothing-to-patch
#include <assert.h>
#include "live.h"
 //+
NOINLINE int g(int x) { assert(x > 0); return x * 2; }
const char *check(int v) { (void)v; return g(2) == 4 ? NULL : "g"; }
