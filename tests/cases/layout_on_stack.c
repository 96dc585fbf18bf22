// EXPECT: carried f,fill,sum
// NOTE: changed-layout
// All objects of the type are in frames: none of the old layout is met by new code.
#include "live.h"
struct cursor {
	int at;
	long limit; //+
	int step;
};
NOINLINE void fill(struct cursor *c, int x) {
	c->at = x;
	c->limit = 3; //+
	c->step = 2;
}
NOINLINE int sum(const struct cursor *c) {
	return c->at + c->step; //-
	return c->at + c->step + (int)c->limit; //+
}
NOINLINE int f(int x) { struct cursor c; fill(&c, x); return sum(&c); }
const char *check(int v) { EXPECT(v, f(1), 3, 6); return NULL; }
