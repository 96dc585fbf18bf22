/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "names.h"

#include <elf.h>
#include <elfutils/libdwfl.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mem.h"

struct known {
	const struct object *object;
	Dwfl_Module *module; /* NULL: the library cannot read it */
};

struct names {
	const struct process *process;
	Dwfl *dwfl;
	struct known *known;
	size_t nr_known;
	char **owned; /* names that had to be cut */
	size_t nr_owned;
};

static char *no_path = NULL;

/* By build ID only: a name says nothing, and no question goes over the network. */
static const Dwfl_Callbacks callbacks = {
	.find_elf = dwfl_build_id_find_elf,
	.find_debuginfo = dwfl_build_id_find_debuginfo,
	.debuginfo_path = &no_path,
};

struct names *names_new(const struct process *process)
{
	struct names *names = mem_alloc(sizeof(*names));

	names->process = process;
	names->dwfl = dwfl_begin(&callbacks);
	return names;
}

void names_free(struct names *names)
{
	if (!names)
		return;
	if (names->dwfl)
		dwfl_end(names->dwfl);
	for (size_t i = 0; i < names->nr_owned; i++)
		free(names->owned[i]);
	free(names->owned);
	free(names->known);
	free(names);
}

void names_freep(struct names **names)
{
	names_free(*names);
}

static Dwfl_Module *report(struct names *names, const struct object *object)
{
	Dwfl_Module *module;
	int fd;

	/* Once a file is in the list, others can be added to it. */
	if (!names->dwfl || object->is_vdso)
		return NULL;
	fd = object_open_file(names->process, object);
	if (fd < 0)
		return NULL;
	dwfl_report_begin_add(names->dwfl);
	module = dwfl_report_elf(names->dwfl, object->name, object->path, fd, object->bias,
				 true);
	dwfl_report_end(names->dwfl, NULL, NULL);
	if (!module)
		close(fd); /* else it is the library's */
	return module;
}

static Dwfl_Module *module_of(struct names *names, const struct object *object)
{
	struct known *known;

	for (size_t i = 0; i < names->nr_known; i++)
		if (names->known[i].object == object)
			return names->known[i].module;
	known = ARRAY_ADD(names->known, names->nr_known);
	known->object = object;
	known->module = report(names, object);
	return known->module;
}

static const struct symbol *best_symbol(const struct symtab *tab, uint64_t vaddr,
					const struct symbol *best)
{
	for (size_t i = 0; i < tab->nr; i++) {
		const struct symbol *sym = &tab->symbols[i];

		if ((sym->type != STT_FUNC && sym->type != STT_GNU_IFUNC) ||
		    sym->section == SHN_UNDEF || vaddr < sym->value ||
		    vaddr - sym->value >= (sym->size ? sym->size : 1))
			continue;
		if (!best || sym->value > best->value ||
		    (sym->value == best->value && sym->bind > best->bind))
			best = sym;
	}
	return best;
}

/* From what we read ourselves: the vDSO, and files that the library refuses. */
static struct name from_image(const struct object *object, uint64_t pc, uint64_t lookup)
{
	struct name name = { NULL, 0, NULL, 0 };
	const struct symbol *sym;

	object_load_symbols(object);
	sym = best_symbol(&object->image->symtab, lookup - object->bias, NULL);
	sym = best_symbol(&object->image->dynsym, lookup - object->bias, sym);
	if (sym) {
		name.symbol = sym->name;
		name.off = pc - object->bias - sym->value;
	}
	return name;
}

/* Without the version that the debug file's symbol table puts behind it. */
static const char *cut_version(struct names *names, const char *symbol)
{
	const char *at = symbol ? strchr(symbol, '@') : NULL;
	char *cut;

	if (!at || at == symbol)
		return symbol;
	cut = mem_fmt("%.*s", (int)(at - symbol), symbol);
	*ARRAY_ADD(names->owned, names->nr_owned) = cut;
	return cut;
}

struct name names_find(struct names *names, const struct object *object, uint64_t pc,
		       uint64_t lookup)
{
	Dwfl_Module *module = module_of(names, object);
	struct name name = { NULL, 0, NULL, 0 };
	GElf_Off off = 0;
	GElf_Sym sym;
	Dwfl_Line *line;

	if (!module)
		return from_image(object, pc, lookup);
	name.symbol = dwfl_module_addrinfo(module, lookup, &off, &sym, NULL, NULL, NULL);
	/* The library also gives the symbol before a place that none covers. */
	if (name.symbol && sym.st_size && off >= sym.st_size)
		name.symbol = NULL;
	name.symbol = cut_version(names, name.symbol);
	name.off = off + (pc - lookup);
	line = dwfl_module_getsrc(module, lookup);
	if (line)
		name.file = dwfl_lineinfo(line, NULL, &name.line, NULL, NULL, NULL);
	return name;
}
