// EXPECT: carried f
// A relocation that no port knows, in what does not change (.qtversion has such).
#include "live.h"
extern int exported;
int exported = 1;
#ifdef __x86_64__
__asm__(".pushsection .other,\"aw\"\n\t.quad exported@GOT\n\t.popsection");
#endif
NOINLINE int f(int x) {
	return x + 1; //-
	return x + 2; //+
}
const char *check(int v) { EXPECT(v, f(exported), 2, 3); return NULL; }
