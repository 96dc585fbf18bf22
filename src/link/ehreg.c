/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ehreg.h"

#include <elf.h>
#include <string.h>

#include "bytes.h"
#include "mem.h"

enum {
	MAX_CODE = 1024,
	/* struct object of libgcc: three addresses, the section, flags, next. */
	MAX_ENTRIES = 4096,
	MAX_WORDS = 8192, /* of libgcc's variables */
	OBJECT_PC_BEGIN = 0, OBJECT_SECTION = 24, OBJECT_FLAGS = 32,
	/* s.b.encoding, behind three fields of a bit, of the machine's first ones. */
	ENCODING_AT = 3, ENCODING_BITS = 8, ENCODING_OMIT = 0xff,
};

/* The one that unwinds: C libraries of old ports keep the names of the list alone. */
static const struct object *find_libgcc(const struct process *process,
					const struct symbol **sym)
{
	for (size_t i = 0; i < process->nr_objects; i++) {
		const struct object *object = process->objects[i];

		*sym = image_find_export(object->image, "__register_frame_info", NULL);
		if (*sym && image_find_export(object->image, "_Unwind_Find_FDE", NULL) &&
		    image_find_export(object->image, "_Unwind_RaiseException", NULL))
			return object;
	}
	return NULL;
}

static struct err *learn_from(const struct process *process, const struct object *object,
			      const struct symbol *sym, struct ehreg *reg)
{
	size_t size = sym->size && sym->size < MAX_CODE ? sym->size : 0;
	const uint8_t *code = image_at(object->image, sym->value, size);

	reg->list = (struct ehlist){ .arch = process->arch, .read = process_word_there,
				     .arg = (void *)(uintptr_t)process };
	/* It may be no more than a jump to the one that does the work. */
	for (unsigned hops = 0; code && hops < 3; hops++) {
		if (ehlist_learn(&reg->list, code, size, object->bias + sym->value))
			return NULL;
		sym = image_find_export(object->image, "__register_frame_info_bases", NULL);
		if (!sym || hops)
			break;
		size = sym->size < MAX_CODE ? sym->size : 0;
		code = image_at(object->image, sym->value, size);
	}
	return err_new(ERR_UNSUPPORTED, "unwinder-unknown",
		       "%s of process %d keeps its registrations in a way that is not "
		       "known: exceptions could not pass through the patch", object->name,
		       process->pid);
}

static void fill_object(const struct ehreg *reg, struct linked_part *part)
{
	uint8_t *bytes = part->data.bytes.data + (part->eh_object - part->data.addr);
	bool be = reg->process->arch->big_endian;
	unsigned shift = be ? 64 - ENCODING_AT - ENCODING_BITS : ENCODING_AT;

	bytes_put(bytes + OBJECT_PC_BEGIN, 8, UINT64_MAX, be);
	bytes_put(bytes + OBJECT_SECTION, 8, part->eh_frame, be);
	bytes_put(bytes + OBJECT_FLAGS, 8, (uint64_t)ENCODING_OMIT << shift, be);
}

struct err *ehreg_find(struct ehreg *reg, const struct process *process)
{
	const struct symbol *sym = NULL;

	*reg = (struct ehreg){ .process = process };
	reg->libgcc = find_libgcc(process, &sym);
	return reg->libgcc ? learn_from(process, reg->libgcc, sym, reg) : NULL;
}

/* Code with handlers or destructors of its own: exceptions are meant to come. */
static bool expects_exceptions(const struct slp *slp)
{
	for (size_t i = 0; i < slp->image->nr_sections; i++)
		if (!strncmp(slp->image->sections[i].name, ".gcc_except_table", 17))
			return true;
	return false;
}

/* An .eh_frame of only its end has nothing to say. */
static bool has_frames(const struct linked_part *part)
{
	return part->eh_frame_size > 4;
}

struct err *ehreg_prepare(struct ehreg *reg, const struct process *process,
			  const struct slp *slp, struct linked *linked)
{
	bool wanted = false;
	struct err *err;

	*reg = (struct ehreg){ .process = process };
	for (size_t i = 0; i < linked->nr_parts; i++)
		wanted |= has_frames(&linked->parts[i]);
	if (wanted && (err = ehreg_find(reg, process)))
		return err;
	if (wanted && !reg->libgcc && expects_exceptions(slp))
		return err_new(ERR_UNSUPPORTED, "unwinder-unknown",
			       "process %d has no libgcc of its own to be told of the patch "
			       "(a static program?): exceptions could not pass through it",
			       process->pid);
	for (size_t i = 0; i < linked->nr_parts; i++) {
		struct linked_part *part = &linked->parts[i];

		if (reg->libgcc && has_frames(part))
			fill_object(reg, part);
		else
			part->eh_object = 0;
	}
	reg->wanted = wanted && reg->libgcc;
	return NULL;
}

/*
 * Follows a list from the pointer at head; if it comes by object, *link is the
 * address of the pointer to it.
 */
