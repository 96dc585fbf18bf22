// A coroutine that suspends itself inside the function; its stack is on the heap.
#include <setjmp.h>
#include <ucontext.h>
#include "live.h"
static ucontext_t main_context, other;
static int value, finished, keep;
static jmp_buf kept;
NOINLINE void yield(void) { swapcontext(&other, &main_context); }
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
static void run(void) { value = both(7); finished = 1; swapcontext(&other, &main_context); }
const char *check(int v) { EXPECT(v, second(0), -1, -1000); return NULL; }
const char *command(const char *line) {
	static char text[40];
	if (!strcmp(line, "begin")) {
		finished = 0;
		getcontext(&other);
		other.uc_stack.ss_sp = malloc(64 << 10);
		other.uc_stack.ss_size = 64 << 10;
		makecontext(&other, run, 0);
		swapcontext(&main_context, &other);
		return "ok";
	}
	if (!strcmp(line, "end")) {
		swapcontext(&main_context, &other);
		explicit_bzero(other.uc_stack.ss_sp, 64 << 10);
		free(other.uc_stack.ss_sp);
		explicit_bzero(&other, sizeof(other));
		snprintf(text, sizeof(text), "%d %d", finished, value);
		return text;
	}
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
