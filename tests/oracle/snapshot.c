/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Stops every thread of a process once, walks its stack, and records the state for
 * replay, which then spoils it.
 *
 * usage: snapshot RECORDING PID
 * Prints the threads that were refused, and fails if there are any.
 */
#include <stdio.h>
#include <stdlib.h>

#include "mem.h"
#include "recorder.h"
#include "threads.h"

struct taken {
	struct unwind_frame frames[4096];
	unsigned nr;
};

static bool take(void *arg, const struct unwind_frame *frame)
{
	struct taken *taken = arg;

	if (taken->nr < ARRAY_SIZE(taken->frames))
		taken->frames[taken->nr++] = *frame;
	return true;
}

/*
 * The trace as calls, outermost first.  The return address lies below the caller's sp,
 * but not the pc that a signal came at: its place is left out.
 */
static struct state state_of(const struct regs *regs, const struct taken *taken)
{
	struct state state = { .regs = *regs, .depth = taken->nr - 1,
			       .calls = mem_alloc(taken->nr * sizeof(struct call)) };

	for (unsigned i = 1; i < taken->nr; i++)
		state.calls[taken->nr - 1 - i] = (struct call){
			taken->frames[i].pc,
			taken->frames[i].is_call ? taken->frames[i].sp - 8 : 0 };
	return state;
}

static bool walk(struct recorder *recorder, const struct thread *thread)
{
	static struct taken taken;
	enum unwind_reason reason;
	struct state state;

	taken.nr = 0;
	reason = stacks_walk(&recorder->stacks, &thread->regs, take, &taken);
	if (reason) {
		printf("# thread %d: %s\n", (int)thread->tid, unwind_reason_text(reason));
		return false;
	}
	state = state_of(&thread->regs, &taken);
	recorder_state(recorder, &state);
	free(state.calls);
	return true;
}

static struct err *snapshot(const char *path, pid_t pid, unsigned *refused, size_t *nr)
{
	AUTO_PROCESS struct process *live = NULL;
	AUTO_THREADS struct threads threads = { 0 };
	struct recorder recorder = { 0 };
	struct err *err = process_open(pid, &live);

	if (err)
		return err;
	threads_init(&threads, live);
	if ((err = threads_seize(&threads)) || (err = threads_stop_all(&threads, 5000)) ||
	    (err = recorder_begin(&recorder, live, path)))
		return err;
	for (size_t i = 0; i < threads.nr; i++) {
		if (threads.thread[i]->state != THREAD_STOPPED)
			continue;
		*refused += !walk(&recorder, threads.thread[i]);
		++*nr;
	}
	recorder_end(&recorder);
	return NULL;
}

int main(int argc, char **argv)
{
	unsigned refused = 0;
	size_t nr = 0;
	struct err *err;

	if (argc != 3)
		return 2;
	err = snapshot(argv[1], atoi(argv[2]), &refused, &nr);
	if (err)
		printf("# %s\n", err->msg);
	printf("# %zu threads, %u refused\n", nr, refused);
	return err || refused || !nr;
}
