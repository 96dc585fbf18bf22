/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Stacks that no thread is on: of coroutines, and what longjmp would go back to.
 *
 * Nothing lists them.  Where a process has code that switches stacks (switches.h), its
 * writable memory is searched for return addresses into given code, also as the C library
 * mangles them in a jmp_buf (PTR_MANGLE).  A find may be a dead one, left by a call that
 * returned long ago: it counts, for nobody can tell.
 */
#ifndef STITCH_TARGET_SUSPENDED_H
#define STITCH_TARGET_SUSPENDED_H

#include "process.h"

struct suspended_search {
	const struct process *process;
	/* Is it in code that is looked for? Called for each word within [low, high), by several
	 * threads at once. */
	const char *(*wanted)(void *arg, uint64_t addr);
	void *arg;
	uint64_t low, high;
	/* Of the threads, which stand: their own stacks are walked by others. */
	const struct live_stack { uint64_t sp, tp; } *live;
	size_t nr_live;
	/* the find */
	uint64_t at, addr;
	const char *what;
};

/*
 * *found if there is one.  The mappings are read anew: what was mapped since the threads
 * were last asked may be such a stack.  Errors: gone.
 */
struct err *suspended_find(struct suspended_search *search, bool *found)
	__attribute__((warn_unused_result));

#endif
