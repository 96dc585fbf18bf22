/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lock.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct err *lock_take(const struct process *process, struct lock *lock)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	/* The first byte stays 0: an abstract name. */
	int len = snprintf(addr.sun_path + 1, sizeof(addr.sun_path) - 1,
			   "stitch/%d/%" PRIu64, (int)process->pid, process->start_time);

	lock->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (lock->fd < 0)
		return err_sys(errno, "socket");
	if (!bind(lock->fd, (struct sockaddr *)&addr,
		  (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)len)))
		return NULL;
	if (errno == EADDRINUSE)
		return err_new(ERR_NOT_NOW, "locked", "another stitch is at work on "
			       "process %d", process->pid);
	return err_sys(errno, "bind");
}

void lock_release(struct lock *lock)
{
	if (lock->fd >= 0)
		close(lock->fd);
	lock->fd = -1;
}
