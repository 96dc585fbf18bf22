/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "compare.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "mem.h"

enum { MAX_DEPTH = 64 };

/* What is known of a pair of parts; b's part is the index. */
struct compare_memo {
	uint32_t a;
	enum { MEMO_NONE, MEMO_BUSY, MEMO_SAME, MEMO_DIFFERENT } result;
};

#define REFUSE(reason, ...) err_new(ERR_UNSUPPORTED, reason, __VA_ARGS__)

static const struct unit_part *part_a(const struct compare *c, uint32_t n)
{
	return &c->a->parts[n];
}

static const struct unit_part *part_b(const struct compare *c, uint32_t n)
{
	return &c->b->parts[n];
}

static size_t number_of(const struct unit *unit, const struct symbol *sym)
{
	return (size_t)(sym - unit->image->symtab.symbols);
}

static bool is_local_number(const struct symbol *sym)
{
	size_t base;

	return sym->bind == STB_LOCAL && unit_is_static_local(sym->name, &base);
}

/* Pairs two numbered static locals, unless one has another twin already. */
static bool pair_locals(struct compare *c, const struct symbol *a, const struct symbol *b)
{
	size_t nb = number_of(c->b, b);

	if (c->pair[nb])
		return c->pair[nb] == a;
	if (a->size != b->size || !unit_same_base(a->name, b->name))
		return false;
	for (size_t i = 0; i < c->b->image->symtab.nr; i++)
		if (c->pair[i] == a)
			return false;
	c->pair[nb] = a;
	return true;
}

static bool same_string(const struct unit_part *a, uint64_t at_a,
			const struct unit_part *b, uint64_t at_b)
{
	size_t unit = a->section->entry_size ? a->section->entry_size : 1;
	size_t left_a = a->section->size > at_a ? a->section->size - at_a : 0;
	size_t left_b = b->section->size > at_b ? b->section->size - at_b : 0;

	if (a->section->entry_size != b->section->entry_size)
		return false;
	for (size_t i = 0; i + unit <= left_a && i + unit <= left_b; i += unit) {
		const uint8_t *x = a->section->data + at_a + i;
		const uint8_t *y = b->section->data + at_b + i;
		bool zero = true;

		if (memcmp(x, y, unit))
			return false;
		for (size_t j = 0; j < unit; j++)
			zero &= !x[j];
		if (zero)
			return true;
	}
	return left_a == left_b && !left_a;
}

static bool same_parts(struct compare *c, uint32_t a, uint32_t b);

static bool same_target(struct compare *c, const struct unit_ref *a,
			const struct unit_ref *b);

static size_t first_ref(const struct unit_part *part, uint64_t at)
{
	size_t n = 0;

	while (n < part->nr_refs && part->refs[n].off < at)
		n++;
	return n;
}

/* The alignment of what follows may add zeroes to an end. */
static bool only_zeroes(const struct unit_part *part, uint64_t from, uint64_t to)
{
	if (to - from >= 32)
		return false;
	for (; from < to; from++)
		if (part->section->data[from])
			return false;
	return true;
}

/* What size bytes of two parts refer to, from at_a and at_b on. */
static bool same_refs(struct compare *c, const struct unit_part *pa, uint64_t at_a,
		      const struct unit_part *pb, uint64_t at_b, uint64_t size)
{
	size_t i = first_ref(pa, at_a), j = first_ref(pb, at_b);

	for (;; i++, j++) {
		bool more_a = i < pa->nr_refs && pa->refs[i].off < at_a + size;
		bool more_b = j < pb->nr_refs && pb->refs[j].off < at_b + size;
		struct unit_ref a, b;

		if (!more_a || !more_b)
			return more_a == more_b;
		a = pa->refs[i], b = pb->refs[j];
		a.off -= at_a, b.off -= at_b;
		if (!same_target(c, &a, &b))
			return false;
	}
}

/* Two things without names, each up to the next that anything refers to. */
static bool same_chunk(struct compare *c, const struct unit_ref *a, const struct unit_ref *b)
{
	const struct unit_part *pa = part_a(c, a->section), *pb = part_b(c, b->section);
	uint64_t end_a = unit_chunk_end(c->a, a->section, a->at);
	uint64_t end_b = unit_chunk_end(c->b, b->section, b->at);
	uint64_t size = end_a - a->at < end_b - b->at ? end_a - a->at : end_b - b->at;
	bool same;

	if (a->at > end_a || b->at > end_b || !pa->section->data || !pb->section->data ||
	    !only_zeroes(pa, a->at + size, end_a) || !only_zeroes(pb, b->at + size, end_b) ||
	    memcmp(pa->section->data + a->at, pb->section->data + b->at, size) ||
	    c->depth >= MAX_DEPTH)
		return false;
	c->depth++;
	same = same_refs(c, pa, a->at, pb, b->at, size);
	c->depth--;
	return same;
}

