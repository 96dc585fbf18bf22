// EXPECT: carried f
// BUILDS: -O2; -O2 -fno-pie -no-pie; -O2 -static
#include "live.h"
static __thread int mine = 40;
__thread int other = 2;
NOINLINE int f(void) {
	return mine + other; //-
	return mine * other; //+
}
const char *check(int v) { EXPECT(v, f(), 42, 80); return NULL; }
