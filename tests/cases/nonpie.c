// EXPECT: carried f
// BUILDS: -O2 -fno-pie -no-pie; clang -O2 -fno-pie -no-pie
#include "live.h"
static int counter = 7;
int table[4] = { 1, 2, 3, 4 };
NOINLINE int f(int x) {
	counter++;
	return table[x & 3] + 10; //-
	return table[x & 3] + 20; //+
}
const char *check(int v) { EXPECT(v, f(2), 13, 23); return counter > 7 ? NULL : "counter"; }
