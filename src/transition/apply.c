/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "apply.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <time.h>

#include "bytes.h"
#include "callbacks.h"
#include "children.h"
#include "event.h"
#include "frames.h"
#include "job.h"
#include "mem.h"
#include "orphans.h"
#include "probe.h"
#include "remote.h"
#include "redirect.h"
#include "runtime.h"

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
	const struct object *other;

	*object = process_find_build_id_hex(process, wanted->build_id);
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
	if (!slp_nr_funcs(slp) && !slp_has_callbacks(slp))
		return REFUSE("empty-patch", "patch %s replaces no function", slp->name);
	for (size_t i = 0; i < slp->nr_objects && !err; i++)
		err = find_object(process, &slp->objects[i], &(*objects)[i]);
	return err;
}

/* ---- loading ------------------------------------------------------------ */

static void describe(struct record_patch *patch, const struct slp *slp,
		     const struct linked *linked)
{
	patch->name = mem_strdup(slp->name);
	patch->digest = mem_strdup(slp->digest);
	patch->description = mem_strdup(slp->description);
	patch->applied_at = (uint64_t)time(NULL);
	patch->state = PATCH_LOADING;
	patch->replace = slp->replace;
	patch->keep_memory = slp->keep_memory;
	patch->dispatcher = linked->parts[0].dispatcher;
}

static struct range range_of(const struct link_group *group)
{
	return (struct range){ group->addr, group->size };
}

/* What is beside each object, once all of it has been prepared. */
static void describe_parts(struct record_patch *patch, const struct linked *linked)
{
	for (size_t i = 0; i < linked->nr_parts; i++) {
		const struct linked_part *part = &linked->parts[i];

		*ARRAY_ADD(patch->parts, patch->nr_parts) = (struct record_part){
			.arena = part->arena, .code = range_of(&part->code),
			.rodata = range_of(&part->rodata), .data = range_of(&part->data),
			.islands = { part->islands, part->islands_size },
			.eh_frame = part->eh_frame, .eh_frame_size = part->eh_frame_size,
			.eh_object = part->eh_object };
	}
}

/* What the patch says to the process, beyond its functions. */
static void describe_livepatch(struct record_patch *patch, const struct slp *slp,
			       const struct linked *linked)
{
	const struct linked_part *first = &linked->parts[0];

	patch->self = first->self;
	patch->call_code = first->call_code;
	patch->call_stack = first->call_stack;
	for (size_t i = 0; i < slp->nr_states; i++)
		*ARRAY_ADD(patch->states, patch->nr_states) =
			(struct record_state){ slp->states[i].id, slp->states[i].version };
	for (size_t i = 0; i < slp->nr_objects && slp_has_callbacks(slp); i++) {
		struct record_object *object = ARRAY_ADD(patch->objects, patch->nr_objects);

		object->name = mem_strdup(slp->objects[i].name);
		object->self = first->objects + LINK_OBJECT_SIZE * i;
		for (unsigned j = 0; j < NR_CALLBACKS; j++)
			object->callbacks[j] = !slp->objects[i].callbacks[j] ? 0 :
				linked_symbol(linked, slp, slp->objects[i].callbacks[j]);
	}
}

static struct err *prepare_object(struct job *job, const struct slp *slp,
				  const struct object *running, size_t object,
				  struct linked *linked, struct landings *landings,
				  struct record_patch *patch)
{
	size_t first = patch->nr_funcs;
	struct err *err;

	for (size_t n = 0; n < slp->objects[object].nr_funcs; n++) {
		struct record_func *func = ARRAY_ADD(patch->funcs, patch->nr_funcs);

		err = redirect_prepare(job->process, &job->record, running, slp, object, n,
				       linked, landings, func);
		if (err)
			return err;
	}
	frames_add(job->process, patch->funcs + first, patch->nr_funcs - first,
		   &linked->parts[object]);
	return NULL;
}

static struct err *prepare_funcs(struct job *job, const struct slp *slp,
				 const struct object *const *objects,
				 struct linked *linked, struct landings *landings,
				 struct record_patch *patch)
{
	struct err *err;

