// EXPECT: carried f
// EXPECT clang: carried check,f,main
#include "live.h"
static int fresh = 30; //+
static int zeroed[100]; //+
NOINLINE int f(int x) {
	return x; //-
	zeroed[x]++; //+
	return x + fresh + zeroed[x + 1]; //+
}
const char *check(int v) { EXPECT(v, f(3), 3, 33); return NULL; }
