/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the benchmark patches: N threads, each calls work() and sleeps, or spins,
 * and notes the longest time between two of its rounds.
 *
 * usage: target THREADS SLEEP_US (0: spin).  Commands on standard input:
 * reset, gap (longest gap in ns since reset, less the sleep), call (ns a call), jump (ns a
 * call that gets to its function by a direct jump), stay (one more thread, which stays in a
 * function that is patched).
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static unsigned sleep_us;
static atomic_ullong longest[8192];

__attribute__((noipa)) int work(int x)
{
	return x * 3 + 1; /* VERSION */
}

/* What a settled call cannot beat: the compiler's own jump to what work() becomes, elsewhere. */
__attribute__((noipa, aligned(4096))) static int twin(int x)
{
	return x * 5 + 2;
}

__attribute__((noipa, aligned(4096))) static int jump(int x)
{
	return twin(x);
}

/* Patched, too: who is in it cannot be switched. */
__attribute__((noipa)) int stay(void)
{
	pause();
	return 1; /* STAY */
}

static void *stay_there(void *arg)
{
	stay();
	return arg;
}

static unsigned long long now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (unsigned long long)ts.tv_sec * 1000000000ull + (unsigned long long)ts.tv_nsec;
}

static void *run(void *arg)
{
	size_t n = (size_t)arg;
	struct timespec ts = { 0, sleep_us * 1000l };
	unsigned long long last = now();

	for (;;) {
		unsigned long long t, gap;

		work(5);
		if (sleep_us)
			nanosleep(&ts, NULL);
		t = now();
		gap = t - last > sleep_us * 1000ull ? t - last - sleep_us * 1000ull : 0;
		if (gap > longest[n])
			longest[n] = gap;
		last = t;
	}
	return NULL;
}

/* Nanoseconds a call, of the best loop: of work(), or of jump(). */
static double per_call(bool is_jump)
{
	double best = 1e9;

	for (int round = 0; round < 30; round++) {
		unsigned long long start = now();

		if (is_jump)
			for (int i = 0; i < 2000000; i++)
				jump(i);
		else
			for (int i = 0; i < 2000000; i++)
				work(i);
		if ((double)(now() - start) / 2e6 < best)
			best = (double)(now() - start) / 2e6;
	}
	return best;
}

int main(int argc, char **argv)
{
	size_t nr = argc > 1 ? strtoul(argv[1], NULL, 10) : 1;
	pthread_attr_t attr;
	pthread_t one;
	char line[100];

	sleep_us = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 1000;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 64 << 10);
	for (size_t i = 0; i < nr; i++) {
		pthread_t t;

		if (pthread_create(&t, &attr, run, (void *)i))
			return 1;
	}
	puts("ready");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		unsigned long long worst = 0;

		if (!strncmp(line, "stay", 4) && pthread_create(&one, &attr, stay_there, NULL))
			return 1;
		if (!strncmp(line, "reset", 5))
			memset((void *)longest, 0, sizeof(longest));
		for (size_t i = 0; i < nr; i++)
			if (longest[i] > worst)
				worst = longest[i];
		if (!strncmp(line, "call", 4) || !strncmp(line, "jump", 4))
			printf("%.3f\n", per_call(line[0] == 'j'));
		else
			printf("%llu\n", worst);
		fflush(stdout);
	}
	return 0;
}
