/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "machine.h"

#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "event.h"
#include "mem.h"
#include "member.h"
#include "orders.h"
#include "peek.h"
#include "seek.h"
#include "turn.h"

/* What the tracer is asked for; each has what it needs. */
struct errand {
	struct err *(*what)(struct machine *m, const struct errand *errand);
	struct machine *machine;
	enum thread_patch_state target;
	unsigned timeout_ms;
	struct err *(*change)(void *arg);
	void *change_arg;
	const struct record *record;
};

enum {
	BEGIN_MS = 10000,     /* until all threads are ours, however many they make meanwhile */
	HOLD_MS = 1000,
	SEE_MS = 1000,        /* who cannot be seen outside for so long is let be */
	FIRST_PAUSE_MS = 1,   /* between two turns */
	LAST_PAUSE_MS = 200,
	FREE_SHARE = 4,       /* so much longer than they were held threads are left alone */
	TRUSTED = 8,          /* looks at who runs, before all are held again to know */
	MAX_POLLED = 258,
};

/* Until a thread reports something, a straggler returns, somebody asks, or ms are over. */
static void wait_a_little(struct machine *m, unsigned ms)
{
	AUTO_FREE struct pollfd *fds = mem_alloc(MAX_POLLED * sizeof(*fds));
	AUTO_CLOSE int signals = -1;
	struct signalfd_siginfo info;
	nfds_t nr = 0;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	fds[nr++] = (struct pollfd){ .fd = signals, .events = POLLIN };
	if (m->lock)
		fds[nr++] = (struct pollfd){ .fd = m->lock->fd, .events = POLLIN };
	for (size_t i = 0; i < m->threads.nr && nr < MAX_POLLED; i++) {
		const struct member *member = m->threads.thread[i]->data;

		/* Who gets a signal stops by itself. */
		if (member && member->straggler.fd >= 0 && !member->straggler.sig)
			fds[nr++] = (struct pollfd){ .fd = member->straggler.fd,
						     .events = POLLIN };
	}
	if (poll(fds, nr, m->threads.has_more ? 0 : (int)ms) > 0 && fds[0].revents)
		while (read(signals, &info, sizeof(info)) > 0)
			;
	threads_note_idle(&m->threads);
}

/*
 * Threads that nobody told of: made by one that was not ours yet.  Those whose creator's report
 * is still to come do not count: they are ours, have run nothing, and will have its state and
 * what it was seen outside of.  One made a moment later is no different, and where threads are
 * made without pause there is no moment without any.
 */
static struct err *find_new(struct machine *m, bool *added)
{
	size_t had = m->threads.nr;
	bool some = false;
	struct err *err = threads_seize_new(&m->threads, &some);

	*added = m->threads.may_lack;
	for (size_t i = had; i < m->threads.nr; i++)
		*added |= !m->threads.thread[i]->is_fresh;
	return err;
}

static void clear_blockers(struct machine *m)
{
	for (size_t i = 0; i < m->threads.nr; i++)
		member_unblock(m->threads.thread[i]);
	m->began_ms = clock_ms();
}

/*
 * Some thread cannot be seen outside: not because it is only passing a stub, and it is where
 * it was, for one that gets on may have a stack that can be read the next time.
 */
static bool is_hopeless(const struct machine *m)
{
	for (size_t i = 0; i < m->threads.nr; i++) {
		const struct member *member = m->threads.thread[i]->data;

		if (member && member->is_blocked && member->blocker.reason != UNWIND_ISLAND &&
		    clock_ms() - member->blocker.here_ms >= SEE_MS)
			return true;
	}
	return false;
}

static bool is_over(const struct machine *m, unsigned timeout_ms)
{
	uint64_t age = clock_ms() - m->began_ms;

	return age >= timeout_ms || (!m->is_switching && age >= SEE_MS && is_hopeless(m));
}

/* Passes until nobody is left, or the time is over. */
static struct err *run_passes(struct machine *m, const struct visit *what,
			      unsigned timeout_ms)
{
	unsigned pause = FIRST_PAUSE_MS;
	struct err *err;
	size_t left;
	bool added;

	clear_blockers(m);
	m->visit = what;
	for (;;) {
		if ((err = turn_pass(m, &left)) || (err = find_new(m, &added)))
			return err;
		if (!left && !added)
			return NULL;
		if ((err = orders_obey(m, orders_ask(m))))
			return err;
		/* Newcomers are seen at once; who makes them without an end is not waited for. */
		if (is_over(m, left || timeout_ms > SEE_MS ? timeout_ms : SEE_MS))
			return orders_refuse(m);
		if (!left)
			continue;
		wait_a_little(m, pause);
		if (pause < LAST_PAUSE_MS)
			pause *= 2;
	}
}

