/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "core.h"

#include <elf.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "mem.h"

/* struct elf_prstatus and elf_prpsinfo of a 64-bit kernel (linux/elfcore.h). */
enum {
	PR_PID = 32, PR_REG = 112, PSINFO_FNAME = 40, FNAME_SIZE = 16,
	MAX_THREADS = 65536, MAX_ARGS = 1 << 16,
	MAX_AUXV_GAP = 1 << 16, /* from AT_RANDOM's bytes down to the vector: measured 0.4 kB */
};

#define BAD(...) err_new(ERR_FAILED, "bad-core", __VA_ARGS__)

static bool be_of(const struct core *core)
{
	return core->image->arch->big_endian;
}

/* ---- memory ------------------------------------------------------------------ */

static bool read_core(void *arg, uint64_t addr, void *to, size_t size)
{
	const struct core *core = arg;
	/* image_at() answers for what was written of a segment */
	const uint8_t *bytes = image_at(core->image, addr, size);

	if (!bytes)
		return false;
	memcpy(to, bytes, size);
	return true;
}

/* ---- files ------------------------------------------------------------------- */

/* The build ID in a note segment that is in memory at addr. */
static bool id_in_notes(const struct core *core, uint64_t addr, uint64_t size,
			const struct image *image)
{
	const uint8_t *bytes = image_at(core->image, addr, size);
	struct cursor c = cursor_make(bytes, bytes ? size : 0, be_of(core));
	struct elf_note note;

	while (image_next_note(&c, &note))
		if (note.type == NT_GNU_BUILD_ID && note.name_size == 4)
			return image_has_build_id(image, note.desc, note.size);
	return false;
}

/* Is the file the one whose first page the core has at start? */
static bool is_same_build(const struct core *core, uint64_t start, const struct image *image)
{
	const uint8_t *eh = image_at(core->image, start, sizeof(Elf64_Ehdr));
	uint64_t at, nr;

	if (!eh || memcmp(eh, ELFMAG, SELFMAG))
		return false;
	at = start + bytes_get(eh + offsetof(Elf64_Ehdr, e_phoff), 8, be_of(core));
	nr = bytes_get(eh + offsetof(Elf64_Ehdr, e_phnum), 2, be_of(core));
	for (uint64_t i = 0; i < nr; i++, at += sizeof(Elf64_Phdr)) {
		const uint8_t *ph = image_at(core->image, at, sizeof(Elf64_Phdr));

		if (ph && bytes_get(ph, 4, be_of(core)) == PT_NOTE &&
		    /* the first segment of a file is at its beginning: offset = distance */
		    id_in_notes(core, start + bytes_get(ph + offsetof(Elf64_Phdr, p_offset),
							8, be_of(core)),
				bytes_get(ph + offsetof(Elf64_Phdr, p_filesz), 8, be_of(core)),
				image))
			return true;
	}
	return false;
}

static struct err *open_file(void *arg, const struct map *map, struct image **image)
{
	const struct core *core = arg;
	const struct maps *maps = core->maps;
	struct err *err = image_open_part(map->path, image);

	if (err)
		return err;
	for (size_t i = 0; i < maps->nr; i++)
		if (maps->map[i].inode == map->inode && !maps->map[i].off &&
		    is_same_build(core, maps->map[i].start, *image))
			return NULL;
	image_free(*image);
	*image = NULL;
	return BAD("%s is not the build that was running, or the core does not show which "
		   "that was", map->path);
}

/* ---- notes ------------------------------------------------------------------- */

static struct err *take_status(struct core *core, const struct elf_note *note)
{
	const struct arch *arch = core->image->arch;
	struct core_thread *thread;

	if (note->size < PR_REG + arch->regs_size || core->nr_threads == MAX_THREADS)
		return BAD("a thread's registers are cut short");
	thread = ARRAY_ADD(core->threads, core->nr_threads);
	thread->tid = (pid_t)bytes_get(note->desc + PR_PID, 4, be_of(core));
	memcpy(thread->regs.bytes, note->desc + PR_REG, arch->regs_size);
	return NULL;
}

