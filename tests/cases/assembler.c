// EXPECT: carried second,third
// SECOND: assembler_other.S
// ONLY: clang
// Functions of an assembler file share .text.
#include "live.h"
int first(int x);
int second(int x);
int third(int x);
const char *check(int v) {
	EXPECT(v, first(1), 11, 11);
	EXPECT(v, second(1), 12, 110);
	EXPECT(v, third(1), 23, 230);
	return NULL;
}
