/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The states of a patch, each entered by writing it into the record; see the table in
 * apply.h.  The names of steps are those of tests/model/transition.pml.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "callbacks.h"
#include "event.h"
#include "job.h"
#include "mem.h"
#include "orphans.h"
#include "redirect.h"
#include "switches.h"
#include "unwinder.h"

/* How long a command waits for suspended stacks before it leaves memory for the next one. */
enum { SUSPENDED_MS = 1000 };

struct err *job_set_state(struct job *job, enum patch_state state)
{
	struct err *err = event_step("record-write");

	job->patch->state = state;
	if (!err)
		err = record_write(job->process, &job->record);
	if (!err)
		event("recorded patch=%s state=%s", job->patch->name,
		      patch_state_name(state));
	return err;
}

static const struct record_func *below_of(const struct job *job,
					  const struct record_func *func)
{
	return record_top(&job->record, func->site, job->patch);
}

/* A newer patch has the function: its entry and slot are that one's business. */
static bool is_covered(const struct job *job, const struct record_func *func)
{
	const struct record_func *top = NULL;
	bool above = false;

	for (size_t i = 0; i < job->record.nr_patches; i++) {
		const struct record_patch *patch = job->record.patches[i];

		for (size_t j = 0; above && j < patch->nr_funcs; j++)
			if (patch->state == PATCH_APPLIED &&
			    patch->funcs[j].site == func->site)
				top = &patch->funcs[j];
		above |= patch == job->patch;
	}
	return top != NULL;
}

/* ---- what is taken out of use ---------------------------------------------- */

static void forbid_parts(struct check *check, const struct range *parts, size_t nr,
			 const char *name)
{
	for (size_t i = 0; i < nr; i++)
		check_forbid(check, parts[i], name);
}

/* The version below: the one that patched threads will not run any more. */
static void forbid_below(struct check *check, const struct record_func *func,
			 const struct record_func *below)
{
	if (below)
		forbid_parts(check, below->new_parts, below->nr_new_parts, func->name);
	else
		forbid_parts(check, func->old_parts, func->nr_old_parts, func->name);
}

/* Of a patch's own: its functions by name, then whatever else it has. */
static void forbid_patch(struct check *check, const struct record_patch *patch)
{
	for (size_t i = 0; i < patch->nr_funcs; i++)
		forbid_parts(check, patch->funcs[i].new_parts, patch->funcs[i].nr_new_parts,
			     patch->funcs[i].name);
	for (size_t i = 0; i < patch->nr_parts; i++) {
		uint64_t start = patch->parts[i].code.start;

		check_forbid(check, (struct range){ start, patch->parts[i].islands.start - start },
			     "the patch's code");
	}
}

static void forbid_for(struct job *job, enum thread_patch_state target)
{
	struct check *check = &job->machine.check;

	check_forget(check);
	if (target == STATE_UNPATCHED) {
		forbid_patch(check, job->patch);
		return;
	}
	for (size_t i = 0; i < job->patch->nr_funcs; i++)
		if (!is_covered(job, &job->patch->funcs[i]))
			forbid_below(check, &job->patch->funcs[i],
				     below_of(job, &job->patch->funcs[i]));
}

/* ---- the machine ------------------------------------------------------------ */

static struct err *begin_machine(struct job *job, struct dispatch *dispatch)
{
	struct err *err;

	if (job->machine.process)
		return NULL;
	err = machine_begin(&job->machine, job->process, &job->record, dispatch);
	job->machine.lock = &job->lock;
	job->machine.wait = job->options->wait;
	job->machine.wait_arg = job->options->wait_arg;
	return err;
}

void steps_let_go(struct job *job)
{
	struct machine_stats *all = &job->result->stats;
	const struct machine_stats *one = &job->machine.stats;

	if (!job->machine.process)
		return;
	if (one->worst_pause_ns > all->worst_pause_ns)
		all->worst_pause_ns = one->worst_pause_ns;
	if (one->threads)
		all->threads = one->threads;
	all->total_pause_ns += one->total_pause_ns;
	all->stops += one->stops;
	all->passes += one->passes;
	all->looks += one->looks;
	all->fixed_eintr += one->fixed_eintr;
	all->stragglers += one->stragglers;
	machine_end(&job->machine);
}