static bool find_link(const struct ehreg *reg, uint64_t head, uint64_t object, uint64_t *link)
{
	uint64_t at = head, to = 0, before = 0;
	uint8_t word[8];

	for (unsigned nr = 1; nr < MAX_ENTRIES; nr++) {
		if (!process_try_read(reg->process, at, word, 8))
			return false;
		to = bytes_get(word, 8, reg->process->arch->big_endian);
		if (to == object) {
			*link = at;
			return true;
		}
		/* Only what is mapped and aligned can be an entry. */
		if (!to || to % 8 || !maps_find(&reg->process->maps, to))
			return false;
		/* What leads back to itself is something else's (Brent's way of finding it). */
		if (to == before)
			return false;
		if (!(nr & (nr - 1)))
			before = to;
		at = to + reg->list.next_off;
	}
	return false;
}

/* The same from any of the words in [start, start + size). */
static bool find_link_in(const struct ehreg *reg, uint64_t start, uint64_t size,
			 uint64_t object, uint64_t *link)
{
	AUTO_FREE uint8_t *words = mem_alloc(size);

	if (!process_try_read(reg->process, start, words, size))
		return false;
	for (uint64_t off = 0; off + 8 <= size; off += 8) {
		uint64_t to = bytes_get(words + off, 8, reg->process->arch->big_endian);

		/* Few words lead anywhere; each of those is followed. */
		if (to && to % 8 == 0 && maps_find(&reg->process->maps, to) &&
		    find_link(reg, start + off, object, link))
			return true;
	}
	return false;
}

/* Any variable of libgcc's may be the head of the list that it is in now. */
static bool find_any_link(const struct ehreg *reg, const struct object *libgcc,
			  uint64_t object, uint64_t *link)
{
	for (size_t i = 0; i < libgcc->image->nr_segments; i++) {
		const struct segment *seg = &libgcc->image->segments[i];
		uint64_t start = libgcc->bias + ((seg->vaddr + 7) & ~UINT64_C(7));
		uint64_t size = libgcc->bias + seg->vaddr + seg->mem_size - start;

		if (seg->type == PT_LOAD && seg->flags & PF_W && seg->mem_size >= 16 &&
		    find_link_in(reg, start, size < 8 * MAX_WORDS ? size : 8 * MAX_WORDS,
				 object, link))
			return true;
	}
	return false;
}

bool ehreg_is_in(const struct ehreg *reg, uint64_t object)
{
	uint64_t link;

	return find_link(reg, reg->list.head, object, &link) ||
	       find_any_link(reg, reg->libgcc, object, &link);
}

static struct err *put_first(const struct ehreg *reg, uint64_t object)
{
	bool be = reg->process->arch->big_endian;
	uint8_t word[8];
	uint64_t first;
	struct err *err = process_read_word(reg->process, reg->list.head, &first);

	if (err)
		return err;
	bytes_put(word, 8, first, be);
	if ((err = process_write(reg->process, object + reg->list.next_off, word, 8)))
		return err;
	bytes_put(word, 8, object, be);
	return process_write(reg->process, reg->list.head, word, 8);
}

struct err *ehreg_add(const struct ehreg *reg, uint64_t object, bool is_in)
{
	bool be = reg->process->arch->big_endian;
	uint8_t one[8] = { 0 };
	struct err *err;

	/* Complete before it is in the list, in the list before the flag. */
	if (!is_in && (err = put_first(reg, object)))
		return err;
	bytes_put(one, reg->list.flag_size ? reg->list.flag_size : 1, 1, be);
	return reg->list.flag ? process_write(reg->process, reg->list.flag, one, reg->list.flag_size) : NULL;
}

/* The functions of libgcc that change the list (unwind-dw2-fde.c); all begin so. */
static bool names_registration(const struct process *process, const struct object *libgcc)
{
	for (size_t i = 0; i < process->nr_objects; i++)
		if (process->objects[i] != libgcc &&
		    object_names(process->objects[i], "__register_frame", true))
			return true;
	return false;
}

bool ehreg_is_unused(const struct ehreg *reg)
{
	uint64_t head = 1, flag = 1;
	uint8_t bytes[8] = { 1 };

	if (!reg->libgcc || !reg->list.flag || reg->list.flag_size > sizeof(bytes) ||
	    !process_try_read(reg->process, reg->list.flag, bytes, reg->list.flag_size))
		return false;
	flag = bytes_get(bytes, reg->list.flag_size, reg->process->arch->big_endian);
	err_free(process_read_word(reg->process, reg->list.head, &head));
	return !flag && !head && !names_registration(reg->process, reg->libgcc);
}

/* It may have been unloaded since it was found. */
static bool is_loaded(const struct process *process, const struct object *object)
{
	for (size_t i = 0; i < process->nr_objects; i++)
		if (process->objects[i] == object)
			return true;
	return false;
}

struct err *ehreg_remove(const struct ehreg *reg, uint64_t object, bool *gone)
{
	uint64_t link, next;
	uint8_t word[8];
	struct err *err;

	*gone = false;
	if (!is_loaded(reg->process, reg->libgcc))
		return NULL;
	*gone = true;
	if (!find_link(reg, reg->list.head, object, &link) &&
	    !find_any_link(reg, reg->libgcc, object, &link))
		return NULL;
	if ((err = process_read_word(reg->process, object + reg->list.next_off, &next)))
		return err;
	bytes_put(word, 8, next, reg->process->arch->big_endian);
	return process_write(reg->process, link, word, 8);
}
