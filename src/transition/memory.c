/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "event.h"
#include "job.h"
#include "mem.h"
#include "remote.h"
#include "runtime.h"

static size_t list_parts(const struct record_patch *patch, struct remote_mapping **list)
{
	size_t nr = 0;

	*list = NULL;
	for (size_t i = 0; i < patch->nr_parts; i++) {
		const struct record_part *part = &patch->parts[i];

		*ARRAY_ADD(*list, nr) = (struct remote_mapping){ part->code,
							  PROT_READ | PROT_EXEC, 0 };
		*ARRAY_ADD(*list, nr) = (struct remote_mapping){ part->rodata, PROT_READ, 0 };
		*ARRAY_ADD(*list, nr) = (struct remote_mapping){ part->data,
							  PROT_READ | PROT_WRITE, 0 };
	}
	return nr;
}

static size_t list_landings(const struct record_patch *patch, struct remote_mapping **list,
			    size_t nr)
{
	for (size_t i = 0; i < patch->nr_landings; i++)
		*ARRAY_ADD(*list, nr) = (struct remote_mapping){ patch->landings[i],
							  PROT_READ | PROT_EXEC, 0 };
	return nr;
}

/* What a patch has in the process; the array is the caller's to free. */
static size_t list_arena(const struct record_patch *patch, struct remote_mapping **list)
{
	return list_landings(patch, list, list_parts(patch, list));
}

static size_t list_dispatch(const struct job *job, struct remote_mapping **list, size_t nr)
{
	struct dispatch d;

	if (!job->patch->dispatch)
		return nr;
	dispatch_lay_out(&d, job->process, job->patch);
	*ARRAY_ADD(*list, nr) = (struct remote_mapping){
		d.data, PROT_READ | PROT_WRITE, 0 };
	return nr;
}

/* One call of the target for each of the list. */
static struct err *map_all(const struct job *job, const struct remote_mapping *list, size_t nr)
{
	struct err *err;

	if ((err = event_step("arena-map")) || (err = remote_map(job->process, list, nr)))
		return err;
	return event_step("arena-mapped");
}

struct err *memory_map(struct job *job)
{
	AUTO_FREE struct remote_mapping *list = NULL;
	size_t nr = job->patch->had_memory ? 0 : list_parts(job->patch, &list);
	struct err *err;

	nr = list_landings(job->patch, &list, nr);
	nr = list_dispatch(job, &list, nr);
	err = map_all(job, list, nr);
	if (!err)
		event("mapped patch=%s size=%" PRIu64, job->patch->name,
		      record_memory(job->patch));
	return err;
}

struct err *memory_map_dispatch(struct job *job)
{
	AUTO_FREE struct remote_mapping *list = NULL;
	size_t nr = list_dispatch(job, &list, 0);

	return map_all(job, list, nr);
}

/*
 * Code and constants that were there come out as they were, but for what leads to versions.
 * Variables that the process may be using keep their values.
 */
static struct err *write_part(const struct job *job, const struct linked_part *part)
{
	const struct link_group *groups[] = { &part->code, &part->rodata, &part->data };
	unsigned nr = job->patch->had_memory ? 2 : 3;
	struct err *err = NULL;

	for (unsigned i = 0; i < nr && !err; i++)
		err = process_write(job->process, groups[i]->addr, groups[i]->bytes.data,
				    groups[i]->bytes.size);
	return err;
}

struct err *memory_write(const struct job *job, const struct linked *linked,
			 const struct landings *landings)
{
	struct err *err = event_step("arena-write");

	for (size_t i = 0; i < linked->nr_parts && !err; i++)
		err = write_part(job, &linked->parts[i]);
	for (size_t i = 0; i < landings->nr && !err; i++)
		err = process_write(job->process, landings->landing[i].gate,
				    landings->landing[i].bytes, LANDING_SIZE);
	return err;
}

/* A gate of the patch stands in the range. */
static bool has_gate(const struct job *job, struct range range)
{
	const struct arch *arch = job->process->arch;
	uint8_t now[ARCH_STUB_MAX], gate[ARCH_STUB_MAX];

	for (size_t i = 0; i < job->patch->nr_funcs; i++) {
		const struct record_func *func = &job->patch->funcs[i];

		if (func->gate - range.start < range.size &&
		    arch->put_far_jump(gate, func->gate, func->slot) &&
		    process_try_read(job->process, func->gate, now, arch->stub_size) &&
		    !memcmp(now, gate, arch->stub_size))
			return true;
	}
	return false;
}

/* Mapped and not written yet. */
static bool is_empty(const struct job *job, struct range range)
{
	AUTO_FREE uint8_t *bytes = mem_alloc(range.size);

	if (!process_try_read(job->process, range.start, bytes, range.size))
		return false;
	for (uint64_t i = 0; i < range.size; i++)
		if (bytes[i])
			return false;
	return true;
}

/* Memory of that kind, at least so much, that is of no file. */
static bool is_mapped(const struct process *process, const struct remote_mapping *m)
{
	const struct map *map = maps_find(&process->maps, m->range.start);

	return map && !map->inode && !map->shared &&
	       map->end >= m->range.start + m->range.size &&
	       map->write == !!(m->prot & PROT_WRITE) && map->exec == !!(m->prot & PROT_EXEC);
}

/*
 * Does this part of the patch stand there?  A tool that died while it mapped may have left
 * some, and the process may have mapped something of its own where the others would have
 * been: code counts only if it is exactly what ours would be, or has our gates, or nothing,
 * in it, and a dispatcher's data if it has its name, or is exactly so large and empty.
 * Beside ours there may be more of its kind, which the kernel shows as one with it.
 */
