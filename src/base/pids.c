/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "pids.h"

#include <stdlib.h>

#include "mem.h"

bool pids_has(const struct pids *pids, pid_t pid)
{
	for (size_t i = 0; i < pids->nr; i++)
		if (pids->pid[i] == pid)
			return true;
	return false;
}

bool pids_add(struct pids *pids, pid_t pid)
{
	if (pids_has(pids, pid))
		return false;
	*ARRAY_ADD(pids->pid, pids->nr) = pid;
	return true;
}

void pids_done(struct pids *pids)
{
	free(pids->pid);
	*pids = (struct pids){ 0 };
}
