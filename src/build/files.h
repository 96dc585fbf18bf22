/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Files and programs: what the steps of a build do to the disk. */
#ifndef STITCH_BUILD_FILES_H
#define STITCH_BUILD_FILES_H

#include <stdbool.h>
#include <stdint.h>

#include "err.h"

/* 0, or -1 with errno. */
int files_copy(const char *from, const char *to);
uint64_t files_now_ns(void); /* CLOCK_REALTIME */
struct err *files_make_dir(const char *path) __attribute__((warn_unused_result));
bool files_exist(const char *path);
/* Its name ends in a dot and one of the endings, of which NULL is the last. */
bool files_has_ending(const char *path, const char *const *endings);
/* What is behind its last slash. */
const char *files_last_part(const char *path);
struct err *files_remove_tree(const char *path) __attribute__((warn_unused_result));
struct err *files_copy_tree(const char *from, const char *to)
	__attribute__((warn_unused_result));
struct err *files_write(const char *path, const char *text)
	__attribute__((warn_unused_result));
/* NULL if it cannot be read. The caller frees. */
char *files_read(const char *path);
/* A number that changes when a file below path is added, removed or changed. */
struct err *files_fingerprint(const char *path, char hex[65])
	__attribute__((warn_unused_result));

#endif
