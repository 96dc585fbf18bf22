/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "redirect.h"

#include <string.h>

#include "bytes.h"
#include "entry.h"
#include "mem.h"

enum { PAGE = 4096 };

#define REFUSE(reason, ...) err_new(ERR_UNSUPPORTED, reason, __VA_ARGS__)

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
	add_range(&out->new_parts, &out->nr_new_parts, linked_symbol(linked, slp, func->symbol),
		  symbols[func->symbol].size);
	for (size_t i = 0; i < func->nr_part_symbols; i++)
		add_range(&out->new_parts, &out->nr_new_parts,
			  linked_symbol(linked, slp, func->part_symbols[i]),
			  symbols[func->part_symbols[i]].size);
}

/*
 * Where a jump from the entry leads to the new function: there, or, where it has to undo
 * first what the entry keeps, to the end of the island, bytes, which does that.
 */
static bool lead_to_new(const struct entry *entry, uint64_t new_addr, uint64_t island,
			uint8_t *bytes, struct record_func *out)
{
	const uint64_t off = LINK_ISLAND_SIZE - ARCH_UNDO_MAX;
	size_t size = 0;

	out->new_addr = new_addr;
	if (!entry->keep || !entry->arch->put_undo)
		return true;
	if (!entry->arch->put_undo(bytes + off, entry->code, island + off, new_addr, &size))
		return false;
	if (size)
		out->new_addr = island + off;
	return true;
}

static void describe(const struct entry *entry, const struct slp *slp,
		     const struct linked *linked, uint64_t island, struct record_func *out)
{
	const struct slp_func *func = entry->func;
	const struct object *object = entry->object;
	uint64_t first, last;

	out->name = mem_strdup(func->name);
	out->object = mem_strdup(object->name);
	out->build_id = image_build_id_hex(object->image);
	out->site = entry->site;
	out->displaced = island + LINK_ISLAND_COPY;
	note_parts(object, slp, func, linked, out);
	memcpy(out->old_bytes, image_at(object->image, entry->site - object->bias,
					entry->arch->jump_size), entry->arch->jump_size);
	entry_settled_window(entry, &first, &last);
	out->loops = entry->is_loop;
	out->direct = !entry->arch->keeps_gates && out->new_addr >= first &&
		      out->new_addr <= last;
}

/*
 * Nothing is free where a punned jump could lead: the whole jump is written while all
 * threads are held, which needs that none comes back to the bytes behind the first
 * instruction, and that the write is in one page.
 */
static bool can_be_held(const struct entry *entry)
{
	return !entry->is_entered && entry->site / PAGE ==
	       (entry->site + entry->arch->jump_size - 1) / PAGE;
}

/* Why no jump can stand at an entry where it cannot be written in one store. */
static struct err *refuse_entry(const struct entry *entry, const struct record_func *out)
{
	if (entry->is_entered)
		return REFUSE("entered-in-middle", "%s: %s jumps back, or an exception's "
			      "handler is told by a return address, to behind its first "
			      "instruction, into the %u bytes that a jump takes",
			      entry->object->name, out->name, entry->arch->jump_size);
	return REFUSE("entry-in-two-pages", "%s: the first %u bytes of %s are in two pages, and "
		      "cannot be changed at once", entry->object->name,
		      entry->arch->jump_size, out->name);
}

/*
 * Where the bytes behind the first instruction have to stay there may be one place only for
 * a landing, and another patch is there already: its gate serves both.  Its slot is written
 * for the newest, as ever; its page goes when the last of them does (memory_drop()).
 */
static bool share_gate(const struct record *record, const struct entry *entry,
		       struct record_func *out)
{
	const struct record_func *top = entry->top;

	if (!top || !entry->is_entered || !record_landing_at(record, top->gate))
		return false;
	out->gate = top->gate;
	out->slot = top->slot;
	return true;
}

/* The gate: at the island if the entry's jump can lead there, else at a landing. */
static struct err *place_gate(const struct process *process, const struct record *record,
			      const struct entry *entry, uint64_t island, size_t n,
			      struct linked_part *part, struct landings *landings,
			      struct record_func *out)
{
	const struct arch *arch = process->arch;
	uint64_t target = redirect_below(out, entry->top), first, last;
	uint8_t *bytes = part->code.bytes.data + (island - part->code.addr);
	const struct landing *landing;
	struct err *err;

