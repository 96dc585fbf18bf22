// EXPECT: refused ambiguous-static-local
#include "live.h"
NOINLINE int f(int x) {
	if (x) { static int n; return n++; } //-
	else { static int n; return n--; } //-
	if (!x) { static int n; return n--; } //+
	else { static int n; return n++ + 1; } //+
}
const char *check(int v) { (void)v; f(0); f(1); return NULL; }
