/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "apply.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "bytes.h"
#include "ehreg.h"
#include "event.h"
#include "link.h"
#include "lock.h"
#include "mem.h"
#include "redirect.h"
#include "remote.h"

struct job {
	struct process *process;
	const struct apply_options *options;
	struct apply_result *result;
	struct record record;
	struct record_patch *patch;
	struct ehreg eh;
};

#define REFUSE(reason, ...) err_new(ERR_UNSUPPORTED, reason, __VA_ARGS__)

/* ---- which objects ------------------------------------------------------ */

static const struct object *find_by_name(const struct process *process, const char *name)
{
	for (size_t i = 0; i < process->nr_objects; i++)
		if (!strcmp(process->objects[i]->name, name))
			return process->objects[i];
	return NULL;
}

static struct err *find_object(const struct process *process,
			       const struct slp_object *wanted, const struct object **object)
{
	uint8_t id[64];
	size_t size = strlen(wanted->build_id) / 2;
	const struct object *other;

	if (bytes_from_hex(wanted->build_id, id, size))
		*object = process_find_build_id(process, id, size);
	if (*object)
		return NULL;
	other = find_by_name(process, wanted->name);
	if (other) {
		AUTO_FREE char *has = image_build_id_hex(other->image);

		return REFUSE("build-id-differs", "process %d runs another build of %s: "
			      "%s, the patch is for %s", process->pid, wanted->name,
			      *has ? has : "(none)", wanted->build_id);
	}
	return REFUSE("object-not-loaded", "process %d has not loaded %s (build ID %s)%s%s",
		      process->pid, wanted->name, wanted->build_id,
		      process->unreadable ? "; not readable: " : "",
		      process->unreadable ? process->unreadable : "");
}

static struct err *find_objects(const struct process *process, const struct slp *slp,
				const struct object ***objects)
{
	struct err *err = NULL;

	*objects = mem_alloc(slp->nr_objects * sizeof(**objects));
	if (!slp_nr_funcs(slp))
		return REFUSE("empty-patch", "patch %s replaces no function", slp->name);
	for (size_t i = 0; i < slp->nr_objects && !err; i++)
		err = find_object(process, &slp->objects[i], &(*objects)[i]);
	return err;
}

/* ---- the memory of a patch ---------------------------------------------- */

static struct err *map_arena(const struct job *job)
{
	const struct record_patch *patch = job->patch;
	const struct {
		struct range range;
		int prot;
	} want[] = {
		{ patch->code, PROT_READ | PROT_EXEC },
		{ patch->rodata, PROT_READ },
		{ patch->data, PROT_READ | PROT_WRITE },
	};
	struct remote_plan plan[3];
	struct err *err;

	for (int i = 0; i < 3; i++)
		plan[i] = (struct remote_plan){
			.nr = job->process->arch->nr_mmap, .what = "mapping memory",
			.args = { want[i].range.start, want[i].range.size,
				  (uint64_t)want[i].prot, MAP_PRIVATE | MAP_ANONYMOUS |
				  MAP_FIXED_NOREPLACE, (uint64_t)-1, 0 } };
	if ((err = event_step("arena-map")) || (err = remote_run(job->process, plan, 3)))
		return err;
	for (int i = 0; i < 3; i++)
		if ((uint64_t)plan[i].result != want[i].range.start)
			return err_new(ERR_FAILED, "no-room", "process %d: the kernel "
				       "mapped the patch elsewhere", job->process->pid);
	event("mapped patch=%s size=%" PRIu64, patch->name, patch->arena.size);
	return event_step("arena-mapped");
}

static bool is_exactly(const struct map *map, struct range range, bool write, bool exec)
{
	return map && map->start == range.start && map->end == range.start + range.size &&
	       !map->inode && !map->shared && map->write == write && map->exec == exec;
}

static struct err *set_state(struct job *job, enum patch_state state)
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

/*
 * Which parts of the arena are there and ours.  A tool that died in loading
 * may have left some, and the process may have mapped something of its own
 * where the others would have been: only what looks exactly like ours counts,
 * and nothing does without the code, which is mapped first.
 */
