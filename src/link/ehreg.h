/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Telling the target's own unwinder about a patch's code, so that exceptions
 * and cancellation pass through it.
 *
 * libgcc asks a list of registered .eh_frame sections before it asks the
 * dynamic linker (libgcc, unwind-dw2-fde.c).  __register_frame_info() puts an
 * entry at the list's head; we do the same by writing memory while no thread
 * is in libgcc: where the head, the "list is not empty" flag and the entry's
 * next pointer are is read off the instructions of that function (ehlist.h).  A libgcc
 * that keeps another structure (GCC 13 and later: a tree) is not recognised
 * and left alone.
 */
#ifndef STITCH_LINK_EHREG_H
#define STITCH_LINK_EHREG_H

#include "ehlist.h"
#include "link.h"
#include "process.h"

struct ehreg {
	const struct process *process;
	bool wanted;          /* there is something to register */
	struct ehlist list;   /* where it goes */
	const struct object *libgcc; /* NULL: the process has none */
};

/*
 * Looks for the list and prepares the entries' bytes, one for each part of linked that has
 * unwind information; the others' eh_object becomes 0.  wanted is false, without error, if
 * that is none, or if the target has no libgcc and the patch nothing that exceptions are
 * meant for.  Error: unwinder-unknown.
 */
struct err *ehreg_prepare(struct ehreg *reg, const struct process *process,
			  const struct slp *slp, struct linked *linked) __attribute__((warn_unused_result));
/*
 * Puts an entry, which is in the target's memory by now at the address object, into the
 * list: all threads stopped, none in libgcc, or ehreg_is_unused().  What a tool that died
 * had begun is ended.  is_in is what ehreg_is_in() said, which takes too long for threads to
 * stand meanwhile; nobody but a stitch puts it there.
 */
struct err *ehreg_add(const struct ehreg *reg, uint64_t object, bool is_in)
	__attribute__((warn_unused_result));

/*
 * Learns where libgcc's lists are, for ehreg_remove(): before the threads are
 * stopped, for it takes longer than all that is done while they stand.
 */
struct err *ehreg_find(struct ehreg *reg, const struct process *process)
	__attribute__((warn_unused_result));
/*
 * Nobody but us has ever used the list, and no object of the process names the functions
 * that would: then no thread reads or changes it, and ehreg_add() needs none to stand.
 */
bool ehreg_is_unused(const struct ehreg *reg);
/* Is the entry in one of libgcc's lists? After ehreg_find(), which found libgcc. */
bool ehreg_is_in(const struct ehreg *reg, uint64_t object);
/*
 * Takes an entry out again, from whichever of libgcc's lists it is in by now:
 * after the first exception it is among those that were looked at and sorted.
 * All threads stopped, none in libgcc.  What libgcc allocated for it is lost.
 * *gone: nothing of libgcc's leads to the entry any more.
 */
struct err *ehreg_remove(const struct ehreg *reg, uint64_t object, bool *gone)
	__attribute__((warn_unused_result));

#endif
