// EXPECT: carried _Z6middlei
// APPLY: refused unwinder-unknown
// BUILDS: g++ -O2 -static
#include "live.h"
#include <stdexcept>
struct Guard { int *n; ~Guard() { ++*n; } };
static int destroyed;
NOINLINE int inner(int x) {
	if (x < 0) throw std::runtime_error("negative");
	return x;
}
NOINLINE int middle(int x) {
	Guard guard = { &destroyed };
	return inner(x) + 1; //-
	return inner(x) + 2; //+
}
const char *check(int v) {
	int before = destroyed;
	EXPECT(v, middle(1), 2, 3);
	try { middle(-1); return "not thrown"; } catch (const std::runtime_error &) { }
	return destroyed == before + 2 ? NULL : "a destructor did not run";
}
