/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Can the call in front of a return address have led to the function whose
 * frame lies above it?
 *
 * A direct call names its target; one through a constant slot, a register that
 * functions give back, or a word of the caller's own frame can be evaluated from
 * what the walk knows of the caller.  The callee is the target, or one that it
 * reaches by direct jumps (tail calls, .cold parts), or what the slot of a PLT
 * stub holds.  Where a step on that way cannot be seen, the answer is unknown.
 */
#ifndef STITCH_UNWIND_CALLSITE_H
#define STITCH_UNWIND_CALLSITE_H

#include "operand.h"

enum callsite {
	CALLSITE_UNKNOWN,
	CALLSITE_YES,
	CALLSITE_NO,
	/* What memory says now is no; but it may have said yes when the call was made. */
	CALLSITE_DOUBT,
};

/*
 * The callee by its range of addresses.  *stays is true if the answer is the same
 * whenever this call is on a stack: it does not depend on registers or memory.
 */
enum callsite callsite_reaches(const struct unwinder *unwinder,
			       const struct caller *caller, uint64_t callee_start,
			       uint64_t callee_end, bool *stays);

#endif
