/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Leading the callers of a function to its versions.
 *
 * Each function of a patch has a gate, a stub that jumps through a slot of 8 bytes, and a
 * copy of the instructions that the entry's jump displaces, which then goes on in the old
 * code.  "Below" is what was in effect before the patch: the version of the patch below
 * it in the func stack, or the displaced copy.
 *
 *   entry               slot               what a caller runs
 *   as before           any                below
 *   jump to gate        below              below
 *   jump to gate        dispatcher's stub  below or new, by the thread's patch state
 *   jump to gate        new                new
 *   jump to new         any                new
 *
 * Every row is reached from its neighbours by one store of an aligned word, of an entry
 * (entry.h) or of a slot; /proc/PID/mem makes it whole or not at all, also when the
 * writer is killed (mm/memory.c, access_remote_vm).  So a tool that dies at any moment
 * leaves each function in one of the rows.
 */
#ifndef STITCH_REDIRECT_REDIRECT_H
#define STITCH_REDIRECT_REDIRECT_H

#include "landing.h"
#include "link.h"
#include "process.h"
#include "record.h"
#include "slp.h"

/*
 * Plans the redirection of function n of an object of the patch, which is running in the
 * process: fills its island and its record; its slot's first value leads below.  Landings that it needs are added.  Errors: those of
 * entry_check(), cannot-move, no-landing, out-of-reach.
 */
struct err *redirect_prepare(const struct process *process, const struct record *record,
			     const struct object *running, const struct slp *slp,
			     size_t object, size_t n, struct linked *linked,
			     struct landings *landings, struct record_func *out)
	__attribute__((warn_unused_result));

/* What stands at an entry now. */
enum redirect_entry {
	ENTRY_OLD,      /* the original bytes */
	ENTRY_GATE,     /* a jump to this patch's gate */
	ENTRY_NEW,      /* a jump to this patch's function */
	ENTRY_OTHER,    /* another patch's, or somebody else's */
};

struct err *redirect_look(const struct process *process, const struct record_func *func,
			  enum redirect_entry *entry) __attribute__((warn_unused_result));

/* Each one store; the callers say why the state before and after is right. */
struct err *redirect_to_gate(const struct process *process, const struct record_func *func)
	__attribute__((warn_unused_result));
/* Not even a jump may be changed into another while threads run through it. */
bool redirect_needs_hold(const struct process *process, const struct record_func *func);
/* The same two where that takes more than one store: all threads stand, none in the bytes. */
struct err *redirect_to_gate_held(const struct process *process,
				  const struct record_func *func)
	__attribute__((warn_unused_result));
struct err *redirect_to_old_held(const struct process *process,
				 const struct record_func *func)
	__attribute__((warn_unused_result));
/* Straight to the new function where the entry's bytes allow it, else through the gate. */
struct err *redirect_to_new(const struct process *process, const struct record_func *func)
	__attribute__((warn_unused_result));
/* The bytes before any patch, or the jump of what is below (may be NULL). */
struct err *redirect_to_below(const struct process *process, const struct record_func *func,
			      const struct record_func *below)
	__attribute__((warn_unused_result));
struct err *redirect_set_slot(const struct process *process, const struct record_func *func,
			      uint64_t target) __attribute__((warn_unused_result));
/* Where the version below func begins. */
uint64_t redirect_below(const struct record_func *func, const struct record_func *below);

#endif
