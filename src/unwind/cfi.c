/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cfi.h"

#include <dwarf.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"

enum { MAX_REMEMBERED = 16, NEGATE_RA_STATE_WITH_PC = 0x2c };

#define BAD(...) err_new(ERR_FAILED, "bad-cfi", __VA_ARGS__)

/* A row while it is made. */
struct draft {
	bool cfa_is_expr, ra_signed;
	uint64_t cfa_reg;
	int64_t cfa_off;
	struct cfi_expr cfa_expr;
	unsigned nr_rules;
	struct cfi_rule rules[CFI_MAX_RULES];
};

struct program {
	const struct arch *arch;
	const struct eh_cie *cie;
	uint64_t loc, end;      /* the row holds from loc on; the function's end */
	cfi_emit *emit;
	void *arg;
	unsigned nr_rows;
	bool in_cie, bad;
	unsigned nr_remembered;
	struct draft now;
	struct draft initial;   /* after the CIE: what DW_CFA_restore goes back to */
	struct draft remembered[MAX_REMEMBERED];
};

static struct cfi_rule *rule_slot(struct program *p, uint64_t col)
{
	static _Thread_local struct cfi_rule sink;
	struct draft *row = &p->now;

	for (unsigned i = 0; i < row->nr_rules; i++)
		if (row->rules[i].col == col)
			return &row->rules[i];
	/* Vector and other columns that no walk asks for need no room. */
	if (col >= p->arch->nr_cols)
		return &sink;
	if (row->nr_rules == CFI_MAX_RULES) {
		p->bad = true;
		return &sink;
	}
	row->rules[row->nr_rules] = (struct cfi_rule){ .col = (uint8_t)col };
	return &row->rules[row->nr_rules++];
}

/* A factored offset; absurd ones wrap, and no frame will be found there. */
static int64_t scaled(const struct program *p, uint64_t factored)
{
	return (int64_t)(factored * (uint64_t)p->cie->data_align);
}

static void set_rule(struct program *p, uint64_t col, enum cfi_how how, int64_t off)
{
	struct cfi_rule *rule = rule_slot(p, col);

	rule->how = (uint8_t)how;
	rule->expr_size = 0;
	rule->off = off;
}

static struct cfi_expr take_expr(struct cursor *c)
{
	size_t size = cursor_uleb(c);
	const uint8_t *ops = cursor_take(c, size);

	return (struct cfi_expr){ ops, ops ? size : 0 };
}

static void set_expr(struct program *p, struct cursor *c, enum cfi_how how)
{
	struct cfi_rule *rule = rule_slot(p, cursor_uleb(c));
	struct cfi_expr expr = take_expr(c);

	rule->how = (uint8_t)how;
	rule->expr_size = (uint32_t)expr.size;
	rule->expr = expr.ops;
	p->bad |= expr.size > UINT16_MAX;
}

static void restore(struct program *p, uint64_t col)
{
	for (unsigned i = 0; i < p->initial.nr_rules; i++)
		if (p->initial.rules[i].col == col) {
			*rule_slot(p, col) = p->initial.rules[i];
			return;
		}
	set_rule(p, col, CFI_SAME, 0);
}

static void remember(struct program *p)
{
	if (p->nr_remembered == MAX_REMEMBERED)
		p->bad = true;
	else
		p->remembered[p->nr_remembered++] = p->now;
}

static void recall(struct program *p)
{
	if (p->nr_remembered)
		p->now = p->remembered[--p->nr_remembered];
	else
		p->bad = true;
}

static void set_cfa(struct program *p, uint64_t reg, int64_t off)
{
	p->now.cfa_is_expr = false;
	p->now.cfa_reg = reg;
	p->now.cfa_off = off;
	p->bad |= reg >= p->arch->nr_cols;
}

static int by_column(const void *a, const void *b)
{
	return ((const struct cfi_rule *)a)->col - ((const struct cfi_rule *)b)->col;
}

