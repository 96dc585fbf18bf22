// EXPECT: carried f
// EXPECT powerpc64le: refused relocation-unknown
// BUILDS: -O2 -fPIC -fno-plt; -O2 -fPIC; clang -O2 -fPIC
#include "live.h"
extern int shared_value;
int shared_value = 5;
int callee(int x);
static NOINLINE int local(int x) { return callee(x) + shared_value; }
NOINLINE int f(int x) {
	return local(x) + shared_value; //-
	return local(x) + shared_value * 2; //+
}
NOINLINE int callee(int x) { return x * 2; }
const char *check(int v) { EXPECT(v, f(1), 12, 17); return NULL; }