static unsigned own_ranges(const struct job *job, struct range own[3])
{
	const struct record_patch *patch = job->patch;
	const struct maps *maps = &job->process->maps;
	unsigned nr = 0;

	if (!is_exactly(maps_find(maps, patch->code.start), patch->code, false, true))
		return 0;
	own[nr++] = patch->code;
	if (is_exactly(maps_find(maps, patch->rodata.start), patch->rodata, false, false))
		own[nr++] = patch->rodata;
	if (is_exactly(maps_find(maps, patch->data.start), patch->data, true, false))
		own[nr++] = patch->data;
	return nr;
}

static struct remote_plan unmap_call(const struct process *process, uint64_t at,
				     uint64_t size)
{
	return (struct remote_plan){ .nr = process->arch->nr_munmap,
				     .what = "unmapping memory", .args = { at, size } };
}

/*
 * The calls that give the arena back; how many.  A patch that was loaded has all
 * of it until one call takes it away, and the process may have mapped memory
 * beside it that the kernel shows as one with ours.
 */
static unsigned plan_unmap(const struct job *job, struct remote_plan plan[3])
{
	const struct record_patch *patch = job->patch;
	struct range own[3];
	unsigned nr = own_ranges(job, own);

	if (nr && patch->state == PATCH_UNLOADING) {
		plan[0] = unmap_call(job->process, patch->arena.start, patch->arena.size);
		return 1;
	}
	for (unsigned i = 0; i < nr; i++)
		plan[i] = unmap_call(job->process, own[i].start, own[i].size);
	return nr;
}

/*
 * Nothing leads to the patch (any more): out of memory and out of the record,
 * which goes, too, when it would be empty.
 */
static struct err *drop_patch(struct job *job)
{
	AUTO_FREE char *name = mem_strdup(job->patch->name);
	bool last = job->record.nr_patches == 1;
	struct remote_plan plan[4];
	unsigned nr;
	struct err *err = process_refresh(job->process);

	/* A tool that finds it so need not ask the memory, which may be gone. */
	if (!err && job->patch->state != PATCH_LOADING)
		err = set_state(job, PATCH_UNLOADING);
	if (err)
		return err;
	nr = plan_unmap(job, plan);
	if (last)
		plan[nr++] = unmap_call(job->process, job->record.addr, RECORD_SIZE);
	if ((err = event_step("unmap")) ||
	    (nr && (err = remote_run(job->process, plan, nr))))
		return err;
	event("unmapped patch=%s", name);
	if ((err = event_step("unmapped")))
		return err;
	record_remove(&job->record, job->patch);
	job->patch = NULL;
	if (last)
		job->record.addr = 0;
	else if ((err = record_write(job->process, &job->record)))
		return err;
	event("forgotten patch=%s", name);
	return NULL;
}

static struct err *write_arena(const struct job *job, const struct linked *linked)
{
	const struct link_group *groups[] = { &linked->code, &linked->rodata, &linked->data };
	struct err *err = event_step("arena-write");

	for (unsigned i = 0; i < ARRAY_SIZE(groups) && !err; i++)
		err = process_write(job->process, groups[i]->addr, groups[i]->bytes.data,
				    groups[i]->bytes.size);
	return err;
}

static void describe(struct record_patch *patch, const struct slp *slp,
		     const struct linked *linked)
{
	patch->name = mem_strdup(slp->name);
	patch->digest = mem_strdup(slp->digest);
	patch->description = mem_strdup(slp->description);
	patch->applied_at = (uint64_t)time(NULL);
	patch->state = PATCH_LOADING;
	patch->keep_memory = slp->keep_memory;
	patch->arena = linked->arena;
	patch->code = (struct range){ linked->code.addr, linked->code.size };
	patch->rodata = (struct range){ linked->rodata.addr, linked->rodata.size };
	patch->data = (struct range){ linked->data.addr, linked->data.size };
	patch->islands = (struct range){ linked->islands, linked->islands_size };
	patch->eh_frame = linked->eh_frame;
	patch->eh_frame_size = linked->eh_frame_size;
}

/* ---- the hold ----------------------------------------------------------- */

/* What runs at a function's entry below a patch: its ranges are taken out of
 * use by applying it. */
static void forbid_below(struct hold *hold, const struct job *job,
			 const struct record_func *func)
{
	const struct record_func *below = record_top(&job->record, func->site, job->patch);

	/* The original entry's bytes change in any case. */
	for (size_t i = 0; i < func->nr_old_parts; i++)
		if (!below || i == 0)
			hold_forbid(hold, func->old_parts[i], func->name);
	for (size_t i = 0; below && i < below->nr_new_parts; i++)
		hold_forbid(hold, below->new_parts[i], func->name);
}

