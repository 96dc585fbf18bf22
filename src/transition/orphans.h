/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Patches whose object the process has let go (dlclose) while no tool was there to take
 * them out; at its place there may be nothing, something else, or the same again, loaded
 * anew and not patched.
 */
#ifndef STITCH_TRANSITION_ORPHANS_H
#define STITCH_TRANSITION_ORPHANS_H

#include "process.h"
#include "record.h"

/* The object that the function was in is where it was. */
bool orphans_has_object(const struct process *process, const struct record_func *func);
/* An applied patch that is in effect nowhere. */
bool orphans_is_one(const struct process *process, const struct record *record,
		    const struct record_patch *patch);

#endif
