/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <dwarf.h>

#include "bytes.h"
#include "cfi.h"

enum { MAX_STEPS = 1000, MAX_DEPTH = 64 };

struct stack {
	uint64_t v[MAX_DEPTH];
	unsigned nr;
	bool bad;
};

static void push(struct stack *s, uint64_t v)
{
	if (s->nr == MAX_DEPTH)
		s->bad = true;
	else
		s->v[s->nr++] = v;
}

static uint64_t pop(struct stack *s)
{
	if (!s->nr) {
		s->bad = true;
		return 0;
	}
	return s->v[--s->nr];
}

static uint64_t peek(struct stack *s, uint64_t depth)
{
	if (depth >= s->nr) {
		s->bad = true;
		return 0;
	}
	return s->v[s->nr - 1 - depth];
}

/* DW_OP_div is signed, DW_OP_mod is not (DWARF 5, 2.5.1.4). */
static uint64_t divide(struct stack *s, uint8_t op, uint64_t a, uint64_t b)
{
	if (!b || (op == DW_OP_div && (int64_t)a == INT64_MIN && (int64_t)b == -1)) {
		s->bad = true;
		return 0;
	}
	return op == DW_OP_div ? (uint64_t)((int64_t)a / (int64_t)b) : a % b;
}

static uint64_t binary(struct stack *s, uint8_t op, uint64_t a, uint64_t b)
{
	int64_t sa = (int64_t)a, sb = (int64_t)b;

	switch (op) {
	case DW_OP_and: return a & b;
	case DW_OP_or: return a | b;
	case DW_OP_xor: return a ^ b;
	case DW_OP_plus: return a + b;
	case DW_OP_minus: return a - b;
	case DW_OP_mul: return a * b;
	case DW_OP_div:
	case DW_OP_mod: return divide(s, op, a, b);
	case DW_OP_shl: return b < 64 ? a << b : 0;
	case DW_OP_shr: return b < 64 ? a >> b : 0;
	case DW_OP_shra: return (uint64_t)(sa >> (b < 63 ? b : 63));
	case DW_OP_eq: return a == b;
	case DW_OP_ne: return a != b;
	case DW_OP_lt: return sa < sb;
	case DW_OP_le: return sa <= sb;
	case DW_OP_gt: return sa > sb;
	case DW_OP_ge: return sa >= sb;
	default:
		s->bad = true;
		return 0;
	}
}

static uint64_t reg_value(const struct cfi_machine *m, struct stack *s, uint64_t col)
{
	if (col >= m->nr_cols || !cfi_known(m->known, (unsigned)col)) {
		s->bad = true;
		return 0;
	}
	return m->cols[col];
}

static void constant(struct stack *s, struct cursor *c, uint8_t op)
{
	switch (op) {
	case DW_OP_const1u: push(s, cursor_get(c, 1)); break;
	case DW_OP_const1s: push(s, (uint64_t)(int8_t)cursor_get(c, 1)); break;
	case DW_OP_const2u: push(s, cursor_get(c, 2)); break;
	case DW_OP_const2s: push(s, (uint64_t)(int16_t)cursor_get(c, 2)); break;
	case DW_OP_const4u: push(s, cursor_get(c, 4)); break;
	case DW_OP_const4s: push(s, (uint64_t)(int32_t)cursor_get(c, 4)); break;
	case DW_OP_addr:
	case DW_OP_const8u:
	case DW_OP_const8s: push(s, cursor_get(c, 8)); break;
	case DW_OP_constu: push(s, cursor_uleb(c)); break;
	case DW_OP_consts: push(s, (uint64_t)cursor_sleb(c)); break;
	default: s->bad = true;
	}
}

static void skip(struct stack *s, struct cursor *c, const struct cfi_expr *e, int16_t by)
{
	ptrdiff_t to = c->at - e->ops + by;

	if (to < 0 || (size_t)to > e->size)
		s->bad = true;
	else
		c->at = e->ops + to;
}

static void stack_op(struct stack *s, struct cursor *c, uint8_t op)
{
	uint64_t a, b, d;

	switch (op) {
	case DW_OP_dup: push(s, peek(s, 0)); break;
	case DW_OP_drop: pop(s); break;
	case DW_OP_over: push(s, peek(s, 1)); break;
	case DW_OP_pick: push(s, peek(s, cursor_get(c, 1))); break;
	case DW_OP_swap: a = pop(s), b = pop(s), push(s, a), push(s, b); break;
	case DW_OP_rot:
		a = pop(s), b = pop(s), d = pop(s);
		push(s, a), push(s, d), push(s, b);
		break;
	case DW_OP_abs: a = pop(s), push(s, (int64_t)a < 0 ? -a : a); break;
	case DW_OP_neg: push(s, -pop(s)); break;
	case DW_OP_not: push(s, ~pop(s)); break;
	case DW_OP_plus_uconst: push(s, pop(s) + cursor_uleb(c)); break;
	case DW_OP_nop: break;
	default:
		b = pop(s), a = pop(s);
		push(s, binary(s, op, a, b));
	}
}

/* size: of the value, at most 8 bytes; a whole word is read for each. */
static void deref(struct stack *s, const struct cfi_machine *m, uint64_t size)
{
	uint64_t v = 0;

	if (!size || size > 8 || !m->read(m->arg, pop(s), &v))
		s->bad = true;
	else if (size < 8)
		v = m->big_endian ? v >> (64 - 8 * size) : v & ((UINT64_C(1) << 8 * size) - 1);
	push(s, v);
}

static void step(struct stack *s, struct cursor *c, const struct cfi_expr *e,
		 const struct cfi_machine *m)
{
	uint8_t op = (uint8_t)cursor_get(c, 1);
	uint64_t col;
	int16_t by;

	if (op >= DW_OP_lit0 && op <= DW_OP_lit31) {
		push(s, op - DW_OP_lit0);
	} else if (op >= DW_OP_breg0 && op <= DW_OP_breg31) {
		push(s, reg_value(m, s, op - DW_OP_breg0) + (uint64_t)cursor_sleb(c));
	} else if (op == DW_OP_bregx) {
		col = cursor_uleb(c);
		push(s, reg_value(m, s, col) + (uint64_t)cursor_sleb(c));
	} else if (op == DW_OP_deref) {
		deref(s, m, 8);
	} else if (op == DW_OP_deref_size) {
		deref(s, m, cursor_get(c, 1));
	} else if (op == DW_OP_skip || op == DW_OP_bra) {
		by = (int16_t)cursor_get(c, 2);
		if (op == DW_OP_skip || pop(s))
			skip(s, c, e, by);
	} else if ((op >= DW_OP_const1u && op <= DW_OP_consts) || op == DW_OP_addr) {
		constant(s, c, op);
	} else {
		stack_op(s, c, op);
	}
}

bool cfi_eval(const struct cfi_expr *expr, const struct cfi_machine *m, bool has_cfa,
	      uint64_t cfa, uint64_t *value)
{
	struct cursor c = cursor_make(expr->ops, expr->size, m->big_endian);
	struct stack s = { .nr = 0 };

	if (has_cfa)
		push(&s, cfa);
	for (unsigned steps = 0; cursor_left(&c); steps++) {
		step(&s, &c, expr, m);
		if (s.bad || c.bad || steps == MAX_STEPS)
			return false;
	}
	*value = pop(&s);
	return !s.bad;
}
