/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "switches.h"

#include "mem.h"

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

bool switches_stacks(const struct process *process, const char **by)
{
	for (size_t i = 0; i < process->nr_objects; i++)
		if (is_user(process, process->objects[i])) {
			*by = process->objects[i]->name;
			return true;
		}
	return false;
}
