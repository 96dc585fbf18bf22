/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Call frame information of the code that the tool makes for a patch: gates, displaced
 * copies, the dispatcher and its stubs.
 *
 * It stands behind the patch's own in the same .eh_frame, so whoever is told of that, the
 * process's libgcc, walks through all of it: a signal's handler that takes a backtrace,
 * throws, or ends its thread (pthread_cancel) may interrupt any instruction.  A copy has
 * what the object's own .eh_frame says of the instructions that were copied, a gate what
 * it says of the first of them.
 *
 * All of it is in the object's arena.  Landings are not, and have none: libgcc asks the one object
 * of its list that begins nearest below a pc, and no other (unwind-dw2-fde.c), so no two
 * patches' may be mixed.  Who is interrupted in front of a landing's one instruction has
 * its trace end there.
 */
#ifndef STITCH_REDIRECT_FRAMES_H
#define STITCH_REDIRECT_FRAMES_H

#include "link.h"
#include "process.h"
#include "record.h"

/*
 * Adds the records of nr functions, those of the part in order, to its .eh_frame, and of
 * the dispatcher, if that is in it.  Functions whose object says nothing of them are left
 * out.
 */
void frames_add(const struct process *process, const struct record_func *funcs, size_t nr,
		struct linked_part *part);

#endif
