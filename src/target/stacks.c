/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "stacks.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "mem.h"

enum {
	WINDOW = 256 << 10, /* the most of a stack that is read at once */
	FIRST = 12 << 10,   /* what is read of the first stack; most use less */
	SPARE = 512,        /* and of the next, beyond what the last one used */
	BLOCK = 2304,       /* of the C library's block at the thread pointer: its beginning */
	START_ABOVE = 16,   /* _start takes argc off, before it aligns the stack */
	MAX_ANCHOR = 1 << 20,
	MAX_EH_FRAME = 16 << 20,
};

/* The mapping of a stack; one that is newer than what is known is looked for. */
static const struct map *find_stack(struct stacks *stacks, uint64_t sp)
{
	const struct map *map = maps_find(&stacks->process->maps, sp);

	if (!map)
		map = maps_find(&stacks->fresh, sp);
	if (map || stacks->is_fresh ||
	    (stacks->process->source && !stacks->process->source->maps))
		return map;
	maps_done(&stacks->fresh);
	err_free(process_read_maps(stacks->process, &stacks->fresh));
	stacks->is_fresh = true;
	return maps_find(&stacks->fresh, sp);
}

static bool in_window(const struct unwinder *u, uint64_t addr, size_t size)
{
	uint64_t in = addr - u->window_addr;

	return in < u->window_size && size <= u->window_size - in;
}

/* Reads the window at addr; it stays empty if not all of size is there. */
static void read_window(struct stacks *stacks, uint64_t addr, size_t size)
{
	struct unwinder *u = &stacks->unwinder;

	if (size > stacks->window_cap) {
		stacks->window = mem_resize(stacks->window, size);
		stacks->window_cap = size;
	}
	u->window = stacks->window;
	u->window_addr = addr;
	u->window_size = process_try_read(stacks->process, addr, stacks->window, size) ?
			 size : 0;
}

/*
 * A deeper stack than was thought: the window grows, or moves up to where the walk is.
 * What lies beyond a mapping's end, or below the window, is read word by word.
 */
static bool move_window(struct stacks *stacks, uint64_t addr)
{
	const struct unwinder *u = &stacks->unwinder;
	const struct map *map = find_stack(stacks, addr);
	uint64_t from = u->window_addr;

	if (!map || !u->window_size || addr < from || find_stack(stacks, from) != map)
		return false;
	stacks->moved = true;
	if (addr - from > WINDOW - 64)
		from = addr & ~UINT64_C(7);
	read_window(stacks, from, map->end - from < WINDOW ? map->end - from : WINDOW);
	return u->window_size != 0;
}

static bool read_stack(void *arg, uint64_t addr, void *to, size_t size)
{
	struct stacks *stacks = arg;
	const struct unwinder *u = &stacks->unwinder;

	if (in_window(u, addr, size) ||
	    (move_window(stacks, addr) && in_window(u, addr, size))) {
		memcpy(to, u->window + (addr - u->window_addr), size);
		return true;
	}
	return process_try_read(stacks->process, addr, to, size);
}

static const struct unwind_code *find_code(void *arg, uint64_t addr, enum unwind_reason *why)
{
	const struct stacks *stacks = arg;
	const struct unwind_code *code;
	const struct map *map;

	for (size_t i = 0; i < stacks->nr_patch_code; i++)
		if (addr >= stacks->patch_code[i]->start &&
		    addr < stacks->patch_code[i]->end)
			return stacks->patch_code[i];
	code = process_code_at(stacks->process, addr);
	*why = UNWIND_NO_CODE;
	if (code)
		return code;
	/* A return address is looked up one byte before it, and there the page begins. */
	map = maps_find(&stacks->process->maps, addr + 1);
	/* kernel/events/uprobes.c: return addresses lead there, the real ones are lost */
	if (map && !strcmp(map->path, "[uprobes]"))
		*why = UNWIND_UPROBE;
	return NULL;
}

static uint64_t stack_end(void *arg, uint64_t sp)
{
	const struct map *map = find_stack(arg, sp);

	/* sp at the very end: nothing is on the stack, or it has none. */
	return map ? map->end : sp;
}

static bool is_constant(void *arg, uint64_t addr)
{
	const struct stacks *stacks = arg;
	const struct map *map = maps_find(&stacks->process->maps, addr);

	return map && !map->write;
}

/*
 * The C library puts a thread's control block at the end of its stack, so the
 * last frame is always at the same distance below the thread pointer.
 */
static bool is_thread_end(struct stacks *stacks, const struct unwind_frame *last)
{
	const struct maps *maps = &stacks->process->maps;
	uint64_t distance = stacks->unwinder.tp - last->sp;

	if (maps_find(maps, stacks->unwinder.tp - 1) != maps_find(maps, last->sp) ||
	    stacks->unwinder.tp <= last->sp || distance > MAX_ANCHOR)
		/* Not a thread of the C library's making: a stack of its own. */
		return maps_find(maps, last->sp - 1) != NULL;
	if (!stacks->has_anchor) {
		stacks->has_anchor = true;
		stacks->anchor = distance;
		stacks->first_function = stacks->callee;
	}
	return distance == stacks->anchor && stacks->callee == stacks->first_function;
}

