/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The event stream: what was done, in order, in stable words.
 *
 * `stitch -v` prints it, tests compare it: the order of the lines is a
 * contract.  The words are listed in docs/events.md.
 *
 * Every step that touches a target also passes event_step(name), where tests
 * make the step fail or kill the tool: STITCH_FAULT=NAME:fail or NAME:kill,
 * NAME:kill@3 for the third time it is reached.
 */
#ifndef STITCH_BASE_EVENT_H
#define STITCH_BASE_EVENT_H

#include "err.h"

typedef void event_sink(void *arg, const char *line);

/* One sink for the whole process; NULL turns events off. */
void event_set_sink(event_sink *sink, void *arg);
void event(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

struct err *event_step(const char *name) __attribute__((warn_unused_result));
/* The steps passed so far, each name once, newline-separated: for the tests. */
const char *event_steps_seen(void);

#endif
