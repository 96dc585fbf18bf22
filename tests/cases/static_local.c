// EXPECT: carried f
#include "live.h"
NOINLINE int g(void) { static int count = 100; return count++; }
NOINLINE int f(void) {
	static int count = 5;
	static int added = 1000; //+
	count++;
	return count; //-
	return count + added++; //+
}
const char *check(int v) {
	static int last, was;
	int now = f();
	g();
	if (was == v && last && now != last + 1 + v)
		return "the static local did not go on";
	if (was != v && v && now != last + 1 + 1000)
		return "the static local's value was lost";
	if (was != v && !v && (now > 1000 || now < 7))
		return "the static local's value was lost on the way back";
	last = now, was = v;
	return NULL;
}
