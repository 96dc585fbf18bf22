/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ehlist.h"

enum {
	NR_COLS = 32,
	MAX_STEPS = 4000,   /* over all paths; there are some twenty of fifty instructions */
	MIN_NEXT = 40,      /* behind the fields of struct object that we fill */
};

/* What is known of a register. */
struct known {
	enum { ANY, CONST, ENTRY, FROM } kind;
	uint64_t at; /* the value; or the address of the word that it was loaded from */
};

struct learn {
	struct ehlist *list;
	const uint8_t *code;
	size_t size;
	uint64_t addr;
	unsigned steps;
	uint64_t next_from; /* the word that becomes the entry's next pointer */
	bool disagree;
};

static struct known of_col(const struct known *cols, int16_t col)
{
	return col >= 0 && col < NR_COLS ? cols[col] : (struct known){ ANY, 0 };
}

/* A register's value plus off, where that is one constant. */
static bool sum(const struct learn *l, const struct known *cols,
		const struct insn_value *value, uint64_t *to)
{
	struct known base = of_col(cols, value->base);
	uint64_t at = base.at;

	*to = value->off;
	if (value->base < 0)
		return true;
	if (base.kind != CONST && !(base.kind == FROM && l->list->read(l->list->arg, base.at, &at)))
		return false;
	*to += at;
	return true;
}

static void agree(struct learn *l, uint64_t *old, uint64_t new)
{
	l->disagree |= *old && *old != new;
	*old = new;
}

static void note_flag(struct learn *l, const struct known *cols,
		      const struct insn_value *value)
{
	uint64_t to;

	if (!sum(l, cols, value, &to))
		return;
	agree(l, &l->list->flag, to);
	l->list->flag_size = value->size;
}

static void take_store(struct learn *l, const struct known *cols,
		       const struct insn_value *value)
{
	struct known what = of_col(cols, value->reg), base = of_col(cols, value->base);
	uint64_t to;

	if (base.kind == ENTRY && what.kind == FROM && value->size == 8) {
		/* entry->next = the word that the head will replace */
		agree(l, &l->next_from, what.at);
		l->list->next_off = (unsigned)value->off;
	} else if (what.kind == ENTRY && value->size == 8 && sum(l, cols, value, &to)) {
		agree(l, &l->list->head, to);
	} else if (what.kind == CONST && what.at == 1) {
		note_flag(l, cols, value);
	}
}

static struct known result_of(const struct learn *l, const struct known *cols,
			      const struct insn_value *value)
{
	struct known base = of_col(cols, value->base);
	uint64_t to;

	if (value->kind == VALUE_ADD && !value->off && (base.kind == ENTRY || base.kind == FROM))
		return base;
	if (!sum(l, cols, value, &to))
		return (struct known){ ANY, 0 };
	if (value->kind == VALUE_ADD)
		return (struct known){ CONST, to };
	return value->size == 8 ? (struct known){ FROM, to } : (struct known){ ANY, 0 };
}

static void take_value(struct learn *l, struct known *cols, const struct insn_value *value)
{
	switch (value->kind) {
	case VALUE_ADD:
	case VALUE_LOAD:
		if (value->reg >= 0 && value->reg < NR_COLS)
			cols[value->reg] = result_of(l, cols, value);
		return;
	case VALUE_STORE:
		take_store(l, cols, value);
		return;
	case VALUE_STORE_IMM:
		if (value->imm == 1)
			note_flag(l, cols, value);
		return;
	default:
		for (unsigned i = 0; i < NR_COLS; i++)
			if (value->changes >> i & 1)
				cols[i] = (struct known){ ANY, 0 };
	}
}

static void take_call(const struct learn *l, struct known *cols)
{
	uint64_t kept = l->list->arch->unwind->kept[0];

	for (unsigned i = 0; i < NR_COLS; i++)
		if (!(kept >> i & 1))
			cols[i] = (struct known){ ANY, 0 };
}

/* From an instruction on, with what is known of the registers; once for each way. */
static bool walk(struct learn *l, const struct known *cols, uint64_t off)
{
	struct known own[NR_COLS];
	struct insn_value value;
	struct insn insn;

	for (unsigned i = 0; i < NR_COLS; i++)
		own[i] = cols[i];
	for (; off < l->size; off += insn.size) {
		if (l->steps++ > MAX_STEPS ||
		    !l->list->arch->decode(l->code + off, l->size - off, l->addr + off, &insn))
			return false;
		if (insn.flow == FLOW_RETURN || insn.flow == FLOW_STOP)
			return true;
		if (insn.flow == FLOW_CALL) {
			take_call(l, own);
			continue;
		}
		if (insn.flow == FLOW_JUMP || insn.flow == FLOW_BRANCH) {
			uint64_t to = insn.target - l->addr;

			if (insn.is_direct && to < l->size && !walk(l, own, to))
				return false;
			if (insn.flow == FLOW_JUMP)
				return true;
			continue;
		}
		l->list->arch->value(l->code + off, &insn, &value);
		take_value(l, own, &value);
	}
	return true;
}

bool ehlist_learn(struct ehlist *list, const uint8_t *code, size_t size, uint64_t addr)
{
	struct learn l = { .list = list, .code = code, .size = size, .addr = addr };
	struct known cols[NR_COLS] = { { ANY, 0 } };

	cols[list->arch->second_arg_col].kind = ENTRY;
	if (list->arch->self_col)
		cols[list->arch->self_col] = (struct known){ CONST, addr };
	list->head = list->flag = list->next_off = list->flag_size = 0;
	return walk(&l, cols, 0) && !l.disagree && list->head && l.next_from == list->head &&
	       list->next_off >= MIN_NEXT;
}