static bool same_constant(struct compare *c, const struct unit_ref *a,
			  const struct unit_ref *b)
{
	const struct unit_part *pa = part_a(c, a->section), *pb = part_b(c, b->section);
	uint64_t size = pa->section->entry_size;
	const struct symbol *sa = unit_symbol_at(c->a, a->section, a->at);
	const struct symbol *sb = unit_symbol_at(c->b, b->section, b->at);

	/* One entry of a merged section: 4, 8, 16 or 32 bytes. */
	if ((pa->section->flags & SHF_MERGE) && (pb->section->flags & SHF_MERGE) && size &&
	    pb->section->entry_size == size) {
		uint64_t x = a->at / size * size, y = b->at / size * size;

		return a->at - x == b->at - y && x + size <= pa->section->size &&
		       y + size <= pb->section->size &&
		       !memcmp(pa->section->data + x, pb->section->data + y, size);
	}
	if (!sa && !sb)
		return same_chunk(c, a, b);
	/* Names others can see are what is meant, the contents are checked apart. */
	if (sa && sb && (sa->bind != STB_LOCAL || sb->bind != STB_LOCAL) &&
	    strcmp(sa->name, sb->name))
		return false;
	if ((sa ? a->at - sa->value : a->at) != (sb ? b->at - sb->value : b->at))
		return false;
	return same_parts(c, a->section, b->section);
}

static bool same_variable(struct compare *c, const struct unit_ref *a,
			  const struct unit_ref *b)
{
	const struct symbol *sa = unit_symbol_at(c->a, a->section, a->at);
	const struct symbol *sb = unit_symbol_at(c->b, b->section, b->at);

	if (!sa || !sb)
		return !sa && !sb && a->at == b->at &&
		       !strcmp(part_a(c, a->section)->section->name,
			       part_b(c, b->section)->section->name);
	if (a->at - sa->value != b->at - sb->value)
		return false;
	if (is_local_number(sa) && is_local_number(sb))
		return pair_locals(c, sa, sb);
	return !strcmp(sa->name, sb->name);
}

static bool same_code_place(struct compare *c, const struct unit_ref *a,
			    const struct unit_ref *b)
{
	const struct symbol *sa = unit_symbol_at(c->a, a->section, a->at);
	const struct symbol *sb = unit_symbol_at(c->b, b->section, b->at);

	if (!sa || !sb)
		return !sa && !sb && a->at == b->at;
	return !strcmp(sa->name, sb->name) && a->at - sa->value == b->at - sb->value;
}

static bool same_target(struct compare *c, const struct unit_ref *a,
			const struct unit_ref *b)
{
	const struct symbol *sa = &c->a->image->symtab.symbols[a->symbol];
	const struct symbol *sb = &c->b->image->symtab.symbols[b->symbol];

	if (a->type != b->type || a->off != b->off)
		return false;
	if (!a->section || !b->section) /* undefined, common or absolute */
		return a->section == b->section && sa->section == sb->section &&
		       a->addend == b->addend && !strcmp(sa->name, sb->name);
	if (part_a(c, a->section)->kind != part_b(c, b->section)->kind)
		return false;
	switch (part_b(c, b->section)->kind) {
	case PART_STRINGS:
		return same_string(part_a(c, a->section), a->at,
				   part_b(c, b->section), b->at);
	case PART_CODE:
		return same_code_place(c, a, b);
	case PART_RODATA:
	case PART_LSDA:
		return same_constant(c, a, b);
	default:
		return same_variable(c, a, b);
	}
}

/* Bytes equal but for the fields that relocations fill in. */
static bool same_bytes(const struct unit_part *a, const struct unit_part *b)
{
	const struct section *sa = a->section, *sb = b->section;
	AUTO_FREE uint8_t *x = NULL, *y = NULL;

	if (sa->size != sb->size)
		return false;
	if (!sa->data || !sb->data) {
		const uint8_t *some = sa->data ? sa->data : sb->data;

		for (uint64_t i = 0; some && i < sa->size; i++)
			if (some[i])
				return false;
		return true;
	}
	if (!memcmp(sa->data, sb->data, sa->size))
		return true;
	x = mem_dup(sa->data, sa->size);
	y = mem_dup(sb->data, sb->size);
	/* With addends in the relocations, fields hold nothing of their own. */
	for (size_t i = 0; i < b->nr_refs; i++)
		for (uint64_t j = 0; !b->refs[i].in_insn && j < b->refs[i].size &&
		     b->refs[i].off + j < sa->size; j++)
			x[b->refs[i].off + j] = y[b->refs[i].off + j] = 0;
	return !memcmp(x, y, sa->size);
}

