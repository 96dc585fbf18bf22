/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "recorder.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "mem.h"

static void put(struct recorder *r, char tag, const void *data, size_t size)
{
	uint32_t length = (uint32_t)size;

	fputc(tag, r->file);
	fwrite(&length, sizeof(length), 1, r->file);
	fwrite(data, 1, size, r->file);
}

static void note_lines(struct recorder *r, uint64_t addr, const uint8_t *bytes, size_t size)
{
	for (uint64_t at = addr & ~(uint64_t)(LINE - 1); at < addr + size; at += LINE) {
		const struct line *old = memory_find(&r->known, at);
		struct line now = { .addr = at };

		if (at >= addr && at + LINE <= addr + size)
			memcpy(now.bytes, bytes + (at - addr), LINE);
		else if (pread(r->process->mem_fd, now.bytes, LINE, (off_t)at) != LINE)
			continue;
		if (old && !memcmp(old->bytes, now.bytes, LINE))
			continue;
		*memory_add(&r->known, at) = now;
		put(r, 'L', &now, sizeof(now));
	}
}

static bool read_memory(void *arg, uint64_t addr, void *to, size_t size)
{
	struct recorder *r = arg;
	struct iovec local = { to, size };
	struct iovec remote = { (void *)(uintptr_t)addr, size };

	if (process_vm_readv(r->pid, &local, 1, &remote, 1, 0) != (ssize_t)size)
		return false;
	if (r->file && r->process)
		note_lines(r, addr, to, size);
	return true;
}

static struct err *open_file(void *arg, const struct map *map, struct image **image)
{
	struct recorder *r = arg;
	AUTO_FREE char *path = mem_fmt("/proc/%d/map_files/%" PRIx64 "-%" PRIx64,
				       (int)r->pid, map->start, map->end);

	return image_open_part(path, image);
}

static struct err *read_maps(void *arg, struct maps *maps)
{
	struct recorder *r = arg;
	char *text = NULL;
	struct err *err = maps_text(r->pid, &text);

	if (err)
		return err;
	if (r->file && (!r->maps || strcmp(r->maps, text))) {
		free(r->maps);
		r->maps = mem_strdup(text);
		put(r, 'M', text, strlen(text));
	}
	return maps_parse(text, maps);
}

struct err *recorder_begin(struct recorder *r, const struct process *live, const char *path)
{
	struct process from = { .arch = live->arch, .pid = live->pid, .entry = live->entry,
				.start_stack = live->start_stack };
	uint64_t words[] = { live->entry, live->start_stack };
	struct err *err;

	*r = (struct recorder){ .pid = live->pid };
	r->source = (struct process_source){ r, read_memory, open_file, read_maps };
	if (strcmp(path, "-") && !(r->file = fopen(path, "we")))
		return err_new(ERR_FAILED, "system", "%s cannot be written", path);
	if (r->file)
		put(r, 'P', words, sizeof(words));
	if ((err = read_maps(r, &from.maps)))
		return err;
	r->process = process_from(&r->source, &from);
	r->process->mem_fd = dup(live->mem_fd);
	return stacks_init(&r->stacks, r->process, &r->none);
}

void recorder_state(struct recorder *r, const struct state *state)
{
	if (!r->file)
		return;
	put(r, 'R', state->regs.bytes, sizeof(state->regs.bytes));
	put(r, 'S', state->calls, state->depth * sizeof(state->calls[0]));
}

bool recorder_end(struct recorder *r)
{
	bool good = !r->file || !fclose(r->file);

	stacks_done(&r->stacks);
	process_close(r->process);
	memory_done(&r->known);
	free(r->maps);
	return good;
}
