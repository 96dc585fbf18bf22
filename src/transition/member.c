/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "member.h"

#include <inttypes.h>
#include <stdlib.h>

#include "event.h"
#include "glance.h"
#include "mem.h"

enum {
	MAX_STRAGGLERS = 256, /* each takes a descriptor */
};

struct member *member_of(struct thread *thread)
{
	struct member *member = thread->data;

	if (!member) {
		member = thread->data = mem_alloc(sizeof(*member));
		member->straggler = (struct straggler)STRAGGLER_NONE;
	}
	return member;
}

void member_free(struct thread *thread)
{
	struct member *member = thread->data;

	if (member)
		straggler_done(&member->straggler);
	free(member);
	thread->data = NULL;
}

bool member_is_gone(const struct thread *thread)
{
	return thread->state == THREAD_GONE;
}

/* The next known thread with a thread pointer, from number *nr on; NULL: none. */
static struct thread *next_sharer(struct machine *m, uint64_t tp, size_t *nr)
{
	for (; *nr < m->threads.nr; ++*nr) {
		struct thread *thread = m->threads.thread[*nr];

		if (!member_is_gone(thread) && member_of(thread)->known && thread->tp == tp)
			return m->threads.thread[(*nr)++];
	}
	return NULL;
}

/* The C library gives a new thread the memory, and so the pointer, of one that ended. */
static bool is_shared(struct machine *m, uint64_t tp)
{
	struct thread *thread;
	size_t nr = 0;

	while ((thread = next_sharer(m, tp, &nr)))
		if (!thread_has_ended(thread->tid))
			return true;
	return false;
}

/*
 * A thread stands for the first time since it is ours.  One that shares the thread
 * pointer of another has its state already.
 */
void member_learn(struct machine *m, struct thread *thread)
{
	struct member *member = member_of(thread);

	if (member->known)
		return;
	glance_learn(m->process, thread->tid, thread->tp);
	if (m->dispatch && thread->is_fresh && !m->failed && !is_shared(m, thread->tp))
		m->failed = dispatch_set(m->dispatch, thread->tp, member->inherits);
	thread->is_fresh = false;
	member->known = true;
}

/* Of threads_follow(): the child has its creator's state, which stands. */
void member_born(void *arg, struct thread *parent, struct thread *child)
{
	struct machine *m = arg;
	struct member *member = member_of(child);

	member->creator = parent->tp;
	if (m->dispatch)
		member->inherits = dispatch_get(m->dispatch, parent->tp);
	/* They may share a state from here on: nobody switches that by itself. */
	if (m->dispatch && !m->failed && dispatch_leaves_at(m->dispatch, parent->tp))
		m->failed = dispatch_set(m->dispatch, parent->tp, member->inherits);
	/* It begins at its function, outside all stubs; a child of vfork on its parent's
	 * stack. */
	if (child->is_of_process)
		member->wave = m->wave;
	event("born tid=%d of=%d state=%s", (int)child->tid, (int)parent->tid,
	      member->inherits == STATE_PATCHED ? "patched" : "unpatched");
}

static void note_pause(struct machine *m, const struct thread *thread)
{
	uint64_t pause = clock_ns() - thread->stopped_at;

	m->stats.stops++;
	m->stats.total_pause_ns += pause;
	if (pause > m->stats.worst_pause_ns)
		m->stats.worst_pause_ns = pause;
}

void member_let_run(struct machine *m, struct thread *thread)
{
	if (thread->state != THREAD_STOPPED || (thread->is_fresh && !thread->has_parent))
		return;
	thread_resume(thread);
	note_pause(m, thread);
}

