// EXPECT: carried f
// EXPECT clang: carried check,f
// LIBRARY
#define LIVE_NO_MAIN
#include "live.h"
static __thread int mine = 40;
__thread int other = 2;
int f(void) {
	return mine + other; //-
	return mine * other; //+
}
const char *check(int v) { EXPECT(v, f(), 42, 80); return NULL; }
