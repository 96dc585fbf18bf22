/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "suspended.h"


#include "bytes.h"
#include "mem.h"

enum { CHUNK = 1 << 20, CALL_MAX = 8 };

/* What makes or changes stacks: of the C library, Boost, and common small libraries. */
static const char *const switches[] = {
	"makecontext", "swapcontext", "setcontext", "make_fcontext", "jump_fcontext",
	"co_create", "co_switch", "coro_transfer", "coro_create", "aco_create", "aco_resume",
	"tb_context_jump", "mco_create", "mco_resume",
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
 * A thread's own stack, of the C library's making or the first thread's: the walk sees
 * what is alive in it, and what lies below is dead.
 */
static bool is_thread_stack(const struct suspended_search *search, const struct map *map)
{
	if (search->process->start_stack - map->start < map->end - map->start)
		return true;
	for (size_t i = 0; i < search->nr_live; i++) {
		const struct live_stack *live = &search->live[i];

		if (live->sp >= map->start && live->sp < live->tp && live->tp < map->end)
			return true;
	}
	return false;
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

static uint64_t unmangle(const struct suspended_search *search, uint64_t word, uint64_t guard)
{
	const struct arch *arch = search->process->arch;

	return arch->unmangle ? arch->unmangle(word, guard) : 0;
}

static bool search_chunk(struct suspended_search *search, uint64_t at, const uint8_t *bytes,
			 size_t size, uint64_t guard)
{
	bool be = search->process->arch->big_endian;

	for (size_t i = 0; i + 8 <= size; i += 8) {
		uint64_t word = bytes_get8(bytes + i, be);

		if (is_find(search, at + i, word) ||
		    is_find(search, at + i, unmangle(search, word, guard)))
			return true;
	}
	return false;
}

static uint64_t read_guard(const struct suspended_search *search)
{
	uint64_t guard = 0;

	if (search->nr_live)
		err_free(process_read_word(search->process, search->live[0].tp +
					   search->process->arch->pointer_guard, &guard));
	return guard;
}

bool suspended_find(struct suspended_search *search)
{
	const struct maps *maps = &search->process->maps;
	AUTO_FREE uint8_t *bytes = mem_alloc(CHUNK);
	uint64_t guard = read_guard(search);

	for (size_t i = 0; i < maps->nr; i++) {
		const struct map *map = &maps->map[i];

		if (!map->write || !map->read || is_thread_stack(search, map))
			continue;
		for (uint64_t at = map->start; at < map->end; at += CHUNK) {
			size_t size = map->end - at < CHUNK ? map->end - at : CHUNK;

			if (process_try_read(search->process, at, bytes, size) &&
			    search_chunk(search, at, bytes, size, guard))
				return true;
		}
	}
	return false;
}
