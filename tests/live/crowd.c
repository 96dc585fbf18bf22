// Takes the room around itself when it is asked to.
#include <stdint.h>
#include <sys/mman.h>
#include "live.h"
#define STEP (64L << 10)
/* Less than a jump reaches: beyond it there has to be room. */
#ifdef __powerpc64__
#define MOST (256 * STEP)
#elif defined(__aarch64__)
#define MOST (1024 * STEP)
#else
#define MOST (4096 * STEP)
#endif
NOINLINE int f(int x) {
	return x + 1; //-
	return x + 2; //+
}
static volatile int sum;
static void *run(void *arg) { for (;;) sum = f(1); return arg; }
void start(void) { pthread_t t; for (int i = 0; i < 2; i++) pthread_create(&t, NULL, run, NULL); }
const char *check(int v) { return f(1) == 2 + v ? NULL : "f"; }
static void take(uintptr_t at, uintptr_t size)
{
	mmap((void *)at, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE |
	     MAP_NORESERVE, -1, 0);
}
const char *command(const char *line) {
	uintptr_t here = (uintptr_t)start & ~(uintptr_t)(STEP - 1);
	if (strcmp(line, "crowd"))
		return NULL;
	for (uintptr_t off = STEP; off < MOST; off += STEP) {
		take(here - off, STEP);
		take(here + off, STEP);
	}
	return "ok";
}
