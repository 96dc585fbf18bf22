/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Other unwinders, for comparison only: libunwind (ptrace) and libdwfl of
 * elfutils, each used as its own tools use it.
 */
#ifndef STITCH_TESTS_PEERS_H
#define STITCH_TESTS_PEERS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { PEER_MAX_FRAMES = 1024 };

struct peer_trace {
	uint64_t pc[PEER_MAX_FRAMES];
	unsigned nr;
	bool complete; /* the unwinder says that it has come to the end */
};

struct peer {
	const char *name;
	/* The process's threads are traced by the caller and stopped. */
	void *(*open)(pid_t pid);
	void (*walk)(void *state, pid_t tid, struct peer_trace *trace);
	void (*close)(void *state);
};

extern const struct peer peer_libunwind, peer_libunwind_cached, peer_libdwfl;

#endif
