/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "share.h"

#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* Every nr_workers-th part, from the first-th on. */
static _Noreturn void do_share(size_t nr, bool (*part)(void *arg, size_t i), void *arg,
			       size_t first, size_t nr_workers, pid_t parent)
{
	bool well = !prctl(PR_SET_PDEATHSIG, SIGKILL) && getppid() == parent;

	for (size_t i = first; i < nr && well; i += nr_workers)
		well = part(arg, i);
	_exit(well ? 0 : 1);
}

bool share_work(size_t nr, bool (*part)(void *arg, size_t i), void *arg)
{
	long processors = sysconf(_SC_NPROCESSORS_ONLN);
	size_t nr_workers = processors > 0 ? (size_t)processors : 1, nr_begun = 0;
	pid_t self = getpid(), pid = 0;
	bool well = true;
	int status;

	nr_workers = nr_workers < nr ? nr_workers : nr;
	fflush(NULL);
	for (size_t i = 0; i < nr_workers && pid >= 0; i++) {
		pid = fork();
		if (!pid)
			do_share(nr, part, arg, i, nr_workers, self);
		nr_begun += pid > 0;
	}
	for (size_t i = 0; i < nr_begun; i++)
		if (wait(&status) > 0 && status)
			well = false;
	return well && nr_begun == nr_workers;
}
