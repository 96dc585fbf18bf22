// A thread ends in a callback: its stack is unwound through what both objects have changed.
// check 2: it saw one version of both.
void through(void (*f)(void));
int noted(void);
#ifdef LIBRARY
static int sum;
static void note(int *p)
{
	sum += *p;
}
int noted(void)
{
	int is = sum;

	sum = 0;
	return is;
}
void through(void (*f)(void))
{
	__attribute__((cleanup(note))) int here = 10; //-
	__attribute__((cleanup(note))) int here = 1000; //+

	f();
}
#else
#include "live.h"
#include <pthread.h>
static int sum;
static void note(int *p)
{
	sum += *p;
}
static void ends(void)
{
	pthread_exit(NULL);
}
static void *runs(void *arg)
{
	__attribute__((cleanup(note))) int here = 1; //-
	__attribute__((cleanup(note))) int here = 100; //+

	through(ends);
	return arg;
}
static int unwound(void)
{
	pthread_t thread;

	sum = 0;
	if (pthread_create(&thread, NULL, runs, NULL) || pthread_join(thread, NULL))
		return -1;
	return sum + noted();
}
const char *check(int v)
{
	int got = unwound();

	if (v == 2 && (got == 11 || got == 1100))
		return NULL;
	EXPECT(v, got, 11, 1100);
	return NULL;
}
/* The first thread that ends so loads libgcc. */
void start(void)
{
	unwound();
}
#endif
