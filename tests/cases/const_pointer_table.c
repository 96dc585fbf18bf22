// EXPECT: carried f
#include "live.h"
static int one(void) { return 1; }
static int two(void) { return 2; }
static int (*const table[])(void) = {
	one, one, //-
	one, two, //+
};
NOINLINE int f(int i) { return table[i](); }
const char *check(int v) { volatile int i = 1; EXPECT(v, f(i), 1, 2); return NULL; }
