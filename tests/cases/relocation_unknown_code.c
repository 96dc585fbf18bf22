// EXPECT: refused relocation-unknown
// EXPECT linux-gnu: carried f
#include "live.h"
extern int exported;
int exported = 1;
NOINLINE int f(int x) {
#ifdef __x86_64__
	long slot;
	__asm__("movabsq $exported@GOT, %0" : "=r"(slot));
	x += slot == 1;
#endif
	return x + 1; //-
	return x + 2; //+
}
const char *check(int v) { EXPECT(v, f(exported), 2, 3); return NULL; }
