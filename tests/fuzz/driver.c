/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * usage: fuzz-X SECONDS FILE...
 * Runs the files as they are and then changed: bytes, numbers at the borders,
 * runs taken out, copied or cut.  A crash, a hang (SIGALRM) or a finding of a
 * sanitizer ends it; the input is left in fuzz-crash.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "fuzz.h"

enum { MAX_SIZE = 1 << 20, HANG_SECONDS = 20 };

static uint64_t state = 88172645463325252;
static uint8_t *now;
static size_t now_size;

static uint64_t next_random(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

static void keep_input(int sig)
{
	FILE *f = fopen("fuzz-crash", "w");

	if (f) {
		fwrite(now, 1, now_size, f);
		fclose(f);
	}
	signal(sig, SIG_DFL);
	raise(sig);
}

static size_t read_file(const char *path, uint8_t *to)
{
	FILE *f = fopen(path, "r");
	size_t size = f ? fread(to, 1, MAX_SIZE, f) : 0;

	if (f)
		fclose(f);
	return size;
}

static void change(uint8_t *data, size_t *size)
{
	static const uint64_t edges[] = { 0, 1, 0x7f, 0xff, 0x7fff, 0xffff, 0x7fffffff,
					  0xffffffff, UINT64_MAX, UINT64_MAX - 7 };
	size_t at = *size ? next_random() % *size : 0;
	size_t len = next_random() % 16 + 1, from;

	if (len > *size - at)
		len = *size - at;
	switch (next_random() % 6) {
	case 0:
		data[at] ^= (uint8_t)(1u << next_random() % 8);
		break;
	case 1:
		data[at] = (uint8_t)next_random();
		break;
	case 2:
		memcpy(data + at, &edges[next_random() % 10], len < 8 ? len : 8);
		break;
	case 3:
		*size = at;
		break;
	case 4:
		from = next_random() % *size;
		if (from + len <= *size)
			memmove(data + at, data + from, len);
		break;
	default:
		memmove(data + at, data + at + len, *size - at - len);
		*size -= len;
	}
}

static void one(const uint8_t *data, size_t size)
{
	/* A copy of the exact size, so that a read past its end is seen. */
	now = malloc(size ? size : 1);
	memcpy(now, data, size);
	now_size = size;
	alarm(HANG_SECONDS);
	LLVMFuzzerTestOneInput(now, size);
	free(now);
}

int main(int argc, char **argv)
{
	time_t end = time(NULL) + (argc > 1 ? atol(argv[1]) : 1);
	uint8_t *data = malloc(MAX_SIZE), *work = malloc(MAX_SIZE);
	unsigned long runs = 0;

	signal(SIGALRM, keep_input);
	signal(SIGSEGV, keep_input);
	signal(SIGABRT, keep_input);
	for (int i = 2; i < argc; i++)
		one(data, read_file(argv[i], data));
	while (argc > 2 && time(NULL) < end) {
		size_t size = read_file(argv[2 + next_random() % (unsigned)(argc - 2)], data);

		for (int n = 0; n < 200; n++, runs++) {
			size_t changed = size;

			memcpy(work, data, size);
			for (uint64_t k = next_random() % 8 + 1; k && changed; k--)
				change(work, &changed);
			one(work, changed);
		}
	}
	printf("ok - %s: %lu inputs\n", argv[0], runs);
	free(data);
	free(work);
	return runs || argc <= 2 ? 0 : 1;
}
