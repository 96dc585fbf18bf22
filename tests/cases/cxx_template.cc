// EXPECT: carried _Z5twiceIiET_S0_
// BUILDS: g++ -O1
#include "live.h"
template <class T> NOINLINE T twice(T x) {
	return x * 2 + (T)strlen(live_why); //-
	return x * 2 + 1 + (T)strlen(live_why); //+
}
const char *check(int v) { live_why[0] = 0; EXPECT(v, twice(4), 8, 9); return NULL; }
