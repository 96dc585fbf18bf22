/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Processes, each once. */
#ifndef STITCH_BASE_PIDS_H
#define STITCH_BASE_PIDS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct pids {
	pid_t *pid;
	size_t nr;
};

bool pids_has(const struct pids *pids, pid_t pid);
/* False if it is there already. */
bool pids_add(struct pids *pids, pid_t pid);
void pids_done(struct pids *pids);
#define AUTO_PIDS __attribute__((cleanup(pids_done)))

#endif
