/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "runtime.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "bytes.h"
#include "event.h"
#include "mem.h"
#include "remote.h"

enum {
	RUNTIME_SIZE = 65536,
	/* struct klp_runtime_ */
	RT_VERSION = 0, RT_LOCK = 8, RT_LIVE = 24, RT_TRANSITION = 32, RT_CHUNKS = 40,
	/* struct klp_chunk_ */
	CHUNK_NEXT = 0, CHUNK_SIZE = 8,
	MAX_CHUNKS = 65536,
};

/* "klp_rt" and the layout's number. */
#define MAGIC UINT64_C(0x6b6c705f72740001)

static struct err *write_word(const struct job *job, uint64_t at, uint64_t value)
{
	uint8_t word[8];

	bytes_put(word, 8, value, job->process->arch->big_endian);
	return process_write(job->process, at, word, 8);
}

static bool is_there(const struct job *job)
{
	uint64_t version = 0;

	if (!job->record.runtime)
		return false;
	err_free(process_read_word(job->process, job->record.runtime + RT_VERSION, &version));
	return version == MAGIC;
}

uint64_t runtime_lock(const struct record *record)
{
	return record->runtime ? record->runtime + RT_LOCK : 0;
}

static struct err *map_at(struct job *job, uint64_t at)
{
	struct remote_mapping map = { { at, RUNTIME_SIZE }, PROT_READ | PROT_WRITE, 0 };
	struct err *err;

	if ((err = event_step("runtime-map")) || (err = remote_map(job->process, &map, 1)) ||
	    (err = event_step("runtime-mapped")))
		return err;
	return write_word(job, at + RT_VERSION, MAGIC);
}

/* Where an earlier tool got as far as mapping it, or no further than writing so. */
static bool is_mapped_empty(const struct job *job, uint64_t at)
{
	const struct map *map = at ? maps_find(&job->process->maps, at) : NULL;
	AUTO_FREE uint8_t *bytes = mem_alloc(RUNTIME_SIZE);

	if (!map || map->inode || map->shared || !map->write || map->exec ||
	    !process_try_read(job->process, at, bytes, RUNTIME_SIZE))
		return false;
	for (size_t i = 0; i < RUNTIME_SIZE; i++)
		if (bytes[i])
			return false;
	return true;
}

static struct err *map_runtime(struct job *job)
{
	const struct object *program = process_program(job->process);
	struct err *err;

	job->record.runtime = maps_find_room(&job->process->maps, program->start, program->end,
					     RUNTIME_SIZE, UINT64_C(1) << 40);
	if (!job->record.runtime)
		return REFUSE("no-room", "process %d has no free memory for shared data",
			      job->process->pid);
	if ((err = record_write(job->process, &job->record)) ||
	    (err = map_at(job, job->record.runtime)))
		return err;
	event("mapped runtime size=%d", RUNTIME_SIZE);
	return process_refresh(job->process);
}

struct err *runtime_need(struct job *job)
{
	struct err *err;
	int tries = 0;

	if (is_there(job))
		return NULL;
	if (is_mapped_empty(job, job->record.runtime))
		return write_word(job, job->record.runtime + RT_VERSION, MAGIC);
	do
		err = map_runtime(job);
	while (remote_look_elsewhere(job->process, &err, &tries));
	return err;
}

static bool is_used(const struct record *record)
{
	for (size_t i = 0; i < record->nr_patches; i++)
		if (record->patches[i]->self)
			return true;
	return false;
}

/* What shadow variables were in: the patches have mapped it. */
static struct err *list_chunks(const struct job *job, struct remote_plan **plan, size_t *nr)
{
	uint64_t at, next, size;
	struct err *err = process_read_word(job->process, job->record.runtime + RT_CHUNKS, &at);

	for (; !err && at && *nr < MAX_CHUNKS; at = next) {
		if ((err = process_read_word(job->process, at + CHUNK_NEXT, &next)) ||
		    (err = process_read_word(job->process, at + CHUNK_SIZE, &size)))
			break;
		*ARRAY_ADD(*plan, *nr) = (struct remote_plan){
			.nr = job->process->arch->nr_munmap, .may_fail = true,
			.what = "unmapping memory", .args = { at, size } };
	}
	return err;
}

struct err *runtime_drop(struct job *job)
{
	AUTO_FREE struct remote_plan *plan = NULL;
	size_t nr = 0;
	uint64_t live = 0;
	struct err *err;

	if (!job->record.runtime || is_used(&job->record))
		return NULL;
	if (is_there(job)) {
		err = process_read_word(job->process, job->record.runtime + RT_LIVE, &live);
		if (err)
			return err;
		if (live) {
			event("kept runtime shadow=%" PRIu64, live);
			return NULL;
		}
		if ((err = list_chunks(job, &plan, &nr)))
			return err;
		*ARRAY_ADD(plan, nr) = (struct remote_plan){
			.nr = job->process->arch->nr_munmap, .what = "unmapping memory",
			.args = { job->record.runtime, RUNTIME_SIZE } };
		if ((err = event_step("runtime-unmap")) ||
		    (err = write_word(job, job->record.runtime + RT_CHUNKS, 0)) ||
		    (err = write_word(job, job->record.runtime + RT_VERSION, 0)) ||
		    (err = remote_run(job->process, plan, nr)))
			return err;
		event("unmapped runtime");
	}
	job->record.runtime = 0;
	return record_write(job->process, &job->record);
}

struct err *runtime_join(struct job *job)
{
	if (!job->patch->self)
		return NULL;
	return write_word(job, job->patch->self + LINK_SELF_RUNTIME, job->record.runtime);
}

/* In effect before the job's patch, or taken out of effect by it. */
static bool is_before(const struct job *job, const struct record_patch *patch)
{
	return patch->self && (patch->state == PATCH_APPLIED ||
			       (patch->state == PATCH_RESTORING && job->patch->replace));
}

struct err *runtime_set_transition(struct job *job, bool runs)
{
	uint64_t prev = 0;
	struct err *err = NULL;

	if (!job->patch->self)
		return NULL;
	for (size_t i = 0; i < job->record.nr_patches && !err; i++) {
		const struct record_patch *patch = job->record.patches[i];

		if (patch != job->patch && !is_before(job, patch))
			continue;
		err = write_word(job, patch->self + LINK_SELF_PREV, prev);
		prev = patch->self;
		if (patch == job->patch)
			break;
	}
	if (err)
		return err;
	return write_word(job, job->record.runtime + RT_TRANSITION,
			  runs ? job->patch->self : 0);
}