	for (size_t i = 0; i < linked->nr_parts; i++)
		landings_avoid(landings, linked->parts[i].arena);
	if (job->dispatch.data.size)
		landings_avoid(landings, job->dispatch.data);
	for (size_t i = 0; i < slp->nr_objects; i++)
		if ((err = prepare_object(job, slp, objects[i], i, linked, landings, patch)))
			return err;
	for (size_t i = 0; i < landings->nr_pages; i++)
		*ARRAY_ADD(patch->landings, patch->nr_landings) = landings->pages[i];
	return NULL;
}

static bool has_func(const struct record_patch *patch, uint64_t site)
{
	for (size_t i = 0; i < patch->nr_funcs; i++)
		if (patch->funcs[i].site == site)
			return true;
	return false;
}

static void copy_range(struct range **to, size_t *nr_to, const struct range *from, size_t nr)
{
	*nr_to = 0;
	for (size_t i = 0; i < nr; i++)
		*ARRAY_ADD(*to, *nr_to) = from[i];
}

/*
 * The function of an older patch that the new one lacks: patched threads run the original
 * (kernel, klp_add_object_nops).  What leads there is what the older one has.
 */
static void add_nop(struct record_patch *patch, const struct record_func *of)
{
	struct record_func *nop = ARRAY_ADD(patch->funcs, patch->nr_funcs);

	*nop = *of;
	nop->name = mem_strdup(of->name);
	nop->object = mem_strdup(of->object);
	nop->build_id = mem_strdup(of->build_id);
	nop->new_addr = of->displaced;
	nop->nop = true;
	nop->direct = false;
	nop->old_parts = nop->new_parts = NULL;
	copy_range(&nop->old_parts, &nop->nr_old_parts, of->old_parts, of->nr_old_parts);
	/* Whoever turns back waits for those in the original. */
	copy_range(&nop->new_parts, &nop->nr_new_parts, of->old_parts, of->nr_old_parts);
}

static void add_nops(const struct job *job, struct record_patch *patch)
{
	for (size_t i = 0; i < job->record.nr_patches; i++) {
		const struct record_patch *older = job->record.patches[i];

		if (older == patch || older->state != PATCH_APPLIED)
			continue;
		for (size_t j = 0; j < older->nr_funcs; j++)
			if (!has_func(patch, older->funcs[j].site))
				add_nop(patch, record_top(&job->record,
							  older->funcs[j].site, patch));
	}
}

static size_t count_applied(const struct record *record)
{
	size_t nr = 0;

	for (size_t i = 0; i < record->nr_patches; i++)
		nr += record->patches[i]->state == PATCH_APPLIED ?
		      record->patches[i]->nr_funcs : 0;
	return nr;
}

/* The dispatcher's, with those of the nops that the patch may come to have. */
static size_t count_stubs(const struct job *job, const struct slp *slp)
{
	return slp_nr_funcs(slp) + (slp->replace ? count_applied(&job->record) : 0);
}

static struct err *refuse_twice(const struct job *job, const struct slp *slp)
{
	const struct record_patch *same = record_find(&job->record, slp->name);

	if (!same || same->state == PATCH_RETAINED)
		return NULL;
	if (same->state == PATCH_RESTORING)
		return err_new(ERR_NOT_NOW, "transition", "process %d: patch %s is on its way "
			       "out, and a thread cannot be seen outside it yet; try again",
			       job->process->pid, slp->name);
	if (!strcmp(same->digest, slp->digest))
		return REFUSE("already-applied", "process %d has patch %s already",
			      job->process->pid, slp->name);
	return REFUSE("already-applied", "process %d has another patch with the name %s; "
		      "revert that first", job->process->pid, slp->name);
}

/* It is asked once: the machine stays the same. */
static bool reads_its_tp(const struct arch *arch)
{
	static bool is_known, does;

	if (!is_known) {
		does = (getauxval(AT_HWCAP2) & arch->dispatch_hwcap2) == arch->dispatch_hwcap2 ||
		       probe_runs(arch->dispatch_probe, arch->dispatch_probe_size);
		is_known = true;
	}
	return does;
}

