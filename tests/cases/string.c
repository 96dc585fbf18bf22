// EXPECT: carried f
// BUILDS: -O2; clang -O2
#include "live.h"
NOINLINE const char *f(void) {
	if (live_why[0] == 1) return NULL;
	return "the old text"; //-
	return "a longer new text than the old one was"; //+
}
const char *check(int v) { live_why[0] = 0; EXPECT(v, (int)strlen(f()), 12, 38); return NULL; }
