/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "seek.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "event.h"
#include "mem.h"
#include "suspended.h"

static const char *is_forbidden(void *arg, uint64_t addr)
{
	const struct machine *m = arg;

	return check_name_at(&m->check, addr);
}

/*
 * Of a thread that runs it is known at least that its stack is below its thread pointer; the
 * first thread's is not, and is known by where it is.
 */
static bool live_of(const struct machine *m, const struct thread *thread,
		    struct live_stack *live)
{
	bool stands = thread_stands(thread);
	const struct arch *arch = m->process->arch;

	live->tp = thread->tp;
	if (thread->state == THREAD_GONE || (!stands && thread->tid == m->process->pid) ||
	    (!live->tp && !glance_tp(m->process, thread->tid, &live->tp)))
		return false;
	live->sp = stands ? regs_sp(arch, &thread->regs) :
			    live->tp - (uint64_t)arch->tp_bias - 1;
	return true;
}

static void note(struct machine *m, const struct suspended_search *search)
{
	struct blocker *b = &m->suspended;

	event("suspended stack at=%#" PRIx64 " in=%s", search->at, search->what);
	if (!b->what)
		b->since_ms = clock_ms();
	b->what = search->what;
	b->pc = search->addr;
	strcpy(b->thread_name, "suspended stack");
}

struct err *seek_suspended(struct machine *m, bool *found)
{
	AUTO_FREE struct live_stack *live = mem_alloc(m->threads.nr * sizeof(*live));
	struct suspended_search search = { .process = m->process, .wanted = is_forbidden,
					   .arg = m, .live = live };
	struct err *err;

	for (size_t i = 0; i < m->threads.nr; i++)
		search.nr_live += live_of(m, m->threads.thread[i], &live[search.nr_live]);
	check_bounds(&m->check, &search.low, &search.high);
	if ((err = suspended_find(&search, found)))
		return err;
	if (*found)
		note(m, &search);
	else
		m->suspended.what = NULL;
	return NULL;
}
