/* SPDX-License-Identifier: GPL-2.0-or-later */
/* /proc/PID/maps (proc(5)), sorted by address. */
#ifndef STITCH_TARGET_MAPS_H
#define STITCH_TARGET_MAPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "err.h"

struct map {
	uint64_t start, end, off;
	bool read, write, exec, shared;
	bool tried;           /* for who opens what is mapped: it has been */
	unsigned dev_major, dev_minor;
	uint64_t inode;       /* 0: no file */
	const char *path;     /* "" without one; in maps' own memory */
};

struct maps {
	struct map *map;
	size_t nr;
	char *text;
};

/*
 * The path by which the mapped file can be opened: /proc/PID/map_files, also if it was
 * deleted or replaced, but the kernel wants CAP_CHECKPOINT_RESTORE for that; without it its
 * name, as the process sees it, if that is still the same file.  The caller frees.
 */
char *maps_file(pid_t pid, const struct map *map);
struct err *maps_read(pid_t pid, struct maps *maps) __attribute__((warn_unused_result));
/* The same of text that came from there; it is taken over. */
struct err *maps_parse(char *text, struct maps *maps) __attribute__((warn_unused_result));
/* The text of a process's mappings. The caller frees. */
struct err *maps_text(pid_t pid, char **text) __attribute__((warn_unused_result));
void maps_done(struct maps *maps);
#define AUTO_MAPS __attribute__((cleanup(maps_done)))

/* The mappings alone, for who plans; they name the paths of what they are copied from. */
void maps_copy(const struct maps *from, struct maps *to);
/* What is planned is no room for anything else: [start, start + size) was free. */
void maps_take(struct maps *maps, uint64_t start, uint64_t size);
const struct map *maps_find(const struct maps *maps, uint64_t addr);
/* In whole pages of this machine: 4 KiB, or what its kernel has (64 on some). */
uint64_t maps_whole_pages(uint64_t size);
/*
 * A free range of size bytes (whole pages) from which every byte of
 * [near_start, near_end) is within reach and the other way round.  Looks below
 * first: above a program lies its heap, which has to grow.  0 if there is none.
 */
uint64_t maps_find_room(const struct maps *maps, uint64_t near_start, uint64_t near_end,
			uint64_t size, uint64_t reach);

#endif