static void init_hold(struct hold *hold, const struct job *job, struct stacks *stacks)
{
	*hold = (struct hold){
		.process = job->process, .stacks = stacks,
		.timeout_ms = job->options->timeout_ms,
		.wait = job->options->wait, .wait_arg = job->options->wait_arg };
}

static struct err *run_hold(struct hold *hold, const struct job *job)
{
	struct err *err = hold_run(hold);

	job->result->hold = hold->stats;
	free(hold->forbidden);
	return err;
}

/* With all threads stopped and none in the old functions. */
static struct err *change_to_new(void *arg)
{
	struct job *job = arg;
	struct record_patch *patch = job->patch;
	struct err *err;

	/* Entries to islands, whose slots lead to the old code: no difference yet. */
	for (size_t i = 0; i < patch->nr_funcs; i++)
		if ((err = event_step("arm-entry")) ||
		    (err = redirect_to_island(job->process, &patch->funcs[i])))
			return err;
	if ((err = event_step("arm-eh")) || (err = ehreg_add(&job->eh)))
		return err;
	/* All functions at once: from here on the patch is in effect. */
	if ((err = event_step("arm-slots")) ||
	    (err = redirect_set_slots(job->process, &job->record, patch, true)))
		return err;
	event("switched patch=%s functions=%zu", patch->name, patch->nr_funcs);
	for (size_t i = 0; i < patch->nr_funcs; i++)
		if ((err = event_step("settle-entry")) ||
		    (err = redirect_to_new(job->process, &patch->funcs[i])))
			return err;
	return event_step("arm-commit");
}

static struct err *hold_and_arm(struct job *job)
{
	AUTO_STACKS struct stacks stacks;
	struct hold hold;
	struct err *err = stacks_init(&stacks, job->process, &job->record);

	if (err)
		return err;
	init_hold(&hold, job, &stacks);
	for (size_t i = 0; i < job->patch->nr_funcs; i++)
		forbid_below(&hold, job, &job->patch->funcs[i]);
	hold.change = change_to_new;
	hold.arg = job;
	return run_hold(&hold, job);
}

/* With all threads stopped and none in the patch's code. */
static struct err *change_to_old(void *arg)
{
	struct job *job = arg;
	struct record_patch *patch = job->patch;
	enum redirect_entry look;
	struct err *err;

	for (size_t i = 0; i < patch->nr_funcs; i++) {
		if ((err = event_step("disarm-entry")) ||
		    (err = redirect_look(job->process, &patch->funcs[i], &look)))
			return err;
		if (look == ENTRY_NEW &&
		    (err = redirect_to_island(job->process, &patch->funcs[i])))
			return err;
	}
	if ((err = event_step("disarm-slots")) ||
	    (err = redirect_set_slots(job->process, &job->record, patch, false)))
		return err;
	event("switched back patch=%s functions=%zu", patch->name, patch->nr_funcs);
	for (size_t i = 0; i < patch->nr_funcs; i++) {
		const struct record_func *func = &patch->funcs[i];

		if ((err = event_step("restore-entry")) ||
		    (err = redirect_look(job->process, func, &look)))
			return err;
		/* ENTRY_OTHER: a newer patch has it and stays. */
		if (look == ENTRY_ISLAND &&
		    (err = redirect_to_below(job->process, func,
					     record_top(&job->record, func->site, patch))))
			return err;
	}
	if ((err = event_step("disarm-eh")))
		return err;
	if (patch->eh_object) {
		bool gone = false;

		err = ehreg_remove(&job->eh, patch->eh_object, &gone);
		if (!err && gone)
			patch->eh_object = 0;
	}
	return err;
}

static struct err *hold_and_disarm(struct job *job)
{
	AUTO_STACKS struct stacks stacks;
	struct hold hold;
	struct err *err = stacks_init(&stacks, job->process, &job->record);

