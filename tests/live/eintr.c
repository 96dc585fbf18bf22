// Threads in system calls that return EINTR when somebody stops them.
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/ipc.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <poll.h>
#include <time.h>
#include <unistd.h>
#include "live.h"
static atomic_int leaks[8];
static const char *const names[] = { "epoll_wait", "semop", "sigtimedwait", "recv", "poll", "nanosleep" };
NOINLINE int f(int x) {
	return x + 1; //-
	return x + 2; //+
}
static void *in_call(void *arg) {
	int which = (int)(long)arg, ep = epoll_create1(0), sv[2];
	int sem = semget(IPC_PRIVATE, 1, 0600);
	struct sembuf down = { 0, -1, 0 };
	struct timeval tv = { 1000, 0 };
	struct timespec ts = { 1000, 0 };
	struct epoll_event ev;
	sigset_t set;
	char c;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	socketpair(AF_UNIX, SOCK_STREAM, 0, sv);
	setsockopt(sv[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	for (;;) {
		long r = which == 0 ? epoll_wait(ep, &ev, 1, -1) :
			 which == 1 ? semop(sem, &down, 1) :
			 which == 2 ? sigtimedwait(&set, NULL, &ts) :
			 which == 3 ? recv(sv[0], &c, 1, 0) :
			 which == 4 ? poll(NULL, 0, 1000000) : nanosleep(&ts, NULL);
		if (r < 0 && errno == EINTR)
			leaks[which]++;
		else
			leaks[which] += 1000;
	}
	return NULL;
}
void start(void) {
	pthread_t t;
	for (long i = 0; i < 6; i++)
		pthread_create(&t, NULL, in_call, (void *)i);
	usleep(50000);
}
const char *check(int v) {
	EXPECT(v, f(1), 2, 3);
	for (int i = 0; i < 6; i++)
		if (leaks[i]) {
			snprintf(live_why, sizeof(live_why), "%s returned (%d)", names[i], leaks[i]);
			return live_why;
		}
	return NULL;
}