/* ---- the dispatcher --------------------------------------------------------- */

static struct err *fill_dispatch(struct job *job, enum thread_patch_state initial)
{
	struct record_patch *patch = job->patch;
	AUTO_FREE uint64_t *pairs = mem_alloc(16 * patch->nr_funcs);

	for (size_t i = 0; i < patch->nr_funcs; i++) {
		const struct record_func *func = &patch->funcs[i];

		pairs[2 * i] = redirect_below(func, below_of(job, func));
		pairs[2 * i + 1] = func->new_addr;
	}
	dispatch_done(&job->dispatch);
	dispatch_lay_out(&job->dispatch, job->process, patch);
	return dispatch_fill(&job->dispatch, pairs, initial);
}

static struct err *take_up_dispatch(struct job *job)
{
	dispatch_done(&job->dispatch);
	dispatch_lay_out(&job->dispatch, job->process, job->patch);
	return dispatch_read(&job->dispatch);
}

/* A new one, for a patch that is applied: recorded, mapped, filled. */
static struct err *new_dispatch(struct job *job, enum thread_patch_state initial)
{
	struct err *err = process_refresh(job->process);

	if (!err)
		err = dispatch_plan(&job->dispatch, job->process, job->patch->nr_funcs);
	if (err)
		return err;
	job->patch->dispatch = job->dispatch.data.start;
	job->patch->dispatch_bits = job->dispatch.bits;
	if ((err = record_write(job->process, &job->record)) ||
	    (err = memory_map_dispatch(job)))
		return err;
	return fill_dispatch(job, initial);
}

/* Entries that no single store changes: all of them in one hold. */
struct held_entry {
	const struct record_func *func;
	bool to_gate;          /* to its gate; else the original bytes */
	/* The original bytes are there now, and threads may be between them; a jump's are
	 * one instruction, which nobody can be in the middle of. */
	bool is_original;
};

struct held_change {
	const struct process *process;
	struct held_entry *entries;
	size_t nr;
};

static void hold_for(struct held_change *held, const struct record_func *func, bool to_gate,
		     enum redirect_entry look)
{
	*ARRAY_ADD(held->entries, held->nr) =
		(struct held_entry){ func, to_gate, look == ENTRY_OLD };
}

static struct err *change_held(void *arg)
{
	struct held_change *held = arg;
	struct err *err = NULL;

	for (size_t i = 0; i < held->nr && !err; i++)
		err = held->entries[i].to_gate ?
		      redirect_to_gate_held(held->process, held->entries[i].func) :
		      redirect_to_old_held(held->process, held->entries[i].func);
	return err;
}

/*
 * No thread may be behind the first byte of what changes; where there is no such place it is
 * enough that all stand, and see what was written when they go on (an exception's return is
 * a context synchronisation event).
 */
static struct err *hold_and_change(struct job *job, struct held_change *held)
{
	const struct arch *arch = job->process->arch;
	struct err *err;

	if (!held->nr)
		return NULL;
	if (job->alone)
		return change_held(held);
	check_forget(&job->machine.check);
	for (size_t i = 0; i < held->nr; i++) {
		const struct record_func *func = held->entries[i].func;

		event("holding function=%s", func->name);
		if (!arch->jump_is_insn && held->entries[i].is_original)
			check_forbid(&job->machine.check, (struct range){ func->site + 1,
				     arch->jump_size - 1 }, func->name);
	}
	job->result->held++;
	/* Who is still on its way to the dispatcher's table is at the entry. */
	job->machine.check.passing = job->patch;
	job->machine.check.dispatch = job->dispatch.entries ? &job->dispatch : NULL;
	err = machine_hold(&job->machine, job->options->timeout_ms, change_held, held);
	job->machine.check.passing = NULL;
	return err;
}

/* Leads an entry to its gate, or notes that this has to be held for. */
static struct err *lead_to_gate(struct job *job, const struct record_func *func,
				struct held_change *held)
{
	enum redirect_entry look;
	struct err *err = redirect_look(job->process, func, &look);