static bool needs_switch(struct machine *m, struct thread *thread)
{
	const struct member *member = member_of(thread);

	if (member_is_gone(thread) || thread->is_foreign)
		return false;
	/* It stops by itself, before its first instruction. */
	if (thread->is_fresh)
		return thread->has_parent && member->inherits != m->target;
	return !member->known || !member_is_at_target(m, thread);
}

static struct err *act_switch(struct machine *m, struct thread *thread)
{
	bool all;
	struct err *err;

	if (!m->all_known)
		return NULL;
	if ((err = members_learn_newborn(m, thread->tp, &all)) || !all)
		return err;
	return members_switch(m, thread->tp, true);
}

static const struct visit switching = { needs_switch, peek_switch, act_switch };

static struct err *do_switch(struct machine *m, const struct errand *errand)
{
	struct err *err;

	m->target = errand->target;
	m->is_switching = true;
	err = run_passes(m, &switching, errand->timeout_ms);
	m->is_switching = false;
	return err;
}

static struct err *do_force(struct machine *m, const struct errand *errand)
{
	struct err *err = NULL;

	m->target = errand->target;
	event("forcing threads=%zu", m->threads.nr);
	for (size_t i = 0; i < m->threads.nr && !err; i++)
		if (!member_is_gone(m->threads.thread[i]) &&
		    !member_is_at_target(m, m->threads.thread[i]))
			err = members_switch(m, m->threads.thread[i]->tp, false);
	return err;
}

/* Step "see_outside": what a thread was in when the entries changed it has left. */
static bool needs_look(struct machine *m, struct thread *thread)
{
	/* One that has not run its first instruction is in nothing. */
	return !member_is_gone(thread) && !thread->is_fresh && !thread->is_foreign &&
	       member_of(thread)->wave != m->wave;
}

static struct err *act_look(struct machine *m, struct thread *thread)
{
	if (member_is_clear(m, thread)) {
		member_of(thread)->wave = m->wave;
		member_unblock(thread);
	}
	return NULL;
}

static const struct visit seeing = { needs_look, peek_outside, act_look };

static struct err *do_see_outside(struct machine *m, const struct errand *errand)
{
	m->wave++;
	return run_passes(m, &seeing,
			  errand->timeout_ms < SEE_MS ? SEE_MS : errand->timeout_ms);
}

static bool all_clear(struct machine *m)
{
	for (size_t i = 0; i < m->threads.nr; i++)
		if (thread_stands(m->threads.thread[i])) {
			if (!member_is_clear(m, m->threads.thread[i]))
				return false;
			member_unblock(m->threads.thread[i]);
		}
	return true;
}

/* Notes who was asked to stop and cannot be interrupted; false: nobody. */
static bool block_stuck(struct machine *m)
{
	bool any = false;

	for (size_t i = 0; i < m->threads.nr; i++) {
		struct thread *thread = m->threads.thread[i];

		if (!thread->asked || thread->state != THREAD_SEIZED || thread->is_fresh ||
		    thread_proc_state(thread->tid) != 'D')
			continue;
		member_block_silent(m, thread);
		any = true;
	}
	return any;
}

/* Those that a hold was given up for; they may stop the next time. */
static void block_silent(struct machine *m)
{
	if (block_stuck(m))
		return;
	for (size_t i = 0; i < m->threads.nr; i++)
		if (!thread_stands(m->threads.thread[i]) && !member_is_gone(m->threads.thread[i]))
			member_block_silent(m, m->threads.thread[i]);
}

/* All stand: may what they are held for be done? */
static struct err *may_change(struct machine *m, bool *may)
{
	struct err *err = NULL;
	bool found = false;

	*may = (!m->check.nr_forbidden && !m->is_switching) || all_clear(m);
	if (*may && m->seeks_suspended)
		err = seek_suspended(m, &found);
	*may &= !err && !found;
	return err;
}

/* One try at machine_hold(). */
static struct err *hold_once(struct machine *m, const struct errand *errand, bool *done)
{
	struct err *err = event_step("hold");

