/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "callsite.h"

#include <string.h>

#include "bytes.h"

enum {
	MAX_JUMPS = 6,         /* functions on the way, each reached by a jump */
	MAX_SEEN = 32,
	MAX_FUNCTION = 1 << 18,
	MAX_TARGETS = 64,      /* that one function jumps to */
	MAX_CALLER = 4096,     /* bytes of a caller that are read for a call's operand */
	PLT_SIZE = 1 << 16,    /* a stub and what its unbound slot leads to are as near */
	TCB_SIZE = 4096,       /* of the C library's block at the thread pointer */
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
	uint8_t word[8];

	if (!s->u->arch->decode(bytes, left, at, insn) || !insn->is_pcrel || !s->u->is_constant || !s->u->is_constant(s->u->arg, insn->mem) ||
	    !s->u->read(s->u->arg, insn->mem, word, sizeof(word)))
		return false;
	insn->target = bytes_get(word, 8, s->u->arch->big_endian);
	return true;
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

/* The functions that one jumps to; false if it jumps where it cannot be seen. */
static bool find_jumps(struct search *s, const struct unwind_code *code,
		       uint64_t start, uint64_t end, uint64_t *targets, unsigned *nr)
{
	const uint8_t *bytes = code->bytes(code, start, end - start);
	struct insn insn;

	*nr = 0;
	if (!bytes || end - start > MAX_FUNCTION)
		return false;
	for (uint64_t at = start; at < end; at += insn.size) {
		bool jumps;

		if (!s->u->arch->flow(bytes + (at - start), end - at, at, &insn))
			return false;
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
		if (*nr >= MAX_TARGETS - 1)
			return false;
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
	uint8_t word[8];

	for (unsigned i = 0; i < 6; i++) {
		const uint8_t *bytes = code->bytes(code, at, ARCH_INSN_MAX);

		if (!bytes || !s->u->arch->decode(bytes, ARCH_INSN_MAX, at, &insn) ||
		    !s->u->arch->unwind->effect(bytes, ARCH_INSN_MAX, at, &effect))
			return false;
		pushed -= effect.sp_add;
		if (insn.flow == FLOW_JUMP && pushed <= 0)
			return false; /* a function that jumps on, not a PLT */
		if (insn.flow == FLOW_JUMP && insn.is_pcrel) {
			if (!s->u->read(s->u->arg, insn.mem, word, sizeof(word)))
				return false;
			*resolver = bytes_get(word, 8, s->u->arch->big_endian);
			return true;
		}
		at = insn.flow == FLOW_JUMP && insn.is_direct ? insn.target : at + insn.size;
	}
	return false;
}

static enum callsite through_slot(struct search *s, const struct unwind_code *code,
				  uint64_t addr, uint64_t slot, unsigned depth)
{
	uint64_t to, resolver;
	uint8_t word[8];

	if (!s->u->read(s->u->arg, slot, word, sizeof(word)))
		return CALLSITE_UNKNOWN;
	to = bytes_get(word, 8, s->u->arch->big_endian);
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

	return bytes && s->u->arch->stub_slot(bytes, ARCH_INSN_MAX, addr, slot);
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

/* ---- what the call says ---------------------------------------------------- */

/* The one value that a register has been given in the straight line so far. */
struct definition {
	bool is_there;
	unsigned reg;
	struct arch_call as;   /* the value, as if a call named it */
};

static bool is_kept(const struct arch *arch, int reg)
{
	return reg >= 0 && (cfi_known(arch->unwind->kept, (unsigned)reg) ||
			    (unsigned)reg == arch->sp_col);
}

static void define(struct definition *def, const struct arch *arch, const struct insn *insn)
{
	def->is_there = false;
	if (insn->dst_reg < 0 || insn->mem_size > 8)
		return;
	def->reg = (unsigned)insn->dst_reg;
	def->is_there = true;
	if (insn->move == MOVE_REG && is_kept(arch, insn->src_reg))
		def->as = (struct arch_call){ CALL_REG, 0, (unsigned)insn->src_reg };
	else if (insn->move == MOVE_LOAD && insn->mem_size == 8 && insn->is_pcrel)
		def->as = (struct arch_call){ CALL_SLOT, insn->mem, 0 };
	else if (insn->move == MOVE_LOAD && insn->mem_size == 8 && is_kept(arch, insn->base_reg))
		def->as = (struct arch_call){ CALL_MEM, (uint64_t)insn->base_disp,
					      (unsigned)insn->base_reg };
	else
		def->is_there = false;
}

/*
 * Where the straight line that leads to the call begins: behind the last place
 * before it where ways meet or part for good.  0: that cannot be seen.
 */
static uint64_t find_line(const struct arch *arch, const uint8_t *bytes, uint64_t start,
			  uint64_t size, uint64_t call_at)
{
	uint64_t line = start;
	struct insn insn;

	for (uint64_t at = start; at < start + size; at += insn.size) {
		uint64_t next, left = start + size - at;

		if (!arch->flow(bytes + (at - start), left, at, &insn))
			return 0;
		next = at + insn.size;
		if (insn.flow == FLOW_JUMP && !insn.is_direct &&
		    (!arch->decode(bytes + (at - start), left, at, &insn) || !insn.is_pcrel))
			return 0; /* a table of jumps: ways that cannot be seen */
		if (insn.flow != FLOW_NEXT && insn.flow != FLOW_BRANCH && next <= call_at &&
		    next > line)
			line = next;
		if (insn.flow != FLOW_CALL && insn.is_direct && insn.target <= call_at &&
		    insn.target > line)
			line = insn.target;
	}
	return line;
}

static void follow(struct definition *def, const struct arch *arch, const uint8_t *bytes,
		   uint64_t left, const struct insn *insn, unsigned wanted)
{
	if (insn->move != MOVE_NONE && insn->dst_reg == (int)wanted)
		define(def, arch, insn);
	else if (insn->flow != FLOW_NEXT && insn->flow != FLOW_BRANCH)
		def->is_there = false;
	else if (def->is_there && (arch->unwind->writes(bytes, left, wanted) ||
				   (def->as.kind != CALL_SLOT &&
				    arch->unwind->writes(bytes, left, def->as.col))))
		def->is_there = false;
}

/* A call through a register that is not given back: what was put into it? */
static void find_definition(const struct arch *arch, const uint8_t *bytes, uint64_t start,
			    uint64_t size, uint64_t call_at, struct arch_call *call)
{
	struct definition def = { false, 0, *call };
	struct insn insn;
	uint64_t at = arch->unwind->writes ?
		find_line(arch, bytes, start, size, call_at) : 0;

	for (; at && at < call_at; at += insn.size) {
		uint64_t left = start + size - at;

		if (!arch->decode(bytes + (at - start), left, at, &insn))
			break;
		follow(&def, arch, bytes + (at - start), left, &insn, call->col);
	}
	if (def.is_there)
		*call = def.as;
	else
		call->kind = CALL_UNKNOWN;
}

/* Where the instruction before ra begins, decoding from the function's start. */
static uint64_t last_insn(const struct arch *arch, const uint8_t *bytes, uint64_t start,
			  uint64_t ra)
{
	struct insn insn;
	uint64_t at = start, last = 0;

	while (at < ra && arch->flow(bytes + (at - start), ra - at, at, &insn)) {
		last = at;
		at += insn.size;
	}
	return at == ra ? last : 0;
}

static void find_call(const struct unwinder *u, struct site *site, uint64_t ra)
{
	const struct unwind_code *code = site->code;
	uint64_t size = site->end - site->start, at;
	const uint8_t *bytes;

	site->call_known = true;
	site->call.kind = CALL_UNKNOWN;
	if (ra - code->start < ARCH_INSN_MAX)
		return;
	bytes = code->bytes(code, ra - ARCH_INSN_MAX, ARCH_INSN_MAX);
	if (!bytes)
		return;
	u->arch->unwind->call_before(bytes, ARCH_INSN_MAX, ra, &site->call);
	if (site->call.kind != CALL_UNKNOWN || size > MAX_CALLER || ra > site->end)
		return;
	bytes = code->bytes(code, site->start, size);
	at = bytes ? last_insn(u->arch, bytes, site->start, ra) : 0;
	if (!at)
		return;
	u->arch->unwind->call_at(bytes + (at - site->start), ra - at, at, &site->call);
	if (site->call.kind == CALL_REG && !is_kept(u->arch, (int)site->call.col))
		find_definition(u->arch, bytes, site->start, size, at, &site->call);
}

static bool word_at(const struct unwinder *u, uint64_t addr, uint64_t *value)
{
	uint8_t word[8];

	if (!u->read(u->arg, addr, word, sizeof(word)))
		return false;
	*value = bytes_get(word, 8, u->arch->big_endian);
	return true;
}

/* A word that nobody else changes while the call is on the stack. */
static bool is_own(const struct unwinder *u, const struct caller *caller, uint64_t addr)
{
	const struct cfi_row *row = caller->site->row;
	uint64_t cfa;

	if (u->tp && addr - u->tp < TCB_SIZE)
		return true;
	if (row->cfa_expr.ops || !cfi_known(caller->known, row->cfa_col))
		return false;
	cfa = caller->cols[row->cfa_col] + (uint64_t)row->cfa_off;
	return addr >= caller->sp && addr < cfa;
}

/* Where the call led; false if that cannot be told. */
static bool evaluate(const struct unwinder *u, const struct caller *caller, uint64_t *target,
		     bool *stays)
{
	const struct arch_call *call = &caller->site->call;
	uint64_t addr;

	*stays = call->kind == CALL_DIRECT;
	switch (call->kind) {
	case CALL_DIRECT:
		*target = call->addr;
		return true;
	case CALL_SLOT:
		return u->is_constant && u->is_constant(u->arg, call->addr) &&
		       word_at(u, call->addr, target);
	case CALL_REG:
		*target = caller->cols[call->col];
		return cfi_known(caller->known, call->col);
	case CALL_TP:
		return u->tp && call->addr < TCB_SIZE &&
		       word_at(u, u->tp + call->addr, target);
	case CALL_MEM:
		addr = caller->cols[call->col] + call->addr;
		return cfi_known(caller->known, call->col) && is_own(u, caller, addr) &&
		       word_at(u, addr, target);
	default:
		return false;
	}
}

enum callsite callsite_reaches(const struct unwinder *unwinder,
			       const struct caller *caller, uint64_t callee_start,
			       uint64_t callee_end, bool *stays)
{
	struct search s = { unwinder, caller->cache, callee_start, callee_end, { 0 }, 0 };
	struct site *site = caller->site;
	enum callsite answer;
	uint64_t target;

	*stays = true;
	if (!site->call_known)
		find_call(unwinder, site, caller->pc);
	if (site->call.kind == CALL_UNKNOWN)
		return CALLSITE_UNKNOWN;
	if (!evaluate(unwinder, caller, &target, stays))
		return CALLSITE_UNKNOWN;
	if (site->target == target && site->target_callee == callee_start)
		return CALLSITE_YES;
	answer = reaches(&s, target, 0);
	if (answer != CALLSITE_NO) {
		site->target = target;
		site->target_callee = callee_start;
	}
	return answer;
}
