// EXPECT: carried f
#include "live.h"
NOINLINE int f(int x) {
	switch (x) {
	case 0: return 17;
	case 1: return 3;
	case 2: return 42;
	case 3:
		return 4; //-
		return 5; //+
	case 4: return 99;
	case 5: return 23;
	}
	return -1;
}
const char *check(int v) { volatile int i = 3; EXPECT(v, f(i), 4, 5); return NULL; }
