/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "callsite.h"

#include "bytes.h"

enum {
	MAX_JUMPS = 6,         /* functions on the way, each reached by a jump */
	MAX_FUNCTION = 1 << 18,
	MAX_TARGETS = 64,      /* that one function jumps to */
};

struct search {
	const struct unwinder *u;
	uint64_t start, end;   /* of the callee */
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

static enum callsite reaches(const struct search *s, uint64_t target, unsigned depth);

/* The functions that one jumps to; false if it jumps where it cannot be seen. */
static bool find_jumps(const struct search *s, const struct unwind_code *code,
		       uint64_t start, uint64_t end, uint64_t *targets, unsigned *nr)
{
	const uint8_t *bytes = code->bytes(code, start, end - start);
	struct insn insn;

	*nr = 0;
	if (!bytes || end - start > MAX_FUNCTION)
		return false;
	for (uint64_t at = start; at < end; at += insn.size) {
		bool jumps;

		if (!s->u->arch->decode(bytes + (at - start), end - at, at, &insn))
			return false;
		jumps = insn.flow == FLOW_JUMP || insn.flow == FLOW_BRANCH;
		if (jumps && !insn.is_direct)
			return false;
		/* Running into what follows is a way out, too. */
		if (at + insn.size >= end && insn.flow == FLOW_NEXT && !insn.is_padding)
			return false;
		if (!jumps || (insn.target >= start && insn.target < end))
			continue;
		if (*nr == MAX_TARGETS)
			return false;
		targets[(*nr)++] = insn.target;
	}
	return true;
}

/* A PLT stub leads where its slot says; the resolver's way is not followed. */
static enum callsite through_slot(const struct search *s, const struct unwind_code *code,
				  uint64_t addr, uint64_t slot, unsigned depth)
{
	uint8_t word[8];
	uint64_t to;

	if (!s->u->read(s->u->arg, slot, word, sizeof(word)))
		return CALLSITE_UNKNOWN;
	to = bytes_get(word, 8, s->u->arch->big_endian);
	/* Not bound yet: it leads back into the PLT and to the resolver. */
	if (to >= code->start && to < code->end && to - addr < 4096)
		return CALLSITE_UNKNOWN;
	return reaches(s, to, depth + 1);
}

static bool is_stub(const struct search *s, const struct unwind_code *code, uint64_t addr,
		    uint64_t *slot)
{
	const uint8_t *bytes = code->bytes(code, addr, ARCH_INSN_MAX);

	return bytes && s->u->arch->stub_slot(bytes, ARCH_INSN_MAX, addr, slot);
}

static enum callsite reaches(const struct search *s, uint64_t target, unsigned depth)
{
	const struct unwind_code *code;
	uint64_t targets[MAX_TARGETS], start, end, slot;
	enum callsite answer = CALLSITE_NO;
	unsigned nr;

	if (target >= s->start && target < s->end)
		return CALLSITE_YES;
	code = depth < MAX_JUMPS ? s->u->find_code(s->u->arg, target) : NULL;
	if (!code || code->is_island || !code->bytes)
		return CALLSITE_UNKNOWN;
	if (is_stub(s, code, target, &slot))
		return through_slot(s, code, target, slot, depth);
	if (!function_at(code, target, &start, &end) ||
	    !find_jumps(s, code, start, end, targets, &nr))
		return CALLSITE_UNKNOWN;
	for (unsigned i = 0; i < nr && answer != CALLSITE_YES; i++) {
		enum callsite one = reaches(s, targets[i], depth + 1);

		if (one != CALLSITE_NO)
			answer = one;
	}
	return answer;
}

enum callsite callsite_reaches(const struct unwinder *unwinder,
			       const struct unwind_code *code, uint64_t ra,
			       uint64_t callee_start, uint64_t callee_end)
{
	struct search s = { unwinder, callee_start, callee_end };
	uint64_t target;
	const uint8_t *bytes;

	if (ra - code->start < ARCH_INSN_MAX)
		return CALLSITE_UNKNOWN;
	bytes = code->bytes(code, ra - ARCH_INSN_MAX, ARCH_INSN_MAX);
	if (!bytes || !unwinder->arch->direct_call(bytes, ARCH_INSN_MAX, ra, &target))
		return CALLSITE_UNKNOWN;
	return reaches(&s, target, 0);
}
