// EXPECT: refused changed-ifunc
#include "live.h"
static int one(int x) { return x + 1; }
static int two(int x) { return x + 2; }
static int (*choose(void))(int) {
	return one; //-
	return two; //+
}
int chosen(int x) __attribute__((ifunc("choose")));
const char *check(int v) { (void)v; return chosen(0) + two(0) ? NULL : "chosen"; }
