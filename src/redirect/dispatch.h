/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The dispatcher: it leads each thread to the version of a function that belongs to the
 * thread's patch state, while a transition runs (the kernel's klp_ftrace_handler).
 *
 * One run of memory for each transition, given back at its end:
 *
 *   code    r-x   the dispatcher, then one stub a function
 *   data    r--   the initial state; a pair of addresses a function: the version below
 *                 the patch's, and the patch's; the table of states
 *
 * A thread is known by its thread pointer.  Threads that share one (clone without
 * CLONE_SETTLS, children of vfork) share a state, and are switched together.  A thread
 * that is not in the table has the initial state, that of the transition's beginning: it
 * was made while no tool was there to see it, its stack is its own, and either state is
 * right for it.
 *
 * The tool alone writes.  An entry of the table is complete before its key is there, and
 * a state is one byte that changes only while its threads stand still, so the dispatcher
 * needs no barrier: what a thread reads is what was written while it stood.
 */
#ifndef STITCH_REDIRECT_DISPATCH_H
#define STITCH_REDIRECT_DISPATCH_H

#include "process.h"
#include "record.h"

/* The kernel's KLP_TRANSITION_UNPATCHED and _PATCHED. */
enum thread_patch_state { STATE_UNPATCHED, STATE_PATCHED };

struct dispatch_entry {
	uint64_t key; /* thread pointer + 1; 0: free */
	uint64_t state;
};

struct dispatch {
	const struct process *process;
	struct range range;        /* all of it; size 0: none */
	struct range code, data;
	unsigned bits;
	size_t nr_funcs;
	uint64_t initial, pairs, table; /* addresses in data */
	uint64_t initial_state;
	struct dispatch_entry *entries; /* as they are in the target */
	size_t nr_used;
};

/* Where everything is, from what the record keeps. */
void dispatch_lay_out(struct dispatch *d, const struct process *process,
		      uint64_t start, size_t nr_funcs, unsigned bits);
/*
 * Room for one of so many functions and the process's threads, nothing mapped yet.
 * Error: no-room.
 */
struct err *dispatch_plan(struct dispatch *d, const struct process *process,
			  size_t nr_funcs) __attribute__((warn_unused_result));
/* Fills its memory, which is mapped and zero; pairs has two addresses a function. */
struct err *dispatch_fill(struct dispatch *d, const uint64_t *pairs,
			  enum thread_patch_state initial) __attribute__((warn_unused_result));
/* Takes up what a tool before this one left. */
struct err *dispatch_read(struct dispatch *d) __attribute__((warn_unused_result));
void dispatch_done(struct dispatch *d);

uint64_t dispatch_stub(const struct dispatch *d, size_t func);
enum thread_patch_state dispatch_get(const struct dispatch *d, uint64_t tp);
/* The threads with that pointer stand still. Error: table-full. */
struct err *dispatch_set(struct dispatch *d, uint64_t tp, enum thread_patch_state state)
	__attribute__((warn_unused_result));
/* No thread has that pointer any more: its place may be used again. */
void dispatch_forget(struct dispatch *d, uint64_t tp);
/* All threads in the table have that state. */
struct err *dispatch_set_initial(struct dispatch *d, enum thread_patch_state state)
	__attribute__((warn_unused_result));

#endif
