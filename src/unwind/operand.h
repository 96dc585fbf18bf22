/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where did the call in front of a return address lead?
 *
 * The code in front of it says from where its operand came, back to registers that
 * functions give back, to constants, or to the thread pointer; the walk knows these,
 * and the words on the way are read.
 */
#ifndef STITCH_UNWIND_OPERAND_H
#define STITCH_UNWIND_OPERAND_H

#include "rows.h"

/* The caller's frame: its site and what is known of its registers. */
struct caller {
	struct unwind_cache *cache;
	struct site *site;
	uint64_t pc, sp;
	const uint64_t *cols, *known;
};

enum operand {
	OPERAND_UNKNOWN,
	OPERAND_HEARSAY, /* a word on the way may have been changed since the call */
	OPERAND_HEARD,   /* that word has led to the callee when it was read before */
	OPERAND_CERTAIN,
	OPERAND_FIXED,   /* certain, and the same at each call from here */
};

/*
 * callee: where the function above begins.  What OPERAND_HEARD goes by is set by the
 * caller in the site: object_callee, when the target has been found to be right.
 */
enum operand operand_find(const struct unwinder *unwinder, const struct caller *caller,
			  uint64_t callee, uint64_t *target);

#endif
