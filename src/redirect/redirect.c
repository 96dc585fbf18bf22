/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "redirect.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "mem.h"

enum { PAGE = 4096 };

#define REFUSE(reason, ...) err_new(ERR_UNSUPPORTED, reason, __VA_ARGS__)

struct entry {
	const struct arch *arch;
	const struct object *object;
	const struct slp_func *func;
	const uint8_t *code;  /* the function's bytes in the file */
	size_t keep;
	uint64_t site;        /* address */
	size_t displaced;     /* bytes of whole instructions under the jump */
};

/* The file's bytes have to be those that the patch was made for. */
static struct err *check_file_bytes(struct entry *entry)
{
	const struct slp_func *func = entry->func;
	uint8_t hash[SLP_HASH_SIZE];

	entry->code = image_at(entry->object->image, func->vaddr, func->size);
	if (entry->code)
		crypto_hash_sha256(hash, entry->code, func->size);
	if (!entry->code || memcmp(hash, func->old_hash, sizeof(hash)))
		return REFUSE("old-bytes-differ", "%s: %s is not the function that the "
			      "patch was made for", entry->object->name, func->name);
	entry->keep = entry->arch->entry_keep(entry->code, func->size);
	entry->site = entry->object->bias + func->vaddr + entry->keep;
	return NULL;
}

/*
 * In memory the function must be as in the file, but for the jump of a patch
 * of ours.  Anything else is a breakpoint, a probe or another patcher.
 */
static struct err *check_memory(const struct process *process, const struct record *record,
				const struct entry *entry)
{
	const struct slp_func *func = entry->func;
	AUTO_FREE uint8_t *now = mem_alloc(func->size);
	const struct record_func *top = record_top(record, entry->site, NULL);
	uint64_t addr = entry->object->bias + func->vaddr;
	size_t skip_from = func->size, skip_to = func->size;
	uint8_t jump[ARCH_JUMP_MAX];
	struct err *err = process_read(process, addr, now, func->size);

	if (err)
		return err;
	if (top) {
		skip_from = entry->keep;
		skip_to = entry->keep + entry->arch->jump_size;
		if (!entry->arch->put_jump(jump, entry->site, top->new_addr) ||
		    (skip_to <= func->size &&
		     memcmp(now + skip_from, jump, entry->arch->jump_size)))
			return REFUSE("foreign-jump", "%s: the entry of %s is not as the "
				      "record of its patches says", entry->object->name,
				      func->name);
	}
	for (size_t i = 0; i < func->size; i++)
		if ((i < skip_from || i >= skip_to) && now[i] != entry->code[i])
			return REFUSE("old-bytes-differ",
				      "%s: in memory %s differs from its file at +%#zx: a "
				      "breakpoint, a probe or another patch is there",
				      entry->object->name, func->name, i);
	return NULL;
}

/* The bytes behind a function that is shorter than a jump: padding only. */
static struct err *check_room(const struct entry *entry)
{
	const struct slp_func *func = entry->func;
	size_t need = entry->keep + entry->arch->jump_size, at = func->size;
	const uint8_t *code = image_at(entry->object->image, func->vaddr,
				       need + ARCH_INSN_MAX);
	struct insn insn;

	while (at < need) {
		if (!code ||
		    !entry->arch->decode(code + at, need + ARCH_INSN_MAX - at, 0, &insn) ||
		    !insn.is_padding)
			return REFUSE("function-too-short", "%s: %s has %" PRIu64 " bytes "
				      "and no padding behind it; a jump needs %u",
				      entry->object->name, func->name, func->size,
				      entry->arch->jump_size);
		at += insn.size;
	}
	/* A write across pages could be cut in two by a fatal signal. */
	if (entry->site / PAGE != (entry->site + entry->arch->jump_size - 1) / PAGE)
		return REFUSE("entry-crosses-page", "%s: the entry of %s lies across two "
			      "pages", entry->object->name, func->name);
	return NULL;
}

/* Whole instructions from the site on that the jump's bytes touch. */
static struct err *measure(struct entry *entry)
{
	const struct slp_func *func = entry->func;
	size_t need = entry->arch->jump_size;
	struct insn insn;

	entry->displaced = 0;
	while (entry->displaced < need && entry->keep + entry->displaced < func->size) {
		size_t at = entry->keep + entry->displaced;

		if (!entry->arch->decode(entry->code + at, func->size - at, 0, &insn))
			return REFUSE("cannot-decode", "%s: %s+%#zx is no known "
				      "instruction", entry->object->name, func->name, at);
		entry->displaced += insn.size;
	}
	return NULL;
}

