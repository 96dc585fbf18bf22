/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "walk.h"

#include <stdlib.h>
#include <string.h>

#include "callsite.h"
#include "mem.h"
#include "rows.h"

enum { MAX_FRAMES = 1 << 20, MAX_STACKS = 8 };

/* A stack that the walk has left for good: what it used of it. */
struct extent {
	uint64_t low, high;
};

struct walk {
	const struct unwinder *u;
	const struct arch *arch;
	struct unwind_cache *cache;
	bool is_plain;
	uint64_t cols[ARCH_COLS_MAX];
	uint64_t known[ARCH_MASK];
	uint64_t before[ARCH_MASK]; /* known, before the last call took its share */
	struct unwind_frame *frame, *callee; /* one of the two each */
	struct unwind_frame frames[2];
	struct site *site;
	bool callee_in_place;       /* it is one of SWITCH_IN_PLACE */
	enum callsite last_call;    /* what the callee's call says of its callee */
	uint64_t entered, limit;    /* where this stack was entered, and its mapping's end */
	struct extent left[MAX_STACKS];
	unsigned nr_left;
	uint64_t shadow;
};

bool unwind_read_slowly(const struct unwinder *unwinder, uint64_t addr, uint64_t *value)
{
	uint8_t bytes[8];

	if (!unwinder->read(unwinder->arg, addr, bytes, sizeof(bytes)))
		return false;
	*value = bytes_get8(bytes, unwinder->arch->big_endian);
	return true;
}

static inline bool load(const struct walk *w, uint64_t addr, uint64_t *value)
{
	return unwind_read_word(w->u, addr, value);
}

static bool load_word(void *arg, uint64_t addr, uint64_t *value)
{
	return load(arg, addr, value);
}

static inline bool is_known(const struct walk *w, unsigned col)
{
	return cfi_known(w->known, col);
}

static inline void set_col(struct walk *w, unsigned col, uint64_t value)
{
	w->cols[col] = value;
	w->known[col / 64] |= UINT64_C(1) << (col % 64);
}

const char *unwind_reason_name(enum unwind_reason reason)
{
	static const char *const names[] = {
		"ok", "no-code", "no-cfi", "bad-cfi", "no-memory", "no-register",
		"not-a-call", "not-callee", "not-growing", "left-stack", "entered-twice",
		"disagrees", "shadow-stack", "odd-frame", "transition", "bad-end", "too-deep",
		"uprobe", "island", "stopped",
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
		"the caller's frame is outside the stack",
		"a stack that was left is entered again",
		"the frame's link and its unwind information do not agree",
		"the shadow stack does not agree",
		"the return address is not kept in the frame",
		"the thread is changing stacks (longjmp or an exception)",
		"the trace does not end where a stack begins",
		"the stack is deeper than can be believed",
		"the kernel keeps the return address (a probe of perf or bpf)",
		"the thread is in a patch's stub and will leave it soon",
		"the walk was ended",
	};

	return texts[reason];
}

/* ---- what was called, and by whom ------------------------------------------- */

/*
 * Did the call in front of this frame's pc lead to the frame before?  A doubt, that
 * memory says otherwise now, is let pass once; but a frame between a doubt and
 * another call that does not vouch for its callee has nobody to speak for it.
 */
static enum unwind_reason judge_call(struct walk *w, enum callsite answer)
{
	enum callsite before = w->last_call;

	/* A call at the very end of a function does not return; most such are direct. */
	if (answer == CALLSITE_UNKNOWN && w->frame->pc == w->site->end)
		answer = CALLSITE_DOUBT;
	w->last_call = answer;
	if (answer == CALLSITE_NO)
		return w->callee_in_place ? UNWIND_TRANSITION : UNWIND_NOT_CALLEE;
	if (w->callee_in_place && answer != CALLSITE_YES)
		return UNWIND_TRANSITION;
	if (answer != CALLSITE_YES && before != CALLSITE_YES &&
	    (answer == CALLSITE_DOUBT || before == CALLSITE_DOUBT))
		return UNWIND_NOT_CALLEE;
	return UNWIND_OK;
}

static enum unwind_reason check_callee(struct walk *w)
{
	struct caller caller = { w->cache, w->site, w->frame->pc, w->frame->sp, w->cols,
				 w->known };
	const struct unwind_frame *callee = w->callee;
	struct site *site = w->site;
	enum callsite answer;
	bool stays;

