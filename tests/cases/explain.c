// EXPECT: carried a,b,direct,table
// EXPECT clang: carried a,b,check,direct,table
// REASON: direct changed
// REASON: a helper, which changed, is inlined in it
// REASON: b helper, which changed, is inlined in it
// REASON: table the constant sizes, which it uses, changed
// LINE: + 13 none
// LINE: + 18 a,b
// LINE: + 24 direct
// LINE: + 25 direct
// LINE: - 23 direct
#include "live.h"
extern int unused_declaration; //+
static const int sizes[] = {
	3, 4 //-
	3, 5 //+
};
static inline __attribute__((always_inline)) int helper(int x) {
	x = x * 3 + 1; //-
	x = x * 3 + 2; //+
	return x;
}
NOINLINE int a(int x) { return helper(x) + 1; }
NOINLINE int b(int x) { return helper(x) - 1; }
NOINLINE int direct(int x) {
	return x + 1; //-
	return x > 3 && //+
	       x < 10; //+
}
NOINLINE int table(int i) { return sizes[i]; }
const char *check(int v) {
	EXPECT(v, a(1), 5, 6);
	EXPECT(v, b(1), 3, 4);
	EXPECT(v, direct(4), 5, 1);
	EXPECT(v, table(1), 4, 5);
	return NULL;
}
