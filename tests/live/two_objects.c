// Both objects have this inline function.
__attribute__((noinline)) static int common(int x) {
	return x + 1; //-
	return x + 100; //+
}
int from_library(int x);
#ifdef LIBRARY
int from_library(int x) { return common(x) * 2; }
#else
#include "live.h"
const char *check(int v) {
	EXPECT(v, common(1), 2, 101);
	EXPECT(v, from_library(1), 4, 202);
	return NULL;
}
void start(void) {}
#endif