/* Pairings made on the way count only if all of the part is the same. */
static bool compare_parts(struct compare *c, uint32_t a, uint32_t b)
{
	const struct unit_part *pa = part_a(c, a), *pb = part_b(c, b);
	size_t nr = c->b->image->symtab.nr;
	AUTO_FREE const struct symbol **before = NULL;

	if (pa->nr_refs != pb->nr_refs || pa->kind != pb->kind || !same_bytes(pa, pb))
		return false;
	before = mem_dup(c->pair, nr * sizeof(*before));
	for (size_t i = 0; i < pb->nr_refs; i++)
		if (!same_target(c, &pa->refs[i], &pb->refs[i])) {
			memcpy(c->pair, before, nr * sizeof(*before));
			return false;
		}
	return true;
}

/*
 * Parts below one that is different may have been taken for the same for its sake (constants
 * that lead to each other), or with pairings that it takes back: that is not known any more.
 */
static void forget_taken(struct compare *c, size_t from)
{
	while (c->nr_taken > from)
		c->memo[c->taken[--c->nr_taken]].result = MEMO_NONE;
}

static bool same_parts(struct compare *c, uint32_t a, uint32_t b)
{
	struct compare_memo *memo = &c->memo[b];
	size_t before = c->nr_taken;
	bool same;

	if (memo->result != MEMO_NONE && memo->a == a)
		return memo->result != MEMO_DIFFERENT; /* busy: a cycle, so far the same */
	if (c->depth >= MAX_DEPTH)
		return false;
	*memo = (struct compare_memo){ a, MEMO_BUSY };
	c->depth++;
	same = compare_parts(c, a, b);
	c->depth--;
	if (!same)
		forget_taken(c, before);
	*memo = (struct compare_memo){ a, same ? MEMO_SAME : MEMO_DIFFERENT };
	if (!c->depth)
		c->nr_taken = 0;
	else if (same)
		*ARRAY_ADD(c->taken, c->nr_taken) = b;
	return same;
}

const struct symbol *compare_twin(const struct compare *c, const struct symbol *b)
{
	size_t nb = number_of(c->b, b);

	if (!c->a || c->pair[nb])
		return c->pair[nb];
	if (is_local_number(b) && b->section < c->b->image->nr_sections &&
	    (c->b->parts[b->section].kind == PART_DATA ||
	     c->b->parts[b->section].kind == PART_TLS))
		return NULL;
	return unit_find_symbol(c->a, b->name);
}

/* ---- code --------------------------------------------------------------- */

/* The function of a by the name of one of b; NULL: it is new. */
static const struct symbol *code_twin(const struct compare *c, const struct symbol *sb)
{
	const struct symbol *sa = unit_find_symbol(c->a, sb->name);

	return sa && sa->section < c->a->image->nr_sections &&
	       part_a(c, sa->section)->kind == PART_CODE ? sa : NULL;
}

/* The section of a that has a function of this one of b; 0: there is none, it is new. */
static uint32_t twin_section(const struct compare *c, uint32_t n)
{
	size_t nr;
	AUTO_FREE const struct symbol **funcs = unit_functions(c->b, n, &nr);

	for (size_t i = 0; i < nr; i++) {
		const struct symbol *sa = code_twin(c, funcs[i]);

		if (sa)
			return sa->section;
	}
	return 0;
}

static void compare_code(struct compare *c)
{
	for (uint32_t n = 1; n < c->b->image->nr_sections; n++) {
		uint32_t twin;

		if (part_b(c, n)->kind != PART_CODE || !part_b(c, n)->section->size)
			continue;
		twin = twin_section(c, n);
		c->state[n] = !twin ? STATE_NEW :
			      same_parts(c, twin, n) ? STATE_SAME : STATE_CHANGED;
	}
}

/* Part of a section, without what relocations fill in. */
static uint8_t *bare_bytes(const struct unit_part *part, const struct symbol *sym)
{
	uint8_t *bytes = mem_dup(part->section->data + sym->value, sym->size);

	for (size_t i = first_ref(part, sym->value); i < part->nr_refs; i++)
		for (uint64_t j = 0; !part->refs[i].in_insn && j < part->refs[i].size; j++)
			if (part->refs[i].off + j - sym->value < sym->size)
				bytes[part->refs[i].off + j - sym->value] = 0;
	return bytes;
}

