/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "frames.h"

#include <dwarf.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "cfi.h"
#include "mem.h"

enum {
	MAX_INSNS = 16,  /* displaced ones, and where they go on */
	DATA_ALIGN = -8, /* of every record: each saved register is a word */
	ALIGN = 8,
};

struct writer {
	const struct process *process;
	struct linked_part *part;
	bool has_cie;
	size_t cie;        /* offset of the last one in .eh_frame */
	uint8_t cie_ra;    /* where its return address is, */
	bool cie_is_b;     /* and which key signs it */
	bool is_b_key;     /* the one of the last function that was looked at */
};

/* One function's record while it is made. */
struct fde {
	struct buf ops;
	uint64_t start, loc;     /* addresses; the last row holds from loc on */
	bool bad;                /* a rule cannot be written down */
	union cfi_room now;      /* that row; none yet: no column has a rule */
};

/* ---- writing rows --------------------------------------------------------- */

static void put_byte(struct buf *out, unsigned value)
{
	uint8_t byte = (uint8_t)value;

	buf_add(out, &byte, 1);
}

static void put_uleb(struct buf *out, uint64_t value)
{
	for (; value >= 0x80; value >>= 7)
		put_byte(out, 0x80 | (value & 0x7f));
	put_byte(out, (unsigned)value);
}

static void put_sleb(struct buf *out, int64_t value)
{
	for (; value < -0x40 || value >= 0x40; value >>= 7)
		put_byte(out, 0x80 | (value & 0x7f));
	put_byte(out, value & 0x7f);
}

static void put_factored(struct fde *fde, int64_t off)
{
	fde->bad |= off % DATA_ALIGN != 0;
	put_sleb(&fde->ops, off / DATA_ALIGN);
}

static void put_expr(struct fde *fde, const uint8_t *ops, size_t size)
{
	put_uleb(&fde->ops, size);
	buf_add(&fde->ops, ops, size);
}

static void put_rule(struct fde *fde, const struct cfi_rule *rule)
{
	static const uint8_t codes[] = {
		[CFI_UNDEFINED] = DW_CFA_undefined, [CFI_OFFSET] = DW_CFA_offset_extended_sf,
		[CFI_VAL_OFFSET] = DW_CFA_val_offset_sf, [CFI_REGISTER] = DW_CFA_register,
		[CFI_EXPR] = DW_CFA_expression, [CFI_VAL_EXPR] = DW_CFA_val_expression,
	};

	put_byte(&fde->ops, codes[rule->how]);
	put_uleb(&fde->ops, rule->col);
	if (rule->how == CFI_OFFSET || rule->how == CFI_VAL_OFFSET)
		put_factored(fde, rule->off);
	else if (rule->how == CFI_REGISTER)
		put_uleb(&fde->ops, (uint64_t)rule->off);
	else if (rule->how != CFI_UNDEFINED)
		put_expr(fde, rule->expr, rule->expr_size);
}

static bool is_same_rule(const struct cfi_rule *a, const struct cfi_rule *b)
{
	return a && b && a->how == b->how && a->expr_size == b->expr_size && a->off == b->off;
}

static void put_cfa(struct fde *fde, const struct cfi_row *row)
{
	const struct cfi_row *now = &fde->now.row;

	if (row->cfa_expr.ops) {
		put_byte(&fde->ops, DW_CFA_def_cfa_expression);
		put_expr(fde, row->cfa_expr.ops, row->cfa_expr.size);
	} else if (now->cfa_expr.ops || row->cfa_col != now->cfa_col ||
		   row->cfa_off != now->cfa_off || !fde->ops.size) {
		fde->bad |= row->cfa_off < 0;
		put_byte(&fde->ops, DW_CFA_def_cfa);
		put_uleb(&fde->ops, row->cfa_col);
		put_uleb(&fde->ops, (uint64_t)row->cfa_off);
	}
}