	*done = false;
	if (!err)
		err = threads_stop_all(&m->threads, HOLD_MS);
	if (!err)
		err = may_change(m, done);
	if (err && err->kind == ERR_NOT_NOW && !strcmp(err->reason, "does-not-stop")) {
		err_freep(&err);
		block_silent(m);
	}
	if (*done)
		err = errand->change(errand->change_arg);
	for (size_t i = 0; i < m->threads.nr; i++) {
		if (thread_stands(m->threads.thread[i]))
			member_learn(m, m->threads.thread[i]);
		member_let_run(m, m->threads.thread[i]);
	}
	return err ? err : turn_take_events(m);
}

/*
 * Nobody is made to stand for what a look without that finds as well: of a stack that was in
 * the way the last time.  Now and then it is tried all the same, for that look may see one
 * where there is none.
 */
static struct err *try_to_hold(struct machine *m, const struct errand *errand,
			       unsigned *tries, bool *done)
{
	bool found = false;
	struct err *err;

	/* Who was asked to stop the last time cannot yet: it would not this time, either. */
	if (block_stuck(m))
		return NULL;
	if (m->suspended.what && ++*tries % TRUSTED && (err = seek_suspended(m, &found)))
		return err;
	return found ? NULL : hold_once(m, errand, done);
}

/* What has to be learnt of the code on the stacks is learnt before all stand for it. */
static struct err *look_ahead(struct machine *m)
{
	size_t left;

	if (!m->check.nr_forbidden && !m->is_switching)
		return NULL;
	m->wave++;
	m->visit = &seeing;
	return turn_pass(m, &left);
}

static struct err *do_hold(struct machine *m, const struct errand *errand)
{
	uint64_t now = 0, next = 0, end;
	unsigned tries = 0;
	bool done = false;
	struct err *err = look_ahead(m);

	if (err)
		return err;
	clear_blockers(m);
	for (end = m->began_ms + errand->timeout_ms; now < end;) {
		if ((err = turn_take_events(m)) || (err = turn_refresh(m)))
			return err;
		now = clock_ms();
		if (now >= next) {
			if ((err = try_to_hold(m, errand, &tries, &done)) || done)
				return err;
			/* With much memory to look through it takes long; they have work to do. */
			next = clock_ms() + FIRST_PAUSE_MS + FREE_SHARE * (clock_ms() - now);
		}
		if ((err = orders_obey(m, orders_ask(m))))
			return err;
		now = clock_ms();
		if (now < next && now < end)
			wait_a_little(m, (unsigned)((next < end ? next : end) - now));
	}
	return orders_refuse(m);
}

static struct err *switch_everybody(void *arg)
{
	struct machine *m = arg;
	struct err *err = event_step("switch");

	for (size_t i = 0; i < m->threads.nr && !err; i++)
		if (thread_stands(m->threads.thread[i])) {
			member_learn(m, m->threads.thread[i]);
			err = dispatch_set(m->dispatch, m->threads.thread[i]->tp, m->target);
		}
	return err;
}

static struct err *do_switch_held(struct machine *m, const struct errand *errand)
{
	struct err *err;

	m->target = errand->target;
	m->is_switching = m->seeks_suspended = true;
	err = do_hold(m, errand);
	m->is_switching = m->seeks_suspended = false;
	m->suspended.what = NULL;
	return err;
}

static struct err *change_nothing(void *arg)
{
	(void)arg;
	return NULL;
}

static struct err *do_see_suspended(struct machine *m, const struct errand *errand)
{
	struct err *err;

	m->seeks_suspended = true;
	err = do_hold(m, errand);
	m->seeks_suspended = false;
	m->suspended.what = NULL;
	return err;
}

static struct err *do_look(struct machine *m, const struct errand *errand)
{
	struct err *err;
	size_t left;

	(void)errand;
	m->wave++;
	clear_blockers(m);
	m->visit = &seeing;
	if ((err = turn_pass(m, &left)))
		return err;
	return left ? orders_refuse(m) : NULL;
}

/*
 * Step "learn": which threads share a thread pointer has to be known before any is
 * switched.  It is enough that they stand once.
 */
static bool needs_learning(struct machine *m, struct thread *thread)
{
	(void)m;
	return !member_is_gone(thread) && !thread->is_fresh && !member_of(thread)->known;
}