/* Two functions, each of which is a part of its section. */
static bool same_function(struct compare *c, const struct symbol *sa, const struct symbol *sb)
{
	const struct unit_part *pa = part_a(c, sa->section), *pb = part_b(c, sb->section);
	AUTO_FREE uint8_t *x = NULL, *y = NULL;

	if (sa->size != sb->size || !pa->section->data || !pb->section->data ||
	    sa->value + sa->size > pa->section->size || sb->value + sb->size > pb->section->size)
		return false;
	x = bare_bytes(pa, sa);
	y = bare_bytes(pb, sb);
	return !memcmp(x, y, sa->size) &&
	       same_refs(c, pa, sa->value, pb, sb->value, sa->size);
}

static bool handlers_changed(const struct compare *c)
{
	for (uint32_t n = 1; n < c->b->image->nr_sections; n++)
		if (part_b(c, n)->kind == PART_LSDA && c->state[n] != STATE_SAME)
			return true;
	return false;
}

/*
 * Which functions of a changed section changed.  All of one that has but one, and all where
 * tables of exception handlers changed, which do not say whose they are.
 */
static struct err *note_differences(struct compare *c, uint32_t n)
{
	size_t nr, nr_differ = 0;
	AUTO_FREE const struct symbol **funcs = unit_functions(c->b, n, &nr);
	bool all = nr == 1 || handlers_changed(c);

	for (size_t i = 0; i < nr; i++) {
		const struct symbol *sa = code_twin(c, funcs[i]);
		bool differs = all || !sa || !same_function(c, sa, funcs[i]);

		c->differs[number_of(c->b, funcs[i])] = differs;
		nr_differ += differs;
	}
	if (nr_differ)
		return NULL;
	return REFUSE("no-function-sections", "section %s changed, and none of the functions that "
		      "share it: a function needs a size (.size)", part_b(c, n)->section->name);
}

/* A table of exception handlers belongs to the function of its name. */
static void compare_lsda(struct compare *c)
{
	for (uint32_t n = 1; n < c->b->image->nr_sections; n++) {
		const struct section *sec = part_b(c, n)->section;
		const char *dot = sec ? strchr(sec->name + 1, '.') : NULL;
		const struct section *old;
		const struct symbol *func;

		if (part_b(c, n)->kind != PART_LSDA)
			continue;
		old = image_find_section(c->a->image, sec->name);
		if (old && same_parts(c, (uint32_t)(old - c->a->image->sections), n)) {
			c->state[n] = STATE_SAME;
			continue;
		}
		c->state[n] = old ? STATE_CHANGED : STATE_NEW;
		func = dot ? unit_find_symbol(c->b, dot + 1) : NULL;
		for (uint32_t f = 1; f < c->b->image->nr_sections; f++)
			/* One table for all: whoever has code may use it. */
			if (part_b(c, f)->kind == PART_CODE &&
			    (func ? func->section == f : !dot) &&
			    c->state[f] == STATE_SAME)
				c->state[f] = STATE_CHANGED;
	}
}

/* A function and its .cold part jump into each other: both or none. */
static void join_cold(struct compare *c)
{
	for (uint32_t n = 1; n < c->b->image->nr_sections; n++) {
		const struct symbol *cold = unit_function(c->b, n);
		AUTO_FREE char *name = cold ? mem_strdup(cold->name) : NULL;
		const struct symbol *parent;
		size_t size;

		if (!cold || !unit_is_cold(cold->name, &size))
			continue;
		name[size] = 0;
		parent = unit_find_symbol(c->b, name);
		if (!parent || parent->section >= c->b->image->nr_sections)
			continue;
		if (c->state[n] != STATE_SAME && c->state[parent->section] == STATE_SAME)
			c->state[parent->section] = STATE_CHANGED;
		if (c->state[parent->section] != STATE_SAME && c->state[n] == STATE_SAME)
			c->state[n] = STATE_CHANGED;
	}
}

/* The cold part may have gone while the rest stayed as it was. */
static void note_lost_cold(struct compare *c)
{
	for (uint32_t n = 1; n < c->a->image->nr_sections; n++) {
		const struct symbol *cold = unit_function(c->a, n);
		AUTO_FREE char *name = cold ? mem_strdup(cold->name) : NULL;
		const struct symbol *parent;
		size_t size;

		if (!cold || !unit_is_cold(cold->name, &size) ||
		    unit_find_symbol(c->b, cold->name))
			continue;
		name[size] = 0;
		parent = unit_find_symbol(c->b, name);
		if (parent && parent->section < c->b->image->nr_sections &&
		    c->state[parent->section] == STATE_SAME)
			c->state[parent->section] = STATE_CHANGED;
	}
}

