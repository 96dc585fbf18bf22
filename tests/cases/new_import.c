// EXPECT: carried f
#include "live.h"
NOINLINE int f(const char *s) {
	return s[0]; //-
	return (int)strtol(s, NULL, 16); //+
}
const char *check(int v) { EXPECT(v, f("10"), '1', 16); return NULL; }
