// EXPECT: carried f
#include "live.h"
typedef int v4 __attribute__((vector_size(16)));
NOINLINE v4 f(v4 x) {
	return x + (v4){ 1, 2, 3, 4 }; //-
	return x + (v4){ 5, 6, 7, 8 }; //+
}
const char *check(int v) { v4 r = f((v4){ 0, 0, 0, 0 }); EXPECT(v, r[3], 4, 8); return NULL; }