/* ---- static locals ------------------------------------------------------ */

struct local {
	const struct symbol *sym;
	size_t base_size;
};

static void collect_locals(const struct unit *unit, const struct unit_part *part,
			   struct local **locals, size_t *nr)
{
	for (size_t i = 0; i < part->nr_refs; i++) {
		const struct unit_ref *ref = &part->refs[i];
		const struct symbol *sym = ref->section ?
			unit_symbol_at(unit, ref->section, ref->at) : NULL;
		bool known = false;

		if (!sym || !is_local_number(sym) ||
		    (unit->parts[sym->section].kind != PART_DATA &&
		     unit->parts[sym->section].kind != PART_TLS))
			continue;
		for (size_t j = 0; j < *nr; j++)
			known |= (*locals)[j].sym == sym;
		if (!known) {
			struct local *local = ARRAY_ADD(*locals, *nr);

			local->sym = sym;
			unit_is_static_local(sym->name, &local->base_size);
		}
	}
}

static bool is_paired_a(const struct compare *c, const struct symbol *a)
{
	for (size_t i = 0; i < c->b->image->symtab.nr; i++)
		if (c->pair[i] == a)
			return true;
	return false;
}

/* The unpaired ones of the same base as b; *one is one of them. */
static size_t count_base(const struct compare *c, bool in_a, const struct local *locals,
			 size_t nr, const struct symbol *like, const struct symbol **one)
{
	size_t count = 0;

	for (size_t i = 0; i < nr; i++) {
		const struct symbol *sym = locals[i].sym;

		if (!unit_same_base(sym->name, like->name) ||
		    (in_a ? is_paired_a(c, sym) :
			    c->pair[number_of(c->b, sym)] != NULL))
			continue;
		*one = sym;
		count++;
	}
	return count;
}

/*
 * Static locals of a changed function: if one of a name is left on each side
 * they are twins; two of a name cannot be told apart.
 */
static struct err *pair_changed(struct compare *c, uint32_t a, uint32_t b)
{
	AUTO_FREE struct local *in_a = NULL, *in_b = NULL;
	size_t nr_a = 0, nr_b = 0;

	collect_locals(c->a, part_a(c, a), &in_a, &nr_a);
	collect_locals(c->b, part_b(c, b), &in_b, &nr_b);
	for (size_t i = 0; i < nr_b; i++) {
		const struct symbol *b_sym = in_b[i].sym, *a_sym = NULL, *same = NULL;
		size_t left_a, left_b;

		if (c->pair[number_of(c->b, b_sym)])
			continue;
		left_a = count_base(c, true, in_a, nr_a, b_sym, &a_sym);
		left_b = count_base(c, false, in_b, nr_b, b_sym, &same);
		if (!left_a)
			continue; /* a new one */
		if (left_a > 1 || left_b > 1)
			return REFUSE("ambiguous-static-local",
				      "static locals named %.*s: %zu before and %zu after "
				      "the change cannot be told apart; give them different "
				      "names", (int)in_b[i].base_size, b_sym->name, left_a,
				      left_b);
		if (a_sym->size != b_sym->size)
			return REFUSE("changed-size", "static local %.*s had %lu bytes and "
				      "has %lu: live data cannot grow; use a shadow variable",
				      (int)in_b[i].base_size, b_sym->name,
				      (unsigned long)a_sym->size, (unsigned long)b_sym->size);
		c->pair[number_of(c->b, b_sym)] = a_sym;
	}
	return NULL;
}

static struct err *pair_all_changed(struct compare *c)
{
	for (uint32_t n = 1; n < c->b->image->nr_sections; n++) {
		uint32_t twin;
		struct err *err;

		if (part_b(c, n)->kind != PART_CODE || c->state[n] != STATE_CHANGED)
			continue;
		twin = twin_section(c, n);
		if (twin && (err = pair_changed(c, twin, n)))
			return err_wrap(err, "%s", part_b(c, n)->section->name);
	}
	return NULL;
}

/* ---- data --------------------------------------------------------------- */

/* Nobody but this file can name it, or nobody's code depends on its bytes. */
static bool is_shared_constant(const struct symbol *sym)
{
	return sym && sym->bind != STB_LOCAL && strncmp(sym->name, "DW.ref.", 7);
}

