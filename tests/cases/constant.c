// EXPECT: carried f
// BUILDS: -O2; -O0; -O1; -O3; -Os; -O2 -g3 -D_FORTIFY_SOURCE=2 -Wl,-z,now; -O2 -fcf-protection; -O2 -fno-plt; -O2 -fstack-protector-all; -O2 -ffunction-sections; clang -O2
#include "live.h"
NOINLINE int f(int x) {
	return x * 3 + 1; //-
	return x * 5 + 2; //+
}
const char *check(int v) { EXPECT(v, f(10), 31, 52); return NULL; }