	if (callee->is_signal || !callee->start) {
		w->last_call = CALLSITE_YES;
		return UNWIND_OK;
	}
	answer = callsite_reaches(w->u, &caller, callee->start, callee->end, &stays);
	/* What depends on registers or memory has to be asked again. */
	if (stays && answer != CALLSITE_NO) {
		site->callee = callee->start;
		site->callee_answer = answer;
	}
	return judge_call(w, answer);
}

/*
 * A register that functions do not give back is known behind a call all the same
 * if the callee, looked at instruction by instruction, leaves it alone: assembler
 * code that keeps to rules of its own (libcrypto's CFA in rax).
 */
static bool callee_keeps(const struct walk *w, unsigned col)
{
	const struct unwind_frame *callee = w->callee;
	const struct unwind_code *code = callee->code;
	uint64_t size = callee->end - callee->start, at;
	const uint8_t *bytes;
	struct insn insn;

	if (!w->frame->is_call || callee->is_call || !code || !callee->start ||
	    !cfi_known(w->before, col) || col >= 32 || !w->arch->unwind->written)
		return false;
	bytes = code->bytes(code, callee->start, size);
	for (at = 0; bytes && at < size; at += insn.size)
		if (!w->arch->decode(bytes + at, size - at, callee->start + at, &insn) ||
		    (w->arch->unwind->written(bytes + at, size - at) >> col & 1))
			return false;
	return bytes != NULL;
}

/* Finds the frame's site, and with it its code and row; says what is wrong with it. */
static enum unwind_reason look(struct walk *w)
{
	struct unwind_frame *frame = w->frame;
	enum unwind_reason reason = rows_site(w->u, w->cache, frame->pc, frame->is_call,
					      &w->site);

	frame->code = w->site->code;
	frame->start = w->site->start;
	frame->end = w->site->end;
	if (reason)
		return reason;
	frame->is_signal = w->site->row->is_signal;
	if (w->site->is_trampoline)
		frame->lookup = frame->pc; /* no call stands before it */
	if (frame->is_call) {
		if (frame->is_signal ? !w->site->is_trampoline : !w->site->after_call)
			return UNWIND_NOT_A_CALL;
		if (frame->is_signal) /* the kernel's call: of whom, only the kernel knows */
			reason = judge_call(w, CALLSITE_UNKNOWN);
		else if (w->site->callee == w->callee->start && w->callee->start)
			reason = judge_call(w, w->site->callee_answer);
		else
			reason = check_callee(w);
	}
	return !reason && w->site->switches == SWITCH_AWAY ? UNWIND_TRANSITION : reason;
}

/* ---- registers --------------------------------------------------------------- */

static enum unwind_reason find_cfa(struct walk *w)
{
	const struct cfi_row *row = w->site->row;
	struct cfi_machine m = { w->cols, w->known, w->arch->nr_cols, w->arch->big_endian,
				 load_word, w };

	if (row->cfa_expr.ops)
		return cfi_eval(&row->cfa_expr, &m, false, 0, &w->frame->cfa) ?
		       UNWIND_OK : UNWIND_NO_REGISTER;
	if (!is_known(w, row->cfa_col) && !callee_keeps(w, row->cfa_col))
		return UNWIND_NO_REGISTER;
	w->frame->cfa = w->cols[row->cfa_col] + (uint64_t)row->cfa_off;
	return UNWIND_OK;
}

/* The rule's value, from the callee's registers old. */
static enum unwind_reason rule_value(struct walk *w, const struct cfi_rule *rule,
				     const uint64_t *old, const uint64_t *known,
				     uint64_t *value)
{
	struct cfi_machine m = { old, known, w->arch->nr_cols, w->arch->big_endian,
				 load_word, w };
	struct cfi_expr expr = { rule->expr, rule->expr_size };
	uint64_t at;

	switch (rule->how) {
	case CFI_VAL_OFFSET:
		*value = w->frame->cfa + (uint64_t)rule->off;
		return UNWIND_OK;
	case CFI_REGISTER:
		if ((uint64_t)rule->off >= w->arch->nr_cols ||
		    !cfi_known(known, (unsigned)rule->off))
			return UNWIND_NO_REGISTER;
		*value = old[rule->off];
		return UNWIND_OK;
	case CFI_EXPR:
		if (!cfi_eval(&expr, &m, true, w->frame->cfa, &at))
			return UNWIND_NO_REGISTER;
		return load(w, at, value) ? UNWIND_OK : UNWIND_NO_MEMORY;
	case CFI_VAL_EXPR:
		return cfi_eval(&expr, &m, true, w->frame->cfa, value) ?
		       UNWIND_OK : UNWIND_NO_REGISTER;
	default:
		return load(w, w->frame->cfa + (uint64_t)rule->off, value) ?
		       UNWIND_OK : UNWIND_NO_MEMORY;
	}
}

