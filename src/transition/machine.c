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
#include "suspended.h"
#include "turn.h"

enum {
	HOLD_MS = 1000,
	SEE_MS = 1000,        /* who cannot be seen outside for so long is let be */
	FIRST_PAUSE_MS = 1,   /* between two turns */
	LAST_PAUSE_MS = 200,
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
	if (poll(fds, nr, (int)ms) > 0 && fds[0].revents)
		while (read(signals, &info, sizeof(info)) > 0)
			;
	m->threads.idle_at = clock_ns();
}

/* Threads that nobody told of: made by one that was not ours yet. */
static struct err *find_new(struct machine *m, bool *added)
{
	*added = false;
	return threads_seize_new(&m->threads, added);
}

static void clear_blockers(struct machine *m)
{
	for (size_t i = 0; i < m->threads.nr; i++)
		member_unblock(m->threads.thread[i]);
	m->began_ms = clock_ms();
}

/* Some thread cannot be seen outside, and not because it is only passing a stub. */
static bool is_hopeless(const struct machine *m)
{
	for (size_t i = 0; i < m->threads.nr; i++) {
		const struct member *member = m->threads.thread[i]->data;

		if (member && member->is_blocked && member->blocker.reason != UNWIND_ISLAND)
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
		if (!left)
			continue;
		if ((err = orders_obey(m, orders_ask(m))))
			return err;
		if (is_over(m, timeout_ms))
			return orders_refuse(m);
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

static const struct visit switching = { needs_switch, act_switch };

struct err *machine_switch(struct machine *m, enum thread_patch_state target,
			   unsigned timeout_ms)
{
	struct err *err;

	m->target = target;
	m->is_switching = true;
	err = run_passes(m, &switching, timeout_ms);
	m->is_switching = false;
	return err;
}

struct err *machine_force(struct machine *m, enum thread_patch_state target)
{
	struct err *err = NULL;

	m->target = target;
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

static const struct visit seeing = { needs_look, act_look };

struct err *machine_see_outside(struct machine *m, unsigned timeout_ms)
{
	m->wave++;
	return run_passes(m, &seeing, timeout_ms < SEE_MS ? SEE_MS : timeout_ms);
}

static const char *is_forbidden(void *arg, uint64_t addr)
{
	const struct machine *m = arg;

	return check_name_at(&m->check, addr);
}

/* All threads stand and are clear: is there another stack in the way? */
static bool none_is_suspended(struct machine *m)
{
	AUTO_FREE struct live_stack *live = mem_alloc(m->threads.nr * sizeof(*live));
	struct suspended_search search = { .process = m->process, .wanted = is_forbidden,
					   .arg = m, .live = live };
	const struct arch *arch = m->process->arch;
	struct blocker *b = &m->suspended;

	for (size_t i = 0; i < m->threads.nr; i++) {
		const struct thread *thread = m->threads.thread[i];

		if (thread->state == THREAD_STOPPED)
			live[search.nr_live++] = (struct live_stack){
				regs_sp(arch, &thread->regs), thread->tp };
	}
	check_bounds(&m->check, &search.low, &search.high);
	if (!suspended_find(&search)) {
		b->what = NULL;
		return true;
	}
	event("suspended stack at=%#" PRIx64 " in=%s", search.at, search.what);
	if (!b->what)
		b->since_ms = clock_ms();
	b->what = search.what;
	b->pc = search.addr;
	strcpy(b->thread_name, "suspended stack");
	return false;
}

static bool all_clear(struct machine *m)
{
	for (size_t i = 0; i < m->threads.nr; i++)
		if (m->threads.thread[i]->state == THREAD_STOPPED &&
		    !member_is_clear(m, m->threads.thread[i]))
			return false;
	return true;
}

/* One try at machine_hold(). */
static struct err *hold_once(struct machine *m, struct err *(*change)(void *arg), void *arg,
			     bool *done)
{
	struct err *err = threads_stop_all(&m->threads, HOLD_MS);

	if (!err)
		*done = (!m->check.nr_forbidden && !m->is_switching) ||
			(all_clear(m) && (!m->seeks_suspended || none_is_suspended(m)));
	else if (err->kind == ERR_NOT_NOW && !strcmp(err->reason, "does-not-stop"))
		err_freep(&err); /* it may later */
	if (*done)
		err = change(arg);
	for (size_t i = 0; i < m->threads.nr; i++) {
		if (m->threads.thread[i]->state == THREAD_STOPPED)
			member_learn(m, m->threads.thread[i]);
		member_let_run(m, m->threads.thread[i]);
	}
	return err ? err : turn_take_events(m);
}

struct err *machine_hold(struct machine *m, unsigned timeout_ms,
			 struct err *(*change)(void *arg), void *arg)
{
	bool done = false;
	struct err *err;

	clear_blockers(m);
	for (;;) {
		if ((err = turn_take_events(m)) || (err = turn_refresh(m)) ||
		    (err = hold_once(m, change, arg, &done)) || done)
			return err;
		if ((err = orders_obey(m, orders_ask(m))))
			return err;
		if (clock_ms() - m->began_ms >= timeout_ms)
			return orders_refuse(m);
		wait_a_little(m, FIRST_PAUSE_MS);
	}
}

static struct err *switch_everybody(void *arg)
{
	struct machine *m = arg;
	struct err *err = event_step("switch");

	for (size_t i = 0; i < m->threads.nr && !err; i++)
		if (m->threads.thread[i]->state == THREAD_STOPPED) {
			member_learn(m, m->threads.thread[i]);
			err = dispatch_set(m->dispatch, m->threads.thread[i]->tp, m->target);
		}
	return err;
}

struct err *machine_switch_held(struct machine *m, enum thread_patch_state target,
				unsigned timeout_ms)
{
	struct err *err;

	m->target = target;
	m->is_switching = m->seeks_suspended = true;
	err = machine_hold(m, timeout_ms, switch_everybody, m);
	m->is_switching = m->seeks_suspended = false;
	m->suspended.what = NULL;
	return err;
}

static struct err *change_nothing(void *arg)
{
	(void)arg;
	return NULL;
}

struct err *machine_see_suspended(struct machine *m, unsigned timeout_ms)
{
	struct err *err;

	m->seeks_suspended = true;
	err = machine_hold(m, timeout_ms, change_nothing, NULL);
	m->seeks_suspended = false;
	m->suspended.what = NULL;
	return err;
}

struct err *machine_look(struct machine *m)
{
	struct err *err;
	size_t left;

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

static const struct visit learning = { needs_learning, act_learn };

struct err *machine_begin(struct machine *m, struct process *process,
			  const struct record *record, struct dispatch *dispatch)
{
	struct err *err;
	size_t left;
	bool added;

	*m = (struct machine){ .process = process, .dispatch = dispatch };
	threads_init(&m->threads, process);
	threads_follow(&m->threads);
	m->threads.on_birth = member_born;
	m->threads.on_stop = turn_stopped;
	m->threads.arg = m;
	m->threads.idle_at = clock_ns();
	m->began_ms = clock_ms();
	if ((err = turn_refresh(m)) ||
	    (err = stacks_init(&m->stacks, process, record)))
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
	} while (added);
	m->stats.threads = m->threads.nr;
	return NULL;
}

void machine_end(struct machine *m)
{
	if (!m->process)
		return;
	m->threads.on_birth = NULL;
	for (size_t i = 0; i < m->threads.nr; i++)
		member_free(m->threads.thread[i]);
	threads_done(&m->threads);
	window_close(&m->window);
	stacks_done(&m->stacks);
	check_forget(&m->check);
	err_free(m->failed);
	m->failed = NULL;
	m->process = NULL;
}
