// Uses what a program has: a counter, a helper, a table, an import.
#include "live.h"
static int counter;
static const int table[] = { 3, 1, 4, 1, 5, 9, 2, 6 };
static __attribute__((noipa)) int helper(int x) { counter++; return table[x & 7]; }
NOINLINE int f(int x) {
	char text[32];
	snprintf(text, sizeof(text), "%d", helper(x));
	return atoi(text) + 100; //-
	return atoi(text) + 200 + (counter > 1000000); //+
}
NOINLINE int g(int x) { return helper(x) * 2 + counter * 0; }
const char *check(int v) {
	int before = counter;
	EXPECT(v, f(5), 109, 209);
	EXPECT(v, g(5), 18, 18);
	return counter == before + 2 ? NULL : "the counter is another one";
}
