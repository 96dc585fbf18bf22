// EXPECT: carried leaf,caller,check
// EXPECT clang: carried leaf
// EXPECT s390x: carried leaf
// EXPECT powerpc64le: carried leaf
// NOTES: callers rely on what leaf leaves alone (-fipa-ra)
#include "live.h"
static __attribute__((noinline)) long leaf(long x) {
	return x + 1; //-
	char text[40]; //+
	snprintf(text, sizeof(text), "%ld", x); //+
	return atol(text) + 2; //+
}
__attribute__((noinline)) long caller(long a, long b, long c) { return leaf(a) + b * c; }
NOINLINE const char *check(int v) { EXPECT(v, caller(70, 30, 20), 671, 672); return NULL; }
