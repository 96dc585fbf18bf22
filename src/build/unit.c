/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "unit.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "mem.h"

static bool starts(const char *name, const char *with)
{
	return !strncmp(name, with, strlen(with));
}

static enum part_kind kind_of(const struct section *sec)
{
	if (!(sec->flags & SHF_ALLOC) || sec->type == SHT_NOTE || sec->type == SHT_GROUP ||
	    starts(sec->name, ".note") || starts(sec->name, ".stapsdt"))
		return PART_IGNORED;
	if (sec->flags & SHF_EXECINSTR)
		return PART_CODE;
	if (starts(sec->name, ".eh_frame"))
		return PART_EH;
	if (starts(sec->name, ".gcc_except_table"))
		return PART_LSDA;
	if (sec->flags & SHF_TLS)
		return PART_TLS;
	if (sec->type == SHT_INIT_ARRAY || sec->type == SHT_FINI_ARRAY ||
	    sec->type == SHT_PREINIT_ARRAY || starts(sec->name, ".ctors") ||
	    starts(sec->name, ".dtors"))
		return PART_INIT;
	if ((sec->flags & SHF_MERGE) && (sec->flags & SHF_STRINGS))
		return PART_STRINGS;
	/* A TOC's entries are constants that are told apart by what they point to. */
	if (starts(sec->name, ".data.rel.ro") || starts(sec->name, ".rodata") ||
	    !strcmp(sec->name, ".toc"))
		return PART_RODATA;
	if (starts(sec->name, ".data") || starts(sec->name, ".bss") ||
	    starts(sec->name, ".sdata") || starts(sec->name, ".ldata") ||
	    starts(sec->name, ".lbss") || starts(sec->name, ".tm_clone_table"))
		return PART_DATA;
	return PART_OTHER;
}

/*
 * The end of the instruction that holds the field at off, found by decoding the
 * section from a known start.  *at and *end move on with ascending fields.
 */
static bool find_insn(const struct arch *arch, const struct section *sec, uint64_t off,
		      uint64_t *at, struct insn *insn)
{
	while (*at <= off && *at < sec->size) {
		if (!arch->decode(sec->data + *at, sec->size - *at, *at, insn))
			return false;
		if (off < *at + insn->size)
			return true;
		*at += insn->size;
	}
	return false;
}

static int by_off(const void *a, const void *b)
{
	const struct unit_ref *x = a, *y = b;

	return x->off < y->off ? -1 : x->off > y->off;
}

/* From there, as seen from the field, the addends of pc-relative ones count. */
static void resolve_one(const struct unit *unit, struct unit_ref *ref, uint64_t from)
{
	const struct symbol *sym = &unit->image->symtab.symbols[ref->symbol];
	bool is_pc = ref->formula == RELOC_PC || ref->formula == RELOC_CALL ||
		     ref->formula == RELOC_GOT_PC || ref->formula == RELOC_GOT_TP ||
		     ref->formula == RELOC_TLS_GD || ref->formula == RELOC_TLS_LD;

	if (!ref->symbol || sym->section == SHN_UNDEF ||
	    sym->section >= unit->image->nr_sections)
		return;
	ref->section = sym->section;
	ref->at = sym->value + (uint64_t)ref->addend + (is_pc ? from : 0);
}

/* A memory operand there, or one half of two that make it: the other half says which. */
static bool is_access(const struct arch *arch, const struct section *sec, uint64_t off,
		      const struct insn *insn, bool found)
{
	struct insn low;

	if (arch->pcrel == PCREL_FROM_END)
		return found && insn->is_pcrel && insn->move != MOVE_ADDR;
	off &= ~UINT64_C(3);
	if (arch->pcrel != PCREL_FROM_FIELD || off >= sec->size ||
	    !arch->decode(sec->data + off, sec->size - off, off, &low))
		return false;
	return low.is_page || (low.page_reg >= 0 && !low.is_sum);
}