static struct err *check_machine(const struct arch *arch)
{
	if (!arch->dispatch_size)
		return arch_need_patch(arch);
	if (!reads_its_tp(arch))
		return REFUSE("machine-too-old", "this kernel or processor does not let "
			      "programs read their thread pointer (Linux 5.9, FSGSBASE)");
	return NULL;
}

static const struct slp_state *find_state(const struct slp *slp, uint64_t id)
{
	for (size_t i = 0; i < slp->nr_states; i++)
		if (slp->states[i].id == id)
			return &slp->states[i];
	return NULL;
}

/*
 * No state may become older, and who replaces all must know all (kernel,
 * klp_is_patch_compatible).
 */
static struct err *check_states(const struct job *job, const struct slp *slp)
{
	for (size_t i = 0; i < job->record.nr_patches; i++) {
		const struct record_patch *patch = job->record.patches[i];

		for (size_t j = 0; patch->state == PATCH_APPLIED && j < patch->nr_states; j++) {
			const struct slp_state *state = find_state(slp, patch->states[j].id);

			if (state ? state->version >= patch->states[j].version : !slp->replace)
				continue;
			return REFUSE("incompatible-state", "process %d: patch %s has state %"
				      PRIu64 " in version %" PRIu64 ", %s %s; revert %s first",
				      job->process->pid, patch->name, patch->states[j].id,
				      patch->states[j].version, slp->name, state ?
				      "only in an older one" : "would replace it without",
				      patch->name);
		}
	}
	return NULL;
}

static const struct record_patch *patch_of(const struct record *record,
					   const struct record_func *func)
{
	for (size_t i = 0; i < record->nr_patches; i++) {
		const struct record_patch *patch = record->patches[i];

		if (func >= patch->funcs && func < patch->funcs + patch->nr_funcs)
			return patch;
	}
	return NULL;
}

/*
 * Versions of other patches that go out of use for this one's: what those change is lost if
 * it was made without them, which only its maker knows.
 */
static void note_covered(const struct job *job, const struct record_patch *plan)
{
	struct apply_result *r = job->result;

	for (size_t i = 0; i < plan->nr_funcs; i++) {
		const struct record_func *top = record_top(&job->record, plan->funcs[i].site,
							   NULL);

		if (!top || top->nop || r->nr_covered++)
			continue;
		snprintf(r->covered, sizeof(r->covered), "%s",
			 patch_of(&job->record, top)->name);
		snprintf(r->covered_func, sizeof(r->covered_func), "%s", top->name);
	}
}

/* What can be known without touching anything; plan is what would be done. */
static struct err *check_all(struct job *job, const struct slp *slp, struct linked *linked,
			     struct record_patch *plan)
{
	AUTO_LANDINGS struct landings landings = { 0 };
	AUTO_FREE const struct object **objects = NULL;
	struct err *err;

	if ((err = check_machine(job->process->arch)))
		return err;
	if ((err = refuse_twice(job, slp)) || (err = check_states(job, slp)) ||
	    (err = find_objects(job->process, slp, &objects)) ||
	    (err = link_patch(job->process, slp, objects, count_stubs(job, slp), NULL, linked)))
		return err;
	if ((err = prepare_funcs(job, slp, objects, linked, &landings, plan)))
		return err;
	if (!slp->replace)
		note_covered(job, plan);
	return ehreg_prepare(&job->eh, job->process, slp, linked);
}

static void plan_done(struct record_patch *plan)
{
	for (size_t i = 0; i < plan->nr_funcs; i++)
		record_func_done(&plan->funcs[i]);
	free(plan->funcs);
	free(plan->landings);
}

/* The same patch, reverted, all of which is still there and nobody is in. */
static struct record_patch *find_before(const struct job *job, const struct slp *slp)
{
	for (size_t i = job->record.nr_patches; i-- > 0;) {
		struct record_patch *patch = job->record.patches[i];
		bool fits = patch->state == PATCH_RETAINED && !patch->forced &&
			    !record_has_eh(patch) && patch->nr_parts == slp->nr_objects &&
			    !strcmp(patch->digest, slp->digest);

		for (size_t j = 0; fits && j < patch->nr_funcs; j++)
			fits = orphans_has_object(job->process, &patch->funcs[j]);
		if (fits && memory_is_there(job->process, patch))
			return patch;
	}
	return NULL;
}

