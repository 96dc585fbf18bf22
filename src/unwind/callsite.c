/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "callsite.h"

#include <string.h>

enum {
	MAX_JUMPS = 6,         /* functions on the way, each reached by a jump */
	MAX_SEEN = 32,
	MAX_FUNCTION = 1 << 18,
	MAX_TARGETS = 64,      /* that one function jumps to */
	PLT_SIZE = 1 << 16,    /* a stub and what its unbound slot leads to are as near */
};

struct search {
	const struct unwinder *u;
	struct unwind_cache *cache;
	uint64_t start, end;   /* of the callee */
	uint64_t seen[MAX_SEEN]; /* functions that the search has been to */
	unsigned nr_seen;
};

static bool function_at(const struct unwind_code *code, uint64_t addr, uint64_t *start,
			uint64_t *end)
{
	struct eh_fde fde;
	bool found = false;
	struct err *err;

	if (!code->eh.data)
		return false;
	err = eh_find(&code->eh, addr - code->bias, &fde, &found);
	err_free(err);
	if (err || !found)
		return false;
	*start = fde.pc_begin + code->bias;
	*end = *start + fde.pc_size;
	return true;
}

static enum callsite reaches(struct search *s, uint64_t target, unsigned depth);

/* A jump through a slot that is never written again is as good as a direct one. */
static bool through_constant(struct search *s, const uint8_t *bytes, uint64_t left,
			     uint64_t at, struct insn *insn)
{
	return s->u->arch->decode(bytes, left, at, insn) && insn->is_pcrel &&
	       s->u->is_constant && s->u->is_constant(s->u->arg, insn->mem) &&
	       unwind_read_word(s->u, insn->mem, &insn->target);
}

/* The first instruction behind a function that is not padding. */
static uint64_t behind(const struct search *s, const struct unwind_code *code, uint64_t at)
{
	struct insn insn;

	for (unsigned i = 0; i < 64; i++, at += insn.size) {
		const uint8_t *bytes = code->bytes(code, at, ARCH_INSN_MAX);

		if (!bytes || !s->u->arch->decode(bytes, ARCH_INSN_MAX, at, &insn) ||
		    !insn.is_padding)
			break;
	}
	return at;
}

/*
 * A return whose address has just been put on the stack is a jump: the thunks that
 * GCC makes of indirect calls (-mindirect-branch=thunk, thunk-inline).
 */
static bool is_pushed_return(const struct search *s, const uint8_t *bytes, uint64_t left,
			     const struct insn *insn)
{
	const struct arch *arch = s->u->arch;
	struct insn before;

	return insn->flow == FLOW_RETURN && arch->decode(bytes, left, 0, &before) &&
	       before.move == MOVE_STORE && !before.base_disp &&
	       before.base_reg == (int)arch->sp_col;
}

/* The functions that one jumps to; false if it jumps where it cannot be seen. */
static bool find_jumps(struct search *s, const struct unwind_code *code,
		       uint64_t start, uint64_t end, uint64_t *targets, unsigned *nr)
{
	const uint8_t *bytes = code->bytes(code, start, end - start);
	uint64_t last_start = 0, last_end = 0, before = start;
	struct insn insn;

	*nr = 0;
	if (!bytes || end - start > MAX_FUNCTION)
		return false;
	for (uint64_t at = start; at < end; at += insn.size) {
		bool jumps;

		if (!s->u->arch->flow(bytes + (at - start), end - at, at, &insn))
			return false;
		if (is_pushed_return(s, bytes + (before - start), at - before, &insn))
			return false;
		before = at;
		jumps = insn.flow == FLOW_JUMP || insn.flow == FLOW_BRANCH;
		if (jumps && !insn.is_direct &&
		    !through_constant(s, bytes + (at - start), end - at, at, &insn)) {
			if (rows_frame_is_gone(s->u, s->cache, code, at))
				return false;
			continue;
		}
		/* Running into what follows is a way out, too. */
		if (at + insn.size >= end && !insn.is_padding &&
		    (insn.flow == FLOW_NEXT || insn.flow == FLOW_BRANCH))
			targets[(*nr)++] = end >= s->start && end < s->end ?
					   end : behind(s, code, end);
		if (!jumps || (insn.target >= start && insn.target < end))
			continue;
		/* One jump into a function is as good as many: .cold has dozens. */
		if (insn.target >= last_start && insn.target < last_end)
			continue;
		if (*nr >= MAX_TARGETS - 1)
			return false;
		if (!function_at(code, insn.target, &last_start, &last_end))
			last_start = last_end = 0;
		targets[(*nr)++] = insn.target;
	}
	return true;
}

/*
 * A slot that is not bound yet leads on in the PLT: past pushes and jumps to the
 * slot of the resolver.  Whoever is called through it now is the resolver.
 */
static bool find_resolver(struct search *s, const struct unwind_code *code, uint64_t at,
			  uint64_t *resolver)
{
	struct insn_effect effect;
	struct insn insn;
	int64_t pushed = 0;

	for (unsigned i = 0; i < 6; i++) {
		const uint8_t *bytes = code->bytes(code, at, ARCH_INSN_MAX);

		if (!bytes || !s->u->arch->decode(bytes, ARCH_INSN_MAX, at, &insn) ||
		    !s->u->arch->unwind->effect(bytes, ARCH_INSN_MAX, at, &effect))
			return false;
		pushed -= effect.sp_add;
		if (insn.flow == FLOW_JUMP && pushed <= 0)
			return false; /* a function that jumps on, not a PLT */
		if (insn.flow == FLOW_JUMP && insn.is_pcrel)
			return unwind_read_word(s->u, insn.mem, resolver);
		at = insn.flow == FLOW_JUMP && insn.is_direct ? insn.target : at + insn.size;
	}
	return false;
}

