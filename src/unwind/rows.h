/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a walk learns and keeps: functions with their rows, decoded once for each
 * FDE; rows once for all places whose rules are the same; and sites, a hash from
 * a pc to everything that the walk asks about it.
 */
#ifndef STITCH_UNWIND_ROWS_H
#define STITCH_UNWIND_ROWS_H

#include "walk.h"

enum { SITES = 4096 }; /* direct-mapped, a power of two */

struct site {
	uint64_t pc;
	bool is_call;
	const struct unwind_code *code;
	const struct cfi_row *row; /* NULL: the site is of no use, whatever its pc is */
	uint64_t start, end;   /* of the function, addresses */
	enum unwind_switch switches;
	bool after_call, is_trampoline;
	bool ra_in_register, is_odd;
	bool links;            /* the function has linked its frame */
	bool call_known;       /* call has been looked for */
	bool unsure;           /* and may be another one */
	struct arch_call call; /* the call in front of pc */
	uint64_t callee;       /* start of the function that it was last found to reach, */
	unsigned callee_answer; /* enum callsite: whether that is certain */
	/* the same where the call's operand has to be evaluated each time */
	uint64_t target, target_callee;
	uint64_t object, object_callee; /* and of the memory that it was read from */
};

static inline struct site **unwind_cache_slots(struct unwind_cache *cache)
{
	return (struct site **)cache; /* they stand first */
}

/* Forgets everything if it has grown too large; between two walks only. */
void unwind_cache_trim(struct unwind_cache *cache);

/* A call stands in front of pc. */
bool rows_after_call(const struct arch *arch, const struct unwind_code *code, uint64_t pc);
/*
 * Does a jump there leave the function, as far as CFI can tell: is its frame taken
 * down?  A jump through a table inside the function stands above its frame.
 */
bool rows_frame_is_gone(const struct unwinder *unwinder, struct unwind_cache *cache,
			const struct unwind_code *code, uint64_t addr);

/*
 * Fills the slot's site with what is to be known of a pc, which is behind a call
 * or not.  Without a reason it has a row; a refusal is looked at again the next
 * time.
 */
enum unwind_reason rows_fill(const struct unwinder *unwinder, struct unwind_cache *cache,
			     uint64_t pc, bool is_call, struct site **slot);

/* The site of a pc, filled when it is asked for first. */
static inline enum unwind_reason rows_site(const struct unwinder *unwinder,
					   struct unwind_cache *cache, uint64_t pc,
					   bool is_call, struct site **site)
{
	uint64_t key = pc << 1 | is_call;
	struct site **slot =
		&unwind_cache_slots(cache)[(key * UINT64_C(0x9e3779b97f4a7c15)) >> 52];
	enum unwind_reason reason = UNWIND_OK;

	if (__builtin_expect(!*slot || (*slot)->pc != pc || (*slot)->is_call != is_call ||
			     !(*slot)->row, 0))
		reason = rows_fill(unwinder, cache, pc, is_call, slot);
	*site = *slot;
	return reason;
}

#endif
