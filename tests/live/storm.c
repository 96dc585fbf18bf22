// Threads in tight loops or half asleep, a timer of 1 kHz whose handler calls, too, and
// children.
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>
#include "live.h"
enum { VERSION =
	1 //-
	1000 //+
};
static atomic_int wrong;
static atomic_long calls, handled;
static char two[100];
NOINLINE int inner(int x) { return x * VERSION; }
/* Both have to be of one version: its own, and what it calls. */
NOINLINE int outer(int x) { return inner(x) - 3 * VERSION; }
/* Asleep in it, and in front of it. */
NOINLINE int sleepy(int x, int us)
{
	int first = inner(x), second;
	usleep(us);
	second = inner(x);
	if (first == second)
		return first - 3 * VERSION;
	snprintf(two, sizeof(two), "inner() was %d, then %d, in version %d", first, second,
		 VERSION);
	return -1;
}
static void look(int value)
{
	/* outer(7) of one version is 4 * VERSION. */
	if (value != 4 && value != 4000)
		wrong = value;
	calls++;
}
static void *run(void *arg) { for (;;) look(outer(7)); return arg; }
/* As servers do: bursts of calls, and rests; so many of them leave room for others. */
static void *resting(void *arg)
{
	unsigned seed = (unsigned)(unsigned long)&arg >> 4;
	for (;;) {
		for (int i = rand_r(&seed) % 2000; i >= 0; i--)
			look(outer(7));
		usleep(1000 + rand_r(&seed) % 20000);
	}
	return arg;
}
static void *sleeper(void *arg)
{
	unsigned seed = (unsigned)(unsigned long)&arg >> 4;
	for (;;) {
		usleep(1 + rand_r(&seed) % 300);
		look(rand_r(&seed) % 4 ? outer(7) : sleepy(7, rand_r(&seed) % 100));
	}
	return arg;
}
/* Hardly ever outside, from two depths of a stack, and with a signal's stack within it. */
static __attribute__((noinline)) int deeper(int us)
{
	volatile char room[600];
	room[us & 511] = 1;
	return sleepy(7, us) + room[us & 511] - 1;
}
static void *straight(void *arg)
{
	char own[16384];
	stack_t ss = { .ss_sp = (long)arg % 2 ? own : malloc(sizeof(own)), .ss_size = sizeof(own) };
	unsigned seed = (unsigned)(long)arg;
	sigaltstack(&ss, NULL);
	for (;;) {
		int us = 100 + rand_r(&seed) % 2000;
		look((long)arg % 3 || rand_r(&seed) % 2 ? sleepy(7, us) : deeper(us));
		if ((long)arg % 5 == 4)
			look(outer(7));
	}
	return arg;
}
static void on_timer(int sig) { (void)sig; look(outer(7)); handled++; }
static void *one(void *arg) { look(outer(7)); return arg; }
static void *maker(void *arg)
{
	pthread_t t;
	for (;;)
		if (!pthread_create(&t, NULL, one, NULL))
			pthread_join(t, NULL);
	return arg;
}
void start(void)
{
	struct sigaction sa = { .sa_handler = on_timer, .sa_flags = SA_RESTART };
	struct itimerval every = { { 0, 1000 }, { 0, 1000 } };
	int nr = getenv("STORM_THREADS") ? atoi(getenv("STORM_THREADS")) : 64;
	int nr_straight = getenv("STORM_STRAIGHT") ? atoi(getenv("STORM_STRAIGHT")) : 0;
	pthread_attr_t attr;
	pthread_t t;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 256 << 10);
	for (int i = 0; i < nr; i++)
		pthread_create(&t, &attr, run, NULL);
	for (int i = 0; getenv("STORM_RESTING") && i < atoi(getenv("STORM_RESTING")); i++)
		pthread_create(&t, &attr, resting, NULL);
	for (int i = 0; getenv("STORM_SLEEP") && i < 30; i++)
		pthread_create(&t, &attr, sleeper, NULL);
	for (int i = 0; getenv("STORM_CHURN") && i < 8; i++)
		pthread_create(&t, &attr, maker, NULL);
	for (long i = 0; i < nr_straight; i++)
		pthread_create(&t, &attr, straight, (void *)i);
	if (nr_straight)
		sa.sa_flags |= SA_ONSTACK;
	if (getenv("STORM_TIMER")) {
		sigaction(SIGALRM, &sa, NULL);
		setitimer(ITIMER_REAL, &every, NULL);
	}
}
const char *check(int v)
{
	long before = calls;
	EXPECT(v, outer(7), 4, 4000);
	/* A busy machine may let nobody run for a while. */
	for (int n = 0; n < 250 && (!n || calls == before); n++)
		usleep(20000);
	if (wrong) {
		snprintf(live_why, sizeof(live_why), "a call of two versions: %d %s", wrong, two);
		return live_why;
	}
	return calls == before ? "nobody calls" : NULL;
}
