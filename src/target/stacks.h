/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Walking the stacks of a live process: the unwinder's callbacks over its
 * memory, its objects and the code of the patches in its record.
 */
#ifndef STITCH_TARGET_STACKS_H
#define STITCH_TARGET_STACKS_H

#include "process.h"
#include "record.h"
#include "threads.h"
#include "walk.h"

struct stacks {
	const struct process *process;
	struct unwinder unwinder;
	/* code of patches: their own and their stubs */
	struct unwind_code **patch_code;
	size_t nr_patch_code;
	/* displaced instructions of patches, and where they were */
	struct stacks_copy { uint64_t start, size, from; } *copies;
	size_t nr_copies;
	/* the used part of the stack that is walked now, read at once */
	uint8_t *window;
	size_t window_cap;
	bool moved;        /* the window has been moved in this walk */
	size_t used;       /* bytes of stack that the last walk went over */
	unsigned generation; /* of the process, when the cache was begun */
	bool is_fresh;     /* fresh has been read in this walk */
	struct maps fresh; /* read again when a stack is not in the process's */
	/* the first thread's distance from the end of its stack to its thread
	 * pointer: the C library puts all at the same */
	uint64_t anchor;
	bool has_anchor;
	uint64_t first_function; /* and what it calls first in each: start_thread */
	uint64_t callee;         /* of the frame that is looked at now: its start */
};

struct err *stacks_init(struct stacks *stacks, const struct process *process,
			const struct record *record) __attribute__((warn_unused_result));
void stacks_done(struct stacks *stacks);
#define AUTO_STACKS __attribute__((cleanup(stacks_done)))

/* regs: of a stopped thread of the process. As unwind_walk(). */
enum unwind_reason stacks_walk(struct stacks *stacks, const struct regs *regs,
			       unwind_consume *consume, void *arg);
/*
 * For people, the walk is parted from the stop: stacks_take() reads the stack of a
 * stopped thread, which may run on then, and stacks_walk_taken() walks the copy as
 * unwind_walk_plain() does.  *beyond is true if it needed more stack than was
 * taken, and the trace may be of two moments.
 */
void stacks_take(struct stacks *stacks, const struct regs *regs);
enum unwind_reason stacks_walk_taken(struct stacks *stacks, const struct regs *regs,
				     unwind_consume *consume, void *arg, bool *beyond);

/* Is it the code of a patch, and not of a file? */
bool stacks_is_patch(const struct unwind_code *code);

#endif