	entry_window(entry, &first, &last);
	if (first > last && !can_be_held(entry))
		return refuse_entry(entry, out);
	if (island < first || island > last) {
		err = landings_add(landings, process, first, last, target, &landing);
		if (!err) {
			out->gate = landing->gate;
			out->slot = landing->slot;
			return NULL;
		}
		if (share_gate(record, entry, out)) {
			err_free(err);
			return NULL;
		}
		if (!can_be_held(entry))
			return err_wrap(err, "%s: %s", entry->object->name, out->name);
		err_free(err);
		out->held = true;
	} else if (arch->is_exchangeable && !arch->is_exchangeable(out->old_bytes)) {
		/* The architecture allows it only while nobody runs through it. */
		out->held = true;
	}
	out->gate = island;
	out->slot = part->slots + 8 * n;
	if (!arch->put_far_jump(bytes, island, out->slot))
		return REFUSE("out-of-reach", "the patch is too large");
	bytes_put(part->rodata.bytes.data + (out->slot - part->rodata.addr), 8, target,
		  arch->big_endian);
	return NULL;
}

struct err *redirect_prepare(const struct process *process, const struct record *record,
			     const struct object *running, const struct slp *slp,
			     size_t object, size_t n, struct linked *linked,
			     struct landings *landings, struct record_func *out)
{
	const struct slp_func *func = &slp->objects[object].funcs[n];
	struct linked_part *part = &linked->parts[object];
	uint64_t island = part->islands + n * LINK_ISLAND_SIZE;
	uint8_t *bytes = part->code.bytes.data + (island - part->code.addr);
	struct entry entry;
	struct err *err = entry_check(process, record, running, func, &entry);

	if (err)
		return err;
	if (!lead_to_new(&entry, linked_symbol(linked, slp, func->symbol), island, bytes, out))
		return REFUSE("out-of-reach", "the patch is too large");
	describe(&entry, slp, linked, island, out);
	if ((err = entry_displace(process, &entry, out->displaced, bytes + LINK_ISLAND_COPY,
				  LINK_ISLAND_SIZE - LINK_ISLAND_COPY - ARCH_UNDO_MAX)))
		return err;
	return place_gate(process, record, &entry, island, n, part, landings, out);
}

uint64_t redirect_below(const struct record_func *func, const struct record_func *below)
{
	return below ? below->new_addr : func->displaced;
}

static bool is_jump_to(const struct arch *arch, const uint8_t *now, uint64_t at,
		       uint64_t target)
{
	uint8_t jump[ARCH_JUMP_MAX];

	return arch->put_jump(jump, at, target) && !memcmp(now, jump, arch->jump_size);
}

struct err *redirect_look(const struct process *process, const struct record_func *func,
			  enum redirect_entry *entry)
{
	const struct arch *arch = process->arch;
	uint8_t now[ARCH_JUMP_MAX];
	struct err *err = process_read(process, func->site, now, arch->jump_size);

	if (err)
		return err;
	*entry = ENTRY_OTHER;
	if (!memcmp(now, func->old_bytes, arch->jump_size))
		*entry = ENTRY_OLD;
	else if (is_jump_to(arch, now, func->site, func->gate))
		*entry = ENTRY_GATE;
	else if (is_jump_to(arch, now, func->site, func->new_addr))
		*entry = ENTRY_NEW;
	return NULL;
}

static struct err *store_jump(const struct process *process, const struct record_func *func,
			      uint64_t target)
{
	uint8_t jump[ARCH_JUMP_MAX];

	if (!process->arch->put_jump(jump, func->site, target))
		return REFUSE("out-of-reach", "%s is too far away", func->name);
	return entry_store(process, func->site, jump);
}

bool redirect_needs_hold(const struct process *process, const struct record_func *func)
{
	const struct arch *arch = process->arch;
	uint8_t jump[ARCH_JUMP_MAX];

	return arch->is_exchangeable && arch->put_jump(jump, func->site, func->gate) &&
	       !arch->is_exchangeable(jump);
}

struct err *redirect_to_gate_held(const struct process *process,
				  const struct record_func *func)
{
	uint8_t jump[ARCH_JUMP_MAX];

	if (!process->arch->put_jump(jump, func->site, func->gate))
		return REFUSE("out-of-reach", "%s is too far away", func->name);
	return process_write(process, func->site, jump, process->arch->jump_size);
}

struct err *redirect_to_old_held(const struct process *process,
				 const struct record_func *func)
{
	return process_write(process, func->site, func->old_bytes, process->arch->jump_size);
}

struct err *redirect_to_gate(const struct process *process, const struct record_func *func)
{
	return store_jump(process, func, func->gate);
}

struct err *redirect_to_new(const struct process *process, const struct record_func *func)
{
	return store_jump(process, func, func->direct ? func->new_addr : func->gate);
}

struct err *redirect_to_below(const struct process *process, const struct record_func *func,
			      const struct record_func *below)
{
	if (below)
		return redirect_to_new(process, below);
	return entry_store(process, func->site, func->old_bytes);
}

struct err *redirect_set_slot(const struct process *process, const struct record_func *func,
			      uint64_t target)
{
	uint8_t word[8];

	bytes_put(word, 8, target, process->arch->big_endian);
	return process_write(process, func->slot, word, 8);
}
