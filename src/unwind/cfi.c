/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cfi.h"

#include <dwarf.h>
#include <string.h>

#include "bytes.h"

enum { MAX_REMEMBERED = 16 };

#define BAD(...) err_new(ERR_FAILED, "bad-cfi", __VA_ARGS__)

struct program {
	struct cfi_row *row;
	struct cfi_row initial; /* after the CIE: what DW_CFA_restore goes back to */
	struct cfi_row remembered[MAX_REMEMBERED];
	unsigned nr_remembered;
	const struct eh_cie *cie;
	uint64_t loc, stop;     /* loc > stop ends it */
	bool in_cie;
	bool bad;
	unsigned nr_cols;
};

static struct cfi_rule *rule_slot(struct program *p, uint64_t col)
{
	static struct cfi_rule sink;
	struct cfi_row *row = p->row;

	for (unsigned i = 0; i < row->nr_rules; i++)
		if (row->rules[i].col == col)
			return &row->rules[i].rule;
	/* Vector and other columns that no walk asks for need no room. */
	if (col >= p->nr_cols)
		return &sink;
	if (row->nr_rules == ARRAY_SIZE(row->rules)) {
		p->bad = true;
		return &sink;
	}
	row->rules[row->nr_rules].col = (uint16_t)col;
	return &row->rules[row->nr_rules++].rule;
}

/* A factored offset; absurd ones wrap, and no frame will be found there. */
static int64_t scaled(const struct program *p, uint64_t factored)
{
	return (int64_t)(factored * (uint64_t)p->cie->data_align);
}

static void set_rule(struct program *p, uint64_t col, enum cfi_how how, int64_t off)
{
	*rule_slot(p, col) = (struct cfi_rule){ .how = how, .off = off };
}

static struct cfi_expr take_expr(struct cursor *c)
{
	size_t size = cursor_uleb(c);
	const uint8_t *ops = cursor_take(c, size);

	return (struct cfi_expr){ ops, ops ? size : 0 };
}

static void set_expr(struct program *p, struct cursor *c, enum cfi_how how)
{
	uint64_t col = cursor_uleb(c);

	*rule_slot(p, col) = (struct cfi_rule){ .how = how, .expr = take_expr(c) };
}

static void restore(struct program *p, uint64_t col)
{
	for (unsigned i = 0; i < p->initial.nr_rules; i++)
		if (p->initial.rules[i].col == col) {
			*rule_slot(p, col) = p->initial.rules[i].rule;
			return;
		}
	set_rule(p, col, CFI_SAME, 0);
}

static void remember(struct program *p)
{
	if (p->nr_remembered == MAX_REMEMBERED)
		p->bad = true;
	else
		p->remembered[p->nr_remembered++] = *p->row;
}

static void recall(struct program *p)
{
	if (p->nr_remembered)
		*p->row = p->remembered[--p->nr_remembered];
	else
		p->bad = true;
}

static void set_cfa(struct program *p, uint64_t reg, int64_t off)
{
	p->row->cfa_is_expr = false;
	p->row->cfa_reg = (unsigned)reg;
	p->row->cfa_off = off;
}

static void advance(struct program *p, uint64_t delta)
{
	p->loc += delta * p->cie->code_align;
	p->bad |= p->in_cie;
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
		set_cfa(p, cursor_uleb(c), p->row->cfa_off);
		break;
	case DW_CFA_def_cfa_offset:
		set_cfa(p, p->row->cfa_reg, (int64_t)cursor_uleb(c));
		break;
	case DW_CFA_def_cfa_offset_sf:
		set_cfa(p, p->row->cfa_reg, scaled(p, (uint64_t)cursor_sleb(c)));
		break;
	case DW_CFA_def_cfa_expression:
		p->row->cfa_is_expr = true;
		p->row->cfa_expr = take_expr(c);
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
	case DW_CFA_GNU_window_save: /* on arm64: DW_CFA_AARCH64_negate_ra_state */
		p->row->ra_signed = !p->row->ra_signed;
		break;
	default:
		run_rule(p, c, op);
	}
}

static bool run(struct program *p, const uint8_t *insns, size_t size, bool big_endian)
{
	struct cursor c = cursor_make(insns, size, big_endian);

	while (cursor_left(&c) && !c.bad && !p->bad && p->loc <= p->stop)
		run_one(p, &c);
	return !c.bad && !p->bad;
}

struct err *cfi_row_at(const struct arch *arch, const struct eh_section *eh,
		       const struct eh_fde *fde, uint64_t vaddr, struct cfi_row *row)
{
	/* An advance to exactly vaddr counts: its rules hold from there on. */
	struct program p = { .row = row, .cie = &fde->cie, .loc = fde->pc_begin,
			     .stop = vaddr, .in_cie = true,
			     .nr_cols = arch->nr_cols };

	memset(row, 0, sizeof(*row));
	row->is_signal = fde->cie.is_signal;
	row->ra_col = fde->cie.ra_col;
	row->fde_start = fde->pc_begin;
	row->fde_end = fde->pc_begin + fde->pc_size;
	if (row->ra_col >= arch->nr_cols || row->ra_col != arch->ra_col)
		return BAD("return address in column %u", row->ra_col);
	if (!run(&p, fde->cie.insns, fde->cie.insns_size, eh->big_endian))
		return BAD("CIE at %#zx cannot be understood", fde->cie_off);
	p.initial = *row;
	p.in_cie = false;
	if (!run(&p, fde->insns, fde->insns_size, eh->big_endian))
		return BAD("FDE at %#zx cannot be understood", fde->off);
	return NULL;
}

const struct cfi_rule *cfi_rule_of(const struct cfi_row *row, unsigned col)
{
	static const struct cfi_rule same = { .how = CFI_SAME };

	for (unsigned i = 0; i < row->nr_rules; i++)
		if (row->rules[i].col == col)
			return &row->rules[i].rule;
	return &same;
}