	if (!err && func->held && (look == ENTRY_OLD || (look == ENTRY_OTHER &&
						 redirect_needs_hold(job->process, func)))) {
		hold_for(held, func, true, look);
		return NULL;
	}
	return err ? err : redirect_to_gate(job->process, func);
}

static struct err *lead_to_below(struct job *job, const struct record_func *func,
				 const struct record_func *below, struct held_change *held)
{
	enum redirect_entry look;
	struct err *err = redirect_look(job->process, func, &look);

	if (!err && func->held && !below) {
		if (look != ENTRY_OLD)
			hold_for(held, func, false, look);
		return NULL;
	}
	if (!err && below && below->held && redirect_needs_hold(job->process, below)) {
		hold_for(held, below, true, look);
		return NULL;
	}
	return err ? err : redirect_to_below(job->process, func, below);
}

/* What it is in has been unmapped, or its place is another's by now: no entry is left. */
static bool is_gone(const struct job *job, const struct record_func *func)
{
	return !orphans_has_object(job->process, func);
}

/* Step "arm": every entry leads to the dispatcher; no thread sees a difference. */
static struct err *arm(struct job *job)
{
	struct held_change held = { .process = job->process };
	struct record_patch *patch = job->patch;
	struct err *err = NULL;

	for (size_t i = 0; i < patch->nr_funcs; i++) {
		const struct record_func *func = &patch->funcs[i];

		if (is_covered(job, func) || is_gone(job, func))
			continue;
		if ((err = event_step("arm-slot")) ||
		    (err = redirect_set_slot(job->process, func,
					     dispatch_stub(&job->dispatch, i))) ||
		    (err = event_step("arm-entry")) ||
		    (err = lead_to_gate(job, func, &held)))
			break;
	}
	if (!err)
		err = hold_and_change(job, &held);
	free(held.entries);
	if (err)
		return err;
	event("armed patch=%s functions=%zu", patch->name, patch->nr_funcs);
	return event_step("armed");
}

/*
 * Step "return": when no thread can be in the dispatcher any more its memory goes back.
 * Where that cannot be seen in time it stays until the next command.
 */
static struct err *return_dispatch(struct job *job)
{
	struct err *err = begin_machine(job, NULL);

	if (!err) {
		job->machine.dispatch = NULL;
		check_forget(&job->machine.check);
		err = machine_see_outside(&job->machine, job->options->timeout_ms);
	}
	steps_let_go(job);
	if (err && err->kind == ERR_NOT_NOW) {
		event("kept dispatcher patch=%s reason=%s", job->patch->name, err->reason);
		err_free(err);
		return NULL;
	}
	return err ? err : memory_unmap_dispatch(job);
}

/* ---- enabling ------------------------------------------------------------------ */

/* The original again, for good: what led to an older patch's version is not needed. */
static struct err *settle_nop(struct job *job, const struct record_func *func,
			      struct held_change *held)
{
	struct err *err = redirect_set_slot(job->process, func, func->displaced);

	return err ? err : lead_to_below(job, func, NULL, held);
}

/* Everybody is patched: entries lead straight to the new functions. */
static struct err *settle_each(struct job *job, struct held_change *held)
{
	struct record_patch *patch = job->patch;
	struct err *err;

	for (size_t i = 0; i < patch->nr_funcs; i++) {
		const struct record_func *func = &patch->funcs[i];

		if (is_covered(job, func) || is_gone(job, func))
			continue;
		if (func->nop) {
			if ((err = event_step("settle-nop")) || 
			    (err = settle_nop(job, func, held)))
				return err;
			continue;
		}
		if ((err = event_step("settle-slot")) ||
		    (err = redirect_set_slot(job->process, func, func->new_addr)) ||
		    (err = event_step("settle-entry")))
			return err;
		/* Forced threads may still be among the bytes behind the first instruction. */
		err = patch->forced ? redirect_to_gate(job->process, func) :
				      redirect_to_new(job->process, func);
		if (err)
			return err;
	}
	return NULL;
}

