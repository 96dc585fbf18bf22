/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dynlink.h"

#include <elf.h>
#include <stdlib.h>

#include "bytes.h"
#include "mem.h"

enum {
	MAX_LINK_MAPS = 4096,
	R_MAP = 8, R_BRK = 16, R_STATE = 24, /* in struct r_debug */
	L_ADDR = 0, L_NEXT = 24,             /* in struct link_map */
};

/* A word of an object's dynamic section, as it is in memory; false: it has none. */
static bool find_dynamic(const struct process *process, const struct object *object,
			 uint64_t wanted, uint64_t *value)
{
	const struct segment *dyn = image_find_segment(object->image, PT_DYNAMIC);
	uint64_t tag;

	for (uint64_t off = 0; dyn && off + 16 <= dyn->mem_size; off += 16) {
		uint64_t at = object->bias + dyn->vaddr + off;

		if (!process_try_read(process, at, &tag, 8) ||
		    !process_try_read(process, at + 8, value, 8))
			return false;
		tag = bytes_get(&tag, 8, process->arch->big_endian);
		*value = bytes_get(value, 8, process->arch->big_endian);
		if (tag == wanted)
			return true;
		if (tag == DT_NULL)
			return false;
	}
	return false;
}

bool dynlink_find(const struct process *process, struct dynlink *link)
{
	*link = (struct dynlink){ 0 };
	if (!find_dynamic(process, process_program(process), DT_DEBUG, &link->debug) ||
	    !link->debug)
		return false;
	err_free(process_read_word(process, link->debug + R_BRK, &link->brk));
	return true;
}

enum dynlink_state dynlink_state(const struct process *process, const struct dynlink *link)
{
	uint8_t word[4] = { 0 };

	process_try_read(process, link->debug + R_STATE, word, 4);
	return (enum dynlink_state)bytes_get(word, 4, process->arch->big_endian);
}

static const struct object *object_with_bias(const struct process *process, uint64_t bias)
{
	for (size_t i = 0; i < process->nr_objects; i++)
		if (process->objects[i]->bias == bias && !process->objects[i]->is_vdso)
			return process->objects[i];
	return NULL;
}

struct err *dynlink_list(const struct process *process, const struct dynlink *link,
			 const struct object ***objects, size_t *nr)
{
	uint64_t at, bias;
	struct err *err = process_read_word(process, link->debug + R_MAP, &at);

	*objects = NULL;
	*nr = 0;
	for (unsigned i = 0; !err && at && i < MAX_LINK_MAPS; i++) {
		const struct object *object;

		if ((err = process_read_word(process, at + L_ADDR, &bias)) ||
		    (err = process_read_word(process, at + L_NEXT, &at)))
			break;
		object = object_with_bias(process, bias);
		if (object)
			*ARRAY_ADD(*objects, *nr) = object;
	}
	if (err) {
		free(*objects);
		*objects = NULL;
		*nr = 0;
	}
	return err;
}

/* DT_INIT and its like hold addresses of the file's own layout. */
static uint64_t in_array(const struct process *process, const struct object *object,
			 uint64_t vaddr)
{
	const struct arch *arch = process->arch;
	const uint8_t *word = image_at(object->image, vaddr, 8);
	const struct reloc *relocs;
	size_t nr;

	err_free(image_dynamic_relocs(object->image, &relocs, &nr));
	for (size_t i = 0; i < nr; i++)
		if (relocs[i].off == vaddr && relocs[i].type == arch->rel_relative)
			return object->bias + (uint64_t)relocs[i].addend;
	return word && bytes_get(word, 8, arch->big_endian) ?
	       object->bias + bytes_get(word, 8, arch->big_endian) : 0;
}

uint64_t dynlink_first_constructor(const struct process *process,
				   const struct object *object)
{
	uint64_t value;

	if (find_dynamic(process, object, DT_INIT, &value) && value)
		return object->bias + value;
	if (find_dynamic(process, object, DT_INIT_ARRAY, &value) && value)
		return in_array(process, object, value);
	return 0;
}