	if (err)
		return err;
	if (job->patch->eh_object && (err = ehreg_find(&job->eh, job->process)))
		return err;
	init_hold(&hold, job, &stacks);
	/* Its functions, by name; then its islands and whatever else it has. */
	for (size_t i = 0; i < job->patch->nr_funcs; i++)
		for (size_t j = 0; j < job->patch->funcs[i].nr_new_parts; j++)
			hold_forbid(&hold, job->patch->funcs[i].new_parts[j],
				    job->patch->funcs[i].name);
	hold_forbid(&hold, job->patch->code, "the patch's code");
	/* Nor in the bytes of an entry that is restored. */
	for (size_t i = 0; i < job->patch->nr_funcs; i++)
		hold_forbid(&hold, (struct range){ job->patch->funcs[i].site,
			    job->process->arch->jump_size }, job->patch->funcs[i].name);
	hold.change = change_to_old;
	hold.arg = job;
	return run_hold(&hold, job);
}

/* ---- steps -------------------------------------------------------------- */

/* Might a thread come, or have come, into the patch's memory? */
static struct err *is_touched(const struct job *job, bool *touched)
{
	const struct record_patch *patch = job->patch;
	enum redirect_entry look;
	struct err *err;

	*touched = patch->state != PATCH_LOADING && patch->state != PATCH_UNLOADING;
	if (patch->state != PATCH_ARMING)
		return NULL;
	/* Entries are armed before the slots change. */
	*touched = false;
	for (size_t i = 0; i < patch->nr_funcs && !*touched; i++) {
		if ((err = redirect_look(job->process, &patch->funcs[i], &look)))
			return err;
		*touched = look == ENTRY_ISLAND || look == ENTRY_NEW;
	}
	return NULL;
}

/* From any state to (none) or retained. */
static struct err *take_out(struct job *job)
{
	struct record_patch *patch = job->patch;
	bool touched;
	struct err *err = is_touched(job, &touched);

	if (err)
		return err;
	if (!touched)
		return drop_patch(job);
	if ((err = set_state(job, PATCH_REVERTING)) || (err = hold_and_disarm(job)))
		return err;
	/* Pointers to new functions, or libgcc's list, may lead there for ever. */
	if (patch->keep_memory || patch->eh_object) {
		job->result->retained = true;
		return set_state(job, PATCH_RETAINED);
	}
	return drop_patch(job);
}

static struct err *finish_entries(struct job *job)
{
	enum redirect_entry look;
	struct err *err;

	for (size_t i = 0; i < job->patch->nr_funcs; i++) {
		if ((err = redirect_look(job->process, &job->patch->funcs[i], &look)))
			return err;
		if (look == ENTRY_ISLAND &&
		    (err = redirect_to_new(job->process, &job->patch->funcs[i])))
			return err;
	}
	return NULL;
}

/* With all threads stopped: entries of a patch whose slots are new are settled. */
static struct err *change_settle(void *arg)
{
	return finish_entries(arg);
}

static struct err *settle(struct job *job)
{
	AUTO_STACKS struct stacks stacks;
	struct hold hold;
	struct err *err = stacks_init(&stacks, job->process, &job->record);

	if (err)
		return err;
	init_hold(&hold, job, &stacks);
	for (size_t i = 0; i < job->patch->nr_funcs; i++)
		hold_forbid(&hold, (struct range){ job->patch->funcs[i].site,
			    job->process->arch->jump_size }, job->patch->funcs[i].name);
	hold.change = change_settle;
	hold.arg = job;
	if ((err = run_hold(&hold, job)))
		return err;
	return set_state(job, PATCH_APPLIED);
}

static struct err *recover_one(struct job *job)
{
	bool are_new = false;
	struct err *err;

	event("recovering patch=%s state=%s", job->patch->name,
	      patch_state_name(job->patch->state));
	if (job->patch->state == PATCH_ARMING) {
		if ((err = redirect_slots_are_new(job->process, job->patch, &are_new)))
			return err;
		if (are_new)
			return settle(job);
	}
	return take_out(job);
}

/* Ends what a killed tool began. */
static struct err *recover(struct job *job)
{
	for (size_t i = 0; i < job->record.nr_patches;) {
		enum patch_state state = job->record.patches[i]->state;
		size_t nr = job->record.nr_patches;
		struct err *err;

		if (state == PATCH_APPLIED || state == PATCH_RETAINED) {
			i++;
			continue;
		}
		job->patch = job->record.patches[i];
		if ((err = recover_one(job)))
			return err_wrap(err, "ending what an earlier stitch began");
		if (job->record.nr_patches == nr)
			i++;
	}
	job->patch = NULL;
	return NULL;
}

/* ---- apply -------------------------------------------------------------- */