/*
 * Where it was before, if it was: what pointers lead to is there then, and a patch that comes
 * and goes takes no more memory each time.
 */
static struct err *link_again(const struct job *job, const struct slp *slp,
			      const struct object *const *objects, size_t nr_stubs,
			      struct linked *linked, struct record_patch **before)
{
	struct err *err;

	*before = find_before(job, slp);
	if (*before) {
		err = link_patch(job->process, slp, objects, nr_stubs, *before, linked);
		if (!err && linked_is_there(job->process, linked, *before))
			return NULL;
		err_free(err);
		linked_done(linked);
		*before = NULL;
	}
	return link_patch(job->process, slp, objects, nr_stubs, NULL, linked);
}

/* The patch as it will be, in the record of this tool only. */
static struct err *plan_patch(struct job *job, const struct slp *slp,
			      const struct object *const *objects, struct linked *linked,
			      struct landings *landings)
{
	size_t nr_stubs = count_stubs(job, slp);
	struct record_patch *patch, *before;
	struct err *err;

	if ((err = dispatch_plan(&job->dispatch, job->process, nr_stubs)) ||
	    (err = link_again(job, slp, objects, nr_stubs, linked, &before)))
		return err;
	patch = job->patch = record_add(&job->record);
	describe(patch, slp, linked);
	patch->had_memory = before != NULL;
	describe_livepatch(patch, slp, linked);
	patch->dispatch = job->dispatch.data.start;
	patch->dispatch_bits = job->dispatch.bits;
	if ((err = prepare_funcs(job, slp, objects, linked, landings, patch)) ||
	    (err = ehreg_prepare(&job->eh, job->process, slp, linked)))
		return err;
	describe_parts(patch, linked);
	if (slp->replace)
		add_nops(job, patch);
	/* In the record the one takes the other's place with one store. */
	if (before)
		record_remove(&job->record, before);
	return NULL;
}

/*
 * The other way by step, whatever made it necessary, with patience and asking nobody.
 * Returns why; if even that fails the process is left changed, while doing what.
 */
static struct err *go_back(struct job *job, struct err *why,
			   struct err *(*step)(struct job *job), const char *what)
{
	const struct apply_options *old = job->options;
	struct apply_options patient = *old;
	struct err *err;

	if (patient.timeout_ms < 10000)
		patient.timeout_ms = 10000;
	patient.no_wait = false;
	patient.wait = NULL;
	job->machine.wait = NULL;
	job->options = &patient;
	err = step(job);
	job->options = old;
	if (!err || err_is_gone(err)) {
		err_free(err);
		return why;
	}
	err_free(why);
	err->kind = ERR_CHANGED;
	return err_wrap(err, "%s", what);
}

static struct err *undo_alone(struct job *job, struct err *why);

/* An error after the first change: take everything back. */
static struct err *undo(struct job *job, struct err *why)
{
	if (err_is_gone(why))
		return why;
	if (job->alone)
		return undo_alone(job, why);
	event("undoing patch=%s", job->patch->name);
	if (job->patch->state == PATCH_LOADING)
		steps_let_go(job);
	return go_back(job, why, steps_disable, "taking a failed patch back");
}

static struct err *load_at(struct job *job, const struct slp *slp, struct linked *linked)
{
	AUTO_LANDINGS struct landings landings = { 0 };
	AUTO_FREE const struct object **objects = NULL;
	struct err *err;

	if ((err = record_create(job->process, &job->record)) ||
	    (err = process_refresh(job->process)) ||
	    (slp_needs_runtime(slp) && (err = runtime_need(job))))
		return err;
	/* Linked again: the record may have taken the room, and objects may have gone. */
	linked_done(linked);
	if ((err = find_objects(job->process, slp, &objects)))
		return err;
	if ((err = plan_patch(job, slp, objects, linked, &landings)) ||
	    (err = job_set_state(job, PATCH_LOADING)))
		return err;
	if ((err = memory_map(job)) || (err = memory_write(job, linked, &landings)) ||
	    (err = runtime_join(job)))
		return undo(job, err);
	return NULL;
}

