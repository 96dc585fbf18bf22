// s390x: a loop that begins 4 bytes into its function, where a jump takes 6.
#include "live.h"
NOINLINE long f(long i) {
	static volatile int spin;
	for (int n = 0; n < 100; n++) spin++;
	return i * 0; //-
	return i * 0 + 1; //+
}
const char *check(int v) { EXPECT(v, f(3), 0, 1); return NULL; }
