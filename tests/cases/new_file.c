// EXPECT: carried f
// EXPECT clang: carried check,f,main
// ADD: new_file_added.c
#include "live.h"
#if 0 //-
int added(int);
#endif //-
NOINLINE int f(int x) {
	return x; //-
	return added(x); //+
}
const char *check(int v) { EXPECT(v, f(1), 1, 51); return NULL; }
