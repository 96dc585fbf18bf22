/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "object.h"

#include <elf.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "mem.h"
#include "process.h"

enum { MAX_VDSO = 1 << 20 };

static const uint8_t *object_bytes(const struct unwind_code *code, uint64_t addr, size_t size)
{
	const struct object *object = code->owner;

	return image_at(object->image, addr - object->bias, size);
}

void object_load_symbols(const struct object *object)
{
	/* What cannot be read has no names; its code is as good as ever. */
	err_free(image_load_symbols(object->image));
}

/* Functions by name whose frames are not what they seem at some instruction. */
static const struct {
	const char *name;
	enum unwind_switch what;
} switch_names[] = {
	{ "__longjmp", SWITCH_AWAY }, { "____longjmp_chk", SWITCH_AWAY },
	{ "setcontext", SWITCH_AWAY }, { "swapcontext", SWITCH_AWAY },
	{ "__start_context", SWITCH_AWAY },
	/* of a vDSO: where the thread really is only the kernel knows, until it calls it */
	{ "__kernel_restart_syscall", SWITCH_AWAY },
	{ "_Unwind_RaiseException", SWITCH_IN_PLACE },
	{ "_Unwind_Resume", SWITCH_IN_PLACE },
	{ "_Unwind_Resume_or_Rethrow", SWITCH_IN_PLACE },
	{ "_Unwind_ForcedUnwind", SWITCH_IN_PLACE },
};

static void add_switch(struct object *object, uint64_t vaddr, enum unwind_switch what)
{
	ARRAY_ADD(object->switches, object->nr_switches)->vaddr = vaddr;
	object->switches[object->nr_switches - 1].what = what;
}

static void add_from_symtab(struct object *object, const struct symtab *tab)
{
	for (size_t i = 0; i < tab->nr; i++)
		for (unsigned j = 0; j < ARRAY_SIZE(switch_names); j++)
			if (tab->symbols[i].section != SHN_UNDEF &&
			    !strcmp(tab->symbols[i].name, switch_names[j].name))
				add_switch(object, tab->symbols[i].value, switch_names[j].what);
}

static void find_switches(struct object *object)
{
	uint64_t vaddr;

	object->has_switches = true;
	for (unsigned i = 0; i < ARRAY_SIZE(switch_names); i++)
		if (image_find_hashed(object->image, switch_names[i].name, &vaddr))
			add_switch(object, vaddr, switch_names[i].what);
	/* A static program has them, if at all, in the table that strip takes. */
	if (!image_find_segment(object->image, PT_INTERP) && object->is_program) {
		object_load_symbols(object);
		add_from_symtab(object, &object->image->symtab);
	}
}

static enum unwind_switch switches(const struct unwind_code *code, uint64_t start)
{
	struct object *object = (struct object *)(uintptr_t)code->owner;

	if (!object->has_switches)
		find_switches(object);
	for (size_t i = 0; i < object->nr_switches; i++)
		if (object->switches[i].vaddr == start - object->bias)
			return object->switches[i].what;
	return SWITCH_NONE;
}

/* Where .eh_frame is: said by .eh_frame_hdr, else by a section of that name. */
static void find_eh(const struct object *object, struct eh_section *eh)
{
	const struct image *image = object->image;
	const struct segment *seg = image_find_segment(image, PT_GNU_EH_FRAME);
	const struct section *sec = image_find_section(image, ".eh_frame");

	eh->big_endian = image->arch->big_endian;
	if (sec && sec->data) {
		eh->data = sec->data;
		eh->size = sec->size;
		eh->vaddr = sec->vaddr;
	} else if (seg && image_at(image, seg->vaddr, 8)) {
		/* No section headers: pcrel sdata4 pointer to .eh_frame. */
		const uint8_t *hdr = image_at(image, seg->vaddr, 8);
		const struct segment *load = image_segment(image, seg->vaddr);

		if (hdr[1] != 0x1b)
			return;
		eh->vaddr = seg->vaddr + 4 + (uint64_t)(int32_t)
			bytes_get(hdr + 4, 4, eh->big_endian);
		if (image_segment(image, eh->vaddr) != load || !load)
			return;
		eh->size = load->vaddr + load->file_size - eh->vaddr;
		eh->data = image_at(image, eh->vaddr, eh->size);
	}
	if (seg && eh->data) {
		eh->hdr = image_at(image, seg->vaddr, seg->file_size);
		eh->hdr_size = seg->file_size;
		eh->hdr_vaddr = seg->vaddr;
	}
}

static void make_code(const struct process *process, struct object *object)
{
	struct eh_section eh = { 0 };

	find_eh(object, &eh);
	for (size_t i = 0; i < object->image->nr_segments; i++) {
		const struct segment *seg = &object->image->segments[i];
		struct unwind_code *code;

		if (seg->type != PT_LOAD || !(seg->flags & PF_X))
			continue;
		code = ARRAY_ADD(object->code, object->nr_code);
		code->name = object->name;
		code->start = seg->vaddr + object->bias;
		code->end = code->start + seg->mem_size;
		code->bias = object->bias;
		code->eh = eh;
		code->may_lack_cfi = true;
		code->bytes = object_bytes;
		code->switches = switches;
		code->owner = object;
		if (process->entry >= code->start && process->entry < code->end)
			object->is_program = true;
	}
}

