/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hold.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "event.h"
#include "mem.h"

enum {
	STOP_MS = 1000,
	FIRST_PAUSE_US = 500,
	LAST_PAUSE_US = 200000,
};

void hold_forbid(struct hold *hold, struct range range, const char *name)
{
	struct forbidden *f = ARRAY_ADD(hold->forbidden, hold->nr_forbidden);

	f->range = range;
	f->name = name;
}

struct look {
	const struct hold *hold;
	const char *found;
	unsigned nr_frames, found_frame;
	uint64_t pc;
};

static bool look_at_frame(void *arg, const struct unwind_frame *frame)
{
	struct look *look = arg;

	look->pc = frame->pc;
	for (size_t i = 0; i < look->hold->nr_forbidden; i++) {
		const struct forbidden *f = &look->hold->forbidden[i];

		/* pc - 1 of a return address: the call, not what follows it. */
		if (frame->lookup - f->range.start < f->range.size) {
			look->found = f->name;
			look->found_frame = look->nr_frames;
			return false;
		}
	}
	look->nr_frames++;
	return true;
}

static void note_blocker(struct hold *hold, const struct thread *thread,
			 const struct look *look, enum unwind_reason reason)
{
	struct blocker *b = &hold->blocker;
	bool same = b->tid == thread->tid && b->what == look->found &&
		    (look->found || b->reason == reason);

	b->tid = thread->tid;
	b->what = look->found;
	b->reason = look->found ? UNWIND_OK : reason;
	b->frame = look->found ? look->found_frame : look->nr_frames;
	b->pc = look->pc;
	if (!same)
		b->since_ms = clock_ms();
	thread_name(hold->process->pid, thread->tid, b->thread_name);
}

static bool is_clear(struct hold *hold, const struct thread *thread)
{
	struct look look = { .hold = hold };
	enum unwind_reason reason =
		stacks_walk(hold->stacks, &thread->regs, look_at_frame, &look);

	event("checked tid=%d %s%s%s", (int)thread->tid,
	      reason == UNWIND_OK ? "clear" : look.found ? "busy" : "unreliable",
	      reason == UNWIND_OK ? "" : " ",
	      look.found ? look.found :
	      reason == UNWIND_OK ? "" : unwind_reason_name(reason));
	if (reason == UNWIND_OK)
		return true;
	note_blocker(hold, thread, &look, reason);
	return false;
}

static bool all_clear(struct hold *hold, const struct threads *threads)
{
	for (size_t i = 0; i < threads->nr; i++) {
		hold->stats.fixed_eintr += threads->thread[i]->fixed_eintr;
		if (threads->thread[i]->state == THREAD_STOPPED &&
		    !is_clear(hold, threads->thread[i]))
			return false;
	}
	return true;
}

/* One try; *done if the change was made. */
static struct err *try_once(struct hold *hold, bool *done)
{
	AUTO_THREADS struct threads threads;
	struct window window;
	uint64_t start;
	struct err *err;

	threads_init(&threads, hold->process);
	*done = false;
	hold->stats.tries++;
	/* Files that are new are opened now, while nobody waits for it. */
	if ((err = process_refresh(hold->process)) || (err = threads_seize(&threads)))
		return err;
	window_open(&window);
	start = clock_ns();
	err = event_step("hold-stop");
	if (!err)
		err = threads_stop_all(&threads, STOP_MS);
	if (!err)
		err = event_step("hold-stopped");
	/* What stacks and code are found by, now that nobody can change it any more. */
	if (!err)
		err = process_refresh(hold->process);
	hold->stats.threads = threads.nr;
	if (!err && all_clear(hold, &threads)) {
		err = hold->change ? hold->change(hold->arg) : NULL;
		*done = !err;
	}
	threads_done(&threads);
	hold->stats.pause_ns = clock_ns() - start;
	window_close(&window);
	if (hold->stats.pause_ns > hold->stats.worst_pause_ns)
		hold->stats.worst_pause_ns = hold->stats.pause_ns;
	return err;
}

static struct err *refuse(const struct hold *hold)
{
	const struct blocker *b = &hold->blocker;
	uint64_t age = clock_ms() - b->since_ms;

	if (b->what)
		return err_new(ERR_NOT_NOW, "busy",
			       "process %d: thread %d (%s) is in %s (frame %u), for at "
			       "least %" PRIu64 ".%01" PRIu64 " s; try again, or with a "
			       "longer --timeout", hold->process->pid, (int)b->tid,
			       b->thread_name, b->what, b->frame, age / 1000,
			       age % 1000 / 100);
	return err_new(ERR_NOT_NOW, "unreliable",
		       "process %d: the stack of thread %d (%s) cannot be traced: %s "
		       "(%s, frame %u at %#" PRIx64 "); see stitch stack %d",
		       hold->process->pid, (int)b->tid, b->thread_name,
		       unwind_reason_text(b->reason), unwind_reason_name(b->reason),
		       b->frame, b->pc, hold->process->pid);
}

/* Waiting may help against some errors: the thread will stop, the tracer go. */
static bool may_pass(const struct err *err)
{
	return err->kind == ERR_NOT_NOW && !strcmp(err->reason, "does-not-stop");
}

struct err *hold_run(struct hold *hold)
{
	uint64_t start = clock_ms(), waited = 0;
	useconds_t pause = FIRST_PAUSE_US;
	struct err *err;
	bool done;

	for (;;) {
		err = try_once(hold, &done);
		if (done || (err && !may_pass(err)))
			return err;
		waited = clock_ms() - start;
		if (waited >= hold->timeout_ms)
			return err ? err : refuse(hold);
		err_free(err);
		if (hold->wait && !hold->wait(hold->wait_arg, &hold->blocker,
					      (unsigned)waited))
			return err_new(ERR_NOT_NOW, "cancelled",
				       "process %d: given up while it was waited for "
				       "thread %d (%s)", hold->process->pid,
				       (int)hold->blocker.tid, hold->blocker.thread_name);
		usleep(pause);
		if (pause < LAST_PAUSE_US)
			pause *= 2;
	}
}
