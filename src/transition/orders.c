/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "orders.h"

#include <inttypes.h>
#include <jansson.h>
#include <string.h>

#include "mem.h"
#include "member.h"

const struct blocker *orders_longest_blocker(const struct machine *m)
{
	const struct blocker *longest = m->suspended.what ? &m->suspended : NULL;

	for (size_t i = 0; i < m->threads.nr; i++) {
		const struct member *member = m->threads.thread[i]->data;

		if (!member || !member->is_blocked || member_is_gone(m->threads.thread[i]))
			continue;
		if (!longest || member->blocker.since_ms < longest->since_ms)
			longest = &member->blocker;
	}
	return longest;
}

static size_t count_switched(const struct machine *m)
{
	size_t nr = 0;

	for (size_t i = 0; m->dispatch && i < m->threads.nr; i++)
		nr += member_is_at_target(m, m->threads.thread[i]);
	return nr;
}

static json_t *json_blocker(const struct blocker *b)
{
	const char *reason = b->what ? "busy" : b->does_not_stop ? "does-not-stop" :
			     unwind_reason_name(b->reason);

	return json_pack("{si,ss,ss,ss,si,sI}", "tid", (int)b->tid, "name", b->thread_name,
			 "reason", reason, "in", b->what ? b->what : "",
			 "frame", (int)b->frame,
			 "for_ms", (json_int_t)(clock_ms() - b->since_ms));
}

static json_t *json_blockers(const struct machine *m)
{
	json_t *list = json_array();

	if (m->suspended.what)
		json_array_append_new(list, json_blocker(&m->suspended));
	for (size_t i = 0; i < m->threads.nr && i < 200; i++) {
		const struct member *member = m->threads.thread[i]->data;

		if (member && member->is_blocked)
			json_array_append_new(list, json_blocker(&member->blocker));
	}
	return list;
}

static void answer_status(const struct machine *m, int fd)
{
	json_t *root = json_pack("{ss,sI,sI,so}", "target",
				 m->target == STATE_PATCHED ? "patched" : "unpatched",
				 "threads", (json_int_t)m->threads.nr,
				 "switched", (json_int_t)count_switched(m),
				 "waiting", json_blockers(m));
	AUTO_FREE char *text = json_dumps(root, JSON_COMPACT);

	lock_answer(fd, text ? text : "{}");
	json_decref(root);
}

/* The questions of other tools; the process's own pid never changes hands. */
static void answer_questions(struct machine *m)
{
	char question[64];
	int fd;

	while (m->lock && lock_question(m->lock, question, &fd)) {
		if (!strcmp(question, "status")) {
			answer_status(m, fd);
			continue;
		}
		if (!strcmp(question, "cancel"))
			m->asked = ORDER_CANCEL;
		else if (!strcmp(question, "force"))
			m->asked = ORDER_FORCE;
		lock_answer(fd, m->asked == ORDER_GO_ON ? "what?" : "ok");
	}
}

enum machine_order orders_ask(struct machine *m)
{
	struct progress progress = {
		.to_patched = m->target == STATE_PATCHED, .total = m->threads.nr,
		.switched = count_switched(m), .blocker = orders_longest_blocker(m),
		.waited_ms = (unsigned)(clock_ms() - m->began_ms) };
	enum machine_order order;

	answer_questions(m);
	order = m->asked;
	m->asked = ORDER_GO_ON;
	if (order == ORDER_GO_ON && m->wait)
		order = m->wait(m->wait_arg, &progress);
	return order;
}

struct err *orders_refuse(const struct machine *m)
{
	const struct blocker *b = orders_longest_blocker(m);
	uint64_t age = b ? clock_ms() - b->since_ms : 0;
	int pid = m->process->pid;

	if (!b)
		return err_new(ERR_NOT_NOW, "busy", "process %d makes new threads all the "
			       "time; try again, or with a longer --timeout", pid);
	if (b == &m->suspended)
		return err_new(ERR_NOT_NOW, "suspended", "process %d: a stack that no thread "
			       "is on now (a coroutine's, or what is left of one) would return "
			       "into %s, to %#" PRIx64 "; try again, or with a longer --timeout",
			       pid, b->what, b->pc);
	if (b->what)
		return err_new(ERR_NOT_NOW, "busy",
			       "process %d: thread %d (%s) is in %s (frame %u), for at "
			       "least %" PRIu64 ".%01" PRIu64 " s; try again, or with a "
			       "longer --timeout", pid, (int)b->tid, b->thread_name,
			       b->what, b->frame, age / 1000, age % 1000 / 100);
	if (b->does_not_stop)
		return err_wrap(thread_does_not_stop(b->tid, b->thread_name), "process %d", pid);
	return err_new(ERR_NOT_NOW, "unreliable",
		       "process %d: the stack of thread %d (%s) cannot be traced: %s "
		       "(%s, frame %u at %#" PRIx64 "); see stitch stack %d", pid,
		       (int)b->tid, b->thread_name, unwind_reason_text(b->reason),
		       unwind_reason_name(b->reason), b->frame, b->pc, pid);
}

static struct err *cancelled(const struct machine *m)
{
	const struct blocker *b = orders_longest_blocker(m);

	if (!b)
		return err_new(ERR_NOT_NOW, "cancelled", "process %d: given up",
			       m->process->pid);
	return err_new(ERR_NOT_NOW, "cancelled", "process %d: given up while it was waited "
		       "for thread %d (%s)", m->process->pid, (int)b->tid, b->thread_name);
}

/* The error that an order makes; NULL: go on. */
struct err *orders_obey(const struct machine *m, enum machine_order order)
{
	if (order == ORDER_CANCEL)
		return cancelled(m);
	/* The caller writes into the record that it is so, before it is. */
	if (order == ORDER_FORCE && m->is_switching)
		return err_new(ERR_NOT_NOW, "forced", "process %d: forced", m->process->pid);
	return NULL;
}