static struct err *compare_rodata(struct compare *c, uint32_t n)
{
	const struct section *sec = part_b(c, n)->section;
	const struct symbol *sb = unit_symbol_at(c->b, n, 0), *sa;

	/* Anonymous and local: whoever uses it was compared by its contents. */
	c->state[n] = STATE_NEW;
	if (sec->flags & SHF_MERGE)
		return NULL;
	sa = sb ? unit_find_symbol(c->a, sb->name) : NULL;
	if (sa && sa->section < c->a->image->nr_sections &&
	    same_parts(c, sa->section, n)) {
		c->state[n] = STATE_SAME;
		return NULL;
	}
	if (sa && is_shared_constant(sb))
		return REFUSE("changed-constant", "the contents of the constant %s changed "
			      "and other files can use it: make the change in the functions "
			      "that read it", sb->name);
	c->state[n] = sa ? STATE_CHANGED : STATE_NEW;
	return NULL;
}

static struct err *compare_variable(struct compare *c, uint32_t n, const struct symbol *sb)
{
	const struct symbol *sa = compare_twin(c, sb);

	if (!sa || sa->section >= c->a->image->nr_sections)
		return NULL;
	if (sa->size != sb->size)
		return REFUSE("changed-size", "%s had %lu bytes and has %lu: live data cannot "
			      "change its layout; use a shadow variable", sb->name,
			      (unsigned long)sa->size, (unsigned long)sb->size);
	if (!same_parts(c, sa->section, n))
		return REFUSE("changed-initial-value", "the initial value of %s changed: the "
			      "running program keeps the value that it has; use a callback "
			      "to set it", sb->name);
	c->state[n] = STATE_SAME;
	return NULL;
}

static struct err *compare_data(struct compare *c, uint32_t n)
{
	const struct symtab *tab = &c->b->image->symtab;
	const struct section *sec = part_b(c, n)->section;
	const struct section *old = image_find_section(c->a->image, sec->name);
	bool named = false;
	struct err *err;

	c->state[n] = STATE_NEW;
	for (size_t i = 0; i < tab->nr; i++) {
		const struct symbol *sym = &tab->symbols[i];

		if (sym->section != n || (sym->type != STT_OBJECT && sym->type != STT_TLS) ||
		    !unit_is_named(c->b, sym))
			continue;
		named = true;
		/* The pointer to a personality routine: a copy is as good. */
		if (!strncmp(sym->name, "DW.ref.", 7))
			continue;
		if ((err = compare_variable(c, n, sym)))
			return err;
	}
	if (named)
		return NULL;
	/* Data without names (of an assembler file): by its section. */
	if (old && same_parts(c, (uint32_t)(old - c->a->image->sections), n))
		c->state[n] = STATE_SAME;
	else if (old)
		return REFUSE("changed-section", "the data in section %s changed", sec->name);
	return NULL;
}

static struct err *compare_by_name(struct compare *c, uint32_t n, const char *reason,
				   const char *what)
{
	const struct section *sec = part_b(c, n)->section;
	const struct section *old = image_find_section(c->a->image, sec->name);

	c->state[n] = STATE_SAME;
	if (old && same_parts(c, (uint32_t)(old - c->a->image->sections), n))
		return NULL;
	return REFUSE(reason, what, sec->name);
}

static struct err *compare_part(struct compare *c, uint32_t n)
{
	if (!part_b(c, n)->section->size)
		return NULL;
	switch (part_b(c, n)->kind) {
	case PART_RODATA:
		return compare_rodata(c, n);
	case PART_STRINGS:
		c->state[n] = STATE_NEW; /* taken string by string, where used */
		return NULL;
	case PART_DATA:
	case PART_TLS:
		return compare_data(c, n);
	case PART_INIT:
		return compare_by_name(c, n, "changed-constructor",
				       "what runs at start or exit changed (%s): it would "
				       "not run in a process that has started; use a callback");
	case PART_OTHER:
		return compare_by_name(c, n, "changed-section",
				       "section %s changed and what it means is not known");
	default:
		return NULL;
	}
}

/* What was there and is not any more, where that matters. */
static struct err *check_removed(const struct compare *c)
{
	for (uint32_t n = 1; n < c->a->image->nr_sections; n++) {
		const struct unit_part *part = part_a(c, n);

		if ((part->kind == PART_INIT || part->kind == PART_OTHER) &&
		    part->section->size &&
		    !image_find_section(c->b->image, part->section->name))
			return REFUSE(part->kind == PART_INIT ? "changed-constructor" :
				      "changed-section", "section %s was removed",
				      part->section->name);
	}
	return NULL;
}

