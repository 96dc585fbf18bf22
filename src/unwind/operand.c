/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "operand.h"


enum {
	MAX_CALLER = 32768,    /* bytes of a caller that are read for a call's operand */
	TCB_SIZE = 4096,       /* of the C library's block at the thread pointer */
	NR_VALUES = 32,        /* registers that are followed, by column */
};

/* A register's value: like a call's operand, and a distance behind the last step. */
struct value {
	struct arch_call from; /* kind CALL_UNKNOWN: not known */
	int64_t add;
};

struct line {
	const struct arch *arch;
	const uint8_t *bytes;
	uint64_t start, size;  /* of the function */
	struct value values[NR_VALUES];
};

static bool is_kept(const struct arch *arch, unsigned col)
{
	return cfi_known(arch->unwind->kept, col) || col == arch->sp_col;
}

/* ---- the straight line in front of a call ------------------------------------ */

/* *out = the word at value + disp. */
static void load_from(const struct value *value, int64_t disp, struct value *out)
{
	struct value v = *value;

	if (v.from.kind == CALL_UNKNOWN || v.from.nr_steps == CALL_STEPS) {
		out->from.kind = CALL_UNKNOWN;
		return;
	}
	v.from.steps[v.from.nr_steps++] = v.add + disp;
	v.add = 0;
	*out = v;
}

static struct value address(uint64_t addr)
{
	return (struct value){ { .kind = CALL_ADDR, .addr = addr }, 0 };
}

/* What the instruction puts into its destination, from the values before it. */
static struct value result_of(const struct line *line, const struct insn *insn)
{
	struct value out = { { .kind = CALL_UNKNOWN }, 0 };
	unsigned src = (unsigned)insn->src_reg, base = (unsigned)insn->base_reg;

	if (insn->move == MOVE_REG && src < NR_VALUES) {
		out = line->values[src];
	} else if (insn->move == MOVE_LOAD && insn->mem_size == 8) {
		struct value at = address(insn->mem);

		if (insn->is_pcrel)
			load_from(&at, 0, &out);
		else if (base < NR_VALUES)
			load_from(&line->values[base], insn->base_disp, &out);
	} else if (insn->move == MOVE_ADDR && insn->is_pcrel) {
		out = address(insn->mem);
	} else if (insn->move == MOVE_ADDR && base < NR_VALUES) {
		out = line->values[base];
		out.add += insn->base_disp;
	}
	return out;
}

/* Values that rest on a register that is written are not what the walk knows of it. */
static void forget(struct line *line, uint32_t written)
{
	for (unsigned col = 0; col < NR_VALUES; col++) {
		const struct arch_call *from = &line->values[col].from;

		if (written >> col & 1 ||
		    (from->kind == CALL_COL && written >> from->col & 1))
			line->values[col].from.kind = CALL_UNKNOWN;
	}
}

/* What a register that functions give back holds after a write is known at the call. */
static void know_kept(struct line *line, uint32_t written)
{
	for (unsigned col = 0; col < NR_VALUES && col < line->arch->nr_cols; col++)
		if (written >> col & 1 && is_kept(line->arch, col) && written != UINT32_MAX)
			line->values[col] = (struct value){ { .kind = CALL_COL, .col = col }, 0 };
}

/* A value that is kept from here on, in a register or in the frame, is known by that. */
static void keep(struct line *line, const struct insn *insn)
{
	unsigned src = (unsigned)insn->src_reg, base = (unsigned)insn->base_reg;
	unsigned dst = (unsigned)insn->dst_reg;

	if (src >= NR_VALUES || line->values[src].from.kind != CALL_UNKNOWN)
		return;
	if (insn->move == MOVE_REG && dst < NR_VALUES && is_kept(line->arch, dst))
		line->values[src] = line->values[dst];
	else if (insn->move == MOVE_STORE && insn->mem_size == 8 && base < NR_VALUES &&
		 is_kept(line->arch, base))
		load_from(&line->values[base], insn->base_disp, &line->values[src]);
}