/* A busy process may map something of its own where the patch was about to go. */
static struct err *load_patch(struct job *job, const struct slp *slp, struct linked *linked)
{
	struct err *err;
	int tries = 0;

	do {
		steps_let_go(job);
		dispatch_done(&job->dispatch);
		err = load_at(job, slp, linked);
	} while (remote_look_elsewhere(job->process, &err, &tries));
	return err;
}

static struct err *enable_patch(struct job *job)
{
	struct err *err = steps_enable(job);

	if (!err)
		return NULL;
	if (job->patch->replace && job->patch->state == PATCH_APPLIED &&
	    !err_is_gone(err)) {
		/* There is nothing to go back to: what it replaced is out. */
		err->kind = ERR_CHANGED;
		return err_wrap(err, "patch %s is in effect, but not all that it replaced is "
				"put away", job->patch->name);
	}
	return undo(job, err);
}

/* ---- what an earlier tool left -------------------------------------------- */

bool apply_is_unfinished(const struct process *process, const struct record *record,
			 const struct record_patch *patch)
{
	if (orphans_is_one(process, record, patch))
		return true;
	if (patch->state == PATCH_APPLIED || patch->state == PATCH_RETAINED)
		return patch->dispatch != 0 || callbacks_are_open(patch);
	return true;
}

/* What children will be known by; before the patch may leave the record. */
static void note_children(const struct job *job, const struct slp *slp,
			  struct children_of *of)
{
	of->pid = job->process->pid;
	of->arena = job->patch->parts[0].arena.start;
	of->slp = slp;
	snprintf(of->name, sizeof(of->name), "%s", job->patch->name);
}

/* The job is done, well or not; what it left in the record is what children come to. */
static struct err *bring_children(const struct children_of *of, const struct process *process,
				  const struct apply_options *options,
				  struct apply_result *result)
{
	struct children_of known = *of;
	AUTO_RECORD struct record record = { 0 };
	const struct record_patch *patch;
	struct err *err;

	if (!of->pid || result->pending)
		return NULL;
	if ((err = record_read(process, &record)))
		return err;
	patch = record_find(&record, of->name);
	known.applied = patch && patch->state == PATCH_APPLIED;
	return children_bring_on(&known, options, &result->children);
}

/* The first of two errors. */
static struct err *either(struct err *first, struct err *second)
{
	if (!first)
		return second;
	err_free(second);
	return first;
}

static struct record_patch *find_unfinished(const struct job *job)
{
	const struct record *record = &job->record;

	/* A patch that replaced others comes before them: it may still use their gates. */
	for (size_t i = record->nr_patches; i-- > 0;)
		if (apply_is_unfinished(job->process, record, record->patches[i]))
			return record->patches[i];
	return NULL;
}

/* Ends what a killed tool began, or one left. */
static struct err *recover(struct job *job)
{
	struct record_patch *last = NULL;
	enum patch_state state = PATCH_LOADING;

	/* One may be brought to its end and be an orphan then. */
	while ((job->patch = find_unfinished(job)) &&
	       (job->patch != last || job->patch->state != state)) {
		struct err *err;

		last = job->patch;
		state = last->state;
		err = steps_resume(job);
		steps_let_go(job);
		dispatch_done(&job->dispatch);
		if (err)
			return err_wrap(err, "ending what an earlier stitch began");
		if (job->result->is_left)
			break;
		if (job->result->pending)
			return err_new(ERR_NOT_NOW, "transition", "process %d: the "
				       "transition of patch %s is not finished",
				       job->process->pid, last->name);
	}
	job->patch = NULL;
	return NULL;
}

/* ---- the commands ----------------------------------------------------------- */

static struct err *begin(struct job *job, struct process *process,
			 const struct apply_options *options,
			 struct apply_result *result)
{
	struct err *err;

	*result = (struct apply_result){ 0 };
	*job = (struct job){ .process = process, .options = options, .result = result,
			     .lock = LOCK_NONE };
	process->patience_ms = options->timeout_ms;
	/* Another tool may have been at work between the opening and the lock. */
	if ((err = lock_take(process, &job->lock)) || (err = process_refresh(process)))
		return err;
	return record_read(process, &job->record);
}

