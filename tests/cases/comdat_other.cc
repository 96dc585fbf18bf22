// PART OF comdat.cc
#define LIVE_NO_MAIN
#include "live.h"
__attribute__((noipa)) inline int both(int x) {
	return x + 1 + (int)strlen(live_why); //-
	return x + 2 + (int)strlen(live_why); //+
}
int other(int x) { return both(x); }