static struct err *act_learn(struct machine *m, struct thread *thread)
{
	(void)m;
	(void)thread;
	return NULL;
}

static const struct visit learning = { needs_learning, peek_learn, act_learn };

static struct err *do_begin(struct machine *m, const struct errand *errand)
{
	struct err *err;
	size_t left;
	bool added;

	threads_init(&m->threads, m->process);
	threads_follow(&m->threads);
	m->threads.on_birth = member_born;
	m->threads.on_stop = turn_stopped;
	m->threads.arg = m;
	m->threads.idle_at = clock_ns();
	m->began_ms = clock_ms();
	if ((err = turn_refresh(m)) ||
	    (err = stacks_init(&m->stacks, m->process, errand->record)))
		return err;
	m->check.stacks = &m->stacks;
	if ((err = threads_seize(&m->threads)))
		return err;
	event("seized threads=%zu", m->threads.nr);
	/* Threads that report something wait for us: from here on we come first. */
	window_open(&m->window);
	/* The parent of a vfork stands in the kernel until its child is gone: not waited for. */
	m->visit = &learning;
	do {
		if ((err = turn_pass(m, &left)) || (err = find_new(m, &added)))
			return err;
	} while (added && clock_ms() - m->began_ms < BEGIN_MS);
	if (added)
		return orders_refuse(m);
	m->stats.threads = m->threads.nr;
	return NULL;
}

static struct err *do_end(struct machine *m, const struct errand *errand)
{
	(void)errand;
	m->threads.on_birth = NULL;
	for (size_t i = 0; i < m->threads.nr; i++)
		member_free(m->threads.thread[i]);
	threads_leave(&m->threads);
	window_close(&m->window);
	return NULL;
}

/* ---- for everybody: what is done by the thread that traces ------------------------- */

static struct err *run_errand(void *arg)
{
	const struct errand *errand = arg;

	return errand->what(errand->machine, errand);
}

static struct err *send(struct machine *m, struct errand errand)
{
	errand.machine = m;
	return tracer_do(&m->tracer, run_errand, &errand);
}

struct err *machine_begin(struct machine *m, struct process *process,
			  const struct record *record, struct dispatch *dispatch)
{
	struct err *err;

	*m = (struct machine){ .process = process, .dispatch = dispatch,
			       .can_peek = !process_has_shadow_stack(process) };
	if ((err = tracer_start(&m->tracer)))
		return err;
	return send(m, (struct errand){ .what = do_begin, .record = record });
}

void machine_end(struct machine *m)
{
	if (!m->process)
		return;
	if (m->tracer.runs)
		err_free(send(m, (struct errand){ .what = do_end }));
	tracer_end(&m->tracer);
	glance_done(&m->glance);
	stacks_done(&m->stacks);
	check_forget(&m->check);
	err_free(m->failed);
	m->failed = NULL;
	m->process = NULL;
}

struct err *machine_switch(struct machine *m, enum thread_patch_state target,
			   unsigned timeout_ms)
{
	return send(m, (struct errand){ .what = do_switch, .target = target,
					.timeout_ms = timeout_ms });
}

struct err *machine_switch_held(struct machine *m, enum thread_patch_state target,
				unsigned timeout_ms)
{
	return send(m, (struct errand){ .what = do_switch_held, .target = target,
					.timeout_ms = timeout_ms,
					.change = switch_everybody, .change_arg = m });
}

struct err *machine_look(struct machine *m)
{
	return send(m, (struct errand){ .what = do_look });
}

struct err *machine_force(struct machine *m, enum thread_patch_state target)
{
	return send(m, (struct errand){ .what = do_force, .target = target });
}

struct err *machine_see_outside(struct machine *m, unsigned timeout_ms)
{
	return send(m, (struct errand){ .what = do_see_outside, .timeout_ms = timeout_ms });
}

struct err *machine_see_suspended(struct machine *m, unsigned timeout_ms)
{
	return send(m, (struct errand){ .what = do_see_suspended, .timeout_ms = timeout_ms,
					.change = change_nothing });
}

struct err *machine_hold(struct machine *m, unsigned timeout_ms,
			 struct err *(*change)(void *arg), void *arg)
{
	return send(m, (struct errand){ .what = do_hold, .timeout_ms = timeout_ms,
					.change = change, .change_arg = arg });
}
