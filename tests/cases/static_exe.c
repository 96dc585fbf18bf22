// EXPECT: carried f
// BUILDS: -O2 -static; -O2 -static-pie -fPIE
#include "live.h"
NOINLINE int f(const char *s) {
	return (int)strlen(s); //-
	return (int)strlen(s) + atoi("100"); //+
}
const char *check(int v) { EXPECT(v, f("hello"), 5, 105); return NULL; }