static struct err *check_ifuncs(const struct compare *c)
{
	const struct symtab *tab = &c->b->image->symtab;

	for (size_t i = 0; i < tab->nr; i++) {
		const struct symbol *sym = &tab->symbols[i];

		if (sym->type == STT_GNU_IFUNC && sym->section < c->b->image->nr_sections &&
		    sym->section && c->state[sym->section] != STATE_SAME)
			return REFUSE("changed-ifunc", "the resolver of %s changed or is new: "
				      "its choice was made when the process started",
				      sym->name);
	}
	return NULL;
}

/* Functions without sections of their own: assembler, or the source names a section. */
static struct err *check_sections(struct compare *c)
{
	const struct symtab *tab = &c->b->image->symtab;
	struct err *err = NULL;

	for (size_t i = 0; i < tab->nr; i++) {
		const struct symbol *sym = &tab->symbols[i];

		if (sym->type == STT_FUNC && sym->value && sym->section && !sym->size &&
		    sym->section < c->b->image->nr_sections &&
		    c->state[sym->section] == STATE_CHANGED)
			return REFUSE("no-function-sections", "%s shares its section %s, which "
				      "changed, with others and has no size (.size)", sym->name,
				      part_b(c, sym->section)->section->name);
	}
	for (uint32_t n = 1; n < c->b->image->nr_sections && !err; n++)
		if (part_b(c, n)->kind == PART_CODE && c->state[n] == STATE_CHANGED)
			err = note_differences(c, n);
	return err;
}

/* ---- all ---------------------------------------------------------------- */

static void compare_init(struct compare *c, const struct unit *a, const struct unit *b)
{
	*c = (struct compare){ .a = a, .b = b };
	c->state = mem_alloc(b->image->nr_sections * sizeof(*c->state));
	c->memo = mem_alloc(b->image->nr_sections * sizeof(*c->memo));
	c->pair = mem_alloc(b->image->symtab.nr * sizeof(*c->pair));
	c->differs = mem_alloc(b->image->symtab.nr * sizeof(*c->differs));
}

/*
 * Twice: the first pass pairs static locals by the functions that did not
 * change, and may have taken a function for changed before its locals were
 * paired.
 */
static void compare_functions(struct compare *c)
{
	for (int pass = 0; pass < 2; pass++) {
		memset(c->memo, 0, c->b->image->nr_sections * sizeof(*c->memo));
		compare_code(c);
	}
	compare_lsda(c);
	note_lost_cold(c);
	join_cold(c);
}

struct err *compare_units(const struct unit *a, const struct unit *b, struct compare *c)
{
	struct err *err;

	compare_init(c, a, b);
	compare_functions(c);
	err = pair_all_changed(c);
	for (uint32_t n = 1; n < b->image->nr_sections && !err; n++)
		err = compare_part(c, n);
	if (!err)
		err = check_removed(c);
	if (!err)
		err = check_ifuncs(c);
	if (!err)
		err = check_sections(c);
	if (err)
		compare_done(c);
	return err;
}

struct err *compare_new_unit(const struct unit *b, struct compare *c)
{
	compare_init(c, NULL, b);
	for (uint32_t n = 1; n < b->image->nr_sections; n++) {
		enum part_kind kind = part_b(c, n)->kind;

		if (kind == PART_INIT && part_b(c, n)->section->size) {
			compare_done(c);
			return REFUSE("changed-constructor", "section %s is new: it would not "
				      "run in a process that has started; use a callback",
				      b->image->sections[n].name);
		}
		if (kind != PART_IGNORED && kind != PART_EH)
			c->state[n] = STATE_NEW;
	}
	return NULL;
}

void compare_done(struct compare *c)
{
	free(c->state);
	free(c->memo);
	free(c->taken);
	free(c->pair);
	free(c->differs);
	*c = (struct compare){ 0 };
}

struct err *compare_drop_line_noise(struct compare *c, const struct unit *a_line,
				    const struct unit *b_line)
{
	struct compare line;

	compare_init(&line, a_line, b_line);
	compare_functions(&line);
	for (uint32_t n = 1; n < c->b->image->nr_sections; n++) {
		const struct symbol *func = unit_function(c->b, n);
		const struct symbol *same = func && c->state[n] == STATE_CHANGED ?
					    unit_find_symbol(b_line, func->name) : NULL;

		if (same && same->section < b_line->image->nr_sections &&
		    line.state[same->section] == STATE_SAME)
			c->state[n] = STATE_LINE;
	}
	compare_done(&line);
	/* A function and its cold part stay together here, too: join_cold() saw
	 * to it that both were changed, and made the same in the other pair. */
	return NULL;
}

