// EXPECT: carried helper
// EXPECT clang: carried check,main
// SECOND: same_names_other.c
#include "live.h"
int other(int x);
static NOINLINE int helper(int x) {
	return x + 1; //-
	return x + 2; //+
}
const char *check(int v) {
	EXPECT(v, helper(1), 2, 3);
	EXPECT(v, other(1), 101, 101);
	return NULL;
}