static enum callsite through_slot(struct search *s, const struct unwind_code *code,
				  uint64_t addr, uint64_t slot, unsigned depth)
{
	uint64_t to, resolver;

	if (!unwind_read_word(s->u, slot, &to))
		return CALLSITE_UNKNOWN;
	if (to < code->start || to >= code->end || to - addr + PLT_SIZE >= 2 * PLT_SIZE ||
	    !find_resolver(s, code, to, &resolver))
		return reaches(s, to, depth + 1);
	/* Its last jump, to what it has bound, comes after the slot has changed. */
	return reaches(s, resolver, depth + 1) == CALLSITE_YES ? CALLSITE_YES : CALLSITE_NO;
}

static bool is_stub(struct search *s, const struct unwind_code *code, uint64_t addr,
		    uint64_t *slot)
{
	const uint8_t *bytes = code->bytes(code, addr, ARCH_INSN_MAX);

	return bytes && s->u->arch->stub_slot &&
	       s->u->arch->stub_slot(bytes, ARCH_INSN_MAX, addr, slot);
}

static enum callsite reaches(struct search *s, uint64_t target, unsigned depth)
{
	const struct unwind_code *code;
	uint64_t targets[MAX_TARGETS], start, end, slot;
	enum callsite answer = CALLSITE_NO;
	enum unwind_reason why;
	unsigned nr;

	if (target >= s->start && target < s->end)
		return CALLSITE_YES;
	code = depth < MAX_JUMPS ? s->u->find_code(s->u->arg, target, &why) : NULL;
	if (!code || code->refuse || !code->bytes)
		return CALLSITE_UNKNOWN;
	if (is_stub(s, code, target, &slot))
		return through_slot(s, code, target, slot, depth);
	if (!function_at(code, target, &start, &end))
		return CALLSITE_UNKNOWN;
	for (unsigned i = 0; i < s->nr_seen; i++)
		if (s->seen[i] == start)
			return CALLSITE_NO; /* the search goes on where it came by first */
	if (s->nr_seen == MAX_SEEN)
		return CALLSITE_UNKNOWN;
	s->seen[s->nr_seen++] = start;
	if (!find_jumps(s, code, start, end, targets, &nr))
		return CALLSITE_UNKNOWN;
	for (unsigned i = 0; i < nr; i++) /* the near ones first: searching costs */
		if (targets[i] >= s->start && targets[i] < s->end)
			return CALLSITE_YES;
	for (unsigned i = 0; i < nr && answer != CALLSITE_YES; i++) {
		enum callsite one = reaches(s, targets[i], depth + 1);

		if (one != CALLSITE_NO)
			answer = one;
	}
	return answer;
}

/*
 * A function whose entry in memory is not the file's has been redirected, by a patch
 * of ours or by another tool: *to is where a jump there leads, 0 if that is not seen.
 */
static bool is_redirected(const struct search *s, uint64_t start, uint64_t *to)
{
	enum unwind_reason why;
	const struct unwind_code *code = s->u->find_code(s->u->arg, start, &why);
	const uint8_t *file = code ? code->bytes(code, start, ARCH_INSN_MAX) : NULL;
	uint8_t now[ARCH_INSN_MAX];
	struct insn insn;
	size_t keep = 0;

	*to = 0;
	if (!file || !s->u->read(s->u->arg, start, now, sizeof(now)) ||
	    !memcmp(file, now, sizeof(now)))
		return false;
	if (s->u->arch->entry_keep)
		keep = s->u->arch->entry_keep(now, sizeof(now));
	if (s->u->arch->decode(now + keep, sizeof(now) - keep, start + keep, &insn) &&
	    insn.flow == FLOW_JUMP && insn.is_direct)
		*to = insn.target;
	return true;
}

/* None of the functions on the way leads to the callee, as their files have them. */
static enum callsite in_memory(struct search *s)
{
	unsigned nr = s->nr_seen;
	uint64_t to;

	for (unsigned i = 0; i < nr; i++)
		if (is_redirected(s, s->seen[i], &to))
			return to && reaches(s, to, 0) == CALLSITE_YES ? CALLSITE_YES :
			       CALLSITE_UNKNOWN;
	return CALLSITE_NO;
}

enum callsite callsite_reaches(const struct unwinder *unwinder,
			       const struct caller *caller, uint64_t callee_start,
			       uint64_t callee_end, bool *stays)
{
	struct search s = { unwinder, caller->cache, callee_start, callee_end, { 0 }, 0 };
	struct site *site = caller->site;
	enum unwind_reason why;
	enum callsite answer;
	uint64_t target = 0;
	enum operand how = operand_find(unwinder, caller, callee_start, &target);

	*stays = how == OPERAND_FIXED || site->call.kind == CALL_UNKNOWN;
	if (how == OPERAND_UNKNOWN)
		return CALLSITE_UNKNOWN;
	if (how == OPERAND_HEARD)
		return CALLSITE_YES;
	if (target && site->target == target && site->target_callee == callee_start) {
		site->object_callee = callee_start;
		return CALLSITE_YES;
	}
	if (!unwinder->find_code(unwinder->arg, target, &why))
		return CALLSITE_DOUBT; /* no function, or code that nobody knows */
	answer = reaches(&s, target, 0);
	if (answer == CALLSITE_NO)
		answer = in_memory(&s);
	if (answer == CALLSITE_NO && how == OPERAND_HEARSAY)
		return CALLSITE_DOUBT;
	if (answer == CALLSITE_YES) {
		site->target = target;
		site->target_callee = site->object_callee = callee_start;
	}
	return answer;
}
