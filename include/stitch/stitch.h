/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * libstitch: what the commands do, for programs.
 *
 * The library prints nothing and never ends the program.  One call at a time
 * for each thread of the caller: tracing belongs to the thread that began it.
 * SIGCHLD is blocked in the calling thread from the first call on, for it is
 * how the kernel tells of stopped threads; calls may raise the thread to
 * SCHED_FIFO for as long as others are held.
 */
#ifndef STITCH_STITCH_H
#define STITCH_STITCH_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default)

/* The same numbers as the exit statuses of stitch(1). */
enum stitch_status {
	STITCH_DONE = 0,
	STITCH_FAILED = 1,
	STITCH_USAGE = 2,
	STITCH_NOT_NOW = 3,     /* may work later; the process is as it was */
	STITCH_UNSUPPORTED = 4, /* will not work; the process is as it was */
	STITCH_CHANGED = 5,     /* the process was left changed; see its record */
};

struct stitch_result {
	enum stitch_status status;
	const char *reason;     /* one of docs/refusals.md, "" when done; static */
	char message[512];      /* for people, "" when done */
	unsigned functions;     /* replaced or given back */
	unsigned threads;       /* that were checked */
	unsigned tries;
	uint64_t pause_ns;      /* the longest that threads were held together */
	size_t memory;          /* bytes that the patch takes in the process */
};

/* timeout_ms: how long to wait for threads that are in the functions. */
enum stitch_status stitch_apply(pid_t pid, const char *patch_file, unsigned timeout_ms,
				struct stitch_result *result);
/* Everything but the change. */
enum stitch_status stitch_check(pid_t pid, const char *patch_file, unsigned timeout_ms,
				struct stitch_result *result);
/* name NULL: the newest patch. */
enum stitch_status stitch_revert(pid_t pid, const char *name, unsigned timeout_ms,
				 struct stitch_result *result);
/*
 * The patches of a process as JSON, as `stitch list --json` gives one process.
 * The caller frees *json; it is NULL after a failure.
 */
enum stitch_status stitch_list(pid_t pid, char **json, struct stitch_result *result);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif
#endif
