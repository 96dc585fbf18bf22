/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Running other programs, which do not outlive the tool. */
#ifndef STITCH_BUILD_RUN_H
#define STITCH_BUILD_RUN_H

#include "err.h"

/*
 * Runs a program in a folder with the environment env (NULL: ours); its output
 * goes to the end of the file log.  "build-failed" with the log's last lines
 * if it does not end with 0.
 *
 * If the tool ends before it, however that happens, the program and all that it
 * started is killed; until then what the tool has open (a lock) stays open.
 */
struct err *run_program(const char *const *argv, const char *cwd, char *const *env,
			const char *log) __attribute__((warn_unused_result));

#endif