/* No jump of the function may lead between the site and the displaced end. */
static struct err *check_targets_in(const struct entry *entry, uint64_t vaddr, uint64_t size)
{
	const uint8_t *code = image_at(entry->object->image, vaddr, size);
	uint64_t low = entry->site - entry->object->bias, high = low + entry->displaced;
	struct insn insn;

	for (uint64_t off = 0; code && off < size; off += insn.size) {
		if (!entry->arch->decode(code + off, size - off, vaddr + off, &insn)) {
			insn.size = 1; /* data in code: look on */
			continue;
		}
		if (insn.is_direct && insn.flow != FLOW_CALL && insn.target > low &&
		    insn.target < high)
			return REFUSE("entered-in-middle", "%s: %s jumps into its own first "
				      "%zu bytes at +%#" PRIx64, entry->object->name,
				      entry->func->name, entry->displaced,
				      vaddr + off - entry->func->vaddr);
	}
	return NULL;
}

static struct err *check_targets(const struct entry *entry)
{
	const struct slp_func *func = entry->func;
	struct err *err = check_targets_in(entry, func->vaddr, func->size);

	for (size_t i = 0; i < func->nr_parts && !err; i++)
		err = check_targets_in(entry, func->parts[i].vaddr, func->parts[i].size);
	return err;
}

static struct err *check(const struct process *process, const struct record *record,
			 struct entry *entry)
{
	struct err *err;

	if ((err = check_file_bytes(entry)) ||
	    (err = check_memory(process, record, entry)) ||
	    (err = check_room(entry)) || (err = measure(entry)) ||
	    (err = check_targets(entry)))
		return err;
	return NULL;
}

struct err *redirect_check(const struct process *process, const struct record *record,
			   const struct object *object, const struct slp_func *func)
{
	struct entry entry = { .arch = process->arch, .object = object, .func = func };

	return check(process, record, &entry);
}

/* The displaced instructions at their new place, then back into the old code. */
static struct err *put_displaced(const struct entry *entry, uint64_t to, uint8_t *out,
				 size_t room)
{
	const struct arch *arch = entry->arch;
	uint8_t moved[ARCH_INSN_MAX];
	struct insn insn = { .flow = FLOW_NEXT };
	size_t at = 0, size;

	for (size_t off = 0; off < entry->displaced; off += insn.size) {
		const uint8_t *code = entry->code + entry->keep + off;

		arch->decode(code, entry->func->size - entry->keep - off,
			     entry->site + off, &insn);
		size = arch->move_insn(code, &insn, to + at, moved);
		if (!size || at + size + arch->jump_size > room)
			return REFUSE("cannot-move", "%s: %s+%#zx cannot be run elsewhere",
				      entry->object->name, entry->func->name,
				      entry->keep + off);
		memcpy(out + at, moved, size);
		at += size;
	}
	if (insn.flow == FLOW_JUMP || insn.flow == FLOW_RETURN || insn.flow == FLOW_STOP)
		return NULL;
	if (!arch->put_jump(out + at, to + at, entry->site + entry->displaced))
		return REFUSE("out-of-reach", "%s is too far away", entry->func->name);
	return NULL;
}

static void add_range(struct range **ranges, size_t *nr, uint64_t start, uint64_t size)
{
	*ARRAY_ADD(*ranges, *nr) = (struct range){ start, size };
}

static void note_parts(const struct object *object, const struct slp *slp,
		       const struct slp_func *func, const struct linked *linked,
		       struct record_func *out)
{
	const struct symbol *symbols = slp->image->symtab.symbols;

	add_range(&out->old_parts, &out->nr_old_parts, object->bias + func->vaddr,
		  func->size);
	for (size_t i = 0; i < func->nr_parts; i++)
		add_range(&out->old_parts, &out->nr_old_parts,
			  object->bias + func->parts[i].vaddr, func->parts[i].size);
	add_range(&out->new_parts, &out->nr_new_parts, out->new_addr,
		  symbols[func->symbol].size);
	for (size_t i = 0; i < func->nr_part_symbols; i++)
		add_range(&out->new_parts, &out->nr_new_parts,
			  linked_symbol(linked, slp, func->part_symbols[i]),
			  symbols[func->part_symbols[i]].size);
}