void member_block(struct machine *m, struct thread *thread, const struct verdict *v)
{
	struct member *member = member_of(thread);
	struct blocker *b = &member->blocker;
	bool same = member->is_blocked && b->what == v->what && b->reason == v->reason;

	if (!same)
		b->since_ms = clock_ms();
	if (!same || b->pc != v->pc)
		b->here_ms = clock_ms();
	member->is_blocked = true;
	b->tid = thread->tid;
	b->what = v->what;
	b->reason = v->what ? UNWIND_OK : v->reason;
	b->does_not_stop = !v->what && v->reason == UNWIND_OK;
	b->frame = v->frame;
	b->pc = v->pc;
	thread_name(m->process->pid, thread->tid, b->thread_name);
}

void member_block_silent(struct machine *m, struct thread *thread)
{
	member_block(m, thread, &(struct verdict){ .reason = UNWIND_OK });
}

void member_unblock(struct thread *thread)
{
	struct member *member = member_of(thread);

	member->is_blocked = false;
	straggler_done(&member->straggler);
}

static size_t nr_waited_for(const struct machine *m)
{
	size_t nr = 0;

	for (size_t i = 0; i < m->threads.nr; i++) {
		const struct member *member = m->threads.thread[i]->data;

		nr += member && member->straggler.fd >= 0;
	}
	return nr;
}

/*
 * The dispatcher has decided for it, and nothing else has happened: it is put back in front
 * of the function, and will ask again.  One write of its registers, or none.
 */
static bool rewind_entry(const struct machine *m, struct thread *thread,
			 const struct regs *regs)
{
	struct err *err = thread_set_regs(m->process->arch, thread->tid, regs);

	if (!err)
		thread->regs = *regs;
	err_free(err);
	return !err;
}

void member_wait_for(struct machine *m, struct thread *thread, const struct verdict *v)
{
	struct member *member = member_of(thread);

	member_block(m, thread, v);
	member->leaves_at = v->leaves_at;
	if (member->straggler.fd >= 0 || nr_waited_for(m) < MAX_STRAGGLERS)
		straggler_wait(&member->straggler, thread->tid, v->what ? v->caller : 0);
}

/* thread stands. */
bool member_is_clear(struct machine *m, struct thread *thread)
{
	struct verdict v = check_thread(&m->check, thread);

	if (v.is_clear && (!v.rewinds || rewind_entry(m, thread, &v.regs)))
		return true;
	member_wait_for(m, thread, &v);
	return false;
}

/*
 * Stops a thread; *stands is false if it does not, and that is noted.  The signal of its
 * own straggler's event is taken from it.
 */
struct err *member_stop(struct machine *m, struct thread *thread, bool *stands)
{
	struct err *err = thread_stop(&m->threads, thread, MEMBER_STOP_MS);

	*stands = !err && thread_stands(thread) &&
		  !(thread->is_fresh && !thread->has_parent);
	if (err && err->kind == ERR_NOT_NOW) {
		err_freep(&err);
		member_block_silent(m, thread);
	}
	if (!*stands)
		return err;
	m->stats.fixed_eintr += thread->fixed_eintr;
	thread->fixed_eintr = false;
	if (straggler_is_here(&member_of(thread)->straggler, thread->tid, thread->signal)) {
		thread->signal = 0;
		thread->steps_off = m->process->arch->steps_off_events;
	}
	member_learn(m, thread);
	return NULL;
}

/*
 * Threads with one thread pointer have one state, so they are switched together, when
 * all of them stand and are clear.
 */
static struct err *stop_sharers(struct machine *m, uint64_t tp, bool check, bool *all)
{
	struct thread *thread;
	struct err *err;
	size_t nr = 0;
	bool stands;

	*all = true;
	while (*all && (thread = next_sharer(m, tp, &nr))) {
		if (thread->state == THREAD_SEIZED) {
			if ((err = member_stop(m, thread, &stands)))
				return err;
			if (member_is_gone(thread))
				continue;
			if (!stands)
				*all = false;
		}
		if (*all && check)
			*all = member_is_clear(m, thread);
	}
	return NULL;
}

static void release_sharers(struct machine *m, uint64_t tp)
{
	struct thread *thread;
	size_t nr = 0;

	while ((thread = next_sharer(m, tp, &nr)))
		member_let_run(m, thread);
}

