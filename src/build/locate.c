/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "locate.h"

#include <elf.h>
#include <string.h>

#include "mem.h"

static bool is_local_thing(const struct unit *unit, const struct symbol *sym)
{
	return sym->bind == STB_LOCAL && sym->size && sym->section &&
	       sym->section < unit->image->nr_sections &&
	       (sym->type == STT_FUNC || sym->type == STT_OBJECT) &&
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

/* The bytes of a function in the object and in the image, relocations aside. */
static bool same_code(const struct image *image, const struct symbol *linked,
		      const struct unit *unit, const struct symbol *sym)
{
	const struct unit_part *part = &unit->parts[sym->section];
	const uint8_t *x = part->section->data + sym->value;
	const uint8_t *y = image_at(image, linked->value, sym->size);
	size_t next = 0;

	if (!y || !part->section->data || sym->value + sym->size > part->section->size)
		return false;
	for (uint64_t i = 0; i < sym->size; i++) {
		while (next < part->nr_refs && part->refs[next].off + part->refs[next].size <= sym->value + i)
			next++;
		/* A field that the linker fills in; it may change the opcode of
		 * a GOT load in the two bytes before (psABI, relaxation). */
		if (next < part->nr_refs && part->refs[next].off <= sym->value + i + 3)
			continue;
		if (x[i] != y[i])
			return false;
	}
	return true;
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

/* Do the object's global functions have their code in the image? */
static long rate_globals(const struct image *image, const struct unit *unit)
{
	long nr = 0;

	for (size_t i = 0; i < unit->image->symtab.nr; i++) {
		const struct symbol *sym = &unit->image->symtab.symbols[i], *linked;

		if (sym->bind == STB_LOCAL || sym->type != STT_FUNC || !sym->size ||
		    !sym->section || sym->section >= unit->image->nr_sections)
			continue;
		linked = locate_global(image, sym->name);
		if (linked && linked->size == sym->size &&
		    same_code(image, linked, unit, sym))
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
	/* A file without locals is known by its global functions. */
	*found = nr_best == 1 || (!count_locals(unit) && rate_globals(image, unit) > 0) ||
		 (!nr_best && rate_globals(image, unit) > 0);
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
