/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "turn.h"

#include <unistd.h>

#include "member.h"

enum {
	BUSY_STOP_MS = 3000,  /* how long one that runs may take to be scheduled */
	REFRESH_NS = 20000000, /* how old what is known of the mappings may be */
	AT_FIRST = 4,         /* threads that are asked to stop and have not yet */
	AT_ONCE = 16,         /* at most, where they wait for a processor */
	EVENTS_NS = 2000000,  /* how long others wait that have something to report */
	WORK_NS = 150000,     /* without a rest */
	REST_US = 100,
};

static void keep_failure(struct machine *m, struct err *err)
{
	if (!m->failed)
		m->failed = err;
	else
		err_free(err);
}

/* Visits a thread that stands, if it is wanted. */
static void visit(struct machine *m, struct thread *thread)
{
	struct member *member = member_of(thread);
	bool by_event = straggler_is_here(&member->straggler, thread->tid, thread->signal);

	thread->steps_off |= by_event && m->process->arch->steps_off_events;
	/* At the return address: it may be clear now, and only now. */
	if (by_event)
		thread->signal = 0;
	if ((!member->is_wanted && !by_event) || !m->visit || m->failed)
		return;
	member->is_wanted = false;
	if (!m->visit->needs(m, thread))
		return;
	keep_failure(m, m->visit->act(m, thread));
	m->stats.stragglers += by_event && !m->visit->needs(m, thread);
}

/* Of threads_follow(): a thread stands, asked to or not. */
void turn_stopped(void *arg, struct thread *thread)
{
	struct machine *m = arg;

	m->stats.fixed_eintr += thread->fixed_eintr;
	thread->fixed_eintr = false;
	member_learn(m, thread);
	visit(m, thread);
	member_let_run(m, thread);
}

static struct err *take_failure(struct machine *m)
{
	struct err *err = m->failed;

	m->failed = NULL;
	return err;
}

struct err *turn_take_events(struct machine *m)
{
	struct err *err = threads_events(&m->threads);

	if (!err && m->threads.execed)
		err = err_new(ERR_GONE, "gone", "process %d executes another program now",
			      m->process->pid);
	return err ? err : take_failure(m);
}

/* What stacks and code are found by: mappings come and go while others run. */
static bool is_stale(const struct machine *m)
{
	uint64_t age = clock_ns() - m->refreshed_at;

	/* Of a process with thousands of mappings it takes milliseconds. */
	return age > REFRESH_NS && age > 10 * m->refresh_took;
}

struct err *turn_refresh(struct machine *m)
{
	uint64_t start = clock_ns();
	struct err *err;

	if (!is_stale(m))
		return NULL;
	err = process_refresh(m->process);
	m->refreshed_at = clock_ns();
	m->refresh_took = m->refreshed_at - start;
	return err;
}

/* One turn over all threads, on its way. */
struct turn {
	struct thread *asked[AT_ONCE]; /* to stop, and have not yet */
	size_t nr, next, limit;
	size_t end;                    /* of those born meanwhile the last are for the next */
	uint64_t rested_at, events_at; /* clock_ns() */
};

/* It was asked to stop long ago: is there still hope? */
static bool is_overdue(const struct thread *thread, const struct member *member)
{
	uint64_t age = clock_ms() - member->asked_ms;

	if (age < MEMBER_STOP_MS)
		return false;
	/* One that runs stops when it is its turn, which may be long on a busy machine. */
	return age > BUSY_STOP_MS || thread_proc_state(thread->tid) != 'R';
}

/* Those of the asked that are still to come; who does not stop is left for later. */
static size_t still_awaited(struct machine *m, struct thread **asked, size_t nr)
{
	size_t kept = 0;

	for (size_t i = 0; i < nr; i++) {
		struct member *member = asked[i]->data;

		if (member_is_gone(asked[i]) || !member->is_wanted)
			continue;
		/* It goes on being wanted: when it stops after all it is seen. */
		if (is_overdue(asked[i], member))
			member_block_silent(m, asked[i]);
		else
			asked[kept++] = asked[i];
	}
	return kept;
}

