/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Walks the stacks of a stopped process again and again and says what it cost:
 * registers and stack are read anew each time, by each unwinder in its own way.
 *
 * usage: bench-unwind stitch|floor|libdwfl|libunwind|libunwind-cached ROUNDS PID
 * floor: only the two system calls that a walk cannot do without.
 * Prints: threads, frames, complete traces, cold (us for all threads, with
 * opening), warm (us a thread, the best round), peak resident memory (kB).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/resource.h>

#include "mem.h"
#include "peers.h"
#include "stacks.h"
#include "threads.h"

struct totals {
	unsigned frames, complete;
};

struct ours {
	struct process *process;
	struct record none;
	struct stacks stacks;
	unsigned frames;
};

static bool count(void *arg, const struct unwind_frame *frame)
{
	(void)frame;
	++*(unsigned *)arg;
	return true;
}

static void *ours_open(pid_t pid)
{
	struct ours *ours = mem_alloc(sizeof(*ours));
	struct err *err = process_open_lazily(pid, &ours->process);

	if (!err)
		err = stacks_init(&ours->stacks, ours->process, &ours->none);
	if (err) {
		fprintf(stderr, "%s\n", err->msg);
		exit(1);
	}
	return ours;
}

static void ours_walk(void *state, pid_t tid, struct peer_trace *trace)
{
	struct ours *ours = state;
	struct regs regs;

	trace->nr = 0;
	trace->complete = !thread_get_regs(ours->process->arch, tid, &regs) &&
		stacks_walk(&ours->stacks, &regs, count, &trace->nr) == UNWIND_OK;
}

/* What the walk of the same thread read last, and nothing done with it. */
static void floor_walk(void *state, pid_t tid, struct peer_trace *trace)
{
	struct ours *ours = state;
	static uint8_t room[1 << 20];
	static struct { pid_t tid; size_t size; } known[4096];
	size_t i = (size_t)tid % 4096;
	struct regs regs;

	if (known[i].tid != tid) {
		ours_walk(state, tid, trace);
		known[i].tid = tid;
		known[i].size = ours->stacks.unwinder.window_size;
	}
	trace->complete = !thread_get_regs(ours->process->arch, tid, &regs) &&
		process_try_read(ours->process, regs_sp(ours->process->arch, &regs), room,
				 known[i].size < sizeof(room) ? known[i].size : sizeof(room));
}

static void ours_close(void *state)
{
	struct ours *ours = state;

	stacks_done(&ours->stacks);
	process_close(ours->process);
	free(ours);
}

static const struct peer floor_peer = { "floor", ours_open, floor_walk, ours_close };
static const struct peer stitch = { "stitch", ours_open, ours_walk, ours_close };

static const struct peer *find_peer(const char *name)
{
	if (!strcmp(name, "libdwfl"))
		return &peer_libdwfl;
	if (!strcmp(name, "libunwind"))
		return &peer_libunwind;
	if (!strcmp(name, "libunwind-cached"))
		return &peer_libunwind_cached;
	return strcmp(name, "floor") ? &stitch : &floor_peer;
}

static struct totals walk_all(const struct peer *peer, void *state, const pid_t *tids,
			      size_t nr)
{
	static struct peer_trace trace;
	struct totals totals = { 0, 0 };

	for (size_t i = 0; i < nr; i++) {
		peer->walk(state, tids[i], &trace);
		totals.frames += trace.nr;
		totals.complete += trace.complete;
	}
	return totals;
}

static void measure(const struct peer *peer, pid_t pid, const pid_t *tids, size_t nr,
		    unsigned rounds)
{
	uint64_t start = clock_ns(), cold, best = UINT64_MAX;
	void *state = peer->open(pid);
	struct totals totals = walk_all(peer, state, tids, nr);
	struct rusage usage;

	cold = clock_ns() - start;
	for (unsigned i = 0; i < rounds; i++) {
		start = clock_ns();
		totals = walk_all(peer, state, tids, nr);
		if (clock_ns() - start < best)
			best = clock_ns() - start;
	}
	getrusage(RUSAGE_SELF, &usage);
	printf("%zu %u %u %.1f %.3f %ld\n", nr, totals.frames, totals.complete,
	       (double)cold / 1e3, rounds ? (double)best / 1e3 / (double)nr : 0.0,
	       usage.ru_maxrss);
	peer->close(state);
}

int main(int argc, char **argv)
{
	AUTO_PROCESS struct process *process = NULL;
	AUTO_THREADS struct threads threads = { 0 };
	struct window window;
	struct err *err;
	pid_t *tids;

	if (argc != 4)
		return 2;
	if ((err = process_open(atoi(argv[3]), &process))) {
		fprintf(stderr, "%s\n", err->msg);
		return 1;
	}
	threads_init(&threads, process);
	if ((err = threads_seize(&threads)) || (err = threads_stop_all(&threads, 5000))) {
		fprintf(stderr, "%s\n", err->msg);
		return 1;
	}
	tids = mem_alloc(threads.nr * sizeof(*tids));
	for (size_t i = 0; i < threads.nr; i++)
		tids[i] = threads.thread[i]->tid;
	window_open(&window);
	measure(find_peer(argv[1]), process->pid, tids, threads.nr,
		(unsigned)strtoul(argv[2], NULL, 10));
	window_close(&window);
	free(tids);
	return 0;
}
