/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "suspended.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

#include "bytes.h"
#include "mem.h"
#include "pages.h"
#include "proc.h"

enum {
	CHUNK = 64 << 10,        /* stays in the processor's cache */
	BLOCK = 4 << 20,
	WORTH_HELP_KIB = 32 << 10,
	MAX_HELPERS = 15,
	CALL_MAX = 8,
};

/*
 * Behind threads' own stacks, of the C library's making or the first thread's: the walk sees
 * what is alive in those, and what lies below is dead.  What is mapped above one may have
 * become one mapping with it.
 */
static uint64_t behind_thread_stacks(const struct suspended_search *search,
				     const struct map *map)
{
	uint64_t from = map->start;

	if (search->process->start_stack - map->start < map->end - map->start)
		return map->end;
	for (size_t i = 0; i < search->nr_live; i++) {
		const struct live_stack *live = &search->live[i];
		uint64_t end = live->tp - (uint64_t)search->process->arch->tp_bias;

		if (live->sp >= map->start && live->sp < end && end < map->end && end > from)
			from = end & ~UINT64_C(7);
	}
	return from;
}

static bool follows_call(const struct suspended_search *search, uint64_t addr)
{
	uint8_t code[CALL_MAX];

	return process_try_read(search->process, addr - CALL_MAX, code, sizeof(code)) &&
	       search->process->arch->follows_call(code, sizeof(code));
}

static bool is_find(struct suspended_search *search, uint64_t at, uint64_t addr)
{
	if (addr - search->low >= search->high - search->low)
		return false;
	search->what = search->wanted(search->arg, addr - 1);
	if (!search->what || !follows_call(search, addr))
		return false;
	search->at = at;
	search->addr = addr;
	return true;
}

/* What a word of a jmp_buf is without the C library's mangling; the word, if it has none. */
struct mangling {
	uint64_t guard;
	unsigned rotated;
};

static inline uint64_t unmangle(const struct mangling *m, uint64_t word)
{
	return (word >> m->rotated | word << (-m->rotated & 63)) ^ m->guard;
}

/* All threads wait for the end of this: of most words it is the two comparisons that say no. */
static bool search_chunk(struct suspended_search *search, uint64_t at, const uint8_t *bytes,
			 size_t size, struct mangling mangling)
{
	bool be = search->process->arch->big_endian;
	uint64_t low = search->low, span = search->high - low;

	for (size_t i = 0; i + 8 <= size; i += 8) {
		uint64_t word = bytes_get8(bytes + i, be), plain = unmangle(&mangling, word);

		if (word - low >= span && plain - low >= span)
			continue;
		if (is_find(search, at + i, word) || is_find(search, at + i, plain))
			return true;
	}
	return false;
}

static struct mangling read_mangling(const struct suspended_search *search)
{
	const struct arch *arch = search->process->arch;
	struct mangling m = { 0, arch->pointer_rotated };

	if (search->nr_live && arch->pointer_guard &&
	    process_try_read(search->process, search->live[0].tp + arch->pointer_guard, &m.guard,
			     sizeof(m.guard)))
		m.guard = bytes_get8(&m.guard, arch->big_endian);
	return m;
}

/* ---- by as many as there are processors ---------------------------------------- */

/* What one of those who search goes through memory with. */
struct reader {
	struct suspended_search search;
	struct pages pages;
	uint8_t bytes[CHUNK];
};

/* Memory is given out in blocks; whoever has no more is done. */
struct sweep {
	pthread_mutex_t lock;
	const struct maps *maps;
	size_t map;              /* of which the next block is */
	uint64_t at;             /* where it begins; 0: not begun */
	struct mangling mangling;
	const struct suspended_search *search;
	struct suspended_search find; /* the same with the find in it */
	bool found;
};

struct block {
	const struct map *map;
	uint64_t start, end;
};

