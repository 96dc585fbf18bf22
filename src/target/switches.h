/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Has a process code that switches stacks, so that there may be some that no thread is on?
 * By the names that its objects define and use.
 */
#ifndef STITCH_TARGET_SWITCHES_H
#define STITCH_TARGET_SWITCHES_H

#include "process.h"

/* *by is the object's name then. */
bool switches_stacks(const struct process *process, const char **by);

#endif
