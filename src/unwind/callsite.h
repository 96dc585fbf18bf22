/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Can the call in front of a return address have led to the function whose
 * frame lies above it?
 *
 * A direct call names its target.  The callee is that function, or one that it
 * reaches by direct jumps (tail calls, .cold parts), or what the slot of a PLT
 * stub holds.  Where a step on that way is an indirect jump or code without
 * CFI, the answer is unknown, and so it is for indirect calls.
 */
#ifndef STITCH_UNWIND_CALLSITE_H
#define STITCH_UNWIND_CALLSITE_H

#include "walk.h"

enum callsite { CALLSITE_UNKNOWN, CALLSITE_YES, CALLSITE_NO };

/* ra: a return address in code; the callee by its range of addresses. */
enum callsite callsite_reaches(const struct unwinder *unwinder,
			       const struct unwind_code *code, uint64_t ra,
			       uint64_t callee_start, uint64_t callee_end);

#endif
