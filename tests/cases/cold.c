// EXPECT: carried g
#include "live.h"
__attribute__((cold)) NOINLINE void report(const char *s) { strcpy(live_why, s); }
NOINLINE int g(int x) {
	if (__builtin_expect(x < 0, 0)) {
		report("negative");
		return -1; //-
		return -22; //+
	}
	return x;
}
const char *check(int v) { EXPECT(v, g(-1), -1, -22); EXPECT(v, g(3), 3, 3); return NULL; }