static void resolve(const struct unit *unit, struct unit_part *part)
{
	const struct arch *arch = unit->image->arch;
	const struct section *sec = part->section;
	uint64_t at = 0;

	if (part->nr_refs)
		qsort(part->refs, part->nr_refs, sizeof(*part->refs), by_off);
	for (size_t i = 0; i < part->nr_refs; i++) {
		struct unit_ref *ref = &part->refs[i];
		struct insn insn = { 0 };
		uint64_t from = 0;
		bool found = false;

		if (part->kind == PART_CODE && arch->pcrel != PCREL_FROM_FIELD) {
			found = find_insn(arch, sec, ref->off, &at, &insn);
			from = arch->pcrel == PCREL_FROM_INSN ? at - ref->off :
			       found ? at + insn.size - ref->off : 4;
			ref->is_branch = found && insn.is_direct;
		}
		/* A slot of the GOT has the address. */
		ref->is_access = part->kind == PART_CODE &&
				 arch_reloc_slot(ref->formula) != RELOC_GOT_PC &&
				 is_access(arch, sec, ref->off, &insn, found);
		if (ref->formula == RELOC_CALL)
			ref->is_branch = true;
		resolve_one(unit, ref, from);
	}
}

static struct err *load_part(struct unit *unit, uint32_t n)
{
	struct unit_part *part = &unit->parts[n];
	AUTO_FREE struct reloc *relocs = NULL;
	size_t nr = 0;
	struct err *err;

	part->section = &unit->image->sections[n];
	part->kind = kind_of(part->section);
	if (part->kind == PART_IGNORED)
		return NULL;
	if ((err = image_relocs_of(unit->image, n, &relocs, &nr)))
		return err;
	for (size_t i = 0; i < nr; i++) {
		const struct reloc_type *type = arch_reloc(unit->image->arch, relocs[i].type);
		struct unit_ref *ref = ARRAY_ADD(part->refs, part->nr_refs);

		ref->off = relocs[i].off;
		ref->type = relocs[i].type;
		ref->symbol = relocs[i].symbol;
		ref->addend = relocs[i].addend;
		/*
		 * No matter, in data that does not change.  By its code a file is found in
		 * a linked image, and what the linker made of this is not known.
		 */
		if (!type && part->kind == PART_CODE)
			return err_new(ERR_UNSUPPORTED, "relocation-unknown",
				       "%s: relocation type %u is not known",
				       part->section->name, relocs[i].type);
		ref->formula = type ? type->formula : RELOC_UNKNOWN;
		ref->size = type ? type->size : 8;
		ref->in_insn = type && type->field != 0;
	}
	resolve(unit, part);
	return NULL;
}

/* A name that the source or the compiler gave, not the assembler. */
bool unit_is_named(const struct unit *unit, const struct symbol *sym)
{
	const struct arch *arch = unit->image->arch;

	if (arch->is_mark && arch->is_mark(sym->name))
		return false;
	return (sym->type == STT_FUNC || sym->type == STT_OBJECT || sym->type == STT_TLS ||
		sym->type == STT_GNU_IFUNC || sym->type == STT_NOTYPE) &&
	       *sym->name && strncmp(sym->name, ".L", 2);
}

static bool is_defined(const struct unit *unit, const struct symbol *sym)
{
	return unit_is_named(unit, sym) && sym->section &&
	       sym->section < unit->image->nr_sections;
}

static int by_name_order(const void *a, const void *b)
{
	const struct symbol *const *x = a, *const *y = b;
	int order = strcmp((*x)->name, (*y)->name);

	/* The first of a name in the file's order is the one that is found. */
	return order ? order : (*x < *y ? -1 : *x > *y);
}