static struct err *prepare_funcs(struct job *job, const struct slp *slp,
				 const struct object *const *objects,
				 struct linked *linked, struct record_patch *patch)
{
	unsigned n = 0;
	struct err *err;

	for (size_t i = 0; i < slp->nr_objects; i++)
		for (size_t j = 0; j < slp->objects[i].nr_funcs; j++, n++) {
			struct record_func *func = ARRAY_ADD(patch->funcs, patch->nr_funcs);

			err = redirect_prepare(job->process, &job->record, objects[i], slp,
					       &slp->objects[i].funcs[j], n, linked, func);
			if (err)
				return err;
		}
	return NULL;
}

static struct err *refuse_twice(const struct job *job, const struct slp *slp)
{
	const struct record_patch *same = record_find(&job->record, slp->name);

	if (!same || same->state == PATCH_RETAINED)
		return NULL;
	if (!strcmp(same->digest, slp->digest))
		return REFUSE("already-applied", "process %d has patch %s already",
			      job->process->pid, slp->name);
	return REFUSE("already-applied", "process %d has another patch with the name %s; "
		      "revert that first", job->process->pid, slp->name);
}

/* An error after the first change: take everything back. */
static struct err *undo(struct job *job, struct err *why)
{
	struct hold_stats stats = job->result->hold;
	struct apply_options patient = *job->options;
	const struct apply_options *old = job->options;
	struct err *err;

	if (err_is_gone(why))
		return why;
	event("undoing patch=%s", job->patch->name);
	if (patient.timeout_ms < 10000)
		patient.timeout_ms = 10000;
	job->options = &patient;
	err = take_out(job);
	job->options = old;
	job->result->hold = stats;
	if (!err || err_is_gone(err)) {
		err_free(err);
		return why;
	}
	err_free(why);
	err->kind = ERR_CHANGED;
	return err_wrap(err, "taking a failed patch back");
}

static struct err *load_patch(struct job *job, const struct slp *slp,
			      const struct object *const *objects, struct linked *linked)
{
	struct record_patch *patch;
	struct err *err;

	if ((err = record_create(job->process, &job->record)) ||
	    (err = process_refresh(job->process)))
		return err;
	/* Linked again: the record may have taken the room. */
	linked_done(linked);
	if ((err = link_patch(job->process, slp, objects, linked)))
		return err;
	patch = job->patch = record_add(&job->record);
	describe(patch, slp, linked);
	if ((err = prepare_funcs(job, slp, objects, linked, patch)) ||
	    (err = ehreg_prepare(&job->eh, job->process, slp, linked)))
		return err;
	patch->eh_object = job->eh.wanted ? linked->eh_object : 0;
	if ((err = set_state(job, PATCH_LOADING)))
		return err;
	if ((err = map_arena(job)) || (err = write_arena(job, linked)))
		return undo(job, err);
	return NULL;
}

static struct err *arm_patch(struct job *job)
{
	struct err *err;

	/* The state is there before the first entry changes. */
	if ((err = set_state(job, PATCH_ARMING)))
		return undo(job, err);
	if ((err = hold_and_arm(job)))
		return undo(job, err);
	if ((err = set_state(job, PATCH_APPLIED)))
		return err_wrap(err, "patch %s is in effect, but its record",
				job->patch->name);
	return NULL;
}

static struct err *begin(struct job *job, struct process *process,
			 const struct apply_options *options,
			 struct apply_result *result, struct lock *lock)
{
	struct err *err;

	*result = (struct apply_result){ 0 };
	*job = (struct job){ .process = process, .options = options, .result = result };
	/* Another tool may have been at work between the opening and the lock. */
	if ((err = lock_take(process, lock)) || (err = process_refresh(process)))
		return err;
	return record_read(process, &job->record);
}

/* What can be known without touching anything. */
static struct err *check_all(struct job *job, const struct slp *slp,
			     const struct object ***objects, struct linked *linked)
{
	struct record_patch scratch = { 0 };
	struct err *err;

	if ((err = refuse_twice(job, slp)) ||
	    (err = find_objects(job->process, slp, objects)) ||
	    (err = link_patch(job->process, slp, *objects, linked)))
		return err;
	err = prepare_funcs(job, slp, *objects, linked, &scratch);
	if (!err)
		err = ehreg_prepare(&job->eh, job->process, slp, linked);
	for (size_t i = 0; i < scratch.nr_funcs; i++)
		record_func_done(&scratch.funcs[i]);
	free(scratch.funcs);
	return err;
}