/* Where the process has ended meanwhile that is what happened, whatever failed of it. */
static struct err *end(struct job *job, struct err *err, uint64_t start)
{
	if (err && !err_is_gone(err) && process_is_gone(job->process)) {
		err_free(err);
		err = process_gone(job->process);
	}
	steps_let_go(job);
	dispatch_done(&job->dispatch);
	lock_release(&job->lock);
	record_done(&job->record);
	job->result->total_ns = clock_ns() - start;
	return err;
}

struct err *apply_patch(struct process *process, const struct slp *slp,
			const struct apply_options *options, struct apply_result *result)
{
	AUTO_LINKED struct linked linked = { 0 };
	struct record_patch plan = { 0 };
	struct children_of of = { 0 };
	uint64_t start = clock_ns();
	struct job job;
	struct err *err = begin(&job, process, options, result);

	if (!err)
		err = recover(&job);
	/* Of the one that was in the way. */
	job.result->retained = job.result->is_left = false;
	if (!err)
		err = check_all(&job, slp, &linked, &plan);
	plan_done(&plan);
	if (!err)
		err = load_patch(&job, slp, &linked);
	if (!err) {
		note_children(&job, slp, &of);
		err = enable_patch(&job);
	}
	steps_let_go(&job);
	if (err && job.record.addr)
		err_free(runtime_drop(&job));
	memory_drop_empty_record(&job);
	result->nr_funcs = slp_nr_funcs(slp);
	result->memory = linked_memory(&linked);
	result->eh_registered = job.eh.libgcc != NULL;
	return either(end(&job, err, start), bring_children(&of, process, options, result));
}

/* An error after the first change, with nobody in the object. */
static struct err *undo_alone(struct job *job, struct err *why)
{
	if (err_is_gone(why))
		return why;
	event("undoing patch=%s", job->patch->name);
	return go_back(job, why, steps_disable_alone, "taking a failed patch back");
}

struct err *apply_check(struct process *process, const struct slp *slp,
			const struct apply_options *options, struct apply_result *result)
{
	AUTO_LINKED struct linked linked = { 0 };
	struct record_patch plan = { 0 };
	uint64_t start = clock_ns();
	struct job job;
	struct err *err = begin(&job, process, options, result);

	if (!err)
		err = check_all(&job, slp, &linked, &plan);
	if (!err)
		err = steps_look(&job, &plan);
	plan_done(&plan);
	result->nr_funcs = slp_nr_funcs(slp);
	result->memory = linked_memory(&linked);
	result->eh_registered = job.eh.wanted;
	return end(&job, err, start);
}

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

/* Another patch's transition comes first: there is one at a time. */
static struct err *settle_others(struct job *job, const char *name)
{
	struct record_patch *other = find_unfinished(job);
	struct err *err = NULL;

	if (other && other != job->patch) {
		err = recover(job);
		job->patch = NULL;
		if (!err)
			err = choose_patch(job, name);
	}
	return err;
}

/* The patch could not leave: as it was, if it still can be. */
static struct err *redo(struct job *job, struct err *why)
{
	if (!err_is_gone(why) && job->patch->state == PATCH_APPLIED &&
	    callbacks_are_open(job->patch))
		return go_back(job, why, steps_resume, "post_patch after a pre_unpatch");
	if (err_is_gone(why) || job->patch->state != PATCH_DISABLING)
		return why;
	return go_back(job, why, steps_turn, "enabling a patch again that could not leave");
}

static void note_patch(struct job *job)
{
	job->result->nr_funcs = job->patch->nr_funcs;
	job->result->memory = record_memory(job->patch);
	snprintf(job->result->name, sizeof(job->result->name), "%s", job->patch->name);
}

struct err *apply_revert(struct process *process, const char *name,
			 const struct apply_options *options, struct apply_result *result)
{
	struct children_of of = { 0 };
	uint64_t start = clock_ns();
	struct job job;
	struct err *err = begin(&job, process, options, result);

	if (!err)
		err = choose_patch(&job, name);
	if (!err)
		err = settle_others(&job, name);
	if (!err) {
		bool was_applied = job.patch->state == PATCH_APPLIED;

		note_patch(&job);
		note_children(&job, NULL, &of);
		err = steps_disable(&job);
		if (err && was_applied && err->kind == ERR_NOT_NOW)
			err = redo(&job, err);
	}
	return either(end(&job, err, start), bring_children(&of, process, options, result));
}

