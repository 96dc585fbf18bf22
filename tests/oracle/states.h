/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * States of a program with the truth about their stacks, to be walked now or again
 * later.  A recording keeps what a walk has read: lines of memory as they change,
 * the mappings as they change, and for each state registers and true calls.
 */
#ifndef STITCH_TESTS_STATES_H
#define STITCH_TESTS_STATES_H

#include "stacks.h"

enum { MAX_DEPTH = 65536, LINE = 64 };

struct call {
	uint64_t ra, slot;
};

struct state {
	struct regs regs;
	unsigned depth;
	struct call *calls; /* outermost first */
};

/* Memory by lines. */
struct memory {
	struct line {
		uint64_t addr; /* 0: free */
		uint8_t bytes[LINE];
	} *lines;
	size_t nr, cap;
};

struct line *memory_find(const struct memory *m, uint64_t addr);
struct line *memory_add(struct memory *m, uint64_t addr);
void memory_done(struct memory *m);

/* What became of the walks. */
struct counts {
	unsigned long states, right, refused, truncated, wrong;
	unsigned long reasons[32];
};

enum verdict { RIGHT, REFUSED, TRUNCATED, WRONG };

/* Frames innermost first, of nr; done: the unwinder says that they are all. */
enum verdict judge(const struct state *state, const uint64_t *pc, unsigned nr, bool done);
void counts_add(struct counts *counts, enum verdict verdict, enum unwind_reason reason);
void counts_print(const char *who, const struct counts *counts);

#endif
