// What a patch says to the process: callbacks, and what they see.
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>
#include "live.h"
#include <stitch/livepatch.h> //+

// What callbacks have to say, for the program to tell.  It is said without a text of the
// patch's own: a patch whose texts the program may keep does not go back whole.
enum { PRE, POST, PRE_UN, POST_UN };
static const char *const words[] = { "pre", "post", "pre_un", "post_un" };
char story[1000];
volatile int answer, crash; char hang[200];
NOINLINE void tell(char who, int what, const char *name) {
	size_t n = strlen(story);
	snprintf(story + n, sizeof(story) - n, "%s%.1s%s:%s", n ? " " : "", &who, words[what],
		 name);
}

static int pipe_fd[2];
static volatile int inside;
NOINLINE int f(int x) {
	char c;
	if (x == 77) { inside = 1; if (read(pipe_fd[0], &c, 1)) {} inside = 0; }
	return x + 1; //-
	return x + FIX_F; //+
}

// A thread that has much to lose: vectors, flags, errno, its mask.
static volatile unsigned long rounds, wrong;
static void *work(void *arg) {
	double a[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };
	sigset_t mask, now;
	sigemptyset(&mask);
	sigaddset(&mask, SIGUSR2);
	pthread_sigmask(SIG_SETMASK, &mask, NULL);
	errno = 4711;
	for (;;) {
		double sum = 0;
		for (int i = 0; i < 1000; i++)
			for (int j = 0; j < 8; j++) { sum += a[j]; a[j] = 9 - a[j]; }
		wrong += (sum != 36000.0) + 1000000 * (errno != 4711);
		pthread_sigmask(SIG_SETMASK, NULL, &now);
		wrong += 1000 * (!sigismember(&now, SIGUSR2) || sigismember(&now, SIGUSR1));
		rounds++;
	}
	return arg;
}
static void *sleeper(void *arg) { for (;;) f(77); return arg; }

#ifdef KLP_CALLBACK_STACK
static int pre(struct klp_object *obj) {
	volatile double d[16];
	tell(0, PRE, obj->name);
	for (int i = 0; i < 16; i++) d[i] = i * 3.5;
	errno = 99;
	if (crash) *(volatile int *)8 = 1;
	while (*hang && access(hang, F_OK)) usleep(1000);
	(void)d;
	return answer;
}
static void post(struct klp_object *obj) { tell(0, POST, obj->name); }
static void pre_un(struct klp_object *obj) { tell(0, PRE_UN, obj->name); }
static void post_un(struct klp_object *obj) { tell(0, POST_UN, obj->name); }
KLP_PRE_PATCH_CALLBACK(pre)
KLP_POST_PATCH_CALLBACK(post)
KLP_PRE_UNPATCH_CALLBACK(pre_un)
KLP_POST_UNPATCH_CALLBACK(post_un)
#endif

void start(void) {
	pthread_t t;
	if (pipe(pipe_fd)) abort();
	pthread_create(&t, NULL, work, NULL);
}
const char *check(int v) {
	EXPECT(v, f(1), 2, 2);
	EXPECT(v, wrong, 0, 0);
	return NULL;
}
const char *command(const char *line) {
	static char text[1100];
	pthread_t t;
	if (!strcmp(line, "story")) { snprintf(text, sizeof(text), "[%s]", story); *story = 0; return text; }
	if (!strcmp(line, "sleep")) { pthread_create(&t, NULL, sleeper, NULL); while (!inside) usleep(100); return "ok"; }
	if (!strcmp(line, "wake")) { if (write(pipe_fd[1], "x", 1)) {} return "ok"; }
	if (!strncmp(line, "answer ", 7)) { answer = atoi(line + 7); return "ok"; }
	if (!strncmp(line, "hang ", 5)) { strcpy(hang, line + 5); return "ok"; }
	if (!strncmp(line, "crash ", 6)) { crash = atoi(line + 6); return "ok"; }
	return NULL;
}
