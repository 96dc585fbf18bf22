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
#elif defined(__s390x__)
#define BODY "stmg %r11,%r15,88(%r15)\n lgr %r11,%r15\n lay %r15,-224(%r15)\n" \
	"nill %r15,65472\n brasl %r14,wait_here\n lgr %r15,%r11\n lmg %r11,%r15,88(%r15)\n" \
	"br %r14\n"
#elif defined(__powerpc64__)
#define BODY "mflr 0\n std 0,16(1)\n std 31,-8(1)\n mr 31,1\n rldicr 9,1,0,57\n" \
	"addi 9,9,-64\n std 31,0(9)\n mr 1,9\n bl wait_here\n nop\n mr 1,31\n" \
	"ld 31,-8(1)\n ld 0,16(1)\n mtlr 0\n blr\n"
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
