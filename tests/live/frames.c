// A signal interrupts one thread again and again, and the process's own unwinder has to come
// from there to the function that the thread began with.
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <ucontext.h>
#include <unistd.h>
#include <unwind.h>
#include "live.h"
#if defined(__x86_64__)
#define PC(u) ((u)->uc_mcontext.gregs[REG_RIP])
#elif defined(__aarch64__)
#define PC(u) ((u)->uc_mcontext.pc)
#elif defined(__s390x__)
#define PC(u) ((u)->uc_mcontext.psw.addr)
#else
#define PC(u) ((u)->uc_mcontext.gp_regs[32])
#endif
extern char __executable_start[], etext[];
static int pipes[2];
static pthread_t spins;
static volatile long sum, elsewhere, lost;
static volatile unsigned long lost_at;
NOINLINE int hot(int x) {
	return x + 1; //-
	return x + 2; //+
}
/* Pushes what it uses: the copy of its beginning has a frame of several kinds. */
NOINLINE int pushes(int x, int y, int z) {
	int a = hot(x), b = hot(y), c = hot(z);
	return a + b + c + x * y * z; //-
	return a + b + c + x * y * z + 1; //+
}
NOINLINE int slow(int x) {
	char c;
	if (read(pipes[0], &c, 1) < 0) return -1;
	return x; //-
	return x + 1; //+
}
static void *sleeper(void *arg) { for (;;) if (slow(1) < 0) break; return arg; }
NOINLINE int outermost(void) {
	for (;;)
		sum += hot((int)sum & 7) + pushes(1, 2, 3);
	return 0;
}
static _Unwind_Reason_Code look(struct _Unwind_Context *context, void *found) {
	void *at = _Unwind_FindEnclosingFunction((void *)(_Unwind_GetIP(context) - 1));
	*(int *)found |= at == (void *)outermost;
	return _URC_NO_REASON;
}
static void handler(int sig, siginfo_t *info, void *u) {
	unsigned long pc = (unsigned long)PC((ucontext_t *)u);
	int found = 0;
	(void)sig; (void)info;
	if (pc >= (unsigned long)__executable_start && pc < (unsigned long)etext)
		return;
#ifdef __x86_64__
	/* A landing: one jump, of which nothing is known. */
	if (!memcmp((void *)pc, "\xff\x25", 2))
		return;
#endif
	elsewhere++;
	_Unwind_Backtrace(look, &found);
	if (found)
		return;
	lost++;
	lost_at = pc;
}
static void *spinner(void *arg) { return outermost() ? arg : NULL; }
void start(void) {
	struct sigaction sa = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_RESTART };
	pthread_t t;
	int found = 0;
	_Unwind_Backtrace(look, &found);
	if (pipe(pipes) || sigaction(SIGRTMIN, &sa, NULL))
		exit(1);
	pthread_create(&t, NULL, sleeper, NULL);
	pthread_create(&spins, NULL, spinner, NULL);
	usleep(20000);
}
const char *check(int v) {
	EXPECT(v, hot(1), 2, 3);
	EXPECT(v, pushes(1, 2, 3), 15, 19);
	return NULL;
}
/* Comes in places of no object, and whether any of them was the unwinder's end. */
const char *command(const char *line) {
	long before = elsewhere;
	if (!strcmp(line, "go"))
		return write(pipes[1], "x", 1) == 1 ? "ok" : "no";
	for (int i = 0; i < 100000 && elsewhere < before + 300 && !lost; i++) {
		pthread_kill(spins, SIGRTMIN);
		usleep(100);
	}
	snprintf(live_why, sizeof(live_why), "lost %ld (at %#lx), elsewhere %s", lost, lost_at,
		 elsewhere - before >= 300 ? "often" : "seldom");
	return live_why;
}