static const char *name_of_target(const struct unit *unit, const struct unit_ref *ref)
{
	const struct symbol *sym = ref->section ? unit_symbol_at(unit, ref->section, ref->at) :
						  &unit->image->symtab.symbols[ref->symbol];

	return sym ? sym->name : "";
}

static char *text_of_difference(const struct compare *c, const struct unit_ref *a,
				const struct unit_ref *b)
{
	const char *x = name_of_target(c->a, a), *y = name_of_target(c->b, b);
	enum part_kind kind = b->section ? part_b(c, b->section)->kind : PART_IGNORED;

	if (a->section && kind == PART_STRINGS &&
	    part_a(c, a->section)->kind == PART_STRINGS)
		return same_string(part_a(c, a->section), a->at, part_b(c, b->section), b->at) ?
		       NULL : mem_strdup("a string that it uses changed");
	if (strcmp(x, y) && *x && *y)
		return mem_fmt("it refers to %s, not to %s any more", y, x);
	if (kind == PART_RODATA && *y && c->memo[b->section].result == MEMO_DIFFERENT)
		return mem_fmt("the constant %s, which it uses, changed", y);
	return NULL;
}

char *compare_reference(const struct compare *c, const struct symbol *func)
{
	const struct symbol *sa = c->a ? unit_find_symbol(c->a, func->name) : NULL;
	const struct unit_part *pb = part_b(c, func->section), *pa;
	char *text = NULL;

	if (!sa || !sa->section || sa->section >= c->a->image->nr_sections)
		return NULL;
	pa = part_a(c, sa->section);
	if (pa->nr_refs != pb->nr_refs || !same_bytes(pa, pb))
		return NULL;
	for (size_t i = 0; i < pb->nr_refs && !text; i++)
		text = text_of_difference(c, &pa->refs[i], &pb->refs[i]);
	return text ? text : mem_strdup("a constant or table that it uses changed");
}

struct err *compare_constructors(const struct compare *c)
{
	for (uint32_t n = 1; n < c->b->image->nr_sections; n++) {
		const struct unit_part *init = part_b(c, n);

		for (size_t i = 0; init->kind == PART_INIT && i < init->nr_refs; i++) {
			const struct symbol *func = unit_function(c->b, init->refs[i].section);

			if (func && c->state[init->refs[i].section] == STATE_CHANGED)
				return REFUSE("changed-constructor", "%s, which runs at start "
					      "or exit, changed: it does not run again in a "
					      "process that has started; do in a callback what "
					      "it would have done, and say --allow-constructor",
					      func->name);
		}
	}
	return NULL;
}

bool compare_is_changed(const struct compare *c)
{
	for (uint32_t n = 1; n < c->b->image->nr_sections; n++)
		if (part_b(c, n)->kind == PART_CODE && part_b(c, n)->section->size &&
		    (c->state[n] == STATE_CHANGED || c->state[n] == STATE_NEW))
			return true;
	return false;
}

/* Debug information differs for every line that moved; memory need not. */
bool compare_plain_equal(const struct image *a, const struct image *b)
{
	bool equal = a->nr_sections == b->nr_sections && a->symtab.nr == b->symtab.nr;

	if (a->size == b->size && !memcmp(a->data, b->data, a->size))
		return true;
	for (size_t i = 0; i < b->nr_sections && equal; i++) {
		const struct section *x = &a->sections[i], *y = &b->sections[i];
		AUTO_FREE struct reloc *rx = NULL, *ry = NULL;
		size_t nx = 0, ny = 0;

		if (strcmp(x->name, y->name) || x->flags != y->flags)
			return false;
		if (!(x->flags & SHF_ALLOC))
			continue;
		if (x->size != y->size || (x->data && memcmp(x->data, y->data, x->size)))
			return false;
		err_free(image_relocs_of(a, (uint32_t)i, &rx, &nx));
		err_free(image_relocs_of(b, (uint32_t)i, &ry, &ny));
		equal = nx == ny;
		for (size_t j = 0; j < nx && equal; j++) {
			const struct symbol *sx = &a->symtab.symbols[rx[j].symbol];
			const struct symbol *sy = &b->symtab.symbols[ry[j].symbol];

			equal = rx[j].off == ry[j].off && rx[j].type == ry[j].type &&
				rx[j].addend == ry[j].addend && !strcmp(sx->name, sy->name) &&
				sx->section == sy->section && sx->value == sy->value;
		}
	}
	return equal;
}