static void index_symbols(struct unit *unit)
{
	const struct symtab *tab = &unit->image->symtab;
	size_t nr = unit->image->nr_sections;
	uint32_t *fill;

	unit->section_start = mem_alloc((nr + 1) * sizeof(uint32_t));
	unit->by_section = mem_alloc(tab->nr * sizeof(uint32_t));
	unit->by_name = mem_alloc(tab->nr * sizeof(*unit->by_name));
	for (size_t i = 0; i < tab->nr; i++)
		if (is_defined(unit, &tab->symbols[i]))
			unit->section_start[tab->symbols[i].section + 1]++;
	for (size_t i = 0; i < nr; i++)
		unit->section_start[i + 1] += unit->section_start[i];
	fill = mem_dup(unit->section_start, nr * sizeof(uint32_t));
	for (size_t i = 0; i < tab->nr; i++) {
		if (!is_defined(unit, &tab->symbols[i]))
			continue;
		unit->by_section[fill[tab->symbols[i].section]++] = (uint32_t)i;
		unit->by_name[unit->nr_by_name++] = &tab->symbols[i];
	}
	free(fill);
	if (unit->nr_by_name)
		qsort(unit->by_name, unit->nr_by_name, sizeof(*unit->by_name),
		      by_name_order);
}

static int by_value(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* Jump tables, strings and constants without names are told apart by who
 * refers to them. */
static void index_labels(struct unit *unit)
{
	size_t nr = unit->image->nr_sections;

	unit->labels = mem_alloc(nr * sizeof(*unit->labels));
	unit->nr_labels = mem_alloc(nr * sizeof(*unit->nr_labels));
	for (size_t i = 0; i < nr; i++)
		for (size_t j = 0; j < unit->parts[i].nr_refs; j++) {
			const struct unit_ref *ref = &unit->parts[i].refs[j];

			if (ref->section)
				*ARRAY_ADD(unit->labels[ref->section],
					   unit->nr_labels[ref->section]) = ref->at;
		}
	for (size_t i = 0; i < nr; i++)
		if (unit->nr_labels[i])
			qsort(unit->labels[i], unit->nr_labels[i], sizeof(uint64_t), by_value);
}

uint64_t unit_chunk_end(const struct unit *unit, uint32_t section, uint64_t at)
{
	size_t low = 0, high = unit->nr_labels[section];

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (unit->labels[section][mid] <= at)
			low = mid + 1;
		else
			high = mid;
	}
	if (low < unit->nr_labels[section] &&
	    unit->labels[section][low] < unit->image->sections[section].size)
		return unit->labels[section][low];
	return unit->image->sections[section].size;
}

struct err *unit_load(struct image *image, struct unit **result)
{
	struct unit *unit = mem_alloc(sizeof(*unit));
	struct err *err = NULL;

	unit->image = image;
	unit->file = "";
	unit->parts = mem_alloc(image->nr_sections * sizeof(*unit->parts));
	for (uint32_t i = 0; i < image->nr_sections && !err; i++)
		err = load_part(unit, i);
	for (size_t i = 0; i < image->symtab.nr; i++)
		if (image->symtab.symbols[i].type == STT_FILE) {
			unit->file = image->symtab.symbols[i].name;
			break;
		}
	index_symbols(unit);
	index_labels(unit);
	if (err)
		unit_free(unit);
	else
		*result = unit;
	return err;
}

void unit_free(struct unit *unit)
{
	if (!unit)
		return;
	for (size_t i = 0; i < unit->image->nr_sections; i++)
		free(unit->parts[i].refs);
	for (size_t i = 0; unit->labels && i < unit->image->nr_sections; i++)
		free(unit->labels[i]);
	free(unit->labels);
	free(unit->nr_labels);
	free(unit->parts);
	free(unit->by_section);
	free(unit->section_start);
	free(unit->by_name);
	image_free(unit->image);
	free(unit);
}

static bool is_better(const struct symbol *sym, const struct symbol *best)
{
	if (!best || sym->value != best->value)
		return !best || sym->value > best->value;
	/* Of aliases the global one: it is the one that others use. */
	return (sym->bind != STB_LOCAL) > (best->bind != STB_LOCAL);
}