/* The draft as a row: in one form only, so that equal ones have equal bytes. */
static void finish(const struct program *p, struct cfi_row *row)
{
	const struct draft *draft = &p->now;

	memset(row, 0, sizeof(*row));
	row->ra_col = (uint8_t)p->cie->ra_col;
	row->is_signal = p->cie->is_signal;
	row->ra_signed = draft->ra_signed;
	row->is_plain = !draft->cfa_is_expr;
	if (draft->cfa_is_expr) {
		row->cfa_expr = draft->cfa_expr;
	} else {
		row->cfa_col = (uint8_t)draft->cfa_reg;
		row->cfa_off = draft->cfa_off;
	}
	for (unsigned i = 0; i < draft->nr_rules; i++) {
		const struct cfi_rule *rule = &draft->rules[i];

		if (rule->how == CFI_SAME)
			continue;
		row->is_plain &= rule->how == CFI_OFFSET;
		row->has_sp |= rule->col == p->arch->sp_col;
		row->ra_undefined |= rule->how == CFI_UNDEFINED && rule->col == row->ra_col;
		row->rules[row->nr_rules++] = *rule;
	}
	qsort(row->rules, row->nr_rules, sizeof(row->rules[0]), by_column);
}

static void emit_row(struct program *p, uint64_t end)
{
	union cfi_room u;

	if (end <= p->loc)
		return;
	if (p->nr_rows++ == CFI_MAX_ROWS) {
		p->bad = true;
		return;
	}
	finish(p, &u.row);
	p->emit(p->arg, p->loc, end, &u.row);
}

static void advance(struct program *p, uint64_t delta)
{
	uint64_t to = p->loc + delta * p->cie->code_align;

	p->bad |= p->in_cie || to < p->loc;
	if (p->bad)
		return;
	emit_row(p, to < p->end ? to : p->end);
	p->loc = to;
}

/* The instructions whose operand is in the low six bits of the opcode. */
static bool run_short(struct program *p, struct cursor *c, uint8_t op)
{
	unsigned arg = op & 0x3f;

	switch (op & 0xc0) {
	case DW_CFA_advance_loc:
		advance(p, arg);
		return true;
	case DW_CFA_offset:
		set_rule(p, arg, CFI_OFFSET, scaled(p, cursor_uleb(c)));
		return true;
	case DW_CFA_restore:
		restore(p, arg);
		return true;
	default:
		return false;
	}
}

static void run_cfa(struct program *p, struct cursor *c, uint8_t op)
{
	uint64_t reg;

	switch (op) {
	case DW_CFA_def_cfa:
		reg = cursor_uleb(c);
		set_cfa(p, reg, (int64_t)cursor_uleb(c));
		break;
	case DW_CFA_def_cfa_sf:
		reg = cursor_uleb(c);
		set_cfa(p, reg, scaled(p, (uint64_t)cursor_sleb(c)));
		break;
	case DW_CFA_def_cfa_register:
		set_cfa(p, cursor_uleb(c), p->now.cfa_off);
		break;
	case DW_CFA_def_cfa_offset:
		set_cfa(p, p->now.cfa_reg, (int64_t)cursor_uleb(c));
		break;
	case DW_CFA_def_cfa_offset_sf:
		set_cfa(p, p->now.cfa_reg, scaled(p, (uint64_t)cursor_sleb(c)));
		break;
	case DW_CFA_def_cfa_expression:
		p->now.cfa_is_expr = true;
		p->now.cfa_expr = take_expr(c);
		break;
	default:
		p->bad = true;
	}
}

