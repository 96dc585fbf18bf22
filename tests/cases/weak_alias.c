// EXPECT: carried real
#include "live.h"
NOINLINE int real(int x) {
	return x + 1; //-
	return x + 2; //+
}
int other_name(int x) __attribute__((alias("real")));
const char *check(int v) { EXPECT(v, real(1), 2, 3); EXPECT(v, other_name(1), 2, 3); return NULL; }