static enum unwind_reason apply_any(struct walk *w)
{
	const struct cfi_row *row = w->site->row;
	uint64_t old[ARCH_COLS_MAX], known[ARCH_MASK], value;

	memcpy(old, w->cols, w->arch->nr_cols * sizeof(*old));
	memcpy(known, w->known, sizeof(known));
	for (unsigned i = 0; i < row->nr_rules; i++) {
		const struct cfi_rule *rule = &row->rules[i];
		enum unwind_reason reason;

		if (rule->how == CFI_UNDEFINED) {
			w->known[rule->col / 64] &= ~(UINT64_C(1) << (rule->col % 64));
			continue;
		}
		reason = rule_value(w, rule, old, known, &value);
		if (reason)
			return reason;
		set_col(w, rule->col, value);
	}
	return UNWIND_OK;
}

/* Makes the registers those of the caller. */
static inline enum unwind_reason apply_rules(struct walk *w)
{
	const struct cfi_row *row = w->site->row;

	if (!row->is_plain)
		return apply_any(w);
	for (unsigned i = 0; i < row->nr_rules; i++)
		if (!load(w, w->frame->cfa + (uint64_t)row->rules[i].off,
			  &w->cols[row->rules[i].col]))
			return UNWIND_NO_MEMORY;
	for (unsigned i = 0; i < ARCH_MASK; i++)
		w->known[i] |= row->columns[i];
	return UNWIND_OK;
}

/* ---- the stack --------------------------------------------------------------- */

static uint64_t limit_of(const struct walk *w, uint64_t sp)
{
	return w->u->stack_end ? w->u->stack_end(w->u->arg, sp) : UINT64_MAX;
}

static bool enters_left(const struct walk *w, uint64_t sp)
{
	for (unsigned i = 0; i < w->nr_left; i++)
		if (sp >= w->left[i].low && sp <= w->left[i].high)
			return true;
	return false;
}

/*
 * A signal may have come on another stack; each is entered once, so that no walk
 * goes round (the kernel's rule for its own stacks, arm64 unwind_consume_stack).
 */
static enum unwind_reason switch_stack(struct walk *w, uint64_t sp)
{
	if (w->nr_left == MAX_STACKS)
		return UNWIND_ENTERED_TWICE;
	w->left[w->nr_left++] = (struct extent){ w->entered, w->frame->sp };
	if (enters_left(w, sp))
		return UNWIND_ENTERED_TWICE;
	w->entered = sp;
	w->limit = limit_of(w, sp);
	return UNWIND_OK;
}

static inline enum unwind_reason check_stack(struct walk *w, uint64_t sp)
{
	/* Without a frame, its return address in a register, a function adds nothing. */
	bool grows = sp > w->frame->sp || (sp == w->frame->sp && !w->frame->is_call &&
					   (w->arch->unwind->ra_in_register ||
					    w->site->ra_in_register));

	if (w->frame->is_signal && (!grows || sp > w->limit))
		return switch_stack(w, sp);
	if (!grows)
		return UNWIND_NOT_GROWING;
	if (sp > w->limit)
		return UNWIND_LEFT_STACK;
	return w->nr_left && enters_left(w, sp) ? UNWIND_ENTERED_TWICE : UNWIND_OK;
}

/* A frame record: x29 at the call is where this frame keeps {x29, x30}. */
static bool record_agrees(const struct walk *w)
{
	unsigned col = w->arch->unwind->fp_col;
	const struct cfi_rule *fp, *ra;

	if (w->arch->unwind->chain != CHAIN_FP || !w->site->links || !w->frame->is_call)
		return true;
	fp = cfi_rule_of(w->site->row, col);
	ra = cfi_rule_of(w->site->row, w->site->row->ra_col);
	if (!fp || !ra || fp->how != CFI_OFFSET || ra->how != CFI_OFFSET ||
	    ra->off != fp->off + 8)
		return true;
	return is_known(w, col) && w->cols[col] == w->frame->cfa + (uint64_t)fp->off;
}

/* The back chain at sp is the caller's sp. */
static bool chain_agrees(const struct walk *w, uint64_t sp)
{
	uint64_t word;

	if (w->arch->unwind->chain != CHAIN_SP || !w->site->links || !w->frame->is_call)
		return true;
	return load(w, w->frame->sp, &word) && word == sp;
}