static void take(struct line *line, const uint8_t *bytes, uint64_t left,
		 const struct insn *insn)
{
	bool moves = insn->dst_reg >= 0 && insn->dst_reg < NR_VALUES &&
		     insn->move != MOVE_NONE && insn->move != MOVE_STORE &&
		     insn->move != MOVE_STORE_IMM;
	uint32_t written = line->arch->unwind->written(bytes, left);
	struct value out;

	if (insn->flow != FLOW_NEXT && insn->flow != FLOW_BRANCH) {
		forget(line, UINT32_MAX);
		return;
	}
	out = moves ? result_of(line, insn) : (struct value){ { .kind = CALL_UNKNOWN }, 0 };
	forget(line, written);
	know_kept(line, written);
	/* one that rests on the register itself went with it: mov (%rbx),%rbx */
	if (moves && out.from.kind != CALL_UNKNOWN &&
	    !(out.from.kind == CALL_COL && out.from.col == (unsigned)insn->dst_reg))
		line->values[insn->dst_reg] = out;
	keep(line, insn);
}

/*
 * Where the straight line that leads to the call begins: behind the last place
 * before it where ways meet or part for good.  0: that cannot be seen.  *unsure: the
 * function has a table of jumps, and one might lead into the line.
 */
static uint64_t find_line(const struct line *line, uint64_t call_at, bool *unsure)
{
	const struct arch *arch = line->arch;
	uint64_t begin = line->start, end = line->start + line->size;
	struct insn insn;

	for (uint64_t at = line->start; at < end; at += insn.size) {
		const uint8_t *bytes = line->bytes + (at - line->start);
		uint64_t next;

		if (!arch->flow(bytes, end - at, at, &insn))
			return 0;
		next = at + insn.size;
		if (insn.flow == FLOW_JUMP && !insn.is_direct &&
		    (!arch->decode(bytes, end - at, at, &insn) || !insn.is_pcrel))
			*unsure = true;
		if (insn.flow != FLOW_NEXT && insn.flow != FLOW_BRANCH && next <= call_at &&
		    next > begin)
			begin = next;
		if (insn.flow != FLOW_CALL && insn.is_direct && insn.target <= call_at &&
		    insn.target > begin)
			begin = insn.target;
	}
	return begin;
}

/* A call by a register that is not given back: how did its value come there? */
static void trace_back(struct line *line, uint64_t call_at, struct arch_call *call,
		       bool *unsure)
{
	const struct arch *arch = line->arch;
	uint64_t at = arch->unwind->written ? find_line(line, call_at, unsure) : 0;
	uint64_t end = line->start + line->size;
	struct arch_call was = *call;
	struct value value;
	struct insn insn;

	call->kind = CALL_UNKNOWN;
	if (!at || was.col >= NR_VALUES)
		return;
	for (unsigned col = 0; col < NR_VALUES && col < arch->nr_cols; col++)
		if (is_kept(arch, col))
			line->values[col].from = (struct arch_call){ .kind = CALL_COL,
								     .col = col };
	for (; at < call_at; at += insn.size) {
		const uint8_t *bytes = line->bytes + (at - line->start);

		if (!arch->decode(bytes, end - at, at, &insn))
			return;
		take(line, bytes, end - at, &insn);
	}
	value = line->values[was.col];
	for (unsigned i = 0; i < was.nr_steps; i++)
		load_from(&value, was.steps[i], &value);
	if (!value.add)
		*call = value.from;
}

/* Where the instruction before ra begins, decoding from the function's start. */
static uint64_t last_insn(const struct line *line, uint64_t ra)
{
	uint64_t at = line->start, last = 0;
	struct insn insn;

	while (at < ra && line->arch->flow(line->bytes + (at - line->start), ra - at, at,
					   &insn)) {
		last = at;
		at += insn.size;
	}
	return at == ra ? last : 0;
}

/* Does an instruction make an address that the word at base + disp is at or behind? */
static bool makes_address(const struct arch *arch, const struct insn *insn, unsigned base,
			  int64_t disp)
{
	bool is_copy = insn->move == MOVE_REG && insn->dst_reg != (int)arch->unwind->fp_col;
	int from = is_copy ? insn->src_reg : insn->move == MOVE_ADDR ? insn->base_reg : -1;

	if (from == (int)base)
		return (is_copy ? 0 : insn->base_disp) <= disp;
	/* of the other of the two registers that frames are reached by: perhaps */
	return from == (int)arch->sp_col || from == (int)arch->unwind->fp_col;
}