static void go_on_to(struct fde *fde, uint64_t addr)
{
	uint64_t by = addr - fde->loc;

	if (by)
		put_byte(&fde->ops, DW_CFA_advance_loc1);
	if (by)
		put_byte(&fde->ops, (unsigned)by);
	fde->bad |= by > UINT8_MAX; /* nothing of ours is so long without a change */
	fde->loc = addr;
}

/* From addr on it is as the row says. */
static void put_row(struct fde *fde, uint64_t addr, const struct cfi_row *row)
{
	const struct cfi_row *now = &fde->now.row;

	go_on_to(fde, addr);
	put_cfa(fde, row);
	for (unsigned i = 0; i < now->nr_rules; i++)
		if (!cfi_rule_of(row, now->rules[i].col)) {
			put_byte(&fde->ops, DW_CFA_same_value);
			put_uleb(&fde->ops, now->rules[i].col);
		}
	for (unsigned i = 0; i < row->nr_rules; i++)
		if (!is_same_rule(&row->rules[i], cfi_rule_of(now, row->rules[i].col)))
			put_rule(fde, &row->rules[i]);
	if (row->ra_signed != now->ra_signed)
		put_byte(&fde->ops, DW_CFA_GNU_window_save); /* negate_ra_state, too */
	memcpy(&fde->now, row, cfi_row_size(row));
}

/* ---- writing records ------------------------------------------------------- */

static uint8_t *eh_end(const struct linked_part *part)
{
	/* The zero that ends the records is overwritten, and stands behind them again. */
	return part->rodata.bytes.data + (part->eh_frame - part->rodata.addr) +
	       part->eh_frame_size - 4;
}

static size_t room_left(const struct linked_part *part)
{
	return part->eh_frame_room - part->eh_frame_size;
}

/* One record: its length, a word, what it has, padded.  False: there is no room. */
static bool put_record(struct writer *w, uint64_t word, const struct buf *body)
{
	size_t size = ((8 + body->size + ALIGN - 1) & ~(size_t)(ALIGN - 1)) - 4;
	bool be = w->process->arch->big_endian;
	uint8_t *at = eh_end(w->part);

	if (4 + size > room_left(w->part))
		return false;
	memset(at, DW_CFA_nop, 4 + size + 4);
	bytes_put(at, 4, size, be);
	bytes_put(at + 4, 4, word, be);
	memcpy(at + 8, body->data, body->size);
	w->part->eh_frame_size += 4 + size;
	return true;
}

/* Version 1; FDEs have absolute addresses, and no data of their own (LSB, 10.6.1.1). */
static bool need_cie(struct writer *w, uint8_t ra)
{
	const uint8_t rest[] = { 1, DATA_ALIGN & 0x7f, ra, 1, DW_EH_PE_absptr };
	AUTO_BUF struct buf buf = { 0 };

	if (w->has_cie && w->cie_ra == ra && w->cie_is_b == w->is_b_key)
		return true;
	put_byte(&buf, 1);
	buf_add_str(&buf, w->is_b_key ? "zRB" : "zR");
	buf_add(&buf, rest, sizeof(rest));
	w->cie = w->part->eh_frame_size - 4;
	w->cie_ra = ra;
	w->cie_is_b = w->is_b_key;
	w->has_cie = put_record(w, 0, &buf);
	return w->has_cie;
}

/* What was made of a run of code from fde->start on; fde is at its end. */
static void put_fde(struct writer *w, struct fde *fde, uint64_t size)
{
	bool be = w->process->arch->big_endian;
	AUTO_BUF struct buf body = { 0 };
	uint8_t words[17] = { 0 }; /* the last: no augmentation data */

	bytes_put(words, 8, fde->start, be);
	bytes_put(words + 8, 8, size, be);
	buf_add(&body, words, sizeof(words));
	buf_add(&body, fde->ops.data, fde->ops.size);
	if (!fde->bad && need_cie(w, fde->now.row.ra_col))
		put_record(w, w->part->eh_frame_size - w->cie, &body);
	buf_done(&fde->ops);
}

static struct fde begin_fde(uint64_t start)
{
	return (struct fde){ .start = start, .loc = start };
}

