/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "emit_job.h"

#include <elf.h>
#include <inttypes.h>
#include <string.h>

#include "bytes.h"
#include "mem.h"

#define REFUSE(reason, ...) err_new(ERR_UNSUPPORTED, reason, __VA_ARGS__)

/* ---- references into the running program -------------------------------- */

static uint32_t find_known(const struct emit_job *job, const char *key)
{
	for (size_t i = 0; i < job->nr_known; i++)
		if (!strcmp(job->known[i].key, key))
			return job->known[i].symbol;
	return 0;
}

static void add_known(struct emit_job *job, const char *key, uint32_t symbol)
{
	*ARRAY_ADD(job->known, job->nr_known) = (struct emit_known){ mem_strdup(key), symbol };
}

/* An undefined symbol of the patch with its meaning; the same one each time. */
static uint32_t add_ref(struct emit_job *job, size_t u, const char *kind, const char *name,
			const char *version, uint64_t vaddr, bool weak)
{
	size_t object = job->emit->units[u].object;
	AUTO_FREE char *key = mem_fmt("%s %s %s %" PRIx64 " %zu", kind, name,
				      version ? version : "", vaddr, object);
	uint32_t symbol = find_known(job, key);
	json_t *ref;

	if (symbol)
		return symbol;
	symbol = slp_out_symbol(&job->out, name, STT_NOTYPE, 0, 0, 0);
	add_known(job, key, symbol);
	ref = json_pack("{sI,ss,ss,sI}", "symbol", (json_int_t)symbol, "kind", kind,
			"name", name, "object", (json_int_t)object);
	if (!strcmp(kind, "import")) {
		if (version)
			json_object_set_new(ref, "version", json_string(version));
		if (weak)
			json_object_set_new(ref, "weak", json_true());
	} else if (strcmp(kind, "patch")) {
		json_object_set_new(ref, "vaddr", json_sprintf("%#" PRIx64, vaddr));
	}
	json_array_append_new(job->refs, ref);
	return symbol;
}

/* The version with which the running binary imports a name. */
static const char *import_version(const struct image *running, const char *name)
{
	for (size_t i = 0; i < running->dynsym.nr; i++)
		if (running->dynsym.symbols[i].section == SHN_UNDEF &&
		    !strcmp(running->dynsym.symbols[i].name, name))
			return running->dynsym.symbols[i].version;
	return NULL;
}

/* In a shared library others may define the name first, and win. */
static bool is_preemptible(const struct image *running, const char *name)
{
	const struct symbol *sym;

	if (running->type != ET_DYN || image_find_segment(running, PT_INTERP))
		return false;
	sym = image_find_export(running, name, NULL);
	return sym && sym->visibility == STV_DEFAULT;
}

static struct err *ref_linked(struct emit_job *job, size_t u, const struct symbol *linked,
			      uint32_t *symbol)
{
	const char *kind = linked->type == STT_TLS ? "tls" :
			   linked->type == STT_GNU_IFUNC ? "ifunc" : "address";
	uint64_t vaddr = linked->value;

	if (linked->type != STT_TLS && !match_vaddr(emit_match(job, u), linked->value, &vaddr))
		return REFUSE("no-match", "%s is not found in the running binary: no "
			      "function that could be matched refers to it", linked->name);
	*symbol = add_ref(job, u, kind, linked->name, NULL, vaddr, false);
	return NULL;
}

/* A name that the unit does not define. */
struct err *emit_ref_undefined(struct emit_job *job, size_t u, const struct symbol *sym,
			       uint32_t *symbol)
{
	const struct image *running = emit_match(job, u)->to;
	const struct symbol *linked = locate_global(emit_match(job, u)->from, sym->name);

	if (!strcmp(sym->name, "__klp_this_patch")) {
		*symbol = add_ref(job, u, "patch", sym->name, NULL, 0, false);
		return NULL;
	}
	if (linked && linked->section == SHN_ABS)
		return REFUSE("reference-unknown", "%s is an absolute symbol", sym->name);
	if (linked && !is_preemptible(running, sym->name))
		return ref_linked(job, u, linked, symbol);
	*symbol = add_ref(job, u, "import", sym->name, import_version(running, sym->name), 0,
			  sym->bind == STB_WEAK);
	return NULL;
}

