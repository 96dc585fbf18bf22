/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The peer of the benchmark: all threads of a process are stopped together, every stack is
 * walked, all go on; prints how long they stood, in ms.  It is what patching takes where
 * the whole process is stopped, and no part of the tool.
 *
 * usage: bench-hold PID
 */
#include <stdio.h>
#include <stdlib.h>

#include "stacks.h"
#include "threads.h"

static bool go_on(void *arg, const struct unwind_frame *frame)
{
	(void)arg;
	(void)frame;
	return true;
}

static void fail(struct err *err)
{
	if (!err)
		return;
	fprintf(stderr, "%s\n", err->msg);
	exit(1);
}

/* The pause of the best of three: the first has to read files. */
static uint64_t hold_once(struct process *process, struct stacks *stacks)
{
	struct threads threads;
	struct window window;
	uint64_t start;

	threads_init(&threads, process);
	fail(process_refresh(process));
	fail(threads_seize(&threads));
	window_open(&window);
	start = clock_ns();
	fail(threads_stop_all(&threads, 10000));
	for (size_t i = 0; i < threads.nr; i++)
		if (threads.thread[i]->state == THREAD_STOPPED)
			stacks_walk(stacks, &threads.thread[i]->regs, go_on, NULL);
	threads_leave(&threads);
	window_close(&window);
	return clock_ns() - start;
}

int main(int argc, char **argv)
{
	struct process *process;
	struct record none = { 0 };
	struct stacks stacks;
	uint64_t best = UINT64_MAX;

	if (argc != 2)
		return 2;
	fail(process_open((pid_t)strtol(argv[1], NULL, 10), &process));
	fail(stacks_init(&stacks, process, &none));
	for (int i = 0; i < 3; i++) {
		uint64_t pause = hold_once(process, &stacks);

		best = pause < best ? pause : best;
	}
	printf("%.3f\n", (double)best / 1e6);
	return 0;
}
