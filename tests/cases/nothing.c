// EXPECT: refused nothing-to-patch
// BUILDS: -O2; -O0; -O3; -Os; -O2 -g; clang -O2; clang -O0
#include "live.h"
/* one comment */ //-
/* another comment, on one line, too */ //+
NOINLINE int g(int x) { return x * 2; }
const char *check(int v) { (void)v; return g(2) == 4 ? NULL : "g"; }
