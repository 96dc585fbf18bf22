/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "stacks.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "mem.h"

enum {
	CHUNK = 64 << 10,   /* most stacks are shorter; the rest is read as needed */
	FIRST = 16 << 10,
	START_BELOW = 256,  /* _start's own frame lies so far below the start stack, */
	START_ABOVE = 16,   /* or above it: it takes argc off */
	MAX_ANCHOR = 1 << 20,
	MAX_EH_FRAME = 16 << 20,
};

static bool read_stack(void *arg, uint64_t addr, void *to, size_t size)
{
	const struct stacks *stacks = arg;
	uint64_t in = addr - stacks->chunk_addr;

	if (addr >= stacks->chunk_addr && in < stacks->chunk_size &&
	    size <= stacks->chunk_size - in) {
		memcpy(to, stacks->chunk + in, size);
		return true;
	}
	return process_try_read(stacks->process, addr, to, size);
}

static const struct unwind_code *find_code(void *arg, uint64_t addr)
{
	const struct stacks *stacks = arg;

	for (size_t i = 0; i < stacks->nr_patch_code; i++)
		if (addr >= stacks->patch_code[i]->start &&
		    addr < stacks->patch_code[i]->end)
			return stacks->patch_code[i];
	return process_code_at(stacks->process, addr);
}

/*
 * The C library puts a thread's control block at the end of its stack, so the
 * last frame is always at the same distance below the thread pointer.
 */
static bool is_thread_end(struct stacks *stacks, const struct unwind_frame *last)
{
	const struct maps *maps = &stacks->process->maps;
	uint64_t distance = stacks->tp - last->sp;

	if (maps_find(maps, stacks->tp - 1) != maps_find(maps, last->sp) ||
	    stacks->tp <= last->sp || distance > MAX_ANCHOR)
		/* Not a thread of the C library's making: a stack of its own. */
		return maps_find(maps, last->sp - 1) != NULL;
	if (!stacks->has_anchor) {
		stacks->has_anchor = true;
		stacks->anchor = distance;
	}
	return distance == stacks->anchor;
}

static bool is_end(void *arg, const struct unwind_frame *last)
{
	struct stacks *stacks = arg;
	const struct process *process = stacks->process;
	uint64_t start = process->start_stack;

	if (process->entry >= last->start && process->entry < last->end)
		return !start || (last->sp <= start + START_ABOVE &&
				  last->sp + START_BELOW >= start);
	/* The first thread's stack ends nowhere else. */
	if (start && maps_find(&process->maps, start) == maps_find(&process->maps, last->sp))
		return false;
	/* clone, clone3: in the C library, or in a static program. */
	return last->is_call && is_thread_end(stacks, last);
}

/* Patch code is read from the target once, as its record says where it is. */
struct patch_bytes {
	uint64_t start;
	size_t size;
	uint8_t *bytes;
	uint8_t *eh;
};

static const uint8_t *patch_bytes(const struct unwind_code *code, uint64_t addr, size_t size)
{
	const struct patch_bytes *own = code->owner;
	uint64_t in = addr - own->start;

	return in <= own->size && size <= own->size - in ? own->bytes + in : NULL;
}

static struct err *read_run(const struct process *process, uint64_t addr, uint64_t size,
			    uint8_t **bytes)
{
	if (size > MAX_EH_FRAME)
		return err_new(ERR_UNSUPPORTED, "bad-record",
			       "a patch of %zu bytes", (size_t)size);
	*bytes = mem_alloc(size);
	return process_read(process, addr, *bytes, size);
}

static void code_free(struct unwind_code *code)
{
	struct patch_bytes *own = (struct patch_bytes *)(uintptr_t)code->owner;

	if (own) {
		free(own->bytes);
		free(own->eh);
		free(own);
	}
	free(code);
}

static struct err *add_patch(struct stacks *stacks, const struct record_patch *patch)
{
	struct unwind_code *code = mem_alloc(sizeof(*code));
	struct patch_bytes *own = mem_alloc(sizeof(*own));
	struct unwind_code *stubs;
	struct err *err;

