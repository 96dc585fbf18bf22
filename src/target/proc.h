/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What proc(5) says of a process or a thread of it: either's ID goes everywhere.
 */
#ifndef STITCH_TARGET_PROC_H
#define STITCH_TARGET_PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * The beginning of a file in /proc/PID, as a string. False: it is gone, may not be read, or
 * is empty; the string is empty then.
 */
bool proc_text(pid_t pid, const char *name, char *text, size_t size);
/* Field n, from 3 on, of /proc/PID/stat. */
bool proc_stat(pid_t pid, int n, char *word, size_t size);
/* What stands behind "FIELD:" in /proc/PID/status, spaces included. */
bool proc_status_text(pid_t pid, const char *field, char *text, size_t size);
/* Some of its fields as numbers; UINT64_MAX for one that is not there. */
void proc_status(pid_t pid, const char *const *fields, size_t nr, int base, uint64_t *values);
/* One in decimal; -1 if it is not there. */
long proc_status_number(pid_t pid, const char *field);

#endif
