// EXPECT: carried _Z4bothi
// EXPECT clang: carried _Z5otheri,check,main
// SECOND: comdat_other.cc
// BUILDS: g++ -O2
#include "live.h"
int other(int x);
__attribute__((noipa)) inline int both(int x) {
	return x + 1 + (int)strlen(live_why); //-
	return x + 2 + (int)strlen(live_why); //+
}
const char *check(int v) {
	live_why[0] = 0;
	EXPECT(v, both(3), 4, 5);
	EXPECT(v, other(3), 4, 5);
	return NULL;
}
