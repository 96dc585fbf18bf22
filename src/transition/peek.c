/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "peek.h"

#include "event.h"
#include "glance.h"
#include "member.h"

/* Of one that stands more is known than a look would tell. */
static bool can_peek(const struct machine *m, const struct thread *thread)
{
	return m->can_peek && thread->state == THREAD_SEIZED && !thread_stands(thread) &&
	       !thread->asked && !thread->is_fresh;
}

bool peek_learn(struct machine *m, struct thread *thread)
{
	if (!can_peek(m, thread) || !glance_tp(m->process, thread->tid, &thread->tp))
		return false;
	member_of(thread)->known = true;
	m->stats.looks++;
	return true;
}

/* It sleeps, and where; as long as *count is its count it has not run. */
static bool finds_asleep(struct machine *m, struct thread *thread, uint64_t *count)
{
	return can_peek(m, thread) && glance_count(&m->glance, thread->tid, count) &&
	       glance_regs(m->process, thread->tid, thread->tp, &thread->regs);
}

/* Its stack can be judged without what only a stop would tell. */
static bool look(struct machine *m, struct thread *thread, uint64_t count, struct verdict *v)
{
	uint64_t after;

	*v = check_thread(&m->check, thread);
	if (!glance_count(&m->glance, thread->tid, &after) || after != count)
		return false;
	m->stats.looks++;
	/* Nobody is put back who is not stopped. */
	if (v->rewinds)
		return false;
	return v->is_clear || (v->what && v->reason == UNWIND_OK);
}

bool peek_outside(struct machine *m, struct thread *thread)
{
	struct verdict v;
	uint64_t count;

	if (!finds_asleep(m, thread, &count) || !look(m, thread, count, &v))
		return false;
	if (v.is_clear) {
		member_of(thread)->wave = m->wave;
		member_unblock(thread);
	} else {
		member_wait_for(m, thread, &v);
	}
	return true;
}

/* Step "switch_asleep". */
static struct err *commit(struct machine *m, struct thread *thread, uint64_t count)
{
	uint64_t after;
	struct err *err;

	if ((err = event_step("switch")) ||
	    (err = dispatch_commit(m->dispatch, thread->tp, m->target)))
		return err;
	/* If it woke up meanwhile it may have come first: it is stopped to be sure. */
	if (glance_count(&m->glance, thread->tid, &after) && after == count)
		dispatch_confirm(m->dispatch, thread->tp);
	else
		event("woke tid=%d", (int)thread->tid);
	member_unblock(thread);
	return NULL;
}

/*
 * It sleeps where it was when it was told how to switch itself: there is nothing to do.  It
 * may have been told by another stitch, whose waiting for it ours has to say, too.
 */
static bool is_still_inside(struct machine *m, struct thread *thread)
{
	uint64_t at = dispatch_leaves_at(m->dispatch, thread->tp), count;
	struct verdict v;

	if (!at || dispatch_get(m->dispatch, thread->tp) == m->target ||
	    !finds_asleep(m, thread, &count) || !look(m, thread, count, &v) || v.is_clear ||
	    v.leaves_at != at)
		return false;
	if (!member_of(thread)->is_blocked)
		member_wait_for(m, thread, &v);
	return true;
}

bool peek_switch(struct machine *m, struct thread *thread)
{
	struct verdict v;
	uint64_t count;

	if (is_still_inside(m, thread))
		return true;
	if (!m->all_known || m->failed || dispatch_is_unsure(m->dispatch, thread->tp) ||
	    !member_is_alone(m, thread) || !finds_asleep(m, thread, &count))
		return false;
	/* While it sleeps: a mark that it made before is gone then, and counts no more. */
	m->failed = dispatch_set_tentative(m->dispatch, thread->tp);
	if (m->failed)
		return true;
	if (!look(m, thread, count, &v))
		return false;
	/* If it can switch itself later it is stopped once, to be told how. */
	if (!v.is_clear && v.leaves_at)
		return false;
	if (!v.is_clear) {
		member_wait_for(m, thread, &v);
		return true;
	}
	m->failed = commit(m, thread, count);
	return m->failed || member_is_at_target(m, thread);
}