static bool ask_for_visit(struct machine *m, struct thread *thread)
{
	struct member *member = member_of(thread);

	if (thread->state != THREAD_SEIZED || !m->visit->needs(m, thread) ||
	    m->visit->peek(m, thread))
		return false;
	if (thread_stands(thread)) {
		keep_failure(m, m->visit->act(m, thread));
		return false;
	}
	member->is_wanted = true;
	member->asked_ms = clock_ms();
	thread_ask(thread);
	return thread->state == THREAD_SEIZED;
}

/* Those who come after us on this processor get it for a while; nobody stands now. */
static void rest(struct turn *turn)
{
	usleep(REST_US);
	turn->rested_at = clock_ns();
}

static bool is_tired(const struct machine *m, const struct turn *turn)
{
	return clock_ns() - turn->rested_at > WORK_NS || is_stale(m);
}

/* Not at every rest: of thousands the kernel takes long to say that none has any. */
static struct err *take_some_events(struct machine *m, struct turn *turn)
{
	if (clock_ns() - turn->events_at < EVENTS_NS)
		return NULL;
	turn->events_at = clock_ns();
	return turn_take_events(m);
}

static bool may_ask(const struct machine *m, const struct turn *turn)
{
	return turn->nr < turn->limit && turn->next < m->threads.nr &&
	       turn->next < turn->end;
}

/* One at least, however long all else takes: or a slow machine would never get on. */
static struct err *ask_more(struct machine *m, struct turn *turn)
{
	struct err *err;

	if (is_tired(m, turn) && turn->nr)
		return NULL;
	if (is_tired(m, turn)) {
		rest(turn);
		if ((err = take_some_events(m, turn)) || (err = turn_refresh(m)))
			return err;
	}
	while (may_ask(m, turn)) {
		struct thread *thread = m->threads.thread[turn->next++];

		if (ask_for_visit(m, thread))
			turn->asked[turn->nr++] = thread;
		if (is_tired(m, turn))
			break;
	}
	return NULL;
}

/* Nobody has come: if they wait for a processor, more may be asked meanwhile. */
static struct err *wait_for_asked(struct machine *m, struct turn *turn)
{
	bool some = m->threads.has_more || threads_wait(2);

	turn->rested_at = clock_ns();
	threads_note_idle(&m->threads);
	if (!some && turn->limit < AT_ONCE)
		turn->limit *= 2;
	/* There is something to do meanwhile, or nothing else. */
	if (!some || m->threads.has_more)
		turn->events_at = 0;
	return take_some_events(m, turn);
}

/*
 * Those that were asked.  To look for any that has something to report takes the kernel
 * longer the more threads there are (kernel/exit.c, do_wait): that is done between.
 */
static struct err *take_asked(struct machine *m, struct turn *turn)
{
	struct err *err = NULL;

	for (size_t i = 0; i < turn->nr && !err; i++)
		err = threads_event_of(&m->threads, turn->asked[i]);
	return err ? err : take_failure(m);
}

/*
 * One turn over all threads.  A thread that waits for its turn on a processor can only
 * stop when that comes, so some are asked before the first has stopped; each is seen as
 * soon as it stands.  We come before all others while threads stand, so the work is done
 * in small pieces, with rests between.
 */
static struct err *one_turn(struct machine *m)
{
	struct turn turn = { .limit = AT_FIRST, .end = 2 * m->threads.nr + AT_ONCE,
			     .rested_at = clock_ns(), .events_at = clock_ns() };
	struct err *err;
	size_t before;

	for (;;) {
		if ((err = ask_more(m, &turn)))
			return err;
		if (!turn.nr && !may_ask(m, &turn))
			return NULL;
		before = turn.nr;
		if ((err = take_asked(m, &turn)))
			return err;
		turn.nr = still_awaited(m, turn.asked, turn.nr);
		if (turn.nr && turn.nr == before && (err = wait_for_asked(m, &turn)))
			return err;
	}
}

/* One turn; *left of the threads are not done yet. */
struct err *turn_pass(struct machine *m, size_t *left)
{
	struct err *err;

	m->stats.passes++;
	*left = 0;
	m->all_known = members_are_known(m);
	if ((err = turn_take_events(m)) || (err = turn_refresh(m)))
		return err;
	if ((err = one_turn(m)) || (err = turn_take_events(m)))
		return err;
	members_forget_gone(m);
	for (size_t i = 0; i < m->threads.nr; i++)
		*left += m->visit->needs(m, m->threads.thread[i]);
	return NULL;
}
