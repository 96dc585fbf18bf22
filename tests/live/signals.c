// 1 kHz SIGALRM and queued real-time signals: none lost, none reordered.
#include <signal.h>
#include <stdatomic.h>
#include <sys/time.h>
#include <unistd.h>
#include "live.h"
static volatile long alarms, queued, next_value, disorder;
NOINLINE int f(int x) {
	return x + 1; //-
	return x + 2; //+
}
static void on_alarm(int sig) { (void)sig; alarms++; }
static void on_queued(int sig, siginfo_t *info, void *context) {
	(void)sig, (void)context;
	if (info->si_value.sival_int != next_value)
		disorder++;
	next_value = info->si_value.sival_int + 1;
	queued++;
}
void start(void) {
	struct sigaction sa = { .sa_handler = on_alarm, .sa_flags = SA_RESTART };
	struct itimerval every = { { 0, 1000 }, { 0, 1000 } };
	sigaction(SIGALRM, &sa, NULL);
	sa.sa_sigaction = on_queued;
	sa.sa_flags |= SA_SIGINFO;
	sigaction(SIGRTMIN + 1, &sa, NULL);
	setitimer(ITIMER_REAL, &every, NULL);
}
const char *check(int v) { EXPECT(v, f(1), 2, 3); return disorder ? "disorder" : NULL; }
const char *command(const char *line) {
	static char text[60];
	if (!strcmp(line, "queued"))
		snprintf(text, sizeof(text), "%ld", queued);
	else if (!strcmp(line, "alarms"))
		snprintf(text, sizeof(text), "%ld", alarms);
	else
		return NULL;
	return text;
}
