// EXPECT: carried _Z1fi
// BUILDS: g++ -O2
#include "live.h"
NOINLINE int thrower(int x) { if (x < 0) throw x; return x; }
NOINLINE int f(int x) {
	try { return thrower(x); }
	catch (int) { return -1; } //-
	catch (int) { return -22; } //+
}
const char *check(int v) { EXPECT(v, f(-5), -1, -22); return NULL; }
