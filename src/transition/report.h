/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a process's record says, held against its memory.
 */
#ifndef STITCH_TRANSITION_REPORT_H
#define STITCH_TRANSITION_REPORT_H

#include <jansson.h>

#include "process.h"
#include "record.h"

/* What stands at a function's entry: new, old, by thread (its dispatcher decides), covered
 * (a newer patch has it), unexpected. */
const char *report_entry(const struct process *process, const struct record *record,
			 const struct record_patch *patch, const struct record_func *func);
/* Is that what the patch's state says? */
bool report_is_good(const struct record_patch *patch, const char *entry);
bool report_all_good(const struct process *process, const struct record *record);
/* A tool was killed at work on it. */
bool report_is_interrupted(const struct record_patch *patch);

/* The patch is there; reverted: or it was, and its memory stays.  And is any? */
bool report_shows(const struct record_patch *patch, bool reverted);
bool report_has(const struct record *record, bool reverted);
/* As `stitch list --json` prints it, or with reverted `stitch status`. The caller owns the
 * result. */
json_t *report_process(const struct process *process, const struct record *record,
		       bool reverted);

#endif