static void set_extent(struct object *object)
{
	uint64_t low = UINT64_MAX, high = 0;

	for (size_t i = 0; i < object->image->nr_segments; i++) {
		const struct segment *seg = &object->image->segments[i];

		if (seg->type != PT_LOAD)
			continue;
		if (seg->vaddr < low)
			low = seg->vaddr;
		if (seg->vaddr + seg->mem_size > high)
			high = seg->vaddr + seg->mem_size;
	}
	object->start = (low + object->bias) & ~UINT64_C(4095);
	object->end = (high + object->bias + 4095) & ~UINT64_C(4095);
}

/* bias = addr - vaddr of the executable segment that the mapping shows. */
static bool find_bias(const struct image *image, const struct map *map, uint64_t *bias)
{
	uint64_t mask = ~(uint64_t)(4095);

	for (size_t i = 0; i < image->nr_segments; i++) {
		const struct segment *seg = &image->segments[i];

		if (seg->type != PT_LOAD || !(seg->flags & PF_X) ||
		    map->off < (seg->off & mask) ||
		    map->off >= seg->off + seg->file_size)
			continue;
		*bias = map->start - (seg->vaddr + map->off - seg->off);
		return true;
	}
	return false;
}

static struct err *open_mapped(const struct process *process, const struct map *map,
			       struct image **image)
{
	AUTO_FREE char *path = NULL;

	if (process->source)
		return process->source->open(process->source->arg, map, image);
	path = maps_file(process->pid, map);
	return image_open_part(path, image);
}

int object_open_file(const struct process *process, const struct object *object)
{
	AUTO_FREE char *path = NULL;
	const struct map *map;

	if (process->source) /* its name has led to the right build before */
		return open(object->path, O_RDONLY | O_CLOEXEC);
	map = object->nr_code ? maps_find(&process->maps, object->code[0].start) : NULL;
	if (!map)
		return -1;
	path = maps_file(process->pid, map);
	return open(path, O_RDONLY | O_CLOEXEC);
}

static struct err *open_vdso(const struct process *process, const struct map *map,
			     struct image **image)
{
	size_t size = map->end - map->start;
	void *bytes;

	if (size > MAX_VDSO)
		return err_new(ERR_FAILED, "bad-elf", "vDSO of %zu bytes", size);
	bytes = mem_alloc(size);
	if (process_try_read(process, map->start, bytes, size))
		return image_from_bytes(bytes, size, image);
	free(bytes);
	return err_new(ERR_FAILED, "no-memory", "vDSO cannot be read");
}

static char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *name = mem_strdup(slash ? slash + 1 : path);
	char *deleted = strstr(name, " (deleted)");

	if (deleted)
		*deleted = 0;
	return name;
}

void object_free(struct object *object)
{
	free(object->switches);
	image_free(object->image);
	free(object->path);
	free(object->name);
	free(object->code);
	free(object);
}

bool object_names(const struct object *object, const char *name, bool is_beginning)
{
	const struct section *strings = image_find_section(object->image, ".dynstr");
	const struct symtab *dynsym = &object->image->dynsym;
	size_t size = strlen(name) + !is_beginning;

	/* Reading the symbols takes long, and hardly any object has the name. */
	if (!strings || !strings->data ||
	    !memmem(strings->data, strings->size, name, size))
		return false;
	object_load_symbols(object);
	for (size_t i = 0; i < dynsym->nr; i++)
		if (!strncmp(dynsym->symbols[i].name, name, size))
			return true;
	return false;
}

struct err *object_open(const struct process *process, const struct map *map,
			struct object **result)
{
	bool vdso = !strcmp(map->path, "[vdso]");
	struct image *image = NULL;
	struct object *object;
	uint64_t bias;
	struct err *err = vdso ? open_vdso(process, map, &image) :
				 open_mapped(process, map, &image);

	if (err)
		return err;
	if (image->arch != process->arch && process->arch) {
		image_free(image);
		return err_new(ERR_UNSUPPORTED, "foreign-architecture",
			       "%s is for %s", map->path, image->arch->name);
	}
	if (!find_bias(image, map, &bias)) {
		image_free(image);
		return err_new(ERR_FAILED, "bad-elf",
			       "%s: the mapping at %#" PRIx64 " is no segment of it",
			       map->path, map->start);
	}
	object = mem_alloc(sizeof(*object));
	object->image = image;
	object->bias = bias;
	object->path = mem_strdup(map->path);
	object->name = base_name(map->path);
	object->is_vdso = vdso;
	object->dev_major = map->dev_major;
	object->dev_minor = map->dev_minor;
	object->inode = map->inode;
	set_extent(object);
	make_code(process, object);
	*result = object;
	return NULL;
}
