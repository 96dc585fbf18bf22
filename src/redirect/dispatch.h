/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The dispatcher: it leads each thread to the version of a function that belongs to the
 * thread's patch state, while a transition runs (the kernel's klp_ftrace_handler).
 *
 *   code    r-x   the dispatcher, then one stub a function: room of the patch's, so that
 *                 its place is known to who unwinds (frames.h)
 *   data    rw-   the initial state, and a name to know it by; a pair of addresses a function: the version below
 *                 the patch's, and the patch's; the table of states.  One run of memory
 *                 for each transition, given back at its end
 *
 * The code is written anew for each transition, before any entry leads to it.  Who was in it
 * in the last one has been seen outside since, or that one's data would still be there; and
 * to be seen it was in the kernel, whose way back lets no processor go on with instructions
 * that it fetched before (context synchronization).
 *
 * A thread is known by its thread pointer.  Threads that share one (clone without
 * CLONE_SETTLS, children of vfork) share a state, and are switched together.  A thread
 * that is not in the table has the initial state, that of the transition's beginning: it
 * was made while no tool was there to see it, its stack is its own, and either state is
 * right for it.
 *
 * The tool alone writes, but for marks.  An entry of the table is complete before its key
 * is there, and a state is one byte that changes only while its threads stand still, so the
 * dispatcher needs no barrier: what a thread reads is what was written while it stood.
 *
 * A thread that is asleep can be switched without being stopped.  Its state is made
 * tentative first, which leads it where it led before; then its stack is looked at; then
 * the new state is written, and if it was not scheduled from before the look until behind
 * that, it has not been anywhere in between.  If it was, it may have entered the version of
 * before: then the dispatcher has left a mark, only this thread itself writes or reads it,
 * and it goes on with what it has decided, so that it never runs a mix.  Only the tool
 * does not know what it is in: it is unsure until it stood and was clear once.
 *
 * A thread that is in a function which it must leave first can switch itself (leaving).  It
 * stands, and its whole stack is known: the stack pointer that it had when it called the
 * outermost such function is written behind its state.  When it comes to an entry with the
 * same one that call is over, for all that is deeper on that stack is: it goes to the new
 * version, and says so by its mark.  No other stack that it may be on meanwhile, a signal's
 * or one that it has switched to, has that word as its top, for the call's frame lies there
 * as long as it is not over.  And nothing else can have begun meanwhile that would have to be
 * left, too: every function that is to be changed asks the dispatcher when it is entered,
 * and who asks from further up gives up what was written, and is looked at again.  A mark
 * may still be followed by another: a signal's handler comes between a decision and its mark
 * and decides, too.  So here as well the tool is unsure until the thread stood and was clear.
 */
#ifndef STITCH_REDIRECT_DISPATCH_H
#define STITCH_REDIRECT_DISPATCH_H

#include "process.h"
#include "record.h"

/* The kernel's KLP_TRANSITION_UNPATCHED and _PATCHED. */
enum thread_patch_state { STATE_UNPATCHED, STATE_PATCHED };

struct dispatch_entry {
	uint64_t key; /* thread pointer + 1; 0: free */
	uint8_t state;
	bool is_loose; /* it is tentative, or may have left a mark */
	bool is_unsure; /* what it is in is not known */
	bool is_leaving; /* it may switch itself at any moment, or has */
	bool has_decided; /* it has left a mark */
	uint64_t sp; /* when it has left; of its caller */
};

struct dispatch {
	const struct process *process;
	struct range code, data;   /* data's size 0: none */
	unsigned bits;
	size_t nr_funcs;
	uint64_t initial, pairs, table; /* addresses in data */
	uint64_t initial_state;
	struct dispatch_entry *entries; /* as they are in the target */
	size_t nr_used;
};

/* Where everything is, by the record. */
void dispatch_lay_out(struct dispatch *d, const struct process *process,
		      const struct record_patch *patch);
/*
 * Finds room for the data of so many functions and the process's threads, nothing mapped
 * yet, and no code.
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

/* Data that was filled, or has begun to be, is there. */
bool dispatch_is_at(const struct process *process, uint64_t start);

uint64_t dispatch_stub(const struct dispatch *d, size_t func);
/* As it is now, if the thread switches itself. */
enum thread_patch_state dispatch_get(const struct dispatch *d, uint64_t tp);
/* Some thread in the table has this state, or may come to have it. */
bool dispatch_has(const struct dispatch *d, enum thread_patch_state state);
/* The threads with that pointer stand still. Error: table-full. */
struct err *dispatch_set(struct dispatch *d, uint64_t tp, enum thread_patch_state state)
	__attribute__((warn_unused_result));
/*
 * For the one thread with that pointer, which may run: its state counts for now, and it
 * leaves a mark if it decides by it.  One of before goes; who wants to commit does this
 * while the thread sleeps, or it may have left another.  Not for one that is leaving.
 */
struct err *dispatch_set_tentative(struct dispatch *d, uint64_t tp)
	__attribute__((warn_unused_result));
/*
 * From tentative to a state, while the thread may run: it is unsure until
 * dispatch_confirm(), for who knows that it has not, or dispatch_set().
 */
struct err *dispatch_commit(struct dispatch *d, uint64_t tp, enum thread_patch_state state)
	__attribute__((warn_unused_result));
void dispatch_confirm(struct dispatch *d, uint64_t tp);
bool dispatch_is_unsure(const struct dispatch *d, uint64_t tp);
/*
 * The one thread with that pointer stands, outside the dispatcher: when it comes to an entry
 * with this stack pointer in its caller it goes to the other version, and is in that state
 * from then on.  No thread may come to share its pointer while it is so.
 */
struct err *dispatch_set_leaving(struct dispatch *d, uint64_t tp, uint64_t sp)
	__attribute__((warn_unused_result));
/* Where it is to leave; 0: it does not. */
uint64_t dispatch_leaves_at(const struct dispatch *d, uint64_t tp);
/* No thread has that pointer any more: its place may be used again. */
void dispatch_forget(struct dispatch *d, uint64_t tp);
/* All threads in the table have that state. */
struct err *dispatch_set_initial(struct dispatch *d, enum thread_patch_state state)
	__attribute__((warn_unused_result));

#endif
