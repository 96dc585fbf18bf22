/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "check.h"

#include <stdlib.h>

#include "event.h"
#include "mem.h"

void check_forbid(struct check *check, struct range range, const char *name)
{
	struct forbidden *f = ARRAY_ADD(check->forbidden, check->nr_forbidden);

	f->range = range;
	f->name = name;
}

void check_forget(struct check *check)
{
	free(check->forbidden);
	check->forbidden = NULL;
	check->nr_forbidden = 0;
}

/* ---- who is in a stub ------------------------------------------------------ */

static bool is_in(uint64_t addr, uint64_t start, uint64_t size)
{
	return addr - start < size;
}

static const struct record_func *func_of_pair(const struct check *check, uint64_t pair)
{
	size_t n = (size_t)(pair - check->dispatch->pairs) / 16;

	return pair >= check->dispatch->pairs && n < check->passing->nr_funcs ?
	       &check->passing->funcs[n] : NULL;
}

/* In the dispatcher or a stub of it: whose entry it came from. */
static const struct record_func *undo_dispatch(const struct check *check, struct regs *regs,
					       uint64_t pc, bool *rewinds)
{
	const struct process *process = check->stacks->process;
	const struct arch *arch = process->arch;
	uint64_t first = dispatch_stub(check->dispatch, 0);
	struct arch_undone undone = { 0 };
	size_t n = (size_t)(pc - first) / arch->dispatch_stub_size;
	bool is_stub = pc >= first && n < check->passing->nr_funcs;
	uint64_t at = is_stub ? dispatch_stub(check->dispatch, n) :
				check->dispatch->code.start;
	void *arg = (void *)(uintptr_t)process;

	if (!is_stub && !is_in(pc, at, arch->dispatch_size))
		return NULL;
	if (!arch_dispatch_undo(arch, regs, is_stub, pc - at, &undone, process_word_there, arg))
		return NULL;
	*rewinds = undone.has_looked;
	return is_stub ? &check->passing->funcs[n] : func_of_pair(check, undone.pair);
}

/*
 * Where a thread in a stub really is.  Whoever is at the entry of a function with a loop
 * there may be in the middle of the loop, so it counts as in the function.  False: it has
 * taken a decision and not gone there yet, or no stub is meant; the trace will refuse it
 * where it is one.
 */
static bool translate(const struct check *check, struct regs *regs, uint64_t *entry,
		      bool *rewinds)
{
	const struct arch *arch = check->stacks->process->arch;
	uint64_t pc = regs_pc(arch, regs);
	const struct record_func *at = NULL;

	for (size_t i = 0; i < check->passing->nr_funcs; i++) {
		const struct record_func *func = &check->passing->funcs[i];

		/* At the entry's jump, or at the gate: nothing has been done yet.  Behind the gate's
		 * first instruction it may have read where to go: it has to read that again. */
		if (pc != func->site && !is_in(pc, func->gate, arch->stub_size))
			continue;
		at = func;
		*rewinds = pc != func->site && pc != func->gate;
	}
	if (!at && check->dispatch)
		at = undo_dispatch(check, regs, pc, rewinds);
	*entry = at && !at->loops ? at->site : 0;
	if (at)
		regs_set(arch, regs, arch->pc_off, at->site);
	return at != NULL;
}

/* ---- the check --------------------------------------------------------------- */

struct look {
	const struct check *check;
	struct verdict verdict;
	unsigned nr_frames;
	uint64_t pc;
	uint64_t entry; /* where the innermost frame stands before its first instruction */
};

/*
 * A return address counts as the call before it: a call that ends a function would
 * otherwise be taken for the next one's (kernel, klp_check_stack_func has no such rule).
 */
const char *check_name_at(const struct check *check, uint64_t lookup)
{
	for (size_t i = 0; i < check->nr_forbidden; i++)
		if (lookup - check->forbidden[i].range.start < check->forbidden[i].range.size)
			return check->forbidden[i].name;
	return NULL;
}

void check_bounds(const struct check *check, uint64_t *low, uint64_t *high)
{
	*low = UINT64_MAX;
	*high = 0;
	for (size_t i = 0; i < check->nr_forbidden; i++) {
		const struct range *r = &check->forbidden[i].range;

		*low = r->start < *low ? r->start : *low;
		/* A return address may lie just behind. */
		*high = r->start + r->size + 1 > *high ? r->start + r->size + 1 : *high;
	}
}

static bool look_at_frame(void *arg, const struct unwind_frame *frame)
{
	struct look *look = arg;
	const char *what = check_name_at(look->check, frame->lookup);

	/* Where a copy is given back, and not only what it is a copy of. */
	if (!what && frame->raw != frame->pc)
		what = check_name_at(look->check, frame->raw - frame->is_call);
	if (!look->nr_frames && look->entry)
		what = NULL;
	look->pc = frame->pc;
	if (what) {
		look->verdict.what = what;
		look->verdict.frame = look->nr_frames;
		look->verdict.pc = frame->pc;
		look->verdict.caller = look->verdict.leaves_at = 0;
	} else if (look->verdict.what && !look->verdict.caller) {
		look->verdict.caller = frame->raw;
		look->verdict.leaves_at = frame->sp;
	}
	/* A handler, perhaps on a stack of its own: whose it is outside may be anywhere. */
	if (frame->is_signal)
		look->verdict.leaves_at = 0;
	look->nr_frames++;
	return true;
}

struct verdict check_thread(struct check *check, const struct thread *thread)
{
	struct look look = { .check = check };
	struct verdict *v = &look.verdict;
	struct regs regs = thread->regs;

	if (!check->passing || !translate(check, &regs, &look.entry, &v->rewinds))
		regs = thread->regs;
	v->regs = regs;
	v->reason = stacks_walk(check->stacks, &regs, look_at_frame, &look);
	v->is_clear = v->reason == UNWIND_OK && !v->what;
	if (v->reason != UNWIND_OK)
		v->leaves_at = 0;
	if (!v->what) {
		v->frame = look.nr_frames;
		v->pc = look.pc;
	}
	event("checked tid=%d %s%s%s", (int)thread->tid,
	      v->is_clear ? "clear" : v->what ? "busy" : "unreliable",
	      v->is_clear ? "" : " ",
	      v->what ? v->what : v->is_clear ? "" : unwind_reason_name(v->reason));
	return *v;
}
