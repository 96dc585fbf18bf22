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
	uint8_t *chunk;
	uint64_t chunk_addr;
	size_t chunk_size;
	/* the first thread's distance from the end of its stack to its thread
	 * pointer: the C library puts all at the same */
	uint64_t anchor;
	bool has_anchor;
	uint64_t tp; /* thread pointer of the thread that is walked now */
};

struct err *stacks_init(struct stacks *stacks, const struct process *process,
			const struct record *record) __attribute__((warn_unused_result));
void stacks_done(struct stacks *stacks);
#define AUTO_STACKS __attribute__((cleanup(stacks_done)))

/* regs: of a stopped thread of the process. As unwind_walk(). */
enum unwind_reason stacks_walk(struct stacks *stacks, const struct regs *regs,
			       unwind_consume *consume, void *arg);

/*
 * The name of the function that a frame is in, with *off into it: from the
 * symbols of its object.  NULL if they have none for it.
 */
const char *stacks_symbol(const struct unwind_frame *frame, uint64_t *off);

#endif