static struct err *settle_entries(struct job *job)
{
	struct held_change held = { .process = job->process };
	struct err *err = settle_each(job, &held);

	if (!err)
		err = hold_and_change(job, &held);
	free(held.entries);
	if (!err)
		event("settled patch=%s", job->patch->name);
	return err;
}

/*
 * What is older goes: nobody runs it, nothing will lead to it.  In the record it goes with
 * the same store that makes the new one applied.
 */
static struct err *supersede(struct job *job)
{
	AUTO_FREE enum patch_state *were = mem_alloc(job->record.nr_patches * sizeof(*were));
	struct record_patch *older;
	struct err *err;
	size_t nr = 0;

	for (; (older = job->record.patches[nr]) != job->patch; nr++) {
		were[nr] = older->state;
		if (job->patch->replace && older->state == PATCH_APPLIED) {
			older->state = PATCH_RESTORING;
			callbacks_forget(older);
			event("superseded patch=%s by=%s", older->name, job->patch->name);
		}
	}
	if ((err = job_set_state(job, PATCH_APPLIED)))
		for (size_t i = 0; i < nr; i++)
			job->record.patches[i]->state = were[i];
	return err;
}

/* The nops have done their work: the entries are the original's. */
static struct err *drop_nops(struct job *job)
{
	struct record_patch *patch = job->patch;
	size_t kept = 0;

	for (size_t i = 0; i < patch->nr_funcs; i++)
		if (patch->funcs[i].nop)
			record_func_done(&patch->funcs[i]);
		else
			patch->funcs[kept++] = patch->funcs[i];
	if (kept == patch->nr_funcs)
		return NULL;
	patch->nr_funcs = kept;
	return record_write(job->process, &job->record);
}

static struct err *finish_disabling(struct job *job);

/* Those that were superseded, oldest first. */
static struct err *drop_superseded(struct job *job)
{
	struct record_patch *newest = job->patch;
	struct apply_result said = *job->result;
	struct err *err = NULL;

	for (size_t i = 0; i < job->record.nr_patches && !err;) {
		size_t nr = job->record.nr_patches;

		job->patch = job->record.patches[i];
		if (job->patch != newest && job->patch->state == PATCH_RESTORING)
			err = finish_disabling(job);
		steps_let_go(job);
		i += job->record.nr_patches == nr;
	}
	job->patch = newest;
	/* That is said of the newest. */
	job->result->retained = said.retained;
	job->result->is_left = said.is_left;
	return err;
}

/* One that has not returned goes on; a later command sees to what is left. */
static struct err *run_post_patch(struct job *job)
{
	struct err *err = callbacks_run(job, CALLBACK_POST_PATCH);

	if (!err || err->kind != ERR_NOT_NOW)
		return err;
	event("pending callback patch=%s reason=%s", job->patch->name, err->reason);
	err_free(err);
	job->result->pending = true;
	return NULL;
}

static struct err *finish_enabling(struct job *job)
{
	struct err *err;

	if ((err = event_step("settle")) ||
	    (err = dispatch_set_initial(&job->dispatch, STATE_PATCHED)))
		return err;
	if ((err = supersede(job)) || (err = settle_entries(job)) ||
	    (err = run_post_patch(job)) || (err = return_dispatch(job)) ||
	    job->patch->dispatch || !job->patch->replace)
		return err;
	if ((err = drop_nops(job)))
		return err;
	return drop_superseded(job);
}

static bool was_asked_to(const struct err *err, const char *what)
{
	return err && err->kind == ERR_NOT_NOW && !strcmp(err->reason, what);
}

/* Everybody to the target; forced where that is asked for, which the record keeps. */
static struct err *switch_all(struct job *job, enum thread_patch_state target,
			      unsigned timeout_ms)
{
	const char *by;
	struct err *err;

	forbid_for(job, target);
	job->machine.check.passing = job->patch;
	job->machine.check.dispatch = &job->dispatch;
	event("switching patch=%s to=%s", job->patch->name,
	      target == STATE_PATCHED ? "patched" : "unpatched");
	if (switches_stacks(job->process, &by)) {
		event("switches stacks object=%s", by);
		err = machine_switch_held(&job->machine, target, timeout_ms);
	} else {
		err = machine_switch(&job->machine, target, timeout_ms);
	}
	job->machine.check.passing = NULL;
	if (!was_asked_to(err, "forced"))
		return err;
	err_free(err);
	job->patch->forced = true;
	if ((err = record_write(job->process, &job->record)))
		return err;
	return machine_force(&job->machine, target);
}

