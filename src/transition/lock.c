/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lock.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "mem.h"

enum {
	ANSWER_S = 20,
	TURN_US = 5000,    /* most that are at work on a process are done in some of these */
	TURN_TRIES = 400,
};

/* Behind the name of the lock: that of who follows the process. */
#define FOLLOWER "/follower"

/* The first byte of its name stays 0: abstract. */
static socklen_t address_of(const struct process *process, const char *what,
			    struct sockaddr_un *addr)
{
	int len;

	*addr = (struct sockaddr_un){ .sun_family = AF_UNIX };
	len = snprintf(addr->sun_path + 1, sizeof(addr->sun_path) - 1,
		       "stitch/%d/%" PRIu64 "%s", (int)process->pid, process->start_time, what);
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)len);
}

static struct err *open_socket(int flags, int *fd)
{
	*fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | flags, 0);
	return *fd < 0 ? err_sys(errno, "socket") : NULL;
}

static struct err *take(const struct process *process, const char *what, const char *reason,
			const char *text, struct lock *lock)
{
	struct sockaddr_un addr;
	socklen_t size = address_of(process, what, &addr);
	struct err *err = open_socket(SOCK_NONBLOCK, &lock->fd);

	if (err)
		return err;
	if (!bind(lock->fd, (struct sockaddr *)&addr, size))
		return listen(lock->fd, 8) ? err_sys(errno, "listen") : NULL;
	if (errno == EADDRINUSE)
		return err_new(ERR_NOT_NOW, reason, "another stitch %s process %d", text,
			       process->pid);
	return err_sys(errno, "bind");
}

static struct err *ask(const struct process *process, const char *what, const char *question,
		       char **answer);

struct err *lock_take(const struct process *process, struct lock *lock)
{
	AUTO_FREE char *answer = NULL;
	struct err *err;

	for (unsigned n = 0; (err = take(process, "", "locked", "is at work on", lock)) &&
	     err->kind == ERR_NOT_NOW && n < TURN_TRIES; n++) {
		err_free(err);
		lock_release(lock);
		usleep(TURN_US);
	}
	if (err || process->is_followed)
		return err;
	return ask(process, FOLLOWER, "aside", &answer);
}

struct err *lock_take_follower(const struct process *process, struct lock *lock)
{
	return take(process, FOLLOWER, "followed", "follows", lock);
}

bool lock_is_taken(const struct process *process)
{
	struct sockaddr_un addr;
	socklen_t size = address_of(process, "", &addr);
	AUTO_CLOSE int fd = -1;

	err_free(open_socket(0, &fd));
	return !connect(fd, (struct sockaddr *)&addr, size);
}

void lock_release(struct lock *lock)
{
	if (lock->fd >= 0)
		close(lock->fd);
	lock->fd = -1;
}

/* An abstract name has no owner and no mode: who asks is looked at instead. */
static bool may_ask(int fd)
{
	struct ucred cred;
	socklen_t size = sizeof(cred);

	return !getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &size) &&
	       (cred.uid == 0 || cred.uid == geteuid());
}

/* Neither side waits long for the other. */
static void set_patience(int fd, long seconds)
{
	struct timeval limit = { seconds, 0 };

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
}

bool lock_question(const struct lock *lock, char question[64], int *fd)
{
	ssize_t got;

	*fd = accept4(lock->fd, NULL, NULL, SOCK_CLOEXEC);
	if (*fd < 0)
		return false;
	set_patience(*fd, 1);
	got = may_ask(*fd) ? recv(*fd, question, 63, 0) : -1;
	if (got <= 0) {
		close(*fd);
		return false;
	}
	question[got] = 0;
	return true;
}

void lock_answer(int fd, const char *answer)
{
	/* Who does not listen any more gets none. */
	if (send(fd, answer, strnlen(answer, LOCK_TEXT - 1), MSG_NOSIGNAL) < 0)
		errno = 0;
	close(fd);
}

/* *answer is NULL if nobody is there; *ended: who was has ended without one. */
static struct err *ask_once(const struct process *process, const char *what,
			    const char *question, char **answer, bool *ended)
{
	struct sockaddr_un addr;
	socklen_t size = address_of(process, what, &addr);
	AUTO_CLOSE int fd = -1;
	ssize_t got = -1;
	struct err *err = open_socket(0, &fd);

	if (err || connect(fd, (struct sockaddr *)&addr, size))
		return err;
	set_patience(fd, ANSWER_S);
	*answer = mem_alloc(LOCK_TEXT);
	if (send(fd, question, strlen(question), MSG_NOSIGNAL) > 0)
		got = recv(fd, *answer, LOCK_TEXT - 1, 0);
	*ended = got < 0 && (errno == ECONNRESET || errno == EPIPE);
	if (got > 0)
		return NULL;
	free(*answer);
	*answer = NULL;
	return err_new(ERR_NOT_NOW, "locked", "the stitch at work on process %d does not "
		       "answer", process->pid);
}

static struct err *ask(const struct process *process, const char *what, const char *question,
		       char **answer)
{
	time_t until = time(NULL) + ANSWER_S;
	bool ended;
	struct err *err = NULL;

	*answer = NULL;
	do {
		err_free(err);
		ended = false;
		err = ask_once(process, what, question, answer, &ended);
	} while (ended && time(NULL) < until);
	return err;
}

struct err *lock_ask(const struct process *process, const char *question, char **answer)
{
	return ask(process, "", question, answer);
}