static struct err *no_transition(const struct job *job)
{
	return err_new(ERR_FAILED, "no-transition", "process %d has no transition that runs",
		       job->process->pid);
}

struct err *apply_resume(struct process *process, const struct apply_options *options,
			 struct apply_result *result)
{
	uint64_t start = clock_ns();
	struct job job;
	struct err *err = begin(&job, process, options, result);

	if (!err)
		job.patch = find_unfinished(&job);
	if (!err && !job.patch)
		err = no_transition(&job);
	if (!err) {
		note_patch(&job);
		err = recover(&job);
	}
	return end(&job, err, start);
}

static bool is_running(const struct record_patch *patch)
{
	return patch && (patch->state == PATCH_ENABLING || patch->state == PATCH_DISABLING);
}

/*
 * Has the transition that runs ordered about by the tool that follows it; if there is none,
 * step does it here.
 */
static struct err *order(struct process *process, const char *what,
			 struct err *(*step)(struct job *job),
			 const struct apply_options *options, struct apply_result *result)
{
	AUTO_FREE char *answer = NULL;
	uint64_t start = clock_ns();
	struct job job;
	struct err *err = lock_ask(process, what, &answer);

	*result = (struct apply_result){ 0 };
	if (err || (answer && !strcmp(answer, "ok")))
		return err;
	err = begin(&job, process, options, result);
	if (!err) {
		job.patch = find_unfinished(&job);
		if (!is_running(job.patch))
			err = no_transition(&job);
	}
	if (!err) {
		note_patch(&job);
		err = step(&job);
	}
	return end(&job, err, start);
}

struct err *apply_cancel(struct process *process, const struct apply_options *options,
			 struct apply_result *result)
{
	return order(process, "cancel", steps_turn, options, result);
}

static enum machine_order always_force(void *arg, const struct progress *progress)
{
	(void)arg;
	(void)progress;
	return ORDER_FORCE;
}

struct err *apply_force(struct process *process, const struct apply_options *options,
			struct apply_result *result)
{
	struct apply_options forcing = *options;

	forcing.wait = always_force;
	return order(process, "force", steps_resume, &forcing, result);
}

/* ---- objects that come and go ---------------------------------------------------- */

struct err *apply_alone(struct process *process, const struct slp *slp,
			const struct apply_options *options, struct apply_result *result)
{
	AUTO_LINKED struct linked linked = { 0 };
	struct record_patch plan = { 0 };
	uint64_t start = clock_ns();
	struct job job;
	struct err *err = begin(&job, process, options, result);

	job.alone = true;
	if (!err && find_unfinished(&job))
		err = err_new(ERR_NOT_NOW, "transition", "process %d: a transition is not "
			      "finished", process->pid);
	if (!err)
		err = check_all(&job, slp, &linked, &plan);
	plan_done(&plan);
	if (!err)
		err = load_patch(&job, slp, &linked);
	if (!err && (err = steps_enable_alone(&job)))
		err = undo_alone(&job, err);
	memory_drop_empty_record(&job);
	result->nr_funcs = slp_nr_funcs(slp);
	result->memory = linked_memory(&linked);
	return end(&job, err, start);
}

struct err *apply_revert_alone(struct process *process, const char *name,
			       const struct apply_options *options,
			       struct apply_result *result)
{
	uint64_t start = clock_ns();
	struct job job;
	struct err *err = begin(&job, process, options, result);

	if (!err)
		err = choose_patch(&job, name);
	if (!err) {
		note_patch(&job);
		err = steps_disable_alone(&job);
	}
	return end(&job, err, start);
}

struct err *apply_recover(struct process *process, const struct apply_options *options,
			  struct apply_result *result)
{
	uint64_t start = clock_ns();
	struct job job;
	struct err *err = begin(&job, process, options, result);

	if (!err)
		err = recover(&job);
	return end(&job, err, start);
}