/*
 * The shadow stack's next entry is the return address.  Below a signal's frame
 * lies, with bit 63 set, where the shadow stack was (Linux, Documentation/arch,
 * shstk.rst; arm64's gcs.rst has a cap instead).
 */
static bool check_shadow(struct walk *w, uint64_t pc)
{
	uint64_t word;

	if (!w->shadow)
		return true;
	if (!load(w, w->shadow, &word))
		return false;
	w->shadow += 8;
	if (!w->frame->is_signal)
		return word == pc;
	if (!(word >> 63))
		return false;
	w->shadow = word & ~(UINT64_C(1) << 63);
	return true;
}

/* ---- from frame to frame ------------------------------------------------------ */

static enum unwind_reason at_end(struct walk *w, bool *ended)
{
	*ended = true;
	return w->u->is_end(w->u->arg, w->frame) ? UNWIND_OK : UNWIND_BAD_END;
}

/* Outermost by its back chain: no call frame information says so. */
static bool ends_chain(struct walk *w)
{
	uint64_t word;

	return w->arch->unwind->ends_by_chain && w->frame->is_call &&
	       load(w, w->frame->sp, &word) && !word && w->u->is_end(w->u->arg, w->frame);
}

/*
 * Outermost, and without a row: of clone's code behind its call, or, of a first thread,
 * nothing but a back chain of 0, which _start leaves with a return address of 0.
 */
static bool has_last_chain(const struct walk *w, enum unwind_reason reason)
{
	uint64_t word;

	return w->arch->unwind->ends_by_chain && w->frame->is_call &&
	       load(w, w->frame->sp, &word) && !word &&
	       (!w->frame->pc || (reason == UNWIND_NO_CFI &&
				  rows_after_call(w->arch, w->site->code, w->frame->pc)));
}

static enum unwind_reason check_row(const struct walk *w)
{
	if (w->frame->is_signal)
		return UNWIND_OK;
	/* Behind a call a link register holds this very pc. */
	if (w->site->is_odd || (w->site->ra_in_register && w->frame->is_call))
		return UNWIND_ODD_FRAME;
	return UNWIND_OK;
}

static inline uint64_t original(const struct walk *w, uint64_t pc)
{
	return w->u->original ? w->u->original(w->u->arg, pc) : pc;
}

static inline void set_frame(struct unwind_frame *frame, uint64_t pc, uint64_t sp,
			     bool is_call)
{
	/* look() sets the rest */
	frame->pc = pc;
	frame->lookup = pc - is_call;
	frame->sp = sp;
	frame->cfa = 0;
	frame->is_call = is_call;
	frame->is_signal = frame->is_guess = false;
}

/* The registers are the caller's: is it where a caller can be? */
static enum unwind_reason arrive(struct walk *w)
{
	const struct cfi_row *row = w->site->row;
	const struct arch *arch = w->arch;
	struct unwind_frame *was;
	enum unwind_reason reason;
	uint64_t pc, sp;

	if (!row->has_sp)
		set_col(w, arch->sp_col, w->frame->cfa - arch->unwind->cfa_above_sp);
	if (!is_known(w, row->ra_col) || !is_known(w, arch->sp_col))
		return UNWIND_NO_REGISTER;
	pc = w->cols[row->ra_col];
	sp = w->cols[arch->sp_col];
	if (row->ra_signed && arch->unwind->strip)
		pc = arch->unwind->strip(pc);
	if (!chain_agrees(w, sp))
		return UNWIND_DISAGREES;
	if ((reason = check_stack(w, sp)))
		return reason;
	if (!check_shadow(w, pc))
		return UNWIND_SHADOW;
	was = w->callee;
	w->callee = w->frame;
	w->frame = was;
	w->callee_in_place = w->site->switches == SWITCH_IN_PLACE;
	for (unsigned i = 0; i < ARCH_MASK; i++) {
		w->before[i] = w->known[i];
		if (!row->is_signal)
			w->known[i] &= w->callee_in_place ? 0 : arch->unwind->kept[i];
	}
	if (w->callee_in_place)
		set_col(w, arch->sp_col, sp);
	set_frame(w->frame, original(w, pc), sp, !row->is_signal);
	w->frame->raw = pc;
	return UNWIND_OK;
}

/* Sets up the caller's frame; *ended is true if there is proven to be none. */
static enum unwind_reason step(struct walk *w, bool *ended)
{
	enum unwind_reason reason;

	*ended = false;
	if (w->site->row->ra_undefined)
		return at_end(w, ended);
	if (ends_chain(w)) {
		*ended = true;
		return UNWIND_OK;
	}
	if ((reason = check_row(w)) || (reason = find_cfa(w)))
		return reason;
	if (!record_agrees(w))
		return UNWIND_DISAGREES;
	if ((reason = apply_rules(w)))
		return reason;
	return arrive(w);
}

