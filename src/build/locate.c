/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "locate.h"

#include <elf.h>
#include <string.h>

#include "mem.h"

static bool is_local_thing(const struct unit *unit, const struct symbol *sym)
{
	return sym->bind == STB_LOCAL && sym->size && unit_is_named(unit, sym) && sym->section &&
	       sym->section < unit->image->nr_sections &&
	       (sym->type == STT_FUNC || sym->type == STT_OBJECT || sym->type == STT_TLS) &&
	       (unit->image->sections[sym->section].flags & SHF_ALLOC);
}

static const struct symbol *find_in(const struct image *image, size_t first, size_t last,
				    const char *name)
{
	for (size_t i = first; i < last; i++) {
		const struct symbol *sym = &image->symtab.symbols[i];

		if (sym->bind == STB_LOCAL && sym->section != SHN_UNDEF &&
		    sym->type != STT_FILE && sym->type != STT_SECTION &&
		    !strcmp(sym->name, name))
			return sym;
	}
	return NULL;
}

/*
 * The bytes around a field that the linker may change with it: it turns a load
 * from the GOT into an address or a direct call, and a sequence for one TLS
 * model into that for another (psABI, "linker optimization").
 */
static void field_extent(const struct arch *arch, const struct unit_ref *ref, uint64_t *from,
			 uint64_t *to)
{
	unsigned before = 0, behind = 0;

	/* Registers and opcodes change with a field; behind a call stands what restores B. */
	if (arch->put_restore) {
		*from = ref->off & ~UINT64_C(3);
		*to = *from + (ref->formula == RELOC_CALL ? 8 : 4);
		return;
	}
	switch (ref->formula) {
	case RELOC_GOT_PC:
		before = 3;
		break;
	case RELOC_GOT_TP:
		before = 4;
		break;
	case RELOC_TLS_GD:
	case RELOC_TLS_LD:
		before = 4;
		behind = 8;
		break;
	default:
		break;
	}
	*from = ref->off > before ? ref->off - before : 0;
	*to = ref->off + ref->size + behind;
}

/* The bytes of a function in the object and in the image, relocations aside. */
static bool same_code(const struct image *image, const struct symbol *linked,
		      const struct unit *unit, const struct symbol *sym)
{
	const struct unit_part *part = &unit->parts[sym->section];
	const uint8_t *image_code = image_at(image, linked->value, sym->size);
	AUTO_FREE uint8_t *x = NULL, *y = NULL;

	if (!image_code || !part->section->data ||
	    sym->value + sym->size > part->section->size)
		return false;
	x = mem_dup(part->section->data + sym->value, sym->size);
	y = mem_dup(image_code, sym->size);
	for (size_t i = 0; i < part->nr_refs; i++) {
		uint64_t from, to;

		field_extent(image->arch, &part->refs[i], &from, &to);
		for (uint64_t at = from; at < to; at++)
			if (at >= sym->value && at - sym->value < sym->size)
				x[at - sym->value] = y[at - sym->value] = 0;
	}
	return !memcmp(x, y, sym->size);
}

/* How many locals of the unit the group has; -1 if one contradicts. */
static long rate_group(const struct image *image, size_t first, size_t last,
		       const struct unit *unit)
{
	long nr = 0;

	for (size_t i = 0; i < unit->image->symtab.nr; i++) {
		const struct symbol *sym = &unit->image->symtab.symbols[i], *linked;

		if (!is_local_thing(unit, sym))
			continue;
		linked = find_in(image, first, last, sym->name);
		if (!linked)
			continue; /* the linker may have dropped it */
		if (linked->size != sym->size || linked->type != sym->type ||
		    (sym->type == STT_FUNC && !same_code(image, linked, unit, sym)))
			return -1;
		nr++;
	}
	return nr;
}

/* How many of the object's global functions the image has; -1 if it has one with
 * other code: that of another build of the same source, say. */