/* Started is not finished: with no_wait the rest is left to a later command. */
static bool is_left(struct job *job, const struct err *err)
{
	if (!job->options->no_wait || !err || err->kind != ERR_NOT_NOW ||
	    was_asked_to(err, "cancelled"))
		return false;
	job->result->pending = true;
	return true;
}

static struct err *go_on_enabling(struct job *job)
{
	unsigned timeout_ms = job->options->no_wait ? 0 : job->options->timeout_ms;
	struct err *err;

	if ((err = begin_machine(job, &job->dispatch)) || (err = unwinder_tell(job)) ||
	    (err = arm(job)))
		return err;
	err = switch_all(job, STATE_PATCHED, timeout_ms);
	if (is_left(job, err)) {
		err_free(err);
		steps_let_go(job);
		return NULL;
	}
	if (err)
		return err;
	event("switched patch=%s functions=%zu", job->patch->name, job->patch->nr_funcs);
	return finish_enabling(job);
}

struct err *steps_enable(struct job *job)
{
	struct err *err = callbacks_run(job, CALLBACK_PRE_PATCH);

	if (err || (err = fill_dispatch(job, STATE_UNPATCHED)))
		return err;
	/* Who cannot have the threads leaves the process as it was. */
	job->patch->state = PATCH_ENABLING;
	if ((err = begin_machine(job, &job->dispatch))) {
		job->patch->state = PATCH_LOADING;
		return err;
	}
	if ((err = job_set_state(job, PATCH_ENABLING)))
		return err;
	return go_on_enabling(job);
}

/* ---- disabling ----------------------------------------------------------------- */

static bool is_old(const struct job *job, const struct record_func *func)
{
	enum redirect_entry look = ENTRY_OTHER;
	struct err *err;

	err = redirect_look(job->process, func, &look);
	err_free(err);
	return look == ENTRY_OLD;
}

/* Everybody is unpatched: entries lead to what is below. */
static struct err *restore_entries(struct job *job)
{
	struct held_change held = { .process = job->process };
	struct record_patch *patch = job->patch;
	struct err *err = NULL;

	for (size_t i = 0; i < patch->nr_funcs; i++) {
		const struct record_func *func = &patch->funcs[i];
		const struct record_func *below = below_of(job, func);

		/* Older patches that are going find their entries led elsewhere already. */
		if (is_covered(job, func) || is_gone(job, func) ||
		    (patch->state == PATCH_RESTORING && !below && is_old(job, func)))
			continue;
		if ((err = event_step("restore-slot")) ||
		    (err = redirect_set_slot(job->process, func,
					     redirect_below(func, below))) ||
		    (err = event_step("restore-entry")) ||
		    (err = lead_to_below(job, func, below, &held)))
			break;
	}
	if (!err)
		err = hold_and_change(job, &held);
	free(held.entries);
	if (!err)
		event("restored patch=%s", patch->name);
	return err;
}

/* Of what has been unloaded nobody keeps a pointer: it would lead to its own constants, too. */
static bool has_object(const struct job *job)
{
	for (size_t i = 0; i < job->patch->nr_funcs; i++)
		if (!is_gone(job, &job->patch->funcs[i]))
			return true;
	return !job->patch->nr_funcs;
}

/*
 * Pointers to new functions or to constants and variables, libgcc's list, or forced threads
 * may lead there for ever.
 */
static bool must_stay(const struct job *job)
{
	const struct record_patch *patch = job->patch;

	return record_has_eh(patch) || patch->forced ||
	       (patch->keep_memory && !job->alone && has_object(job));
}

/* Nothing leads to the patch: when nobody is in it any more it goes. */
static struct err *finish_disabling(struct job *job)
{
	const char *by;
	struct err *err;