static bool take_block(struct sweep *sweep, struct block *block)
{
	const struct maps *maps = sweep->maps;

	for (; sweep->map < maps->nr && !sweep->found; sweep->map++, sweep->at = 0) {
		const struct map *map = &maps->map[sweep->map];

		if (!map->write || !map->read)
			continue;
		if (!sweep->at)
			sweep->at = behind_thread_stacks(sweep->search, map);
		if (sweep->at >= map->end)
			continue;
		*block = (struct block){ map, sweep->at,
			map->end - sweep->at < BLOCK ? map->end : sweep->at + BLOCK };
		sweep->at = block->end;
		return true;
	}
	return false;
}

static bool search_block(const struct block *block, struct reader *reader,
			 struct mangling mangling)
{
	for (uint64_t at = block->start; at < block->end; at += CHUNK) {
		size_t size = block->end - at < CHUNK ? block->end - at : CHUNK;

		/* What is shared another may have written, or the kernel put away. */
		if (!block->map->shared && pages_are_empty(&reader->pages, at, size))
			continue;
		if (process_try_read(reader->search.process, at, reader->bytes, size) &&
		    search_chunk(&reader->search, at, reader->bytes, size, mangling))
			return true;
	}
	return false;
}

/* Takes the next block, after what was found in the last one. */
static bool go_on(struct sweep *sweep, const struct reader *reader, bool found,
		  struct block *block)
{
	bool is_there;

	pthread_mutex_lock(&sweep->lock);
	if (found && !sweep->found) {
		sweep->find = reader->search;
		sweep->found = true;
	}
	is_there = take_block(sweep, block);
	pthread_mutex_unlock(&sweep->lock);
	return is_there;
}

static void *search_blocks(void *arg)
{
	struct reader *reader = mem_alloc(sizeof(*reader));
	struct sweep *sweep = arg;
	struct block block;
	bool found = false;

	reader->search = *sweep->search;
	pages_open(reader->search.process->pid, &reader->pages);
	while (go_on(sweep, reader, found, &block))
		found = search_block(&block, reader, sweep->mangling);
	pages_close(&reader->pages);
	free(reader);
	return NULL;
}

/* Not with the priority of who is waited for: that is for moments. */
static bool begin_helper(pthread_t *thread, struct sweep *sweep)
{
	struct sched_param none = { 0 };
	pthread_attr_t attr;
	bool begun;

	pthread_attr_init(&attr);
	pthread_attr_setinheritsched(&attr, PTHREAD_EXPLICIT_SCHED);
	pthread_attr_setschedpolicy(&attr, SCHED_OTHER);
	pthread_attr_setschedparam(&attr, &none);
	begun = !pthread_create(thread, &attr, search_blocks, sweep);
	pthread_attr_destroy(&attr);
	return begun;
}

/* To make a thread takes as long as to go through some megabytes. */
static size_t count_helpers(const struct process *process)
{
	long processors = sysconf(_SC_NPROCESSORS_ONLN);
	long used = proc_status_number(process->pid, "VmRSS"); /* KiB */

	if (used < WORTH_HELP_KIB || processors < 2)
		return 0;
	return processors > MAX_HELPERS ? MAX_HELPERS : (size_t)processors - 1;
}

struct err *suspended_find(struct suspended_search *search, bool *found)
{
	struct sweep sweep = { .lock = PTHREAD_MUTEX_INITIALIZER, .search = search,
			       .mangling = read_mangling(search) };
	size_t nr = count_helpers(search->process), nr_begun = 0;
	AUTO_MAPS struct maps maps = { 0 };
	pthread_t helpers[MAX_HELPERS];
	struct err *err = process_read_maps(search->process, &maps);

	*found = false;
	if (err)
		return err;
	sweep.maps = &maps;
	while (nr_begun < nr && begin_helper(&helpers[nr_begun], &sweep))
		nr_begun++;
	search_blocks(&sweep);
	for (size_t i = 0; i < nr_begun; i++)
		pthread_join(helpers[i], NULL);
	*found = sweep.found;
	if (*found)
		*search = sweep.find;
	return NULL;
}