const struct symbol *unit_symbol_at(const struct unit *unit, uint32_t section, uint64_t at)
{
	const struct symbol *best = NULL;

	for (uint32_t i = unit->section_start[section];
	     i < unit->section_start[section + 1]; i++) {
		const struct symbol *sym = &unit->image->symtab.symbols[unit->by_section[i]];

		if (at < sym->value || (at != sym->value && at - sym->value >= sym->size))
			continue;
		if (is_better(sym, best))
			best = sym;
	}
	return best;
}

const struct symbol *unit_find_symbol(const struct unit *unit, const char *name)
{
	size_t low = 0, high = unit->nr_by_name;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (strcmp(unit->by_name[mid]->name, name) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low < unit->nr_by_name && !strcmp(unit->by_name[low]->name, name) ?
	       unit->by_name[low] : NULL;
}

const struct symbol *unit_function(const struct unit *unit, uint32_t section)
{
	const struct symbol *sym = unit->parts[section].kind == PART_CODE ?
				   unit_symbol_at(unit, section, 0) : NULL;

	return sym && sym->value == 0 ? sym : NULL;
}

static int by_address(const void *a, const void *b)
{
	const struct symbol *const *x = a, *const *y = b;

	return (*x)->value < (*y)->value ? -1 : (*x)->value > (*y)->value;
}

const struct symbol **unit_functions(const struct unit *unit, uint32_t section, size_t *nr)
{
	const struct symbol **list = NULL, *first = unit_function(unit, section);

	*nr = 0;
	if (first)
		*ARRAY_ADD(list, *nr) = first;
	for (uint32_t i = unit->section_start[section]; i < unit->section_start[section + 1]; i++) {
		const struct symbol *sym = &unit->image->symtab.symbols[unit->by_section[i]];

		/* Of aliases the one that is found by its address. */
		if (sym->type == STT_FUNC && sym->size && sym->value &&
		    unit->parts[section].kind == PART_CODE &&
		    unit_symbol_at(unit, section, sym->value) == sym)
			*ARRAY_ADD(list, *nr) = sym;
	}
	if (*nr)
		qsort(list, *nr, sizeof(*list), by_address);
	return list;
}

bool unit_is_numbered(const char *name, size_t *base_size)
{
	const char *dot = strrchr(name, '.');

	if (!dot || dot == name || !dot[1] || dot[1 + strspn(dot + 1, "0123456789")])
		return false;
	*base_size = (size_t)(dot - name);
	return true;
}

/* Itanium C++ ABI, 5.1.6: a discriminator is _0 to _9, or __10_ and on. */
static size_t without_discriminator(const char *name)
{
	size_t size = strlen(name), at = size;

	if (at && name[at - 1] == '_')
		at--;
	while (at && name[at - 1] >= '0' && name[at - 1] <= '9')
		at--;
	if (at == size || !at || name[at - 1] != '_')
		return size;
	at--;
	return name[size - 1] == '_' && at && name[at - 1] == '_' ? at - 1 : at;
}

bool unit_is_static_local(const char *name, size_t *base_size)
{
	if (unit_is_numbered(name, base_size))
		return true;
	if (!strncmp(name, "_ZZ", 3)) {
		*base_size = without_discriminator(name);
		return true;
	}
	*base_size = strlen(name);
	return *name && strchr(name + 1, '.');
}

bool unit_same_base(const char *a, const char *b)
{
	size_t x, y;

	return unit_is_static_local(a, &x) && unit_is_static_local(b, &y) && x == y &&
	       !strncmp(a, b, x);
}

bool unit_is_cold(const char *name, size_t *parent_size)
{
	const char *cold = strstr(name, ".cold");

	if (!cold || (cold[5] && cold[5] != '.'))
		return false;
	*parent_size = (size_t)(cold - name);
	return true;
}