	if ((err = begin_machine(job, NULL)) || (err = restore_entries(job)))
		return err;
	job->machine.dispatch = NULL;
	check_forget(&job->machine.check);
	if (!job->patch->forced)
		forbid_patch(&job->machine.check, job->patch);
	for (size_t i = 0; i < job->patch->nr_parts; i++)
		check_forbid(&job->machine.check, job->patch->parts[i].islands,
			     "the patch's stubs");
	err = machine_see_outside(&job->machine, job->options->timeout_ms);
	if (!err && switches_stacks(job->process, &by))
		err = machine_see_suspended(&job->machine, SUSPENDED_MS);
	if (!err)
		err = callbacks_run(job, CALLBACK_POST_UNPATCH);
	if (!err && !(err = begin_machine(job, NULL)))
		err = unwinder_untell(job);
	if (err && err->kind == ERR_NOT_NOW) {
		/* It is out of use for everybody; a later command returns its memory. */
		event("kept patch=%s reason=%s", job->patch->name, err->reason);
		err_free(err);
		job->result->is_left = true;
		return NULL;
	}
	if (err)
		return err;
	steps_let_go(job);
	return must_stay(job) ? memory_retain(job) : memory_drop(job);
}

/* Enabling had not come to its first thread: nothing has to be switched back. */
static bool is_for_nobody(const struct job *job)
{
	return job->dispatch.initial_state == STATE_UNPATCHED &&
	       !dispatch_has(&job->dispatch, STATE_PATCHED);
}

static struct err *go_on_disabling(struct job *job)
{
	unsigned timeout_ms = job->options->no_wait ? 0 : job->options->timeout_ms;
	struct err *err = begin_machine(job, &job->dispatch);

	if (!err && !is_for_nobody(job) && !(err = arm(job)))
		err = switch_all(job, STATE_UNPATCHED, timeout_ms);
	if (is_left(job, err)) {
		err_free(err);
		steps_let_go(job);
		return NULL;
	}
	if (err)
		return err;
	event("switched back patch=%s functions=%zu", job->patch->name,
	      job->patch->nr_funcs);
	if ((err = event_step("restore")) ||
	    (err = dispatch_set_initial(&job->dispatch, STATE_UNPATCHED)) ||
	    (err = job_set_state(job, PATCH_RESTORING)))
		return err;
	return finish_disabling(job);
}

/* Goes on with what the end of enabling left. */
static struct err *resume_applied(struct job *job)
{
	struct err *err;

	if ((err = begin_machine(job, NULL)) || (err = settle_entries(job)) ||
	    (err = run_post_patch(job)) || (err = return_dispatch(job)) ||
	    job->patch->dispatch)
		return err;
	return drop_nops(job);
}

/* From applied: a dispatcher first, which leads everybody to the new functions. */
static struct err *begin_disabling(struct job *job)
{
	struct err *err = NULL;

	/* The last one first; its entries may not all be settled. */
	if (job->patch->dispatch)
		err = resume_applied(job);
	if (!err && job->patch->dispatch)
		err = err_new(ERR_NOT_NOW, "unreliable", "process %d: a thread may still be "
			      "in the dispatcher of the last transition; try again",
			      job->process->pid);
	if (err || (err = callbacks_run(job, CALLBACK_PRE_UNPATCH)) ||
	    (err = new_dispatch(job, STATE_PATCHED)))
		return err;
	if ((err = begin_machine(job, &job->dispatch))) {
		steps_let_go(job);
		err_free(memory_unmap_dispatch(job));
		return err;
	}
	if ((err = job_set_state(job, PATCH_DISABLING)))
		return err;
	return go_on_disabling(job);
}

struct err *steps_turn(struct job *job)
{
	struct err *err;

	event("reversing patch=%s", job->patch->name);
	if (job->patch->state != PATCH_DISABLING)
		return steps_disable(job);
	if ((err = callbacks_settle(job)) ||
	    (!job->dispatch.entries && (err = take_up_dispatch(job))) ||
	    (err = job_set_state(job, PATCH_ENABLING)))
		return err;
	return go_on_enabling(job);
}

