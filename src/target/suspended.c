/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "suspended.h"

#include "bytes.h"
#include "mem.h"
#include "pages.h"

/* A chunk is to stay in the processor's cache, and no fresh memory is to be faulted in. */
enum { CHUNK = 64 << 10, CALL_MAX = 8 };

/*
 * What makes or changes stacks: of the C library, Boost (PHP's fibers, too), common small
 * libraries, Ruby's fibers, and greenlet, whose module has no other name to be known by.
 */
static const char *const switches[] = {
	"makecontext", "swapcontext", "setcontext", "make_fcontext", "jump_fcontext",
	"co_create", "co_switch", "coro_transfer", "coro_create", "aco_create", "aco_resume",
	"tb_context_jump", "mco_create", "mco_resume", "st_thread_create",
	"coroutine_transfer", "PyInit__greenlet",
};

/* Without these nobody can use what OpenSSL has of it (async_posix.c, SSL_MODE_ASYNC). */
static const char *const openssl_async[] = {
	"ASYNC_init_thread", "ASYNC_start_job", "SSL_waiting_for_async",
	"SSL_get_all_async_fds", "SSL_get_changed_async_fds",
};

/* Is one of the names a dynamic symbol of the object, defined or used? */
static bool mentions(const struct object *object, const char *const *names, size_t nr)
{
	for (size_t i = 0; i < nr; i++)
		if (object_names(object, names[i], false))
			return true;
	return false;
}

static bool defines(const struct object *object, const char *name)
{
	uint64_t value;

	return image_find_hashed(object->image, name, &value);
}

static bool uses_openssl_async(const struct process *process)
{
	for (size_t i = 0; i < process->nr_objects; i++) {
		const struct object *object = process->objects[i];

		if (!defines(object, "ASYNC_start_job") && !defines(object, "SSL_new") &&
		    mentions(object, openssl_async, ARRAY_SIZE(openssl_async)))
			return true;
	}
	return false;
}

/* The C library defines it all, for others to use. */
static bool is_user(const struct process *process, const struct object *object)
{
	if (defines(object, "makecontext") ||
	    !mentions(object, switches, ARRAY_SIZE(switches)))
		return false;
	return !defines(object, "ASYNC_start_job") || uses_openssl_async(process);
}

bool suspended_are_possible(const struct process *process, const char **by)
{
	for (size_t i = 0; i < process->nr_objects; i++)
		if (is_user(process, process->objects[i])) {
			*by = process->objects[i]->name;
			return true;
		}
	return false;
}

/* ---- the search ---------------------------------------------------------------- */

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

/* What the search goes through memory with. */
struct reader {
	struct pages pages;
	struct mangling mangling;
	uint8_t bytes[CHUNK];
};

static bool search_map(struct suspended_search *search, const struct map *map,
		       struct reader *reader)
{
	for (uint64_t at = behind_thread_stacks(search, map); at < map->end; at += CHUNK) {
		size_t size = map->end - at < CHUNK ? map->end - at : CHUNK;

		/* What is shared another may have written, or the kernel put away. */
		if (!map->shared && pages_are_empty(&reader->pages, at, size))
			continue;
		if (process_try_read(search->process, at, reader->bytes, size) &&
		    search_chunk(search, at, reader->bytes, size, reader->mangling))
			return true;
	}
	return false;
}

struct err *suspended_find(struct suspended_search *search, bool *found)
{
	AUTO_FREE struct reader *reader = mem_alloc(sizeof(*reader));
	AUTO_MAPS struct maps maps = { 0 };
	struct err *err = process_read_maps(search->process, &maps);

	*found = false;
	if (err)
		return err;
	reader->mangling = read_mangling(search);
	pages_open(search->process->pid, &reader->pages);
	for (size_t i = 0; i < maps.nr && !*found; i++) {
		const struct map *map = &maps.map[i];

		*found = map->write && map->read && search_map(search, map, reader);
	}
	pages_close(&reader->pages);
	return NULL;
}
