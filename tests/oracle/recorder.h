/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A traced process whose memory is read through our hands, so that what a walk
 * reads can be written down for replay.
 */
#ifndef STITCH_TESTS_RECORDER_H
#define STITCH_TESTS_RECORDER_H

#include <stdio.h>

#include "states.h"

struct recorder {
	pid_t pid;
	struct process *process;
	struct process_source source;
	struct record none;
	struct stacks stacks;
	FILE *file;            /* NULL: nothing is written */
	struct memory known;   /* what the file has of the memory */
	char *maps;            /* and of the mappings */
};

/* live: the same process, opened as usual; only looked at. */
struct err *recorder_begin(struct recorder *recorder, const struct process *live,
			   const char *path) __attribute__((warn_unused_result));
/* After the walk of a state: writes it down. */
void recorder_state(struct recorder *recorder, const struct state *state);
/* False if the file could not be written. */
bool recorder_end(struct recorder *recorder);

#endif