/*
 * _start is entered with the kernel's stack pointer, and what it calls is called
 * from so far below it as the C library's few instructions take it.
 */
static bool is_start(const struct process *process, const struct unwind_frame *last)
{
	uint64_t start = process->start_stack;
	uint64_t below = process->arch->unwind->start_below;

	if (!start)
		return true;
	if (last->is_call)
		return last->sp <= start && start - last->sp <= below;
	return last->sp <= start + START_ABOVE && last->sp + below >= start;
}

static bool is_end(void *arg, const struct unwind_frame *last)
{
	struct stacks *stacks = arg;
	const struct process *process = stacks->process;
	uint64_t start = process->start_stack;

	/* _start is not called, and may be gone by a jump: what is left is its stack. */
	if (!last->pc || (process->entry >= last->start && process->entry < last->end))
		return is_start(process, last);
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

bool stacks_is_patch(const struct unwind_code *code)
{
	return code->bytes == patch_bytes || !code->owner;
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

/* Code that a thread only passes through; no trace out of it is believed. */
static void add_stubs(struct stacks *stacks, const struct record_patch *patch,
		      struct range range)
{
	struct unwind_code *stubs = mem_alloc(sizeof(*stubs));

	*ARRAY_ADD(stacks->patch_code, stacks->nr_patch_code) = stubs;
	stubs->name = patch->name;
	stubs->start = range.start;
	stubs->end = range.start + range.size;
	stubs->refuse = UNWIND_ISLAND;
}

static void add_copies(struct stacks *stacks, const struct record_patch *patch,
		       const struct range *islands)
{
	uint64_t end = islands->start + islands->size;

	for (size_t i = 0; i < patch->nr_funcs; i++) {
		const struct record_func *func = &patch->funcs[i];
		struct stacks_copy *copy;

		/* The copy of a nop is an older patch's. */
		if (func->nop || func->displaced - islands->start >= islands->size)
			continue;
		copy = ARRAY_ADD(stacks->copies, stacks->nr_copies);
		*copy = (struct stacks_copy){ func->displaced, end - func->displaced,
					      func->site };
		/* In order of address: each ends where the next island begins. */
		if (stacks->nr_copies > 1 && copy[-1].start > islands->start &&
		    copy[-1].start < copy->start)
			copy[-1].size = copy->start - copy[-1].start;
	}
}

/* Both are walked, instruction by instruction: a copy may be longer than its original. */
static uint64_t original_in(const struct process *process, const struct stacks_copy *copy,
			    uint64_t pc)
{
	const struct unwind_code *code = process_code_at(process, copy->from);
	uint64_t at = copy->start, from = copy->from;
	uint8_t bytes[ARCH_INSN_MAX], old[ARCH_INSN_MAX];
	struct insn insn, old_insn;

	while (code && at < pc) {
		size_t room = code->end - from < sizeof(old) ? code->end - from : sizeof(old);
		const uint8_t *now = code->bytes(code, from, room);

		if (!now || !process_try_read(process, at, bytes, sizeof(bytes)) ||
		    !process->arch->decode(bytes, sizeof(bytes), at, &insn))
			return pc;
		at += insn.size;
		if (!process->arch->decode(now, room, from, &old_insn))
			return pc;
		from += old_insn.size;
		if (insn_is_split_call(&old_insn, &insn))
			return pc;
	}
	return code && at == pc ? from : pc;
}

static uint64_t find_original(void *arg, uint64_t pc)
{
	const struct stacks *stacks = arg;

	for (size_t i = 0; i < stacks->nr_copies; i++)
		if (pc - stacks->copies[i].start < stacks->copies[i].size)
			return original_in(stacks->process, &stacks->copies[i], pc);
	return pc;
}

static struct err *add_part(struct stacks *stacks, const struct record_patch *patch,
			    const struct record_part *part)
{
	struct unwind_code *code = mem_alloc(sizeof(*code));
	struct patch_bytes *own = mem_alloc(sizeof(*own));
	struct err *err;

	*ARRAY_ADD(stacks->patch_code, stacks->nr_patch_code) = code;
	code->name = patch->name;
	code->start = part->code.start;
	code->end = part->islands.start;
	code->bytes = patch_bytes;
	code->owner = own;
	own->start = part->code.start;
	own->size = part->code.size;
	if ((err = read_run(stacks->process, own->start, own->size, &own->bytes)) ||
	    (err = read_run(stacks->process, part->eh_frame, part->eh_frame_size,
			    &own->eh)))
		return err;
	code->eh = (struct eh_section){
		own->eh, part->eh_frame_size, part->eh_frame,
		stacks->process->arch->big_endian, NULL, 0, 0 };
	add_stubs(stacks, patch, part->islands);
	add_copies(stacks, patch, &part->islands);
	return NULL;
}

static struct err *add_patch(struct stacks *stacks, const struct record_patch *patch)
{
	struct err *err;

	for (size_t i = 0; i < patch->nr_parts; i++)
		if ((err = add_part(stacks, patch, &patch->parts[i])))
			return err;
	for (size_t i = 0; i < patch->nr_landings; i++)
		add_stubs(stacks, patch, patch->landings[i]);
	add_stubs(stacks, patch, patch->dispatcher);
	return NULL;
}

struct err *stacks_init(struct stacks *stacks, const struct process *process,
			const struct record *record)
{
	struct err *err = NULL;

	*stacks = (struct stacks){ .process = process, .generation = process->generation };
	stacks->used = FIRST - SPARE;
	stacks->unwinder = (struct unwinder){
		.arch = process->arch, .arg = stacks, .read = read_stack,
		.find_code = find_code, .is_end = is_end, .stack_end = stack_end,
		.is_constant = is_constant, .original = find_original,
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
	free(stacks->copies);
	free(stacks->window);
	unwind_cache_free(stacks->unwinder.cache);
	maps_done(&stacks->fresh);
	*stacks = (struct stacks){ 0 };
}

/* Is the thread's block a little above its stack pointer? */
static bool has_block(const struct stacks *stacks, uint64_t sp)
{
	uint64_t tp = stacks->unwinder.tp;

	return tp > sp && tp - sp < WINDOW - BLOCK;
}

/*
 * The used part of a stack.  A thread of the C library's has its block at the stack's
 * end, and the walk asks for its beginning, too; of another stack as much is read as
 * the last one had used.
 */
static size_t window_for(const struct stacks *stacks, const struct map *map, uint64_t sp)
{
	size_t size = stacks->used + SPARE;

	if (has_block(stacks, sp) && stacks->unwinder.tp < map->end)
		size = stacks->unwinder.tp + BLOCK - sp;
	return map->end - sp < size ? map->end - sp : size;
}

/* A stack without a mapping is empty. */
static void prepare(struct stacks *stacks, const struct regs *regs, bool whole)
{
	const struct arch *arch = stacks->process->arch;
	uint64_t sp = regs_sp(arch, regs) & ~UINT64_C(7);
	const struct map *map;

	/* Another file's code may be at the same addresses by now. */
	if (stacks->generation != stacks->process->generation) {
		unwind_cache_free(stacks->unwinder.cache);
		stacks->unwinder.cache = unwind_cache_new();
		stacks->generation = stacks->process->generation;
	}
	stacks->is_fresh = stacks->moved = false;
	stacks->unwinder.tp = regs_get(arch, regs, arch->tp_off);
	stacks->unwinder.shadow = regs->shadow;
	stacks->unwinder.window_size = 0;
	map = find_stack(stacks, sp);
	if (!map)
		return;
	if (whole)
		read_window(stacks, sp, map->end - sp < WINDOW ? map->end - sp : WINDOW);
	else
		read_window(stacks, sp, window_for(stacks, map, sp));
}

struct noting {
	struct stacks *stacks;
	unwind_consume *consume;
	void *arg;
	uint64_t sp, start;
};

/* Each frame passes here on its way, and with it what the end is judged by. */
static bool note_frame(void *arg, const struct unwind_frame *frame)
{
	struct noting *noting = arg;

	noting->sp = frame->sp;
	noting->stacks->callee = noting->start;
	noting->start = frame->start;
	return noting->consume(noting->arg, frame);
}

static void note_used(struct stacks *stacks, const struct regs *regs, uint64_t last)
{
	uint64_t sp = regs_sp(stacks->process->arch, regs);

	if (last - sp < WINDOW - SPARE && !has_block(stacks, sp))
		stacks->used = last - sp;
}

enum unwind_reason stacks_walk(struct stacks *stacks, const struct regs *regs,
			       unwind_consume *consume, void *arg)
{
	struct noting noting = { stacks, consume, arg, 0, 0 };
	enum unwind_reason reason;

	prepare(stacks, regs, false);
	reason = unwind_walk(&stacks->unwinder, regs, note_frame, &noting);
	note_used(stacks, regs, noting.sp);
	return reason;
}

void stacks_take(struct stacks *stacks, const struct regs *regs)
{
	prepare(stacks, regs, true);
}

enum unwind_reason stacks_walk_taken(struct stacks *stacks, const struct regs *regs,
				     unwind_consume *consume, void *arg, bool *beyond)
{
	struct noting noting = { stacks, consume, arg, 0, 0 };
	enum unwind_reason reason = unwind_walk_plain(&stacks->unwinder, regs, note_frame,
						      &noting);

	*beyond = stacks->moved;
	return reason;
}
