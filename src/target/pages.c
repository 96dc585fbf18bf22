/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "pages.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "mem.h"

/* Bits of an entry. */
#define IS_SWAPPED (UINT64_C(1) << 62)
#define IS_PRESENT (UINT64_C(1) << 63)

void pages_open(pid_t pid, struct pages *pages)
{
	AUTO_FREE char *path = mem_fmt("/proc/%d/pagemap", (int)pid);

	pages->fd = open(path, O_RDONLY | O_CLOEXEC);
	pages->page_size = (uint64_t)sysconf(_SC_PAGESIZE);
	pages->nr = 0;
}

void pages_close(struct pages *pages)
{
	if (pages->fd >= 0)
		close(pages->fd);
	pages->fd = -1;
}

static bool load(struct pages *pages, uint64_t page)
{
	ssize_t got = pread(pages->fd, pages->entry, sizeof(pages->entry),
			    (off_t)(page * sizeof(pages->entry[0])));

	pages->first = page;
	pages->nr = got > 0 ? (size_t)got / sizeof(pages->entry[0]) : 0;
	return pages->nr;
}

bool pages_are_empty(struct pages *pages, uint64_t at, uint64_t size)
{
	uint64_t end = (at + size + pages->page_size - 1) / pages->page_size;

	if (pages->fd < 0)
		return false;
	for (uint64_t page = at / pages->page_size; page < end; page++) {
		if (page - pages->first >= pages->nr && !load(pages, page))
			return false;
		if (pages->entry[page - pages->first] & (IS_PRESENT | IS_SWAPPED))
			return false;
	}
	return true;
}
