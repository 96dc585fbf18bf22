/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which pages of a private mapping hold something (/proc/PID/pagemap, Linux
 * Documentation/admin-guide/mm/pagemap.rst): there, or in swap.  To read one of the others
 * is to read zeroes or the file, and makes the kernel provide for it.
 */
#ifndef STITCH_TARGET_PAGES_H
#define STITCH_TARGET_PAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct pages {
	int fd;              /* -1: the kernel does not say */
	uint64_t page_size;  /* the kernel's */
	uint64_t first;      /* page */
	size_t nr;
	uint64_t entry[4096]; /* of nr pages from the first on */
};

void pages_open(pid_t pid, struct pages *pages);
void pages_close(struct pages *pages);
/* Nothing is in the pages of [at, at + size), for sure; they are of one private mapping. */
bool pages_are_empty(struct pages *pages, uint64_t at, uint64_t size);

#endif
