/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "maps.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "mem.h"

enum {
	LOWEST = 0x10000,       /* vm.mmap_min_addr's default */
	PAGE = 0x10000,         /* the largest page size of the ports */
};

static struct err *read_all(const char *path, char **text)
{
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
	AUTO_BUF struct buf buf = { 0 };
	char chunk[16384];
	ssize_t got;

	if (fd < 0)
		return err_sys(errno == ENOENT ? ESRCH : errno, "%s", path);
	while ((got = read(fd, chunk, sizeof(chunk))) > 0)
		buf_add(&buf, chunk, (size_t)got);
	if (got < 0)
		return err_sys(errno, "%s", path);
	buf_add(&buf, "", 1);
	*text = (char *)buf.data;
	buf.data = NULL;
	return NULL;
}

/* A number up to the character end, which is passed over. */
static uint64_t number(char **at, int base, char end, bool *bad)
{
	char *stop;
	uint64_t v = strtoull(*at, &stop, base);

	*bad |= stop == *at || *stop != end;
	*at = *stop ? stop + 1 : stop;
	return v;
}

/* start-end perms off major:minor inode   path (proc(5)); no scanf: there are many. */
static bool parse_line(char *line, struct map *map)
{
	bool bad = false;

	map->start = number(&line, 16, '-', &bad);
	map->end = number(&line, 16, ' ', &bad);
	if (bad || strlen(line) < 5)
		return false;
	map->read = line[0] == 'r';
	map->write = line[1] == 'w';
	map->exec = line[2] == 'x';
	map->shared = line[3] == 's';
	line += 5;
	map->off = number(&line, 16, ' ', &bad);
	map->dev_major = (unsigned)number(&line, 16, ':', &bad);
	map->dev_minor = (unsigned)number(&line, 16, ' ', &bad);
	map->inode = strtoull(line, &line, 10);
	map->path = line + strspn(line, " ");
	return !bad && map->start < map->end;
}

struct err *maps_parse(char *text, struct maps *maps)
{
	struct err *err;
	char *save = NULL;

	*maps = (struct maps){ .text = text };
	for (char *line = strtok_r(maps->text, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save)) {
		struct map *map = ARRAY_ADD(maps->map, maps->nr);

		if (parse_line(line, map))
			continue;
		err = err_new(ERR_FAILED, "system", "mappings: cannot read \"%s\"", line);
		maps_done(maps);
		return err;
	}
	/* A kernel thread, or a process that has just ended: no memory. */
	if (!maps->nr) {
		maps_done(maps);
		return err_new(ERR_GONE, "gone", "the process has no memory");
	}
	return NULL;
}

struct err *maps_text(pid_t pid, char **text)
{
	AUTO_FREE char *path = mem_fmt("/proc/%d/maps", (int)pid);

	return read_all(path, text);
}

struct err *maps_read(pid_t pid, struct maps *maps)
{
	char *text = NULL;
	struct err *err = maps_text(pid, &text);

	*maps = (struct maps){ 0 };
	return err ? err : maps_parse(text, maps);
}

void maps_done(struct maps *maps)
{
	free(maps->map);
	free(maps->text);
	*maps = (struct maps){ 0 };
}

void maps_copy(const struct maps *from, struct maps *to)
{
	*to = (struct maps){ .nr = from->nr };
	to->map = mem_dup(from->map, from->nr * sizeof(*from->map));
}

void maps_take(struct maps *maps, uint64_t start, uint64_t size)
{
	AUTO_FREE struct map *old = maps->map;
	size_t at = 0, nr = maps->nr;

	while (at < nr && old[at].start < start)
		at++;
	maps->map = mem_alloc((nr + 1) * sizeof(*old));
	memcpy(maps->map, old, at * sizeof(*old));
	maps->map[at] = (struct map){ .start = start, .end = start + size, .path = "" };
	memcpy(maps->map + at + 1, old + at, (nr - at) * sizeof(*old));
	maps->nr = nr + 1;
}

const struct map *maps_find(const struct maps *maps, uint64_t addr)
{
	size_t low = 0, high = maps->nr;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (maps->map[mid].end <= addr)
			low = mid + 1;
		else
			high = mid;
	}
	if (low == maps->nr || maps->map[low].start > addr)
		return NULL;
	return &maps->map[low];
}

/* Stacks grow down into the room below them; leave it to them. */
static bool grows_down(const struct map *map)
{
	return !strcmp(map->path, "[stack]");
}

uint64_t maps_whole_pages(uint64_t size)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);

	return (size + page - 1) & ~(page - 1);
}

uint64_t maps_find_room(const struct maps *maps, uint64_t near_start, uint64_t near_end,
			uint64_t size, uint64_t reach)
{
	uint64_t lowest = near_end > reach ? near_end - reach : 0;
	uint64_t highest = near_start + reach, best = 0;

	size = (size + PAGE - 1) & ~(uint64_t)(PAGE - 1);
	if (lowest < LOWEST)
		lowest = LOWEST;
	for (size_t i = 0; i <= maps->nr; i++) {
		uint64_t low = i ? maps->map[i - 1].end : 0;
		uint64_t high = i < maps->nr ? maps->map[i].start : highest;
		uint64_t at;

		if (low < lowest)
			low = lowest;
		if (high > highest)
			high = highest;
		/* One page of distance, so that neighbours stay apart. */
		if (high < low || high - low < size + 2 * PAGE)
			continue;
		if (i < maps->nr && grows_down(&maps->map[i]))
			continue;
		if (high <= near_start) {
			best = (high - PAGE - size) & ~(uint64_t)(PAGE - 1);
			continue; /* the nearest below is the last one seen */
		}
		if (best)
			break;
		/* Above: at the far end of the gap, out of a heap's way. */
		at = (high - PAGE - size) & ~(uint64_t)(PAGE - 1);
		return at;
	}
	return best;
}

char *maps_file(pid_t pid, const struct map *map)
{
	char *mapped = mem_fmt("/proc/%d/map_files/%" PRIx64 "-%" PRIx64, (int)pid, map->start,
			       map->end);
	char *named;
	struct stat st;

	if (!faccessat(AT_FDCWD, mapped, R_OK, AT_EACCESS))
		return mapped;
	named = mem_fmt("/proc/%d/root%s", (int)pid, map->path);
	if (stat(named, &st) || st.st_ino != map->inode ||
	    st.st_dev != makedev(map->dev_major, map->dev_minor)) {
		free(named);
		return mapped;
	}
	free(mapped);
	return named;
}
