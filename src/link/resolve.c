/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "resolve.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "dynlink.h"
#include "mem.h"

static bool in_scope(const struct resolver *r, const struct object *object)
{
	for (size_t i = 0; i < r->nr_scope; i++)
		if (r->scope[i] == object)
			return true;
	return false;
}

struct err *resolver_init(struct resolver *resolver, const struct process *process)
{
	AUTO_FREE const struct object **objects = NULL;
	struct dynlink link;
	size_t nr;
	struct err *err;

	*resolver = (struct resolver){ .process = process };
	*ARRAY_ADD(resolver->scope, resolver->nr_scope) = process_program(process);
	if (!dynlink_find(process, &link))
		return NULL; /* a static program: it is the whole scope */
	if ((err = dynlink_list(process, &link, &objects, &nr))) {
		resolver_done(resolver);
		return err;
	}
	for (size_t i = 0; i < nr; i++)
		if (!in_scope(resolver, objects[i]))
			*ARRAY_ADD(resolver->scope, resolver->nr_scope) = objects[i];
	return NULL;
}

void resolver_done(struct resolver *resolver)
{
	free(resolver->scope);
	*resolver = (struct resolver){ 0 };
}

/* Where slots lead that are not bound yet, if that is in no section of its own. */
static bool is_lazy_code(const struct object *object, const struct arch *arch, uint64_t addr)
{
	const struct reloc *relocs;
	uint64_t start, slots = 0;
	size_t nr;

	if (!arch->lazy_tag || !image_dynamic(object->image, arch->lazy_tag, &start))
		return false;
	err_free(image_dynamic_relocs(object->image, &relocs, &nr));
	for (size_t i = 0; i < nr; i++)
		slots += relocs[i].type == arch->rel_jump_slot;
	return addr - object->bias - start - arch->lazy_first < arch->lazy_size * slots;
}

/* True if an address is in the object's PLT: a slot not bound yet. */
static bool is_in_plt(const struct object *object, const struct arch *arch, uint64_t addr)
{
	const struct section *sec = image_section_at(object->image, addr - object->bias);

	return sec && (!strncmp(sec->name, ".plt", 4) || is_lazy_code(object, arch, addr));
}

static bool is_same_symbol(const struct symbol *sym, const char *name, const char *version)
{
	return !strcmp(sym->name, name) &&
	       (!version || !sym->version || !strcmp(sym->version, version));
}

/* The address of the object's own bound slot for a symbol; false: none. */
static bool find_bound(const struct process *process, const struct object *object,
		       const char *name, const char *version, uint64_t *addr,
		       uint64_t *unbound_slot)
{
	const struct arch *arch = process->arch;
	const struct reloc *relocs;
	size_t nr;
	uint8_t word[8];

	*unbound_slot = 0;
	err_free(image_dynamic_relocs(object->image, &relocs, &nr));
	for (size_t i = 0; i < nr; i++) {
		const struct reloc *rel = &relocs[i];

		if ((rel->type != arch->rel_jump_slot && rel->type != arch->rel_glob_dat) ||
		    !is_same_symbol(&object->image->dynsym.symbols[rel->symbol], name,
				    version) ||
		    !process_try_read(process, object->bias + rel->off, word, 8))
			continue;
		*addr = bytes_get(word, 8, arch->big_endian);
		if (*addr && !is_in_plt(object, arch, *addr))
			return true;
		*unbound_slot = object->bias + rel->off;
	}
	return false;
}

/* The stub in the object's PLT that jumps through slot. */
static bool find_stub(const struct process *process, const struct object *object,
		      uint64_t slot, uint64_t *addr)
{
	uint64_t through;

	for (size_t i = 0; i < object->image->nr_sections; i++) {
		const struct section *sec = &object->image->sections[i];

		if (strncmp(sec->name, ".plt", 4) || !sec->data)
			continue;
		for (uint64_t off = 0; off + 8 <= sec->size; off += 8) {
			uint64_t at = object->bias + sec->vaddr + off;

			if (!process->arch->stub_slot(sec->data + off, sec->size - off,
						      at, &through) || through != slot)
				continue;
			*addr = at;
			return true;
		}
	}
	return false;
}

/*
 * An ifunc's choice: objects that call their own ifunc have an IRELATIVE slot
 * with the resolver's address as addend; others a slot bound to the name.
 */
static bool find_ifunc(const struct resolver *r, const struct object *def,
		       const struct symbol *sym, uint64_t *addr)
{
	const struct process *process = r->process;
	const struct arch *arch = process->arch;
	const struct reloc *relocs;
	size_t nr;
	uint64_t slot;
	uint8_t word[8];

	err_free(image_dynamic_relocs(def->image, &relocs, &nr));
	for (size_t i = 0; i < nr; i++) {
		if (relocs[i].type != arch->rel_irelative ||
		    (uint64_t)relocs[i].addend != sym->value ||
		    !process_try_read(process, def->bias + relocs[i].off, word, 8))
			continue;
		*addr = bytes_get(word, 8, arch->big_endian);
		if (*addr && !is_in_plt(def, arch, *addr))
			return true;
	}
	for (size_t i = 0; i < r->nr_scope; i++)
		if (find_bound(process, r->scope[i], sym->name, sym->version, addr, &slot))
			return true;
	return false;
}

