// EXPECT: carried leaf,late
// BUILDS: -O2; -O0; clang -O2
// NEW: 1
// REASON: late changed
// Several functions in one section that the source names: those that changed are carried, not
// the first, not all.
#include "live.h"
#define TOGETHER NOINLINE __attribute__((section("together")))
static int count;
TOGETHER static int added(int x) { return x * 50; } //+
TOGETHER int same(int x) { return x + ++count * 0 + 7; }
TOGETHER int leaf(int x) {
	return x + 1; //-
	return x + 1000 + added(1); //+
}
TOGETHER int caller(int x) { count++; return leaf(x) * 2 + same(x); }
TOGETHER int late(const char *text) {
	return text[0] == 'b' ? atoi(text + 1) : 3; //-
	return text[0] == 'b' ? atoi(text + 1) * 10 : 30; //+
}
const char *check(int v) {
	int before = count;
	EXPECT(v, leaf(1), 2, 1051);
	EXPECT(v, caller(2), 2 * 3 + 9, 2 * 1052 + 9);
	EXPECT(v, late("b12"), 12, 120);
	EXPECT(v, late("x"), 3, 30);
	EXPECT(v, count - before, 2, 2);
	return NULL;
}