/* ---- a function's gate and copy ------------------------------------------- */

/* The rows of an original that are of use. */
struct original {
	uint64_t entry, site;    /* vaddrs */
	struct cfi_row *at_entry, *at_site; /* NULL: none was found */
	/* Each displaced instruction, and what follows: where it is, and where its copy is. */
	unsigned nr;
	uint64_t vaddr[MAX_INSNS], copy[MAX_INSNS];
	/* Of a last one that is a call, and a push and a jump in the copy: behind the push. */
	uint64_t pushed;
	unsigned sp_col;
	bool bad;
	struct fde fde;          /* of the island: gate, copy, undoing */
};

static bool is_in(uint64_t vaddr, uint64_t start, uint64_t end)
{
	return vaddr >= start && vaddr < end;
}

/* The same with one word more on the stack. */
static void put_pushed(struct original *o, const struct cfi_row *row)
{
	union cfi_room more;

	memcpy(&more, row, cfi_row_size(row));
	if (!row->cfa_expr.ops && row->cfa_col == o->sp_col)
		more.row.cfa_off += 8;
	put_row(&o->fde, o->pushed, &more.row);
}

/* cfi_emit: rows come in order. */
static void take_row(void *arg, uint64_t start, uint64_t end, const struct cfi_row *row)
{
	struct original *o = arg;

	if (is_in(o->entry, start, end) && !o->at_entry)
		o->at_entry = mem_dup(row, cfi_row_size(row));
	if (is_in(o->site, start, end) && !o->at_site) {
		o->at_site = mem_dup(row, cfi_row_size(row));
		put_row(&o->fde, o->fde.start, row);
	}
	o->bad |= row->is_signal;
	for (unsigned i = 1; i < o->nr; i++)
		if (is_in(o->vaddr[i], start, end))
			put_row(&o->fde, o->copy[i], row);
	if (o->pushed && is_in(o->vaddr[o->nr - 1], start, end))
		put_pushed(o, row);
}

/* Both are walked: a copy may be longer than its original. */
static bool pair_insns(const struct writer *w, const struct unwind_code *code,
		       const struct record_func *func, struct original *o)
{
	const struct arch *arch = w->process->arch;
	const struct link_group *out = &w->part->code;
	uint64_t from = func->site, at = func->displaced;
	struct insn old, new;

	while (o->nr < MAX_INSNS) {
		size_t room = code->end - from < ARCH_INSN_MAX ? code->end - from : ARCH_INSN_MAX;
		const uint8_t *bytes = code->bytes(code, from, room);

		o->vaddr[o->nr] = from - code->bias;
		o->copy[o->nr++] = at;
		if (from >= func->site + arch->jump_size)
			return true;
		if (!bytes || !arch->decode(bytes, room, from, &old) ||
		    !arch->decode(out->bytes.data + (at - out->addr), ARCH_INSN_MAX, at, &new))
			return false;
		if (insn_is_split_call(&old, &new)) {
			o->pushed = at + new.size;
			return true;
		}
		from += old.size;
		at += new.size;
	}
	return false;
}

static bool read_original(struct writer *w, const struct record_func *func,
			  struct original *o)
{
	const struct unwind_code *code = process_code_at(w->process, func->site);
	struct eh_fde fde;
	bool found = false;
	struct err *err;

	if (!code || !code->eh.data || !pair_insns(w, code, func, o))
		return false;
	o->entry = func->old_parts[0].start - code->bias;
	o->site = func->site - code->bias;
	err = eh_find(&code->eh, o->site, &fde, &found);
	if (!err && found)
		err = cfi_rows(w->process->arch, &code->eh, &fde, take_row, o);
	found &= !err;
	w->is_b_key = found && fde.cie.is_b_key;
	err_free(err);
	return found && !o->bad && o->at_entry && o->at_site;
}

/* Where an entry's keeping is undone: as at the site, and after one instruction as before. */
static void add_undo(const struct writer *w, const struct record_func *func, uint64_t island,
		     struct original *o)
{
	const struct link_group *out = &w->part->code;
	struct insn insn;