static bool is_there(const struct job *job, const struct remote_mapping *m)
{
	const struct map *map = maps_find(&job->process->maps, m->range.start);
	uint64_t end = m->range.start + m->range.size;
	bool is_exact;

	if (!is_mapped(job->process, m))
		return false;
	is_exact = map->start == m->range.start && map->end == end;
	if (m->range.start == job->patch->dispatch)
		return dispatch_is_at(job->process, m->range.start) ||
		       (is_exact && is_empty(job, m->range));
	return is_exact || !map->exec || has_gate(job, m->range) || is_empty(job, m->range);
}

static struct remote_plan unmap_call(const struct process *process, uint64_t at,
				     uint64_t size)
{
	return (struct remote_plan){ .nr = process->arch->nr_munmap,
				     .what = "unmapping memory", .args = { at, size } };
}

/*
 * Memory is mapped in the order of the list, so what is there is a beginning of it, or
 * all; the first that is missing ends what can be ours.
 */
static size_t plan_unmap(const struct job *job, const struct remote_mapping *list, size_t nr,
			 struct remote_plan *plan)
{
	size_t n = 0;

	for (size_t i = 0; i < nr && is_there(job, &list[i]); i++)
		plan[n++] = unmap_call(job->process, list[i].range.start,
				       list[i].range.size);
	/* From the end: so it stays a beginning if the tool dies between two. */
	for (size_t i = 0; i < n / 2; i++) {
		struct remote_plan swap = plan[i];

		plan[i] = plan[n - 1 - i];
		plan[n - 1 - i] = swap;
	}
	return n;
}

/* What of the list is there. */
static struct err *unmap_list(const struct job *job, const struct remote_mapping *list,
			      size_t nr)
{
	AUTO_FREE struct remote_plan *plan = mem_alloc(nr * sizeof(*plan));

	nr = plan_unmap(job, list, nr, plan);
	return nr ? remote_run(job->process, plan, nr) : NULL;
}

struct err *memory_unmap_dispatch(struct job *job)
{
	AUTO_FREE struct remote_mapping *list = NULL;
	size_t nr = list_dispatch(job, &list, 0);
	struct err *err = process_refresh(job->process);

	if (err || !nr)
		return err;
	if ((err = event_step("dispatch-unmap")) || (err = unmap_list(job, list, nr)))
		return err;
	job->patch->dispatch = 0;
	event("returned dispatcher patch=%s", job->patch->name);
	return record_write(job->process, &job->record);
}

/* The calls that give everything back, the record last if it is the last patch's. */
static struct err *unmap_all(struct job *job, bool last)
{
	AUTO_FREE struct remote_mapping *list = NULL;
	AUTO_FREE struct remote_plan *plan = NULL;
	size_t nr = list_arena(job->patch, &list);
	struct err *err;

	nr = list_dispatch(job, &list, nr);
	plan = mem_alloc((nr + 1) * sizeof(*plan));
	nr = plan_unmap(job, list, nr, plan);
	if (last)
		plan[nr++] = unmap_call(job->process, job->record.addr, RECORD_SIZE);
	if ((err = event_step("unmap")) ||
	    (nr && (err = remote_run(job->process, plan, nr))))
		return err;
	event("unmapped patch=%s", job->patch->name);
	return event_step("unmapped");
}

bool memory_is_there(const struct process *process, const struct record_patch *patch)
{
	AUTO_FREE struct remote_mapping *list = NULL;
	size_t nr = list_parts(patch, &list);

	for (size_t i = 0; i < nr; i++)
		if (!is_mapped(process, &list[i]))
			return false;
	return true;
}

/* Nobody can be in a landing; one that another patch's callers come by is that one's now. */
static struct err *unmap_landings(struct job *job)
{
	AUTO_FREE struct remote_mapping *list = NULL;
	size_t nr;
	struct err *err;

	if (!job->patch->nr_landings)
		return NULL;
	record_hand_on_landings(&job->record, job->patch);
	nr = list_landings(job->patch, &list, 0);
	if ((err = record_write(job->process, &job->record)) || !nr ||
	    (err = process_refresh(job->process)))
		return err;
	if ((err = event_step("unmap")) || (err = unmap_list(job, list, nr)))
		return err;
	job->patch->nr_landings = 0;
	return NULL;
}

struct err *memory_retain(struct job *job)
{
	struct err *err;

	job->result->retained = true;
	if ((err = memory_unmap_dispatch(job)) ||
	    (!job->patch->forced && (err = unmap_landings(job))))
		return err;
	return job_set_state(job, PATCH_RETAINED);
}

struct err *memory_drop(struct job *job)
{
	AUTO_FREE char *name = mem_strdup(job->patch->name);
	bool last = job->record.nr_patches == 1 && !job->record.runtime;
	struct err *err = process_refresh(job->process);

	/* A tool that finds it so need not ask the memory, which may be gone. */
	if (!err && job->patch->state != PATCH_LOADING) {
		record_hand_on_landings(&job->record, job->patch);
		err = job_set_state(job, PATCH_UNLOADING);
	}
	if (err || (err = unmap_all(job, last)))
		return err;
	record_remove(&job->record, job->patch);
	job->patch = NULL;
	if (last)
		job->record.addr = 0;
	else if ((err = record_write(job->process, &job->record)))
		return err;
	event("forgotten patch=%s", name);
	if (last || !job->record.runtime)
		return NULL;
	err = runtime_drop(job);
	if (!err)
		memory_drop_empty_record(job);
	return err;
}

void memory_drop_empty_record(struct job *job)
{
	struct remote_plan plan = unmap_call(job->process, job->record.addr, RECORD_SIZE);

	if (!job->record.addr || job->record.nr_patches || job->record.runtime)
		return;
	/* An empty record does no harm where this fails. */
	err_free(remote_run(job->process, &plan, 1));
	job->record.addr = 0;
}
