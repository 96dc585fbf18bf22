// Functions in guarded pages (BTI): where calls through pointers land, a landing pad has to
// stand, and paciasp is one.
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include "live.h"
enum { PROT_GUARDED = 0x10 };
#define GUARDED __attribute__((noipa, section("guarded")))
extern char __start_guarded[], __stop_guarded[];
static atomic_int wrong;
static atomic_long calls;
GUARDED int leaf(int x) {
	return x + 1; //-
	return x + 1000; //+
}
/* It calls, so its return address is signed. */
GUARDED int caller(int x) {
	return leaf(x) * 2; //-
	return leaf(x) * 3; //+
}
/* The same, with more than registers hold. */
GUARDED double many(int a, int b, int c, int d, int e, int f, int g, int h, int i, double x) {
	return leaf(a) + b + c + d + e + f + g + h + i + x; //-
	return leaf(a) + b + c + d + e + f + g + h + i - x; //+
}
static int (*volatile through)(int) = caller;
static int (*volatile to_leaf)(int) = leaf;
static double (*volatile to_many)(int, int, int, int, int, int, int, int, int, double) = many;
static void *run(void *arg)
{
	for (;;) {
		int value = through(1), other = to_leaf(1);
		double sum = to_many(1, 1, 1, 1, 1, 1, 1, 1, 1, 0.5);

		if ((value != 4 && value != 3003) || (other != 2 && other != 1001) ||
		    (sum != 10.5 && sum != 1008.5))
			wrong = value;
		calls++;
	}
	return arg;
}
/* A call to where no pad stands must end a child, or nothing is shown here. */
static int is_guarded(void)
{
	int (*inside)(int) = (int (*)(int))((char *)leaf + 4);
	pid_t pid = fork();
	int status;

	if (!pid) {
		signal(SIGILL, SIG_DFL);
		((int (*volatile)(int))inside)(1);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGILL;
}
void start(void)
{
	unsigned long page = (unsigned long)sysconf(_SC_PAGESIZE) - 1;
	unsigned long from = (unsigned long)__start_guarded & ~page;
	pthread_t t;

	if (mprotect((void *)from, ((unsigned long)__stop_guarded - from + page) & ~page,
		     PROT_READ | PROT_EXEC | PROT_GUARDED))
		perror("mprotect");
	for (int i = 0; i < 2; i++)
		pthread_create(&t, NULL, run, NULL);
}
const char *command(const char *line)
{
	return strcmp(line, "guarded") ? NULL : is_guarded() ? "yes" : "no";
}
const char *check(int v)
{
	long before = calls;

	for (int n = 0; n < 500 && calls == before; n++)
		usleep(20000);
	EXPECT(v, through(1), 4, 3003);
	EXPECT(v, to_leaf(1), 2, 1001);
	EXPECT(v, (int)(2 * to_many(1, 1, 1, 1, 1, 1, 1, 1, 1, 0.5)), 21, 2017);
	if (wrong) {
		snprintf(live_why, sizeof(live_why), "a call gave %d", wrong);
		return live_why;
	}
	return calls == before ? "nobody calls" : NULL;
}