static void run_rule(struct program *p, struct cursor *c, uint8_t op)
{
	uint64_t col;

	switch (op) {
	case DW_CFA_offset_extended:
		col = cursor_uleb(c);
		set_rule(p, col, CFI_OFFSET, scaled(p, cursor_uleb(c)));
		break;
	case DW_CFA_offset_extended_sf:
		col = cursor_uleb(c);
		set_rule(p, col, CFI_OFFSET, scaled(p, (uint64_t)cursor_sleb(c)));
		break;
	case DW_CFA_GNU_negative_offset_extended:
		col = cursor_uleb(c);
		set_rule(p, col, CFI_OFFSET, -scaled(p, cursor_uleb(c)));
		break;
	case DW_CFA_val_offset:
		col = cursor_uleb(c);
		set_rule(p, col, CFI_VAL_OFFSET, scaled(p, cursor_uleb(c)));
		break;
	case DW_CFA_val_offset_sf:
		col = cursor_uleb(c);
		set_rule(p, col, CFI_VAL_OFFSET, scaled(p, (uint64_t)cursor_sleb(c)));
		break;
	case DW_CFA_undefined:
		set_rule(p, cursor_uleb(c), CFI_UNDEFINED, 0);
		break;
	case DW_CFA_same_value:
		set_rule(p, cursor_uleb(c), CFI_SAME, 0);
		break;
	case DW_CFA_register:
		col = cursor_uleb(c);
		set_rule(p, col, CFI_REGISTER, (int64_t)cursor_uleb(c));
		break;
	case DW_CFA_restore_extended:
		restore(p, cursor_uleb(c));
		break;
	case DW_CFA_expression:
		set_expr(p, c, CFI_EXPR);
		break;
	case DW_CFA_val_expression:
		set_expr(p, c, CFI_VAL_EXPR);
		break;
	default:
		run_cfa(p, c, op);
	}
}

static void run_one(struct program *p, struct cursor *c)
{
	uint8_t op = (uint8_t)cursor_get(c, 1);

	if (run_short(p, c, op))
		return;
	switch (op) {
	case DW_CFA_nop:
		break;
	case DW_CFA_advance_loc1:
		advance(p, cursor_get(c, 1));
		break;
	case DW_CFA_advance_loc2:
		advance(p, cursor_get(c, 2));
		break;
	case DW_CFA_advance_loc4:
		advance(p, cursor_get(c, 4));
		break;
	case DW_CFA_remember_state:
		remember(p);
		break;
	case DW_CFA_restore_state:
		recall(p);
		break;
	case DW_CFA_GNU_args_size:
		cursor_uleb(c);
		break;
	case NEGATE_RA_STATE_WITH_PC: /* signed with the pc, too: as well stripped */
	case DW_CFA_GNU_window_save: /* on arm64: negate_ra_state */
		p->now.ra_signed = !p->now.ra_signed;
		break;
	default:
		run_rule(p, c, op);
	}
}

static bool run(struct program *p, const uint8_t *insns, size_t size, bool big_endian)
{
	struct cursor c = cursor_make(insns, size, big_endian);

	while (cursor_left(&c) && !c.bad && !p->bad && p->loc < p->end)
		run_one(p, &c);
	return !c.bad && !p->bad;
}

struct err *cfi_rows(const struct arch *arch, const struct eh_section *eh,
		     const struct eh_fde *fde, cfi_emit *emit, void *arg)
{
	struct program p; /* large, and only its beginning need be set */

	memset(&p, 0, offsetof(struct program, now));
	memset(&p.now, 0, offsetof(struct draft, rules));
	p.arch = arch;
	p.cie = &fde->cie;
	p.loc = fde->pc_begin;
	p.end = fde->pc_begin + fde->pc_size;
	p.emit = emit;
	p.arg = arg;
	p.in_cie = true;
	if (fde->cie.ra_col >= arch->nr_cols || arch->nr_cols > ARCH_COLS_MAX)
		return BAD("return address in column %u", fde->cie.ra_col);
	if (!run(&p, fde->cie.insns, fde->cie.insns_size, eh->big_endian))
		return BAD("CIE at %#zx cannot be understood", fde->cie_off);
	p.initial = p.now;
	p.in_cie = false;
	if (!run(&p, fde->insns, fde->insns_size, eh->big_endian))
		return BAD("FDE at %#zx cannot be understood", fde->off);
	emit_row(&p, p.end);
	return NULL;
}

const struct cfi_rule *cfi_rule_of(const struct cfi_row *row, unsigned col)
{
	for (unsigned i = 0; i < row->nr_rules; i++)
		if (row->rules[i].col == col)
			return &row->rules[i];
	return NULL;
}