	*ARRAY_ADD(stacks->patch_code, stacks->nr_patch_code) = code;
	code->name = patch->name;
	code->start = patch->code.start;
	code->end = patch->islands.start;
	code->bytes = patch_bytes;
	code->owner = own;
	own->start = patch->code.start;
	own->size = patch->code.size;
	if ((err = read_run(stacks->process, own->start, own->size, &own->bytes)) ||
	    (err = read_run(stacks->process, patch->eh_frame, patch->eh_frame_size,
			    &own->eh)))
		return err;
	code->eh = (struct eh_section){
		own->eh, patch->eh_frame_size, patch->eh_frame,
		stacks->process->arch->big_endian, NULL, 0, 0 };
	stubs = mem_alloc(sizeof(*stubs));
	*ARRAY_ADD(stacks->patch_code, stacks->nr_patch_code) = stubs;
	stubs->name = patch->name;
	stubs->start = patch->islands.start;
	stubs->end = patch->islands.start + patch->islands.size;
	stubs->is_island = true;
	return NULL;
}

struct err *stacks_init(struct stacks *stacks, const struct process *process,
			const struct record *record)
{
	struct err *err = NULL;

	*stacks = (struct stacks){ .process = process };
	stacks->chunk = mem_alloc(CHUNK);
	stacks->unwinder = (struct unwinder){
		.arch = process->arch, .arg = stacks, .read = read_stack,
		.find_code = find_code, .is_end = is_end,
		.cache = unwind_cache_new() };
	for (size_t i = 0; i < record->nr_patches && !err; i++)
		/* Nothing leads there then, and it may not be mapped. */
		if (record->patches[i]->state != PATCH_LOADING &&
		    record->patches[i]->state != PATCH_UNLOADING)
			err = add_patch(stacks, record->patches[i]);
	if (err)
		stacks_done(stacks);
	return err;
}

void stacks_done(struct stacks *stacks)
{
	for (size_t i = 0; i < stacks->nr_patch_code; i++)
		code_free(stacks->patch_code[i]);
	free(stacks->patch_code);
	free(stacks->chunk);
	unwind_cache_free(stacks->unwinder.cache);
	*stacks = (struct stacks){ 0 };
}

/* The used part of the stack in one read; a stack without a mapping is empty. */
static void read_chunk(struct stacks *stacks, uint64_t sp)
{
	const struct map *map = maps_find(&stacks->process->maps, sp);
	size_t size = FIRST;

	stacks->chunk_addr = sp & ~UINT64_C(7);
	stacks->chunk_size = 0;
	if (!map)
		return;
	if (map->end - stacks->chunk_addr < size)
		size = map->end - stacks->chunk_addr;
	if (process_try_read(stacks->process, stacks->chunk_addr, stacks->chunk, size))
		stacks->chunk_size = size;
}

enum unwind_reason stacks_walk(struct stacks *stacks, const struct regs *regs,
			       unwind_consume *consume, void *arg)
{
	const struct arch *arch = stacks->process->arch;

	stacks->tp = regs_get(arch, regs, arch->tp_off);
	read_chunk(stacks, regs_sp(arch, regs));
	return unwind_walk(&stacks->unwinder, regs, consume, arg);
}

static const struct symbol *best_symbol(const struct symtab *tab, uint64_t vaddr,
					const struct symbol *best)
{
	for (size_t i = 0; i < tab->nr; i++) {
		const struct symbol *sym = &tab->symbols[i];

		if ((sym->type != STT_FUNC && sym->type != STT_GNU_IFUNC) ||
		    sym->section == SHN_UNDEF || vaddr < sym->value ||
		    vaddr - sym->value >= (sym->size ? sym->size : 1))
			continue;
		if (!best || sym->value > best->value ||
		    (sym->value == best->value && sym->bind > best->bind))
			best = sym;
	}
	return best;
}

const char *stacks_symbol(const struct unwind_frame *frame, uint64_t *off)
{
	const struct unwind_code *code = frame->code;
	const struct object *object = code ? code->owner : NULL;
	const struct symbol *sym;

	if (!object || code->bytes == patch_bytes)
		return NULL;
	sym = best_symbol(&object->image->symtab, frame->lookup - code->bias, NULL);
	sym = best_symbol(&object->image->dynsym, frame->lookup - code->bias, sym);
	if (!sym)
		return NULL;
	*off = frame->pc - code->bias - sym->value;
	return sym->name;
}