static void start(struct walk *w, const struct regs *regs)
{
	const struct arch *arch = w->arch;

	memset(w->known, 0, sizeof(w->known));
	for (unsigned i = 0; i < arch->nr_cols; i++)
		if (arch->col_off[i] >= 0 && (!regs->is_partial || i == arch->sp_col))
			set_col(w, i, regs_get(arch, regs, (size_t)arch->col_off[i]));
	w->frame = &w->frames[0];
	w->callee = &w->frames[1];
	set_frame(w->frame, original(w, regs_pc(arch, regs)), regs_sp(arch, regs), false);
	w->frame->raw = regs_pc(arch, regs);
	*w->callee = (struct unwind_frame){ 0 };
	w->callee_in_place = false;
	w->last_call = CALLSITE_YES; /* the first frame is where the thread is */
	w->entered = w->frame->sp;
	w->limit = limit_of(w, w->frame->sp);
	w->nr_left = 0;
	w->shadow = w->u->shadow;
}

/* ---- the plain walk's last resort ---------------------------------------------- */

/*
 * No row, or one that leads nowhere: the frame pointer, if it leads to something
 * that looks like a return address.
 */
static bool guess(struct walk *w)
{
	uint64_t fp = w->cols[w->arch->unwind->fp_col], next, pc;
	enum unwind_reason why;

	if (!is_known(w, w->arch->unwind->fp_col) || fp < w->frame->sp ||
	    w->arch->unwind->chain == CHAIN_SP || !load(w, fp, &next) ||
	    !load(w, fp + 8, &pc) || !w->u->find_code(w->u->arg, pc - 1, &why))
		return false;
	set_col(w, w->arch->unwind->fp_col, next);
	set_col(w, w->arch->sp_col, fp + 16);
	*w->callee = (struct unwind_frame){ 0 };
	w->callee_in_place = false;
	w->last_call = CALLSITE_YES;
	set_frame(w->frame, pc, fp + 16, true);
	w->frame->raw = pc;
	w->frame->is_guess = true;
	return true;
}

/* True if the plain walk has come to another frame although it found a reason. */
static bool go_on(struct walk *w, bool has_row)
{
	uint64_t sp = w->frame->sp;
	bool ended = false;

	if (has_row && !step(w, &ended))
		return !ended;
	return !ended && guess(w) && w->frame->sp > sp;
}

static enum unwind_reason walk_on(struct walk *w, unwind_consume *consume, void *arg)
{
	enum unwind_reason first = UNWIND_OK;
	bool ended = false, has_row;

	for (unsigned nr = 0; nr < MAX_FRAMES; nr++) {
		enum unwind_reason reason = look(w);
		bool is_last = reason && has_last_chain(w, reason);

		if (is_last && !w->frame->pc && w->u->is_end(w->u->arg, w->frame))
			return first;
		w->frame->reason = is_last ? UNWIND_OK : reason;
		if (!consume(arg, w->frame))
			return UNWIND_STOPPED;
		if (is_last && w->u->is_end(w->u->arg, w->frame))
			return first;
		has_row = reason && w->site->row;
		if (!reason)
			reason = step(w, &ended);
		first = first ? first : reason;
		if (ended)
			return first;
		if (reason && (!w->is_plain || !go_on(w, has_row)))
			return first;
	}
	return first ? first : UNWIND_TOO_DEEP;
}

static enum unwind_reason walk(const struct unwinder *unwinder, const struct regs *regs,
			       bool is_plain, unwind_consume *consume, void *arg)
{
	enum unwind_reason reason;
	struct walk w;

	w.u = unwinder;
	w.arch = unwinder->arch;
	w.is_plain = is_plain;
	w.cache = unwinder->cache ? unwinder->cache : unwind_cache_new();
	unwind_cache_trim(w.cache);
	start(&w, regs);
	reason = walk_on(&w, consume, arg);
	if (!unwinder->cache)
		unwind_cache_free(w.cache);
	return reason;
}

enum unwind_reason unwind_walk(const struct unwinder *unwinder, const struct regs *regs,
			       unwind_consume *consume, void *arg)
{
	return walk(unwinder, regs, false, consume, arg);
}

enum unwind_reason unwind_walk_plain(const struct unwinder *unwinder,
				     const struct regs *regs, unwind_consume *consume,
				     void *arg)
{
	return walk(unwinder, regs, true, consume, arg);
}
