/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "walk.h"

#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "callsite.h"
#include "mem.h"

enum {
	MAX_FRAMES = 1 << 20,
	CACHE_SLOTS = 2048, /* direct-mapped, a power of two */
};

struct cached_row {
	uint64_t addr; /* 0: empty; no code is ever at address 0 */
	const struct unwind_code *code;
	bool after_call;
	struct cfi_row row;
	/* the callee that was last found to be reached, or perhaps, from here */
	uint64_t callee_start;
};

struct unwind_cache {
	struct cached_row *slots[CACHE_SLOTS];
};

struct walk {
	const struct unwinder *u;
	uint64_t cols[ARCH_COLS_MAX];
	bool known[ARCH_COLS_MAX];
	struct unwind_frame frame;
	struct cached_row *now; /* in the cache or in scratch */
	struct cached_row scratch;
};

const char *unwind_reason_name(enum unwind_reason reason)
{
	static const char *const names[] = {
		"ok", "no-code", "no-cfi", "bad-cfi", "no-memory", "no-register",
		"not-a-call", "not-callee", "not-growing", "odd-frame", "transition", "bad-end",
		"too-deep", "island", "stopped",
	};

	return names[reason];
}

const char *unwind_reason_text(enum unwind_reason reason)
{
	static const char *const texts[] = {
		"the trace is complete",
		"there is no code of a known file at the address",
		"the code there has no unwind information",
		"the unwind information there cannot be understood",
		"memory that the trace needs cannot be read",
		"a register that the trace needs is not known",
		"the return address does not follow a call",
		"the call before the return address leads to another function",
		"the caller's frame is not above its callee's",
		"the return address is not kept in the frame",
		"the thread is changing stacks (longjmp or an exception)",
		"the trace does not end where a stack begins",
		"the stack is deeper than can be believed",
		"the thread is in a patch's stub and will leave it soon",
		"the walk was ended",
	};

	return texts[reason];
}

struct unwind_cache *unwind_cache_new(void)
{
	return mem_alloc(sizeof(struct unwind_cache));
}

void unwind_cache_free(struct unwind_cache *cache)
{
	for (unsigned i = 0; cache && i < CACHE_SLOTS; i++)
		free(cache->slots[i]);
	free(cache);
}

static unsigned slot_of(uint64_t addr)
{
	return (unsigned)((addr * UINT64_C(0x9e3779b97f4a7c15)) >> 40) % CACHE_SLOTS;
}

static bool is_after_call(const struct walk *w, const struct unwind_code *code, uint64_t pc)
{
	const struct arch *arch = w->u->arch;
	size_t size = ARCH_INSN_MAX;

	if (pc - code->start < size)
		size = (size_t)(pc - code->start);
	if (!size || pc > code->end)
		return false;
	const uint8_t *bytes = code->bytes(code, pc - size, size);

	return bytes && arch->follows_call(bytes, size);
}

static enum unwind_reason compute_row(struct walk *w, struct cached_row *out)
{
	const struct unwind_code *code = w->u->find_code(w->u->arg, w->frame.lookup);
	struct eh_fde fde;
	struct err *err;
	bool found = false;

	if (!code)
		return UNWIND_NO_CODE;
	out->code = code;
	if (code->is_island)
		return UNWIND_ISLAND;
	if (code->in_transition)
		return UNWIND_TRANSITION;
	out->after_call = w->frame.is_call && is_after_call(w, code, w->frame.pc);
	if (!code->eh.data)
		return UNWIND_NO_CFI;
	err = eh_find(&code->eh, w->frame.lookup - code->bias, &fde, &found);
	if (!err && found)
		err = cfi_row_at(w->u->arch, &code->eh, &fde,
				 w->frame.lookup - code->bias, &out->row);
	if (err) {
		err_free(err);
		return UNWIND_BAD_CFI;
	}
	return found ? UNWIND_OK : UNWIND_NO_CFI;
}

/* The row for this frame, from the cache or made new; fills the frame's code. */
static enum unwind_reason find_row(struct walk *w)
{
	struct unwind_cache *cache = w->u->cache;
	uint64_t key = w->frame.lookup << 1 | w->frame.is_call;
	struct cached_row **slot = cache ? &cache->slots[slot_of(key)] : NULL;
	struct cached_row *row = &w->scratch;
	enum unwind_reason reason = UNWIND_OK;

