// The library gets a function that the program's new code calls, and gives on.
int from_library(int (*f)(int), int x);
int added(int x); //+
#ifdef LIBRARY
int from_library(int (*f)(int), int x)
{
	if (!f) //-
		return -1; //-
	if (!f) //+
		f = added; //+
	return f(x) + 1;
}
static int calls; //+
int added(int x) //+
{ //+
	calls++; //+
	return x * 10 + (calls > 0); //+
} //+
#else
#include "live.h"
static int own(int x)
{
	return x + 2;
}
NOINLINE static int used(int x)
{
	return from_library(own, x); //-
	return from_library(added, x) + added(1); //+
}
const char *check(int v)
{
	EXPECT(v, used(3), 6, 32 + 11);
	EXPECT(v, from_library(NULL, 4), -1, 42);
	return NULL;
}
void start(void)
{
}
#endif