/* The old version of something that a unit defines. */
struct err *emit_ref_twin(struct emit_job *job, size_t u, const struct symbol *sym,
			  uint32_t *symbol)
{
	const struct emit_unit *unit = &job->emit->units[u];
	const struct symbol *twin = unit->is_new ? NULL : compare_twin(&unit->compare, sym);
	const struct symbol *linked = twin ? locate_symbol(&unit->locate, twin->name) : NULL;

	*symbol = 0;
	if (!linked)
		return NULL;
	return ref_linked(job, u, linked, symbol);
}

/* ---- what is carried ---------------------------------------------------- */

static void add_bytes(struct slp_out_section *out, const struct section *sec)
{
	buf_add(&out->data, sec->data, sec->size);
}

uint32_t emit_carry(struct emit_job *job, size_t u, uint32_t section)
{
	const struct section *sec = &emit_unit_b(job, u)->image->sections[section];
	struct emit_placed *placed = &job->placed[u];
	uint64_t flags = sec->flags & (SHF_ALLOC | SHF_WRITE | SHF_EXECINSTR);

	if (!placed->section[section]) {
		uint32_t n = slp_out_section(&job->out, sec->name,
					     sec->type == SHT_NOBITS ? SHT_NOBITS :
					     SHT_PROGBITS, flags, sec->align,
					     job->emit->units[u].object);

		add_bytes(&job->out.sections[n], sec);
		placed->section[section] = n + 1;
		job->progress = true;
	}
	return placed->section[section];
}

/* The patch's symbol for one of a unit's, in a section that is carried. */
uint32_t emit_symbol(struct emit_job *job, size_t u, uint32_t number)
{
	const struct symbol *sym = &emit_unit_b(job, u)->image->symtab.symbols[number];
	uint32_t *known = &job->placed[u].symbol[number];
	uint32_t section = emit_carry(job, u, sym->section);

	if (!*known)
		*known = slp_out_symbol(&job->out, sym->type == STT_SECTION ?
					emit_unit_b(job, u)->image->sections[sym->section].name :
					sym->name,
					sym->type == STT_FUNC ? STT_FUNC : STT_NOTYPE,
					section, sym->value, sym->size);
	return *known;
}

/* One string, once: sections of strings are not carried whole. */
uint32_t emit_string_symbol(struct emit_job *job, size_t u, const struct section *sec,
			    uint64_t at)
{
	size_t unit = sec->entry_size ? sec->entry_size : 1, size = 0;
	size_t object = job->emit->units[u].object;
	AUTO_FREE char *hex = NULL, *key = NULL;
	uint32_t symbol, *strings = &job->objects[object].strings;
	struct buf *to;
	bool zero = false;

	while (!zero && at + size + unit <= sec->size) {
		zero = true;
		for (size_t i = 0; i < unit; i++)
			zero &= !sec->data[at + size + i];
		size += unit;
	}
	hex = bytes_to_hex(sec->data + at, size);
	key = mem_fmt("string %zu %zu %s", object, unit, hex);
	symbol = find_known(job, key);
	if (symbol)
		return symbol;
	if (!*strings)
		*strings = slp_out_section(&job->out, ".rodata.strings", SHT_PROGBITS,
					   SHF_ALLOC, 8, object) + 1;
	to = &job->out.sections[*strings - 1].data;
	buf_align(to, sec->align > unit ? sec->align : unit);
	symbol = slp_out_symbol(&job->out, ".string", STT_NOTYPE, *strings,
				buf_add(to, sec->data + at, size), size);
	add_known(job, key, symbol);
	return symbol;
}