	if (func->new_addr - island >= LINK_ISLAND_SIZE ||
	    !w->process->arch->decode(out->bytes.data + (func->new_addr - out->addr),
				      ARCH_UNDO_MAX, func->new_addr, &insn))
		return;
	put_row(&o->fde, func->new_addr, o->at_site);
	put_row(&o->fde, func->new_addr + insn.size, o->at_entry);
}

static void add_function(struct writer *w, const struct record_func *func, uint64_t island)
{
	struct original o = { .fde = begin_fde(island),
			      .sp_col = (unsigned)w->process->arch->sp_col };

	if (read_original(w, func, &o)) {
		add_undo(w, func, island, &o);
		put_fde(w, &o.fde, LINK_ISLAND_SIZE);
	}
	buf_done(&o.fde.ops);
	free(o.at_entry);
	free(o.at_site);
}

/* ---- the dispatcher ---------------------------------------------------------- */

static void add_rule(struct cfi_row *row, unsigned col, enum cfi_how how, int64_t off)
{
	row->rules[row->nr_rules++] = (struct cfi_rule){ .col = (uint8_t)col,
							 .how = (uint8_t)how, .off = off };
}

static void put_dispatch_row(const struct writer *w, struct fde *fde, uint64_t from,
			     const struct arch_dispatch_row *at)
{
	const struct arch *arch = w->process->arch;
	const struct arch_dispatch_frame *frame = arch->dispatch_frame;
	union cfi_room room = { .row = { .cfa_col = (uint8_t)arch->sp_col,
					 .ra_col = (uint8_t)arch->ra_col } };
	struct cfi_row *row = &room.row;

	/* As at a function's entry, and what has been pushed. */
	row->cfa_off = arch_entry_cfa(arch) + at->depth;
	for (unsigned i = 0; i < at->nr_saved; i++)
		add_rule(row, frame->saved[i].col, CFI_OFFSET, frame->saved[i].off);
	if (!arch->unwind->ra_in_register)
		add_rule(row, arch->ra_col, CFI_OFFSET, arch->unwind->ra_from_cfa);
	/* Where it is not the CFA the caller's stack pointer has to be said. */
	if (arch->unwind->cfa_above_sp)
		add_rule(row, arch->sp_col, CFI_VAL_OFFSET, -(int64_t)arch->unwind->cfa_above_sp);
	if (frame->expr) {
		add_rule(row, frame->expr_col, CFI_VAL_EXPR, 0);
		row->rules[row->nr_rules - 1].expr = frame->expr;
		row->rules[row->nr_rules - 1].expr_size = frame->expr_size;
	}
	put_row(fde, from + at->off, row);
}

static void add_dispatcher(struct writer *w)
{
	const struct arch *arch = w->process->arch;
	const struct range *range = &w->part->dispatcher;
	uint64_t stub = range->start + link_stubs_at(arch), end = range->start + range->size;
	struct fde fde = begin_fde(range->start);

	for (unsigned i = 0; i < arch->dispatch_frame->nr_rows; i++)
		put_dispatch_row(w, &fde, range->start, &arch->dispatch_frame->rows[i]);
	for (; stub < end; stub += arch->dispatch_stub_size)
		for (unsigned i = 0; i < arch->dispatch_frame->nr_stub_rows; i++)
			put_dispatch_row(w, &fde, stub, &arch->dispatch_frame->stub_rows[i]);
	put_fde(w, &fde, range->size);
}

void frames_add(const struct process *process, const struct record_func *funcs, size_t nr,
		struct linked_part *part)
{
	struct writer w = { .process = process, .part = part };

	for (size_t i = 0; i < nr; i++)
		add_function(&w, &funcs[i], part->islands + i * LINK_ISLAND_SIZE);
	/* Without a stub nobody comes to it. */
	if (part->dispatcher.size > link_stubs_at(process->arch))
		add_dispatcher(&w);
}