/* After a refusal the process is as it was: no record where none was. */
static void drop_empty_record(struct job *job)
{
	struct remote_plan plan = unmap_call(job->process, job->record.addr, RECORD_SIZE);

	if (!job->record.addr || job->record.nr_patches)
		return;
	/* An empty record does no harm where this fails. */
	err_free(remote_run(job->process, &plan, 1));
	job->record.addr = 0;
}

struct err *apply_patch(struct process *process, const struct slp *slp,
			const struct apply_options *options, struct apply_result *result)
{
	AUTO_LOCK struct lock lock = LOCK_NONE;
	AUTO_LINKED struct linked linked = { 0 };
	AUTO_FREE const struct object **objects = NULL;
	uint64_t start = clock_ns();
	struct job job;
	struct err *err = begin(&job, process, options, result, &lock);

	if (!err)
		err = recover(&job);
	if (!err)
		err = check_all(&job, slp, &objects, &linked);
	if (!err)
		err = load_patch(&job, slp, objects, &linked);
	if (!err)
		err = arm_patch(&job);
	drop_empty_record(&job);
	result->nr_funcs = slp_nr_funcs(slp);
	result->memory = linked.arena.size;
	result->eh_registered = job.eh.wanted;
	result->total_ns = clock_ns() - start;
	record_done(&job.record);
	return err;
}

/* The functions that applying would take out of use, on any stack now? */
static struct err *look_only(struct job *job, const struct slp *slp,
			     const struct object *const *objects)
{
	AUTO_STACKS struct stacks stacks;
	struct hold hold;
	struct err *err = stacks_init(&stacks, job->process, &job->record);

	if (err)
		return err;
	init_hold(&hold, job, &stacks);
	for (size_t i = 0; i < slp->nr_objects; i++)
		for (size_t j = 0; j < slp->objects[i].nr_funcs; j++) {
			const struct slp_func *f = &slp->objects[i].funcs[j];

			hold_forbid(&hold, (struct range){ objects[i]->bias + f->vaddr,
				    f->size }, f->name);
			for (size_t k = 0; k < f->nr_parts; k++)
				hold_forbid(&hold, (struct range){
					    objects[i]->bias + f->parts[k].vaddr,
					    f->parts[k].size }, f->name);
		}
	return run_hold(&hold, job);
}

struct err *apply_check(struct process *process, const struct slp *slp,
			const struct apply_options *options, struct apply_result *result)
{
	AUTO_LOCK struct lock lock = LOCK_NONE;
	AUTO_LINKED struct linked linked = { 0 };
	AUTO_FREE const struct object **objects = NULL;
	struct job job;
	struct err *err = begin(&job, process, options, result, &lock);

	if (!err)
		err = check_all(&job, slp, &objects, &linked);
	if (!err)
		err = look_only(&job, slp, objects);
	result->nr_funcs = slp_nr_funcs(slp);
	result->memory = linked.arena.size;
	result->eh_registered = job.eh.wanted;
	record_done(&job.record);
	return err;
}

/* ---- revert ------------------------------------------------------------- */

static struct err *choose_patch(struct job *job, const char *name)
{
	struct record *record = &job->record;

	for (size_t i = record->nr_patches; i-- > 0 && !job->patch;) {
		struct record_patch *patch = record->patches[i];

		if (patch->state != PATCH_RETAINED &&
		    (!name || !strcmp(patch->name, name)))
			job->patch = patch;
	}
	if (job->patch)
		return NULL;
	if (name)
		return err_new(ERR_FAILED, "no-such-patch", "process %d has no patch %s",
			       job->process->pid, name);
	return err_new(ERR_FAILED, "no-such-patch", "process %d has no patch",
		       job->process->pid);
}

struct err *apply_revert(struct process *process, const char *name,
			 const struct apply_options *options, struct apply_result *result)
{
	AUTO_LOCK struct lock lock = LOCK_NONE;
	uint64_t start = clock_ns();
	struct job job;
	struct err *err = begin(&job, process, options, result, &lock);

	if (!err)
		err = choose_patch(&job, name);
	if (!err) {
		result->nr_funcs = job.patch->nr_funcs;
		snprintf(result->name, sizeof(result->name), "%s", job.patch->name);
		err = take_out(&job);
	}
	result->total_ns = clock_ns() - start;
	record_done(&job.record);
	return err;
}
