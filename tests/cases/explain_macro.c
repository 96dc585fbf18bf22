// EXPECT: carried a,b
// REASON: a a type, a macro or what the compiler knows of other functions changed
// LINE: + 11 macro
// LINE: + 10 macro
// LINE: - 10 macro
// LINE: + 13 none
#include "live.h"
#define ADD(x, y) do { \
	(x) += 2; \
	(x) += (y); \ //-
	(x) -= 1; \ //+
	(x) += 2 * (y); \ //+
} while (0)
extern int unused_declaration; //+
NOINLINE int a(int x) { ADD(x, 3); return x; }
NOINLINE int b(int x) { ADD(x, 2); return x; }
const char *check(int v) {
	EXPECT(v, a(1), 6, 8);
	EXPECT(v, b(1), 5, 6);
	return NULL;
}
