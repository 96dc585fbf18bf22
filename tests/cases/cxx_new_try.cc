// EXPECT: carried _Z1fi
// BUILDS: g++ -O2
#include "live.h"
NOINLINE int thrower(int x) { if (x < 0) throw x; return x; }
NOINLINE int f(int x) {
	if (x < 0) return 7; //-
	try { return thrower(x); } catch (int) { return 8; } //+
	return thrower(x); //-
}
const char *check(int v) { EXPECT(v, f(-5), 7, 8); return NULL; }