static void unblock_sharers(struct machine *m, uint64_t tp)
{
	struct thread *thread;
	size_t nr = 0;

	while ((thread = next_sharer(m, tp, &nr)))
		member_unblock(thread);
}

bool member_is_alone(const struct machine *m, const struct thread *thread)
{
	for (size_t i = 0; i < m->threads.nr; i++) {
		const struct thread *other = m->threads.thread[i];

		if (other != thread && !member_is_gone(other) &&
		    (other->is_fresh || other->tp == thread->tp))
			return false;
	}
	return true;
}

/* Step "leave": it stands, and will switch itself when it has left what it is in. */
static struct err *let_leave(struct machine *m, uint64_t tp)
{
	size_t nr = 0;
	struct thread *thread = next_sharer(m, tp, &nr);
	const struct member *member = thread ? thread->data : NULL;

	if (!member || thread->state != THREAD_STOPPED || !member->is_blocked ||
	    !member->leaves_at || member->leaves_at >> (ARCH_SP_BITS + 3) ||
	    dispatch_get(m->dispatch, tp) == m->target || !member_is_alone(m, thread))
		return NULL;
	event("leaving tid=%d at=%#" PRIx64, (int)thread->tid, member->leaves_at);
	return dispatch_set_leaving(m->dispatch, tp, member->leaves_at);
}

/* Step "switch": those with that thread pointer, if all are clear. */
struct err *members_switch(struct machine *m, uint64_t tp, bool check)
{
	struct err *err;
	bool all;

	err = stop_sharers(m, tp, check, &all);
	if (!err && (all || !check)) {
		err = event_step("switch");
		if (!err)
			err = dispatch_set(m->dispatch, tp, m->target);
		if (!err)
			unblock_sharers(m, tp);
	} else if (!err) {
		err = let_leave(m, tp);
	}
	release_sharers(m, tp);
	return err;
}

bool member_is_at_target(const struct machine *m, const struct thread *thread)
{
	return dispatch_get(m->dispatch, thread->tp) == m->target &&
	       !dispatch_is_unsure(m->dispatch, thread->tp);
}

void members_forget_gone(struct machine *m)
{
	for (size_t i = 0; i < m->threads.nr; i++) {
		struct thread *thread = m->threads.thread[i];
		struct member *member = thread->data;
		bool had_place = member && member->known && member_is_gone(thread);
		uint64_t tp = thread->tp;
		size_t nr = 0;

		if (!member_is_gone(thread))
			continue;
		member_free(thread);
		if (had_place && m->dispatch && !next_sharer(m, tp, &nr))
			dispatch_forget(m->dispatch, tp);
	}
	threads_sweep(&m->threads);
}

/*
 * One whose thread pointer is not known yet may share it with any other (the parent of a
 * vfork, which does not stop, shares its child's): nobody is switched before it is.  Of one
 * that was just born only the creator may be it.
 */
bool members_are_known(const struct machine *m)
{
	for (size_t i = 0; i < m->threads.nr; i++) {
		const struct thread *thread = m->threads.thread[i];
		const struct member *member = thread->data;

		if (!member_is_gone(thread) && !thread->is_fresh &&
		    (!member || !member->known))
			return false;
	}
	return true;
}

/* Its newborn stop by themselves, and at once: who they are is known then. */
struct err *members_learn_newborn(struct machine *m, uint64_t tp, bool *all)
{
	struct err *err;

	*all = true;
	for (size_t i = 0; i < m->threads.nr; i++) {
		struct thread *thread = m->threads.thread[i];
		const struct member *member = thread->data;
		bool stands;

		if (!thread->is_fresh || member_is_gone(thread) || !member ||
		    member->creator != tp)
			continue;
		if ((err = member_stop(m, thread, &stands)))
			return err;
		*all &= stands || member_is_gone(thread);
		member_let_run(m, thread);
	}
	return NULL;
}