struct err *steps_disable(struct job *job)
{
	struct err *err = callbacks_settle(job);

	if (err)
		return err;
	switch (job->patch->state) {
	case PATCH_APPLIED:
		return begin_disabling(job);
	case PATCH_ENABLING:
		/* Turned back: the states in the table go on to count. */
		if (!job->dispatch.entries && (err = take_up_dispatch(job)))
			return err;
		if ((err = job_set_state(job, PATCH_DISABLING)))
			return err;
		return go_on_disabling(job);
	case PATCH_DISABLING:
		if (!job->dispatch.entries && (err = take_up_dispatch(job)))
			return err;
		return go_on_disabling(job);
	case PATCH_RESTORING:
		return finish_disabling(job);
	case PATCH_LOADING:
		/* Those whose pre_patch had run before something else failed. */
		if ((err = callbacks_run(job, CALLBACK_POST_UNPATCH)))
			return err;
		return job->patch->had_memory ? memory_retain(job) : memory_drop(job);
	default:
		return memory_drop(job);
	}
}

/* The object has gone without us: what is left of the patch goes after it. */
static struct err *end_orphan(struct job *job)
{
	struct err *err;

	event("orphan patch=%s", job->patch->name);
	/* Its own words for the end may need what is not there any more. */
	for (size_t i = 0; i < job->patch->nr_objects; i++)
		job->patch->objects[i].post_patched = false;
	err = job_set_state(job, PATCH_RESTORING);
	return err ? err : finish_disabling(job);
}

struct err *steps_resume(struct job *job)
{
	struct err *err;

	event("recovering patch=%s state=%s", job->patch->name,
	      patch_state_name(job->patch->state));
	if ((err = callbacks_settle(job)))
		return err;
	if (orphans_is_one(job->process, &job->record, job->patch))
		return end_orphan(job);
	switch (job->patch->state) {
	case PATCH_ENABLING:
		if ((err = take_up_dispatch(job)))
			return err;
		return go_on_enabling(job);
	case PATCH_APPLIED:
		return resume_applied(job);
	default:
		return steps_disable(job);
	}
}

/* ---- with nobody in the object ------------------------------------------------------ */

struct err *steps_enable_alone(struct job *job)
{
	struct err *err;

	job->alone = true;
	if ((err = unwinder_check_alone(job)) ||
	    (err = callbacks_run(job, CALLBACK_PRE_PATCH)) ||
	    (err = fill_dispatch(job, STATE_PATCHED)) ||
	    (err = job_set_state(job, PATCH_ENABLING)) ||
	    (err = unwinder_tell_alone(job)) || (err = arm(job)) ||
	    (err = event_step("settle")) || (err = supersede(job)) ||
	    (err = settle_entries(job)) || (err = memory_unmap_dispatch(job)))
		return err;
	return run_post_patch(job);
}

struct err *steps_disable_alone(struct job *job)
{
	struct err *err;

	job->alone = true;
	if (job->patch->state == PATCH_APPLIED &&
	    (err = callbacks_run(job, CALLBACK_PRE_UNPATCH)))
		return err;
	if (job->patch->state != PATCH_LOADING &&
	    ((err = event_step("restore")) || (err = job_set_state(job, PATCH_RESTORING)) ||
	     (err = restore_entries(job))))
		return err;
	if ((err = callbacks_run(job, CALLBACK_POST_UNPATCH)))
		return err;
	if (!must_stay(job))
		return memory_drop(job);
	/* A later command asks the unwinder to forget it first, with all threads held. */
	job->result->is_left = true;
	return memory_unmap_dispatch(job);
}

/* ---- only to look ---------------------------------------------------------------- */

struct err *steps_look(struct job *job, const struct record_patch *planned)
{
	struct err *err = begin_machine(job, NULL);

	for (size_t i = 0; !err && i < planned->nr_funcs; i++)
		forbid_below(&job->machine.check, &planned->funcs[i],
			     record_top(&job->record, planned->funcs[i].site, NULL));
	if (!err)
		err = machine_look(&job->machine);
	steps_let_go(job);
	return err;
}
