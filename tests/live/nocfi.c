// outer() waits below a function that has no unwind information, and whose frame
// cannot be told from its code either: it aligns the stack.
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>
#include "live.h"
static int pipes[2];
static atomic_int inside;
NOINLINE int wait_here(void) { char c; inside++; return (int)read(pipes[0], &c, 1); }
int without(void);
#ifdef __x86_64__
#define BODY "push %rbx\n mov %rsp,%rbx\n and $-64,%rsp\n call wait_here\n mov %rbx,%rsp\n" \
	"pop %rbx\n ret\n"
#elif defined(__aarch64__)
#define BODY "stp x19, x30, [sp, #-16]!\n mov x19, sp\n and x9, x19, #-64\n mov sp, x9\n" \
	"bl wait_here\n mov sp, x19\n ldp x19, x30, [sp], #16\n ret\n"
#endif
__asm__(".text\n.globl without\n.type without,%function\nwithout:\n" BODY
	".size without,.-without\n");
NOINLINE int outer(int x) {
	int y = without();
	return x + y; //-
	return x + y + 100; //+
}
static void *sleeper(void *arg) { outer(1); return arg; }
void start(void) {
	pthread_t t;
	if (pipe(pipes))
		exit(1);
	pthread_create(&t, NULL, sleeper, NULL);
	while (!inside)
		usleep(1000);
}
const char *check(int v) { (void)v; return NULL; }
const char *command(const char *line) {
	if (!strcmp(line, "go"))
		return write(pipes[1], "x", 1) == 1 ? "ok" : "no";
	return NULL;
}
