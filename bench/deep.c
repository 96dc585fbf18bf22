/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Threads that sleep under a stack of a given depth: DEPTH calls of functions of
 * several frame sizes, through a library's callback now and then.
 *
 * usage: deep THREADS DEPTH
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int depth;

static int one(int n);
static int two(int n);
static int three(int n);

static int go(int n)
{
	if (n <= 0)
		return pause();
	switch (n % 3) {
	case 0: return one(n - 1) + 1;
	case 1: return two(n - 1) + 2;
	default: return three(n - 1) + 3;
	}
}

#define BODY(name, size) \
	static __attribute__((noinline)) int name(int n) \
	{ \
		volatile char room[size]; \
		int result; \
	\
		room[n % (size)] = (char)n; \
		result = go(n); \
		return result + room[0]; \
	}

BODY(one, 24)
BODY(two, 120)
BODY(three, 400)

static void *thread(void *arg)
{
	(void)arg;
	go(depth);
	return NULL;
}

int main(int argc, char **argv)
{
	int threads = argc > 1 ? atoi(argv[1]) : 1;
	pthread_attr_t attr;
	pthread_t id;

	depth = argc > 2 ? atoi(argv[2]) : 50;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 256 << 10);
	for (int i = 1; i < threads; i++)
		if (pthread_create(&id, &attr, thread, NULL))
			return 1;
	puts("ready");
	fflush(stdout);
	go(depth);
	return 0;
}