/* The first mapping that begins at start or above; they are sorted. */
static size_t first_from(const struct maps *maps, uint64_t start)
{
	size_t low = 0, high = maps->nr;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (maps->map[mid].start < start)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/* Names of mapped files: count, page size, (start, end, offset)..., names... */
static struct err *take_files(struct core *core, const struct elf_note *note, struct maps *maps)
{
	struct cursor c = cursor_make(note->desc, note->size, be_of(core)), names;
	uint64_t nr = cursor_get(&c, 8), page = cursor_get(&c, 8);

	if (c.bad || nr > cursor_left(&c) / 24)
		return BAD("the list of files is cut short");
	names = c;
	cursor_take(&names, nr * 24);
	for (uint64_t i = 0; i < nr; i++) {
		uint64_t start = cursor_get(&c, 8), end = cursor_get(&c, 8);
		uint64_t off = cursor_get(&c, 8) * page;
		const char *name = cursor_str(&names);

		for (size_t j = first_from(maps, start);
		     j < maps->nr && maps->map[j].start < end; j++) {
			struct map *map = &maps->map[j];

			if (map->end > end || map->inode)
				continue;
			map->path = name;
			map->off = off + (map->start - start);
			map->inode = 1;
		}
	}
	return names.bad ? BAD("the names of files are cut short") : NULL;
}

/* A register set that goes with the thread before it. */
static void take_more(const struct arch *arch, struct core_thread *thread,
		      const struct elf_note *note)
{
	uint8_t *at = thread->regs.bytes + arch->regs_size;

	for (unsigned i = 0; i < ARCH_SETS; at += arch->more_regs[i++].size) {
		size_t size = arch->more_regs[i].size;

		if (size && note->type == arch->more_regs[i].type)
			memcpy(at, note->desc, note->size < size ? note->size : size);
	}
}

static struct err *take_note(struct core *core, const struct elf_note *note, struct maps *maps)
{
	struct core_thread *last = core->nr_threads ?
		&core->threads[core->nr_threads - 1] : NULL;

	switch (note->type) {
	case NT_PRSTATUS:
		return take_status(core, note);
	case NT_FILE:
		return take_files(core, note, maps);
	case NT_AUXV:
		core->auxv = note->desc;
		core->auxv_size = note->size;
		return NULL;
	case NT_PRPSINFO:
		if (note->size >= PSINFO_FNAME + FNAME_SIZE)
			memcpy(core->comm, note->desc + PSINFO_FNAME, FNAME_SIZE);
		return NULL;
	}
	if (last)
		take_more(core->image->arch, last, note);
	return NULL;
}

static struct err *take_notes(struct core *core, const struct segment *seg,
			      struct maps *maps)
{
	struct elf_note note;
	struct cursor c;
	struct err *err;

	if (seg->off > core->image->size || seg->file_size > core->image->size - seg->off)
		return BAD("the notes are outside the file");
	c = cursor_make(core->image->data + seg->off, seg->file_size, be_of(core));
	while (image_next_note(&c, &note))
		if ((err = take_note(core, &note, maps)))
			return err;
	return c.bad ? BAD("a note is cut short") : NULL;
}

/* ---- the process ------------------------------------------------------------- */

static int by_start(const void *a, const void *b)
{
	const struct map *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

static void take_segments(const struct core *core, struct maps *maps)
{
	for (size_t i = 0; i < core->image->nr_segments; i++) {
		const struct segment *seg = &core->image->segments[i];
		struct map *map;

		if (seg->type != PT_LOAD || !seg->mem_size)
			continue;
		map = ARRAY_ADD(maps->map, maps->nr);
		map->start = seg->vaddr;
		map->end = seg->vaddr + seg->mem_size;
		map->read = seg->flags & PF_R;
		map->write = seg->flags & PF_W;
		map->exec = seg->flags & PF_X;
		map->path = "";
	}
	if (maps->nr)
		qsort(maps->map, maps->nr, sizeof(*maps->map), by_start);
}

static int by_path(const void *a, const void *b)
{
	return strcmp((*(struct map *const *)a)->path, (*(struct map *const *)b)->path);
}

/* One number for each name, as inodes are. */
static void number_files(struct maps *maps)
{
	AUTO_FREE struct map **files = NULL;
	size_t nr = 0;

	for (size_t i = 0; i < maps->nr; i++)
		if (maps->map[i].inode)
			*ARRAY_ADD(files, nr) = &maps->map[i];
	if (nr)
		qsort(files, nr, sizeof(*files), by_path);
	for (size_t i = 0; i < nr; i++)
		files[i]->inode = i && !strcmp(files[i]->path, files[i - 1]->path) ?
				  files[i - 1]->inode : i + 1;
}

static uint64_t auxv_value(const struct core *core, uint64_t type)
{
	for (size_t at = 0; at + 16 <= core->auxv_size; at += 16)
		if (bytes_get8(core->auxv + at, be_of(core)) == type)
			return bytes_get8(core->auxv + at + 8, be_of(core));
	return 0;
}

/* The bytes of a segment at an address, NULL if not all of size were written. */
static const uint8_t *in_segment(const struct core *core, const struct segment *seg,
				 uint64_t addr, size_t size)
{
	uint64_t in = addr - seg->vaddr;

	return in <= seg->file_size && size <= seg->file_size - in ?
	       core->image->data + seg->off + in : NULL;
}

static bool is_auxv(const struct core *core, const struct segment *seg, uint64_t at)
{
	const uint8_t *bytes = in_segment(core, seg, at, core->auxv_size);

	return bytes && !memcmp(bytes, core->auxv, core->auxv_size);
}

static bool word_at(const struct core *core, const struct segment *seg, uint64_t addr,
		    uint64_t *value)
{
	const uint8_t *bytes = in_segment(core, seg, addr, 8);

	if (bytes)
		*value = bytes_get8(bytes, be_of(core));
	return bytes != NULL;
}

/*
 * Where the kernel put the first thread's stack pointer: argc, argv, 0, envp, 0 and
 * then the auxiliary vector, which the core has a copy of (psABI 3.4.1).  0: not
 * to be found.
 */
static uint64_t find_start_stack(const struct core *core)
{
	uint64_t top = auxv_value(core, AT_RANDOM), at, word, nr;
	const struct segment *seg = top ? image_segment(core->image, top) : NULL;

	if (!seg || core->auxv_size < 32)
		return 0;
	at = top & ~UINT64_C(7);
	while (!is_auxv(core, seg, at)) {
		if (at < seg->vaddr + 32 || top - at > MAX_AUXV_GAP)
			return 0;
		at -= 8;
	}
	at -= 8; /* the zero behind the environment */
	for (nr = 0; nr < MAX_ARGS && word_at(core, seg, at - 8, &word) && word; nr++)
		at -= 8;
	at -= 8; /* the zero behind the arguments */
	for (nr = 0; nr < MAX_ARGS && word_at(core, seg, at - 8, &word); nr++, at -= 8)
		if (word == nr)
			return at - 8;
	return 0;
}

static void name_vdso(const struct core *core, struct maps *maps)
{
	uint64_t vdso = auxv_value(core, AT_SYSINFO_EHDR);

	for (size_t i = 0; vdso && i < maps->nr; i++)
		if (maps->map[i].start == vdso && !maps->map[i].inode)
			maps->map[i].path = "[vdso]";
}

static struct err *load(struct core *core)
{
	struct process from = { .arch = core->image->arch };
	struct maps *maps = &from.maps;
	struct err *err = NULL;

	take_segments(core, maps);
	for (size_t i = 0; i < core->image->nr_segments && !err; i++)
		if (core->image->segments[i].type == PT_NOTE)
			err = take_notes(core, &core->image->segments[i], maps);
	if (!err && !core->nr_threads)
		err = BAD("no thread is in it");
	if (err) {
		maps_done(maps);
		return err;
	}
	number_files(maps);
	name_vdso(core, maps);
	from.pid = core->threads[0].tid;
	snprintf(from.comm, sizeof(from.comm), "%s", core->comm);
	from.entry = auxv_value(core, AT_ENTRY);
	from.start_stack = find_start_stack(core);
	core->maps = maps;
	core->process = process_from(&core->source, &from);
	core->maps = &core->process->maps;
	return NULL;
}

struct err *core_open(const char *path, struct core **result)
{
	struct core *core = mem_alloc(sizeof(*core));
	struct err *err = image_open_part(path, &core->image);

	core->source = (struct process_source){ core, read_core, open_file, NULL };
	if (!err && core->image->type != ET_CORE)
		err = BAD("%s is no core file", path);
	if (!err)
		err = load(core);
	if (err)
		core_close(core);
	else
		*result = core;
	return err;
}

void core_close(struct core *core)
{
	if (!core)
		return;
	process_close(core->process);
	image_free(core->image);
	free(core->threads);
	free(core);
}

void core_closep(struct core **core)
{
	core_close(*core);
}
