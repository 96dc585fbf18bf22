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
	/* the used part of the stack that is walked now, read at once */
	uint8_t *window;
	size_t window_cap;
	size_t used;       /* bytes of stack that the last walk went over */
	bool is_fresh;     /* fresh has been read in this walk */
	struct maps fresh; /* read again when a stack is not in the process's */
	/* the first thread's distance from the end of its stack to its thread
	 * pointer: the C library puts all at the same */
	uint64_t anchor;
	bool has_anchor;
};

struct err *stacks_init(struct stacks *stacks, const struct process *process,
			const struct record *record) __attribute__((warn_unused_result));
void stacks_done(struct stacks *stacks);
#define AUTO_STACKS __attribute__((cleanup(stacks_done)))

/* regs: of a stopped thread of the process. As unwind_walk(). */
enum unwind_reason stacks_walk(struct stacks *stacks, const struct regs *regs,
			       unwind_consume *consume, void *arg);
/* As unwind_walk_plain(). */
enum unwind_reason stacks_walk_plain(struct stacks *stacks, const struct regs *regs,
				     unwind_consume *consume, void *arg);

/*
 * The name of the function that a frame is in, with *off into it: from the
 * symbols of its object.  NULL if they have none for it.
 */
const char *stacks_symbol(const struct unwind_frame *frame, uint64_t *off);

#endif
