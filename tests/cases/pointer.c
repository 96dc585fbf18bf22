// EXPECT: carried f,set
#include "live.h"
static NOINLINE int f(int x) {
	return x + 1; //-
	return x + 2; //+
}
static int (*stored)(int);
NOINLINE void set(void) {
	stored = f;
	live_why[1] = 'x'; //+
}
const char *check(int v) {
	if (!stored) set();
	EXPECT(v, stored(1), 2, 3);
	set();
	EXPECT(v, stored(1), 2, 3);
	return NULL;
}