struct err *resolve_import(const struct resolver *r, const struct object *object,
			   const char *name, const char *version, uint64_t *addr)
{
	const struct symbol *sym = NULL;
	const struct object *def = NULL;
	uint64_t unbound;

	if (find_bound(r->process, object, name, version, addr, &unbound))
		return NULL;
	for (size_t i = 0; i < r->nr_scope && !sym; i++) {
		def = r->scope[i];
		sym = image_find_export(def->image, name, version);
	}
	if (!sym)
		return err_new(ERR_UNSUPPORTED, "symbol-not-found",
			       "no object of process %d defines %s%s%s", r->process->pid,
			       name, version ? "@" : "", version ? version : "");
	if (sym->type == STT_TLS)
		return err_new(ERR_UNSUPPORTED, "symbol-is-tls",
			       "%s of %s is thread-local", name, def->name);
	*addr = def->bias + sym->value;
	if (sym->type != STT_GNU_IFUNC || find_ifunc(r, def, sym, addr))
		return NULL;
	/* Not bound anywhere: the object's own stub will have it bound. */
	if (unbound && find_stub(r->process, object, unbound, addr))
		return NULL;
	return err_new(ERR_UNSUPPORTED, "ifunc-unresolved",
		       "%s of %s has several implementations and nobody in process %d "
		       "uses it yet", name, def->name, r->process->pid);
}

struct err *resolve_ifunc(const struct resolver *r, const struct object *object,
			  const char *name, uint64_t vaddr, uint64_t *addr)
{
	const struct symbol sym = { .name = name, .value = vaddr };

	if (find_ifunc(r, object, &sym, addr))
		return NULL;
	return err_new(ERR_UNSUPPORTED, "ifunc-unresolved",
		       "which implementation of %s was chosen in process %d is not known",
		       name, r->process->pid);
}

/*
 * The program's TLS comes first, directly below the thread pointer (psABI of
 * TLS, variant II; glibc, _dl_determine_tlsoffset).
 */
static int64_t program_tp_offset(const struct segment *tls, uint64_t off)
{
	uint64_t align = tls->align ? tls->align : 1;
	uint64_t first = -(tls->vaddr & (align - 1)) & (align - 1);
	uint64_t block = (tls->mem_size - first + align - 1) / align * align + first;

	return (int64_t)(off - block);
}

/* Variant I: behind the thread's control block. */
static int64_t program_above_tp(const struct arch *arch, const struct segment *tls,
				uint64_t off)
{
	uint64_t align = tls->align ? tls->align : 1;
	uint64_t start = (arch->tcb_size + align - 1) / align * align;

	return (int64_t)(start + (tls->vaddr & (align - 1)) + off) - arch->tp_bias;
}

/*
 * What a slot of a library's says of its thread-local variables; *known is false if it is
 * of another kind.  The word is that of a symbol's value and an addend.
 */
static struct err *read_tls_slot(const struct resolver *r, const struct reloc *reloc,
				 uint64_t at, uint64_t *word, bool *known)
{
	const struct arch *arch = r->process->arch;
	uint8_t code[ARCH_DESC_MAX];
	uint64_t entry;
	struct err *err;

	*known = reloc->type == arch->rel_tpoff;
	if (*known)
		return process_read_word(r->process, at, word);
	if (!arch->desc_is_static || reloc->type != arch->rel_tlsdesc)
		return NULL;
	if ((err = process_read_word(r->process, at, &entry)) ||
	    (err = process_read_word(r->process, at + 8, word)))
		return err;
	*known = process_try_read(r->process, entry, code, sizeof(code)) &&
		 arch->desc_is_static(code);
	return NULL;
}

struct err *resolve_tp_offset(const struct resolver *r, const struct object *object,
			      uint64_t off, int64_t *tp_offset)
{
	const struct arch *arch = r->process->arch;
	const struct segment *tls = image_find_segment(object->image, PT_TLS);
	const struct reloc *relocs;
	uint64_t word = 0;
	bool known;
	size_t nr;
	struct err *err;

	if (tls && object->is_program) {
		*tp_offset = arch->tls_below_tp ? program_tp_offset(tls, off) :
						  program_above_tp(arch, tls, off);
		return NULL;
	}
	/* A library: a slot of its own says where its TLS went. */
	if ((err = image_dynamic_relocs(object->image, &relocs, &nr)))
		return err;
	for (size_t i = 0; i < nr && tls; i++) {
		const struct symbol *sym = &object->image->dynsym.symbols[relocs[i].symbol];

		if (relocs[i].symbol && sym->section == SHN_UNDEF)
			continue;
		err = read_tls_slot(r, &relocs[i], object->bias + relocs[i].off, &word, &known);
		if (err)
			return err;
		if (!known)
			continue;
		*tp_offset = (int64_t)(word - sym->value - (uint64_t)relocs[i].addend + off);
		return NULL;
	}
	return err_new(ERR_UNSUPPORTED, "tls-not-static",
		       "where the thread-local variables of %s are is not known",
		       object->name);
}

struct err *resolve_tls_module(const struct resolver *r, const struct object *object,
			       uint64_t *module)
{
	const struct arch *arch = r->process->arch;
	const struct reloc *relocs;
	size_t nr;
	struct err *err;

	*module = 1; /* the program is always the first */
	if (object->is_program)
		return NULL;
	if ((err = image_dynamic_relocs(object->image, &relocs, &nr)))
		return err;
	for (size_t i = 0; i < nr; i++) {
		const struct symbol *sym = &object->image->dynsym.symbols[relocs[i].symbol];

		if (relocs[i].type != arch->rel_dtpmod ||
		    (relocs[i].symbol && sym->section == SHN_UNDEF))
			continue;
		err = process_read_word(r->process, object->bias + relocs[i].off, module);
		/* 0: the dynamic linker has put an offset from the thread pointer into the word
		 * behind, for calls that look at this one first (docs/porting.md). */
		if (err || *module)
			return err;
	}
	return err_new(ERR_UNSUPPORTED, "tls-unknown",
		       "the TLS module number of %s is not known", object->name);
}
