/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Leading the callers of a function to its new version.
 *
 * Each function has an island, a stub that jumps through a slot of 8 bytes, and
 * behind it a copy of the instructions that the entry's jump displaces, which
 * then goes on in the old code.  The slots of one patch lie in one page.
 *
 *   entry               slot           what a caller runs
 *   as it was           any            the old code
 *   jump to island      displaced      the old code
 *   jump to island      new            the new code
 *   jump to new         new            the new code
 *
 * Every row is reached from its neighbours by changing one thing: an entry, with
 * one write inside a page, or all slots, with one write inside a page.  The
 * kernel finishes such a write even when the writer is killed
 * (mm/memory.c, access_remote_vm: only between pages is a fatal signal seen).
 * So a tool that dies at any moment leaves a process in one of the rows, and as
 * long as the entries are on one side of the slots' change, all functions of a
 * patch are old or all are new.
 */
#ifndef STITCH_REDIRECT_REDIRECT_H
#define STITCH_REDIRECT_REDIRECT_H

#include "link.h"
#include "process.h"
#include "record.h"
#include "slp.h"

/*
 * Checks that a function of the running object is the one that the patch was
 * made for and can be redirected.  patch is the one being applied: functions of
 * older ones may be in effect at the entry.  Errors: old-bytes-differ,
 * function-too-short, entered-in-middle, entry-crosses-page, foreign-jump.
 */
struct err *redirect_check(const struct process *process, const struct record *record,
			   const struct object *object, const struct slp_func *func)
	__attribute__((warn_unused_result));

/*
 * Makes the island number n of linked for func and fills in its record; the
 * slot's first value leads to what is in effect now.
 */
struct err *redirect_prepare(const struct process *process, const struct record *record,
			     const struct object *object, const struct slp *slp,
			     const struct slp_func *func, unsigned n,
			     struct linked *linked, struct record_func *out)
	__attribute__((warn_unused_result));

/* What stands at an entry now. */
enum redirect_entry {
	ENTRY_OLD,      /* the original bytes */
	ENTRY_ISLAND,   /* a jump to this patch's island */
	ENTRY_NEW,      /* a jump to this patch's function */
	ENTRY_OTHER,    /* another patch's, or somebody else's */
};

struct err *redirect_look(const struct process *process, const struct record_func *func,
			  enum redirect_entry *entry) __attribute__((warn_unused_result));

/* Each one write; the callers say why the state before and after is right. */
struct err *redirect_to_island(const struct process *process, const struct record_func *func)
	__attribute__((warn_unused_result));
struct err *redirect_to_new(const struct process *process, const struct record_func *func)
	__attribute__((warn_unused_result));
/* The bytes before any patch, or a jump to what below (may be NULL) put there. */
struct err *redirect_to_below(const struct process *process, const struct record_func *func,
			      const struct record_func *below)
	__attribute__((warn_unused_result));

/* All slots of a patch at once, to its functions or to what is below each. */
struct err *redirect_set_slots(const struct process *process, const struct record *record,
			       const struct record_patch *patch, bool to_new)
	__attribute__((warn_unused_result));
/* True if the slots lead to the new functions. */
struct err *redirect_slots_are_new(const struct process *process,
				   const struct record_patch *patch, bool *are_new)
	__attribute__((warn_unused_result));

#endif