	if (slot && !*slot)
		*slot = mem_alloc(sizeof(**slot));
	if (slot)
		row = *slot;
	if (row->addr != key || !slot) {
		row->code = NULL;
		row->callee_start = 0;
		reason = compute_row(w, row);
		row->addr = reason ? 0 : key; /* a refusal is looked at again */
	}
	w->now = row;
	w->frame.code = row->code;
	if (reason)
		return reason;
	w->frame.start = row->row.fde_start + row->code->bias;
	w->frame.end = row->row.fde_end + row->code->bias;
	w->frame.is_signal = row->row.is_signal;
	if (w->frame.is_call && !row->after_call && !row->row.is_signal)
		return UNWIND_NOT_A_CALL;
	return UNWIND_OK;
}

static bool read_word(void *arg, uint64_t addr, uint64_t *value)
{
	const struct walk *w = arg;
	uint8_t bytes[8];

	if (!w->u->read(w->u->arg, addr, bytes, sizeof(bytes)))
		return false;
	*value = bytes_get(bytes, 8, w->u->arch->big_endian);
	return true;
}

static struct cfi_machine machine(struct walk *w)
{
	return (struct cfi_machine){ w->cols, w->known, w->u->arch->nr_cols,
				     w->u->arch->big_endian, read_word, w };
}

static enum unwind_reason find_cfa(struct walk *w)
{
	const struct cfi_row *row = &w->now->row;
	struct cfi_machine m = machine(w);

	if (row->cfa_is_expr)
		return cfi_eval(&row->cfa_expr, &m, false, 0, &w->frame.cfa) ?
		       UNWIND_OK : UNWIND_NO_REGISTER;
	if (row->cfa_reg >= w->u->arch->nr_cols || !w->known[row->cfa_reg])
		return UNWIND_NO_REGISTER;
	w->frame.cfa = w->cols[row->cfa_reg] + (uint64_t)row->cfa_off;
	return UNWIND_OK;
}

static enum unwind_reason apply_rule(struct walk *w, const struct cfi_rule *rule,
				     const uint64_t *old, uint64_t *value, bool *known)
{
	struct cfi_machine m = machine(w);
	uint64_t at = w->frame.cfa + (uint64_t)rule->off;

	m.cols = old;
	*known = true;
	switch (rule->how) {
	case CFI_SAME:
		return UNWIND_OK;
	case CFI_UNDEFINED:
		*known = false;
		return UNWIND_OK;
	case CFI_VAL_OFFSET:
		*value = at;
		return UNWIND_OK;
	case CFI_REGISTER:
		if ((uint64_t)rule->off >= w->u->arch->nr_cols || !w->known[rule->off])
			return UNWIND_NO_REGISTER;
		*value = old[rule->off];
		return UNWIND_OK;
	case CFI_EXPR:
		if (!cfi_eval(&rule->expr, &m, true, w->frame.cfa, &at))
			return UNWIND_NO_REGISTER;
		return read_word(w, at, value) ? UNWIND_OK : UNWIND_NO_MEMORY;
	case CFI_VAL_EXPR:
		return cfi_eval(&rule->expr, &m, true, w->frame.cfa, value) ?
		       UNWIND_OK : UNWIND_NO_REGISTER;
	case CFI_OFFSET:
	default:
		return read_word(w, at, value) ? UNWIND_OK : UNWIND_NO_MEMORY;
	}
}

/* Makes the registers those of the caller. */
static enum unwind_reason unwind_registers(struct walk *w)
{
	const struct cfi_row *row = &w->now->row;
	unsigned sp = w->u->arch->sp_col;
	uint64_t old[ARCH_COLS_MAX];
	bool known[ARCH_COLS_MAX];

