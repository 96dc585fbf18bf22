// EXPECT: carried f
// BUILDS: -O2; -O0; clang -O2
#include "live.h"
NOINLINE int f(int x) {
	switch (x) {
	case 0: return (int)strlen(live_why) + 5;
	case 1: return atoi("7");
	case 2: puts(""); return 9;
	case 3: return abs(x);
	case 4:
		return atoi("11"); //-
		return atoi("111"); //+
	case 5: return rand() ? 1 : 2;
	}
	return -1;
}
const char *check(int v) { EXPECT(v, f(4), 11, 111); EXPECT(v, f(1), 7, 7); return NULL; }