struct err *redirect_prepare(const struct process *process, const struct record *record,
			     const struct object *object, const struct slp *slp,
			     const struct slp_func *func, unsigned n,
			     struct linked *linked, struct record_func *out)
{
	const struct arch *arch = process->arch;
	struct entry entry = { .arch = arch, .object = object, .func = func };
	const struct record_func *top;
	uint64_t island = linked->islands + n * LINK_ISLAND_SIZE;
	uint8_t *bytes = linked->code.bytes.data + (island - linked->code.addr);
	uint8_t *slot_bytes;
	struct err *err = check(process, record, &entry);

	if (err)
		return err;
	out->name = mem_strdup(func->name);
	out->object = mem_strdup(object->name);
	out->build_id = image_build_id_hex(object->image);
	out->site = entry.site;
	out->new_addr = linked_symbol(linked, slp, func->symbol);
	out->island = island;
	out->slot = linked->slots + 8 * n;
	out->displaced = island + 16;
	note_parts(object, slp, func, linked, out);
	memcpy(out->old_bytes, image_at(object->image, entry.site - object->bias,
					arch->jump_size), arch->jump_size);
	if (!arch->put_far_jump(bytes, island, out->slot))
		return REFUSE("out-of-reach", "the patch is too large");
	if ((err = put_displaced(&entry, out->displaced, bytes + 16,
				 LINK_ISLAND_SIZE - 16)))
		return err;
	top = record_top(record, out->site, NULL);
	slot_bytes = linked->rodata.bytes.data + (out->slot - linked->rodata.addr);
	bytes_put(slot_bytes, 8, top ? top->new_addr : out->displaced, arch->big_endian);
	return NULL;
}

struct err *redirect_look(const struct process *process, const struct record_func *func,
			  enum redirect_entry *entry)
{
	const struct arch *arch = process->arch;
	uint8_t now[ARCH_JUMP_MAX], jump[ARCH_JUMP_MAX];
	struct err *err = process_read(process, func->site, now, arch->jump_size);

	if (err)
		return err;
	*entry = ENTRY_OTHER;
	if (!memcmp(now, func->old_bytes, arch->jump_size))
		*entry = ENTRY_OLD;
	else if (arch->put_jump(jump, func->site, func->island) &&
		 !memcmp(now, jump, arch->jump_size))
		*entry = ENTRY_ISLAND;
	else if (arch->put_jump(jump, func->site, func->new_addr) &&
		 !memcmp(now, jump, arch->jump_size))
		*entry = ENTRY_NEW;
	return NULL;
}

static struct err *write_jump(const struct process *process, const struct record_func *func,
			      uint64_t target)
{
	uint8_t jump[ARCH_JUMP_MAX];

	if (!process->arch->put_jump(jump, func->site, target))
		return REFUSE("out-of-reach", "%s is too far away", func->name);
	return process_write(process, func->site, jump, process->arch->jump_size);
}

struct err *redirect_to_island(const struct process *process, const struct record_func *func)
{
	return write_jump(process, func, func->island);
}

struct err *redirect_to_new(const struct process *process, const struct record_func *func)
{
	return write_jump(process, func, func->new_addr);
}

struct err *redirect_to_below(const struct process *process, const struct record_func *func,
			      const struct record_func *below)
{
	if (below)
		return write_jump(process, func, below->new_addr);
	return process_write(process, func->site, func->old_bytes, process->arch->jump_size);
}

struct err *redirect_set_slots(const struct process *process, const struct record *record,
			       const struct record_patch *patch, bool to_new)
{
	AUTO_FREE uint8_t *slots = mem_alloc(8 * patch->nr_funcs);

	for (size_t i = 0; i < patch->nr_funcs; i++) {
		const struct record_func *func = &patch->funcs[i];
		const struct record_func *below = record_top(record, func->site, patch);
		uint64_t to = to_new ? func->new_addr :
			      below ? below->new_addr : func->displaced;

		bytes_put(slots + 8 * i, 8, to, process->arch->big_endian);
	}
	return process_write(process, patch->funcs[0].slot, slots, 8 * patch->nr_funcs);
}

struct err *redirect_slots_are_new(const struct process *process,
				   const struct record_patch *patch, bool *are_new)
{
	uint64_t word = 0;
	struct err *err = process_read_word(process, patch->funcs[0].slot, &word);

	*are_new = !err && word == patch->funcs[0].new_addr;
	return err;
}