	memcpy(old, w->cols, w->u->arch->nr_cols * sizeof(*old));
	memcpy(known, w->known, w->u->arch->nr_cols * sizeof(*known));
	for (unsigned i = 0; i < row->nr_rules; i++) {
		unsigned col = row->rules[i].col;
		enum unwind_reason reason;

		if (row->rules[i].rule.how == CFI_SAME)
			continue;
		reason = apply_rule(w, &row->rules[i].rule, old, &w->cols[col],
				    &known[col]);
		if (reason)
			return reason;
	}
	if (cfi_rule_of(row, sp)->how == CFI_SAME) {
		w->cols[sp] = w->frame.cfa; /* what the CFA is (DWARF 5, 6.4.1) */
		known[sp] = true;
	}
	memcpy(w->known, known, w->u->arch->nr_cols * sizeof(*known));
	return UNWIND_OK;
}

/*
 * Only a signal's trampoline gets its caller's registers from elsewhere than
 * the frame.  Code that keeps its return address in a register or behind an
 * expression is longjmp or its like on the way to another stack.
 */
static bool is_odd(const struct walk *w)
{
	const struct cfi_rule *ra = cfi_rule_of(&w->now->row, w->u->arch->ra_col);

	return !w->now->row.is_signal && ra->how != CFI_OFFSET;
}

/* After find_row(): did the call here lead to the frame before? */
static bool is_reached(struct walk *w, const struct unwind_frame *callee)
{
	struct cached_row *row = w->now;

	if (!w->frame.is_call || callee->is_signal || row->row.is_signal || !callee->start)
		return true;
	if (row->callee_start == callee->start)
		return true;
	/* Only a good answer is kept: slots of the PLT may be bound later. */
	if (callsite_reaches(w->u, row->code, w->frame.pc, callee->start,
			     callee->end) == CALLSITE_NO)
		return false;
	row->callee_start = callee->start;
	return true;
}

/* Sets up the caller's frame; *ended is true if there is proven to be none. */
static enum unwind_reason next_frame(struct walk *w, bool *ended)
{
	const struct arch *arch = w->u->arch;
	bool was_signal = w->now->row.is_signal;
	uint64_t sp = w->frame.sp;
	enum unwind_reason reason;

	*ended = false;
	if (cfi_rule_of(&w->now->row, arch->ra_col)->how == CFI_UNDEFINED) {
		*ended = true;
		return w->u->is_end(w->u->arg, &w->frame) ? UNWIND_OK : UNWIND_BAD_END;
	}
	if (is_odd(w))
		return UNWIND_ODD_FRAME;
	if ((reason = find_cfa(w)) || (reason = unwind_registers(w)))
		return reason;
	if (!w->known[arch->ra_col] || !w->known[arch->sp_col])
		return UNWIND_NO_REGISTER;
	/* A signal may have come on another stack, anywhere. */
	if (!was_signal && w->cols[arch->sp_col] <= sp)
		return UNWIND_NOT_GROWING;
	w->frame = (struct unwind_frame){
		.pc = w->cols[arch->ra_col],
		.lookup = w->cols[arch->ra_col] - !was_signal,
		.sp = w->cols[arch->sp_col],
		.is_call = !was_signal,
	};
	return UNWIND_OK;
}

static void start(struct walk *w, const struct regs *regs)
{
	const struct arch *arch = w->u->arch;

	for (unsigned i = 0; i < arch->nr_cols; i++) {
		w->known[i] = arch->col_off[i] >= 0;
		if (w->known[i])
			w->cols[i] = regs_get(arch, regs, (size_t)arch->col_off[i]);
	}
	w->frame = (struct unwind_frame){
		.pc = regs_pc(arch, regs),
		.lookup = regs_pc(arch, regs),
		.sp = regs_sp(arch, regs),
	};
}

enum unwind_reason unwind_walk(const struct unwinder *unwinder, const struct regs *regs,
			       unwind_consume *consume, void *arg)
{
	struct unwind_frame callee = { 0 };
	struct walk w;
	enum unwind_reason reason;
	bool ended = false;

	w.u = unwinder;
	w.scratch.addr = 0;
	start(&w, regs);
	for (unsigned nr = 0; nr < MAX_FRAMES; nr++) {
		reason = find_row(&w);
		if (!reason && !is_reached(&w, &callee))
			reason = UNWIND_NOT_CALLEE;
		callee = w.frame;
		if (!consume(arg, &w.frame))
			return UNWIND_STOPPED;
		if (reason)
			return reason;
		reason = next_frame(&w, &ended);
		if (reason || ended)
			return reason;
	}
	return UNWIND_TOO_DEEP;
}
