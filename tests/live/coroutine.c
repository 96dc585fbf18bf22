// A coroutine that suspends itself inside the function; its stack is new each time.
#include <pthread.h>
#include <setjmp.h>
#include <stdint.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>
#include "live.h"
static ucontext_t main_context, other;
static int value, finished, keep;
static jmp_buf kept;
static void *stack;
enum { STACK = 64 << 10, OWN = 256 << 10, FULL = 48 << 20 };
static void *new_memory(size_t size) {
	return mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}
static uintptr_t theirs;
static int is_alone;
/* It returns, so that where it goes to is on that stack and nowhere else. */
NOINLINE void yield(void) {
	if (is_alone)
		usleep(1);
	else
		swapcontext(&other, &main_context);
	__asm__ volatile("");
}
NOINLINE int second(int x) {
	if (keep)
		_setjmp(kept);
	return x - 1; //-
	return x - 1000; //+
}
/* What it adds before it waits it takes off afterwards, through second(). */
NOINLINE int both(int x) {
	int before = x + 1; //-
	int before = x + 1000; //+
	yield();
	return second(before);
}
/* What a call has left on a thread's own stack is dead. */
NOINLINE static int deep(void) {
	volatile char room[2000];
	room[0] = 1;
	return both(7) + room[0];
}
static void *sleeper(void *arg) {
	deep();
	theirs = (uintptr_t)&arg;
	for (;;)
		pause();
	return arg;
}
static void run(void) { value = both(7); finished = 1; swapcontext(&other, &main_context); }
/* Much room that nobody ever touches. */
void start(void) {
	size_t size = (size_t)8 << 30;
	void *room = mmap(NULL, size, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (room == MAP_FAILED || madvise(room, size, MADV_NOHUGEPAGE))
		puts("there is no such room");
}
const char *check(int v) { EXPECT(v, second(0), -1, -1000); return NULL; }
const char *command(const char *line) {
	static char text[40];
	if (!strcmp(line, "begin")) {
		finished = 0;
		getcontext(&other);
		stack = stack ? stack : new_memory(STACK);
		other.uc_stack.ss_sp = stack;
		other.uc_stack.ss_size = STACK;
		makecontext(&other, run, 0);
		swapcontext(&main_context, &other);
		return "ok";
	}
	if (!strcmp(line, "end")) {
		swapcontext(&main_context, &other);
		munmap(stack, STACK);
		stack = NULL;
		explicit_bzero(&other, sizeof(other));
		snprintf(text, sizeof(text), "%d %d", finished, value);
		return text;
	}
	/* A thread's stack is below the next coroutine's, and in one mapping with it: as the
	 * kernel makes them where they come to lie so. */
	if (!strcmp(line, "below")) {
		char *memory = new_memory(OWN + STACK);
		pthread_attr_t attr;
		pthread_t t;
		stack = memory + OWN;
		pthread_attr_init(&attr);
		pthread_attr_setstack(&attr, memory, OWN);
		is_alone = 1;
		pthread_create(&t, &attr, sleeper, NULL);
		while (!theirs)
			usleep(1000);
		is_alone = 0;
		snprintf(text, sizeof(text), "%lx %lx", (long)theirs, (long)stack);
		return text;
	}
	/* So much that it is gone through by several. */
	if (!strcmp(line, "fill"))
		return memset(new_memory(FULL), 1, FULL) ? "ok" : NULL;
	/* Nothing but the jmp_buf has an address in second() then. */
	if (!strcmp(line, "keep")) {
		keep = 1;
		second(0);
		keep = 0;
		return "ok";
	}
	if (!strcmp(line, "forget")) {
		explicit_bzero(kept, sizeof(kept));
		return "ok";
	}
	return NULL;
}