static long rate_globals(const struct image *image, const struct unit *unit, bool weak)
{
	long nr = 0;

	for (size_t i = 0; i < unit->image->symtab.nr; i++) {
		const struct symbol *sym = &unit->image->symtab.symbols[i], *linked;

		if (sym->bind == STB_LOCAL || sym->type != STT_FUNC || !sym->size ||
		    !sym->section || sym->section >= unit->image->nr_sections)
			continue;
		linked = weak || sym->bind != STB_WEAK ? locate_global(image, sym->name) : NULL;
		if (!linked)
			continue;
		/* Of weak ones (inline functions) another file's may be there. */
		if (linked->size != sym->size || !same_code(image, linked, unit, sym)) {
			if (sym->bind == STB_WEAK)
				continue;
			return -1;
		}
		nr++;
	}
	return nr;
}

static size_t count_locals(const struct unit *unit)
{
	size_t nr = 0;

	for (size_t i = 0; i < unit->image->symtab.nr; i++)
		nr += is_local_thing(unit, &unit->image->symtab.symbols[i]);
	return nr;
}

struct err *locate_unit(const struct image *image, const struct unit *unit,
			struct locate *locate, bool *found)
{
	const struct symtab *tab = &image->symtab;
	long best = 0;
	unsigned nr_best = 0;
	bool contradicts = false;

	*locate = (struct locate){ .image = image, .unit = unit };
	*found = false;
	for (size_t i = 0; i < tab->nr; i++) {
		size_t last = i + 1;
		long rate;

		if (tab->symbols[i].type != STT_FILE ||
		    strcmp(tab->symbols[i].name, unit->file))
			continue;
		while (last < tab->nr && tab->symbols[last].type != STT_FILE &&
		       tab->symbols[last].bind == STB_LOCAL)
			last++;
		rate = rate_group(image, i + 1, last, unit);
		contradicts |= rate < 0;
		if (rate < best || rate <= 0)
			continue;
		nr_best = rate > best ? 1 : nr_best + 1;
		best = rate;
		locate->first = i + 1;
		locate->last = last;
	}
	if (nr_best > 1)
		return err_new(ERR_UNSUPPORTED, "ambiguous-file", "%u files named %s are in "
			       "the program and cannot be told apart", nr_best, unit->file);
	/* A file without locals, or whose locals the linker dropped, is known by its global
	 * functions; weak ones are in every file that uses them.  Other locals are another
	 * build's of the same source (libtool's for the static library), whose global
	 * functions may be the same by chance. */
	*found = nr_best == 1 ||
		 (!contradicts && rate_globals(image, unit, !count_locals(unit)) > 0);
	return NULL;
}

static bool has_name(const struct symbol *sym, const char *name)
{
	size_t len = strlen(name);

	/* name@@VERSION, as the static symbol table has versioned ones */
	return sym->section != SHN_UNDEF && sym->type != STT_FILE &&
	       sym->type != STT_SECTION && !strncmp(sym->name, name, len) &&
	       (!sym->name[len] || sym->name[len] == '@');
}

const struct symbol *locate_global(const struct image *image, const char *name)
{
	const struct symbol *hidden = NULL;
	bool no_file = false;

	for (size_t i = 0; i < image->symtab.nr; i++) {
		const struct symbol *sym = &image->symtab.symbols[i];

		/* Hidden globals become local when they are linked, and stand
		 * together behind a FILE symbol without a name. */
		if (sym->type == STT_FILE)
			no_file = !*sym->name;
		if (!has_name(sym, name))
			continue;
		if (sym->bind != STB_LOCAL)
			return sym;
		if (no_file)
			hidden = sym;
	}
	return hidden;
}

const struct symbol *locate_symbol(const struct locate *locate, const char *name)
{
	const struct symbol *own = unit_find_symbol(locate->unit, name);

	if (own && own->bind != STB_LOCAL)
		return locate_global(locate->image, name);
	return find_in(locate->image, locate->first, locate->last, name);
}

unsigned locate_sympos(const struct image *image, const struct symbol *sym)
{
	unsigned same = 0, before = 0;

	for (size_t i = 0; i < image->symtab.nr; i++) {
		const struct symbol *other = &image->symtab.symbols[i];

		if (other->type != sym->type || other->section == SHN_UNDEF ||
		    strcmp(other->name, sym->name))
			continue;
		same++;
		before += other->value < sym->value;
	}
	return same > 1 ? before + 1 : 0;
}