/*
 * Does the function hand out the address of the frame's word that the call goes by?
 * Then a callee may have changed it: a structure of callbacks on the stack.
 */
static bool is_handed_out(const struct line *line, const struct arch_call *call)
{
	const struct arch *arch = line->arch;
	uint64_t end = line->start + line->size;
	struct insn insn;

	if (call->kind != CALL_COL || !call->nr_steps ||
	    (call->col != arch->sp_col && call->col != arch->unwind->fp_col))
		return false;
	for (uint64_t at = line->start; at < end; at += insn.size) {
		if (!arch->decode(line->bytes + (at - line->start), end - at, at, &insn))
			return true;
		if (makes_address(arch, &insn, call->col, call->steps[0]))
			return true;
	}
	return false;
}

static void find_call(const struct unwinder *u, struct site *site, uint64_t ra)
{
	const struct unwind_code *code = site->code;
	struct line line = { .arch = u->arch, .start = site->start,
			     .size = site->end - site->start };
	const uint8_t *bytes;
	uint64_t at;

	site->call_known = true;
	site->call.kind = CALL_UNKNOWN;
	if (ra - code->start < ARCH_INSN_MAX)
		return;
	bytes = code->bytes(code, ra - ARCH_INSN_MAX, ARCH_INSN_MAX);
	if (!bytes)
		return;
	u->arch->unwind->call_before(bytes, ARCH_INSN_MAX, ra, &site->call);
	if (site->call.kind != CALL_UNKNOWN || line.size > MAX_CALLER || ra > site->end)
		return;
	line.bytes = code->bytes(code, line.start, line.size);
	at = line.bytes ? last_insn(&line, ra) : 0;
	if (!at)
		return;
	u->arch->unwind->call_at(line.bytes + (at - line.start), ra - at, at, &site->call);
	if (site->call.kind == CALL_COL && !is_kept(u->arch, site->call.col))
		trace_back(&line, at, &site->call, &site->unsure);
	site->unsure |= is_handed_out(&line, &site->call);
}

/* ---- its value now ------------------------------------------------------------ */

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

static bool begin_value(const struct unwinder *u, const struct caller *caller, uint64_t *v)
{
	const struct arch_call *call = &caller->site->call;

	switch (call->kind) {
	case CALL_ADDR:
		*v = call->addr;
		return true;
	case CALL_COL:
		*v = caller->cols[call->col];
		return cfi_known(caller->known, call->col);
	case CALL_TP:
		*v = u->tp;
		return u->tp != 0;
	default:
		return false;
	}
}

enum operand operand_find(const struct unwinder *u, const struct caller *caller,
			  uint64_t callee, uint64_t *target)
{
	struct site *site = caller->site;
	bool certain, fixed;
	uint64_t v;

	if (!site->call_known)
		find_call(u, site, caller->pc);
	fixed = site->call.kind == CALL_ADDR && !site->unsure;
	certain = !site->unsure;
	if (!begin_value(u, caller, &v))
		return OPERAND_UNKNOWN;
	for (unsigned i = 0; i < site->call.nr_steps; i++) {
		uint64_t at = v + (uint64_t)site->call.steps[i];

		bool constant = u->is_constant && u->is_constant(u->arg, at);

		fixed &= constant;
		if (certain && !constant && !is_own(u, caller, at)) {
			certain = false;
			/* Hearsay is heard once: the same object, the same callee. */
			if (site->object == at && site->object_callee == callee)
				return OPERAND_HEARD;
			site->object = at;
			site->object_callee = 0;
		}
		if (!unwind_read_word(u, at, &v)) {
			*target = 0; /* nowhere */
			return OPERAND_HEARSAY;
		}
	}
	*target = v;
	if (fixed)
		return OPERAND_FIXED;
	return certain ? OPERAND_CERTAIN : OPERAND_HEARSAY;
}
