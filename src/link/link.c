/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "link.h"

#include <elf.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "mem.h"

enum {
	PAGE = 4096,
	EH_OBJECT_SIZE = 128,
	MAX_SECTION = 64 << 20,
	SELF_STATES = 16, SELF_NAME = 24, SELF_SIZE = 32, /* struct klp_patch */
};

enum group { GROUP_NONE, GROUP_CODE, GROUP_RODATA, GROUP_DATA };

/* A GOT entry of one or two words, or a stub with its slot; keyed by use. */
struct entry {
	enum reloc_formula formula;
	uint32_t symbol;
	uint64_t addr;        /* of the slot */
	uint64_t stub;        /* RELOC_CALL: of the stub */
};

/* What is shared by the parts while they are linked. */
struct whole {
	const struct process *process;
	const struct arch *arch;
	const struct slp *slp;
	const struct object *const *objects;
	struct resolver resolver;
	struct maps maps;     /* with what has been given away of them */
	const struct record_patch *before; /* whose places are wanted, NULL: any will do */
	struct linked *linked;
};

/* One part. */
struct job {
	struct whole *w;
	const struct arch *arch;
	const struct slp *slp;
	size_t object;        /* that it is beside */
	const struct slp_object *slp_object;
	const struct object *running;
	struct linked_part *out;
	enum group *group;    /* by section; GROUP_NONE: of another part */
	uint64_t *off;        /* by section: in its group */
	struct entry *entries;
	size_t nr_entries;
	uint64_t stubs_off, got_off, names_off;
	uint64_t base;        /* B of the relocations */
};

#define UNSUPPORTED(reason, ...) err_new(ERR_UNSUPPORTED, reason, __VA_ARGS__)

static enum group group_of(const struct section *sec)
{
	if (!(sec->flags & SHF_ALLOC) || sec->type == SHT_NULL)
		return GROUP_NONE;
	if (sec->flags & SHF_EXECINSTR)
		return GROUP_CODE;
	if (!(sec->flags & SHF_WRITE) || !strncmp(sec->name, ".data.rel.ro", 12))
		return GROUP_RODATA;
	return GROUP_DATA;
}

static struct link_group *group_at(struct linked_part *out, enum group group)
{
	return group == GROUP_CODE ? &out->code :
	       group == GROUP_RODATA ? &out->rodata : &out->data;
}

static bool is_eh_frame(const struct section *sec)
{
	return !strcmp(sec->name, ".eh_frame");
}

static struct err *place_sections(struct job *job)
{
	const struct image *image = job->slp->image;

	for (size_t i = 0; i < image->nr_sections; i++) {
		const struct section *sec = &image->sections[i];
		struct link_group *group;

		if (job->slp->section_object[i] == job->object)
			job->group[i] = group_of(sec);
		if (job->group[i] == GROUP_NONE || is_eh_frame(sec))
			continue;
		if (sec->flags & SHF_TLS)
			return UNSUPPORTED("tls-new", "%s: new thread-local variables "
					   "cannot be added to running threads", sec->name);
		if (sec->align & (sec->align - 1) || sec->align > SLP_MAX_ALIGN ||
		    sec->size > MAX_SECTION)
			return UNSUPPORTED("bad-patch", "%s: size %" PRIu64 ", alignment "
					   "%" PRIu64, sec->name, sec->size, sec->align);
		group = group_at(job->out, job->group[i]);
		buf_align(&group->bytes, sec->align);
		job->off[i] = buf_add(&group->bytes, sec->data, sec->size);
	}
	return NULL;
}

/* The patch's own records; behind them a zero, and room for more (redirect/frames.h). */
static struct err *place_eh_frame(struct job *job)
{
	const struct image *image = job->slp->image;
	struct linked_part *out = job->out;
	size_t room = LINK_FRAME_ROOM * job->slp_object->nr_funcs + out->dispatcher.size +
		      LINK_FRAME_ROOM;

	buf_align(&out->rodata.bytes, 8);
	out->eh_frame = out->rodata.bytes.size;
	for (size_t i = 0; i < image->nr_sections; i++) {
		const struct section *sec = &image->sections[i];

		if (!is_eh_frame(sec) || job->group[i] == GROUP_NONE)
			continue;
		if (out->eh_frame_size || sec->size > MAX_SECTION)
			return UNSUPPORTED("bad-patch", ".eh_frame of section %zu", i);
		job->off[i] = buf_add(&out->rodata.bytes, sec->data, sec->size);
		out->eh_frame_size = sec->size;
	}
	out->eh_frame_size += 4;
	out->eh_frame_room = out->eh_frame_size + room;
	buf_add(&out->rodata.bytes, NULL, room + 4);
	return NULL;
}

static const struct symbol *symbol_of(const struct job *job, uint32_t symbol)
{
	return &job->slp->image->symtab.symbols[symbol];
}

static struct entry *find_entry(const struct job *job, enum reloc_formula formula,
				uint32_t symbol)
{
	formula = arch_reloc_slot(formula);
	for (size_t i = 0; i < job->nr_entries; i++)
		if (job->entries[i].formula == formula && job->entries[i].symbol == symbol)
			return &job->entries[i];
	return NULL;
}

/* Near another object: as far as whatever else is not of the patch. */
static bool is_in_other_part(const struct job *job, const struct symbol *sym)
{
	return sym->section != SHN_UNDEF && sym->section < job->slp->image->nr_sections &&
	       job->slp->section_object[sym->section] != job->object;
}

static bool needs_entry(const struct job *job, const struct reloc_type *type,
			uint32_t symbol)
{
	switch (arch_reloc_slot(type->formula)) {
	case RELOC_GOT_PC:
	case RELOC_GOT_TP:
	case RELOC_TLS_GD:
	case RELOC_TLS_LD:
		return true;
	case RELOC_CALL:
		return symbol_of(job, symbol)->section == SHN_UNDEF ||
		       is_in_other_part(job, symbol_of(job, symbol));
	default:
		return false;
	}
}

static struct err *count_relocs(struct job *job, uint32_t section)
{
	const struct image *image = job->slp->image;
	AUTO_FREE struct reloc *relocs = NULL;
	size_t nr;
	struct err *err = image_relocs_of(image, section, &relocs, &nr);

	for (size_t i = 0; i < nr && !err; i++) {
		const struct reloc_type *type = arch_reloc(job->arch, relocs[i].type);

		if (!type) {
			err = UNSUPPORTED("relocation-unknown",
					  "%s: relocation type %u is not known",
					  image->sections[section].name, relocs[i].type);
		} else if (needs_entry(job, type, relocs[i].symbol) &&
			   !find_entry(job, type->formula, relocs[i].symbol)) {
			struct entry *entry = ARRAY_ADD(job->entries, job->nr_entries);

			entry->formula = arch_reloc_slot(type->formula);
			entry->symbol = relocs[i].symbol;
		}
	}
	return err;
}

/* What the patch has once is in its first part. */
static bool has_self(const struct job *job)
{
	return !job->object && slp_needs_runtime(job->slp);
}

static bool has_calls(const struct job *job)
{
	return !job->object && slp_has_callbacks(job->slp);
}

/*
 * What include/stitch/livepatch.h shares with the tool: the patch's struct klp_patch, its
 * objects, their names.
 */
static void place_self(struct job *job)
{
	struct linked_part *out = job->out;
	struct buf *data = &out->data.bytes;

	buf_align(data, 16);
	out->self = buf_add(data, NULL, SELF_SIZE);
	out->objects = buf_add(data, NULL, LINK_OBJECT_SIZE * job->slp->nr_objects);
	job->names_off = buf_add(data, job->slp->name, strlen(job->slp->name) + 1);
	for (size_t i = 0; i < job->slp->nr_objects; i++)
		buf_add(data, job->slp->objects[i].name,
			strlen(job->slp->objects[i].name) + 1);
	if (!slp_has_callbacks(job->slp))
		return;
	buf_align(&out->code.bytes, 16);
	out->call_code = buf_add(&out->code.bytes, NULL, job->arch->call_code_size);
	if (job->arch->call_code)
		job->arch->call_code(out->code.bytes.data + out->call_code);
}

static void put_word(const struct job *job, uint64_t at, uint64_t value)
{
	const struct link_group *data = &job->out->data;

	bytes_put(data->bytes.data + (at - data->addr), 8, value, job->arch->big_endian);
}

static void fill_self(const struct job *job)
{
	const struct linked_part *out = job->out;
	uint64_t name = out->data.addr + job->names_off;

	if (job->slp->states_symbol)
		put_word(job, out->self + SELF_STATES,
			 linked_symbol(job->w->linked, job->slp, job->slp->states_symbol));
	put_word(job, out->self + SELF_NAME, name);
	name += strlen(job->slp->name) + 1;
	for (size_t i = 0; i < job->slp->nr_objects; i++) {
		put_word(job, out->objects + LINK_OBJECT_SIZE * i, name);
		put_word(job, out->objects + LINK_OBJECT_SIZE * i + 8, out->self);
		name += strlen(job->slp->objects[i].name) + 1;
	}
}

/* Room for GOT entries, stubs and islands, now that their numbers are known. */
static struct err *place_entries(struct job *job)
{
	struct linked_part *out = job->out;
	size_t nr_stubs = 0;
	struct err *err;

	for (size_t i = 0; i < job->slp->image->nr_sections; i++)
		if (job->group[i] != GROUP_NONE && (err = count_relocs(job, (uint32_t)i)))
			return err;
	for (size_t i = 0; i < job->nr_entries; i++)
		nr_stubs += job->entries[i].formula == RELOC_CALL;
	buf_align(&out->rodata.bytes, 16);
	job->got_off = buf_add(&out->rodata.bytes, NULL, 16 * job->nr_entries);
	buf_align(&out->code.bytes, 16);
	job->stubs_off = buf_add(&out->code.bytes, NULL, job->arch->stub_size * nr_stubs);
	buf_align(&out->code.bytes, 64);
	out->islands_size = LINK_ISLAND_SIZE * job->slp_object->nr_funcs;
	out->islands = buf_add(&out->code.bytes, NULL, out->islands_size);
	buf_align(&out->code.bytes, 64);
	out->dispatcher.start = buf_add(&out->code.bytes, NULL, out->dispatcher.size);
	buf_align(&out->data.bytes, 16);
	out->eh_object = buf_add(&out->data.bytes, NULL, EH_OBJECT_SIZE);
	if (has_self(job))
		place_self(job);
	return NULL;
}

/* Pages of relocations, whatever the machine's are (AAELF64, 5.7.6). */
static uint64_t page_of(uint64_t addr)
{
	return addr & ~(uint64_t)(PAGE - 1);
}

static bool is_part(const struct linked_part *out, const struct record_part *part)
{
	return part->code.size == out->code.size && part->rodata.size == out->rodata.size &&
	       part->data.size == out->data.size;
}

/* Error: no-room. */
static struct err *find_arena(const struct job *job, struct range *arena)
{
	const struct record_patch *before = job->w->before;

	if (before && job->object < before->nr_parts &&
	    is_part(job->out, &before->parts[job->object])) {
		arena->start = before->parts[job->object].arena.start;
		return NULL;
	}
	arena->start = maps_find_room(&job->w->maps, job->running->start, job->running->end,
				      arena->size, job->arch->jump_reach);
	if (!arena->start)
		return UNSUPPORTED("no-room", "process %d has no %" PRIu64 " free bytes "
				   "within reach of %s", job->w->process->pid, arena->size,
				   job->running->name);
	maps_take(&job->w->maps, arena->start, arena->size);
	return NULL;
}

static struct err *place_arena(struct job *job)
{
	struct linked_part *out = job->out;
	struct err *err;

	out->code.size = maps_whole_pages(out->code.bytes.size);
	out->rodata.size = maps_whole_pages(out->rodata.bytes.size);
	out->data.size = maps_whole_pages(out->data.bytes.size);
	out->arena.size = out->code.size + out->rodata.size + out->data.size;
	if ((err = find_arena(job, &out->arena)))
		return err;
	out->code.addr = out->arena.start;
	out->rodata.addr = out->code.addr + out->code.size;
	out->data.addr = out->rodata.addr + out->rodata.size;
	out->islands += out->code.addr;
	out->dispatcher.start += out->code.addr;
	out->slots += out->rodata.addr;
	out->eh_object += out->data.addr;
	if (has_calls(job)) {
		out->call_code += out->code.addr;
		out->call_stack = out->data.addr;
	}
	if (has_self(job)) {
		out->self += out->data.addr;
		out->objects += out->data.addr;
	}
	out->eh_frame += out->rodata.addr;
	for (size_t i = 0; i < job->slp->image->nr_sections; i++)
		if (job->group[i] != GROUP_NONE)
			out->section_addr[i] = group_at(out, job->group[i])->addr +
					       job->off[i];
	return NULL;
}

uint64_t linked_symbol(const struct linked *linked, const struct slp *slp, uint32_t symbol)
{
	const struct symbol *sym = &slp->image->symtab.symbols[symbol];
	const struct linked_part *part = &linked->parts[slp->section_object[sym->section]];

	return part->section_addr[sym->section] + sym->value;
}

static struct err *import_value(const struct job *job, const struct slp_ref *ref,
				uint64_t *value)
{
	struct err *err = resolve_import(&job->w->resolver, job->w->objects[ref->object],
					 ref->name, ref->version, value);

	if (!err || !ref->weak || strcmp(err->reason, "symbol-not-found"))
		return err;
	err_free(err);
	*value = 0;
	return NULL;
}

static bool is_loaded(const struct job *job, uint32_t section)
{
	const struct linked *linked = job->w->linked;

	return linked->parts[job->slp->section_object[section]].section_addr[section];
}

/* S: the address that a symbol of the patch has in the target. */
static struct err *symbol_value(const struct job *job, uint32_t symbol, uint64_t *value)
{
	const struct symbol *sym = symbol_of(job, symbol);
	const struct slp_ref *ref;

	if (!symbol) {
		*value = 0;
		return NULL;
	}
	if (sym->section == SHN_ABS) {
		*value = sym->value;
		return NULL;
	}
	if (sym->section != SHN_UNDEF) {
		if (sym->section >= job->slp->image->nr_sections || !is_loaded(job, sym->section))
			return UNSUPPORTED("bad-patch", "symbol %s is in no section that "
					   "is loaded", sym->name);
		*value = linked_symbol(job->w->linked, job->slp, symbol);
		return NULL;
	}
	ref = slp_find_ref(job->slp, symbol);
	if (!ref)
		return UNSUPPORTED("bad-patch", "symbol %s is not explained", sym->name);
	if (ref->kind == SLP_REF_IMPORT)
		return import_value(job, ref, value);
	if (ref->kind == SLP_REF_PATCH) {
		*value = job->w->linked->parts[0].self;
		return NULL;
	}
	if (ref->kind == SLP_REF_IFUNC)
		return resolve_ifunc(&job->w->resolver, job->w->objects[ref->object],
				     ref->name, ref->vaddr, value);
	*value = ref->kind == SLP_REF_ADDRESS ?
		 job->w->objects[ref->object]->bias + ref->vaddr : ref->vaddr;
	return NULL;
}

static struct err *tls_ref(const struct job *job, uint32_t symbol,
			   const struct slp_ref **ref)
{
	*ref = slp_find_ref(job->slp, symbol);
	if (*ref && (*ref)->kind == SLP_REF_TLS)
		return NULL;
	return UNSUPPORTED("tls-new", "%s is not a thread-local variable of the running "
			   "program", symbol_of(job, symbol)->name);
}

/* The words of a GOT entry. */
static struct err *entry_words(const struct job *job, const struct entry *entry,
			       uint64_t words[2])
{
	const struct slp_ref *ref;
	int64_t tp_offset = 0;
	struct err *err;

	words[0] = words[1] = 0;
	if (entry->formula == RELOC_GOT_PC || entry->formula == RELOC_CALL)
		return symbol_value(job, entry->symbol, &words[0]);
	if ((err = tls_ref(job, entry->symbol, &ref)))
		return err;
	if (entry->formula == RELOC_GOT_TP) {
		err = resolve_tp_offset(&job->w->resolver, job->w->objects[ref->object],
					ref->vaddr, &tp_offset);
		words[0] = (uint64_t)tp_offset;
		return err;
	}
	words[1] = entry->formula == RELOC_TLS_GD ? ref->vaddr - (uint64_t)job->arch->dtp_bias : 0;
	return resolve_tls_module(&job->w->resolver, job->w->objects[ref->object], &words[0]);
}

static struct err *fill_entries(struct job *job)
{
	struct linked_part *out = job->out;
	bool (*put_stub)(uint8_t *out, uint64_t at, uint64_t slot) =
		job->arch->put_call_stub ? job->arch->put_call_stub : job->arch->put_far_jump;
	uint64_t stub_off = job->stubs_off, words[2];
	struct err *err;

	for (size_t i = 0; i < job->nr_entries; i++) {
		struct entry *entry = &job->entries[i];
		uint64_t off = job->got_off + 16 * i;

		if ((err = entry_words(job, entry, words)))
			return err_wrap(err, "%s", symbol_of(job, entry->symbol)->name);
		entry->addr = out->rodata.addr + off;
		bytes_put(out->rodata.bytes.data + off, 8, words[0], job->arch->big_endian);
		bytes_put(out->rodata.bytes.data + off + 8, 8, words[1],
			  job->arch->big_endian);
		if (entry->formula != RELOC_CALL)
			continue;
		entry->stub = out->code.addr + stub_off;
		if (!put_stub(out->code.bytes.data + stub_off, entry->stub, entry->addr))
			return UNSUPPORTED("out-of-reach", "the patch is too large");
		stub_off += job->arch->stub_size;
	}
	return NULL;
}

static bool fits(const struct arch *arch, uint64_t value, const struct reloc_type *type)
{
	unsigned bits = type->size * 8u;
	uint8_t trial[8] = { 0 };

	if (type->field)
		return arch->put_field(trial, type, value);
	if (bits >= 64)
		return true;
	if (type->is_signed)
		return (int64_t)value >= -(INT64_C(1) << (bits - 1)) &&
		       (int64_t)value < INT64_C(1) << (bits - 1);
	return value >> bits == 0;
}

static bool is_patch(const struct job *job, uint64_t addr)
{
	return addr - job->out->code.addr < job->out->code.bytes.size;
}

/* A call there leaves the object. */
static bool leaves(const struct job *job, uint64_t addr)
{
	return !is_patch(job, addr) && (addr < job->running->start ||
					addr >= job->running->end);
}

/* From a function's address to where the object's own code calls it. */
static uint64_t local_entry(const struct job *job, uint64_t addr)
{
	enum { ENTRY = 8 };
	const struct link_group *code = &job->out->code;
	uint64_t off = addr - code->addr;
	const uint8_t *bytes = !is_patch(job, addr) ?
		image_at(job->running->image, addr - job->running->bias, ENTRY) :
		off + ENTRY <= code->bytes.size ? code->bytes.data + off : NULL;

	return bytes ? job->arch->entry_keep(bytes, ENTRY) : 0;
}

/* The value to write, in the letters of the psABI. */
static struct err *compute(const struct job *job, const struct reloc *rel,
			   const struct reloc_type *type, uint64_t P, uint64_t *value)
{
	const struct entry *entry = find_entry(job, type->formula, rel->symbol);
	uint64_t S = 0, A = (uint64_t)rel->addend;
	const struct slp_ref *ref;
	int64_t tp_offset = 0;
	struct err *err;

	switch (type->formula) {
	case RELOC_TP:
		if ((err = tls_ref(job, rel->symbol, &ref)))
			return err;
		err = resolve_tp_offset(&job->w->resolver, job->w->objects[ref->object],
					ref->vaddr, &tp_offset);
		*value = (uint64_t)tp_offset + A;
		return err;
	case RELOC_DTP:
		if ((err = tls_ref(job, rel->symbol, &ref)))
			return err;
		*value = ref->vaddr + A - (uint64_t)job->arch->dtp_bias;
		return NULL;
	case RELOC_SIZE:
		*value = symbol_of(job, rel->symbol)->size + A;
		return NULL;
	case RELOC_GOT_PC:
	case RELOC_GOT_TP:
	case RELOC_TLS_GD:
	case RELOC_TLS_LD:
		*value = entry->addr + A - P;
		return NULL;
	case RELOC_GOT_PAGE:
	case RELOC_GOT_TP_PAGE:
		*value = page_of(entry->addr) - page_of(P);
		return NULL;
	case RELOC_GOT_ABS:
	case RELOC_GOT_TP_ABS:
		*value = entry->addr;
		return NULL;
	case RELOC_GOT_BASE:
	case RELOC_GOT_TP_BASE:
	case RELOC_TLS_GD_BASE:
	case RELOC_TLS_LD_BASE:
		*value = entry->addr + A - job->base;
		return NULL;
	case RELOC_BASE_PC:
		*value = job->base + A - P;
		return NULL;
	default:
		break;
	}
	if ((err = symbol_value(job, rel->symbol, &S)))
		return err;
	*value = type->formula == RELOC_ABS ? S + A :
		 type->formula == RELOC_BASE ? S + A - job->base :
		 type->formula == RELOC_PAGE ? page_of(S + A) - page_of(P) : S + A - P;
	if (type->formula == RELOC_CALL && job->arch->put_restore && !leaves(job, S))
		*value += local_entry(job, S);
	if (type->formula == RELOC_CALL && entry &&
	    ((job->arch->put_restore && leaves(job, S)) || !fits(job->arch, *value, type)))
		*value = entry->stub + A - P;
	return NULL;
}

/* The caller's B is restored behind a call to other objects' code. */
static struct err *restore_after(const struct job *job, const struct reloc *rel,
				 const struct reloc_type *type, const struct section *sec,
				 uint8_t *at)
{
	const struct link_group *slots = &job->out->rodata;
	const struct entry *entry = type->formula == RELOC_CALL && job->arch->put_restore ?
		find_entry(job, RELOC_CALL, rel->symbol) : NULL;

	/* Without a stub it is in the patch; the stub's slot has where it goes. */
	if (!entry || !leaves(job, bytes_get(slots->bytes.data + (entry->addr - slots->addr), 8,
					     job->arch->big_endian)))
		return NULL;
	if (rel->off + type->size + 4 > sec->size || !job->arch->put_restore(at + type->size))
		return UNSUPPORTED("toc-not-restored", "%s+%#" PRIx64 " calls %s of another "
				   "object and has no room to restore its TOC pointer",
				   sec->name, rel->off, symbol_of(job, rel->symbol)->name);
	return NULL;
}

static struct err *apply_one(struct job *job, uint32_t section, const struct reloc *rel)
{
	const struct section *sec = &job->slp->image->sections[section];
	const struct reloc_type *type = arch_reloc(job->arch, rel->type);
	struct link_group *group = group_at(job->out, job->group[section]);
	uint64_t P = job->out->section_addr[section] + rel->off, value;
	struct err *err;
	uint8_t *at;

	if (type->formula == RELOC_NONE)
		return NULL;
	if (sec->type == SHT_NOBITS || rel->off + type->size > sec->size)
		return UNSUPPORTED("bad-patch", "%s: a relocation leaves the section",
				   sec->name);
	if ((err = compute(job, rel, type, P, &value)))
		return err_wrap(err, "%s", symbol_of(job, rel->symbol)->name);
	if (!fits(job->arch, value, type))
		return UNSUPPORTED("out-of-reach", "%s+%#" PRIx64 ": %s is too far away "
				   "for %s", sec->name, rel->off,
				   symbol_of(job, rel->symbol)->name, type->name);
	at = group->bytes.data + job->off[section] + rel->off;
	if (type->field)
		job->arch->put_field(at, type, value);
	else
		bytes_put(at, type->size, value, job->arch->big_endian);
	return restore_after(job, rel, type, sec, at);
}

static struct err *apply_relocs(struct job *job, uint32_t section)
{
	AUTO_FREE struct reloc *relocs = NULL;
	size_t nr;
	struct err *err = image_relocs_of(job->slp->image, section, &relocs, &nr);

	for (size_t i = 0; i < nr && !err; i++)
		err = apply_one(job, section, &relocs[i]);
	return err;
}

/* B: of the object that is patched, whose code and the patch's share it, or our own. */
static struct err *find_base(struct job *job)
{
	const struct section *got = image_find_section(job->running->image, ".got");

	job->base = job->out->rodata.addr + job->got_off;
	if (!job->arch->base_in_got)
		return NULL;
	if (!got)
		return UNSUPPORTED("no-toc", "%s: where the TOC of its code is cannot be told",
				   job->running->name);
	job->base = job->running->bias + got->vaddr + job->arch->base_in_got;
	return NULL;
}

/* Its size is known then, and where it is. */
static struct err *place_part(struct job *job)
{
	struct err *err;

	/* The slots come first in their group, so they share one page. */
	buf_add(&job->out->rodata.bytes, NULL, 8 * job->slp_object->nr_funcs);
	/* A stack that overflows meets the read-only group in front of it. */
	if (has_calls(job))
		buf_add(&job->out->data.bytes, NULL, LINK_CALL_STACK);
	if ((err = place_sections(job)) || (err = place_eh_frame(job)) ||
	    (err = place_entries(job)))
		return err;
	return place_arena(job);
}

static struct err *fill_part(struct job *job)
{
	struct err *err;

	if ((err = find_base(job)) || (err = fill_entries(job)))
		return err;
	for (size_t i = 0; i < job->slp->image->nr_sections; i++)
		if (job->group[i] != GROUP_NONE && (err = apply_relocs(job, (uint32_t)i)))
			return err;
	if (has_self(job))
		fill_self(job);
	return NULL;
}

static void job_init(struct job *job, struct whole *w, size_t object)
{
	size_t nr = w->slp->image->nr_sections;

	*job = (struct job){ .w = w, .arch = w->arch, .slp = w->slp, .object = object,
			     .slp_object = &w->slp->objects[object],
			     .running = w->objects[object],
			     .out = &w->linked->parts[object],
			     .group = mem_alloc(nr * sizeof(*job->group)),
			     .off = mem_alloc(nr * sizeof(*job->off)) };
	job->out->section_addr = mem_alloc(nr * sizeof(*job->out->section_addr));
}

static void job_done(struct job *job)
{
	free(job->group);
	free(job->off);
	free(job->entries);
}

/* All are placed before the first is filled: the first has addresses of the others. */
static struct err *link_parts(struct whole *w, struct job *jobs)
{
	struct err *err = NULL;

	for (size_t i = 0; i < w->linked->nr_parts && !err; i++)
		err = place_part(&jobs[i]);
	for (size_t i = 0; i < w->linked->nr_parts && !err; i++)
		err = fill_part(&jobs[i]);
	return err;
}

struct err *link_patch(const struct process *process, const struct slp *slp,
		       const struct object *const *objects, size_t nr_stubs,
		       const struct record_patch *before, struct linked *linked)
{
	struct whole w = { .process = process, .arch = process->arch, .slp = slp,
			   .objects = objects, .before = before, .linked = linked };
	AUTO_FREE struct job *jobs = mem_alloc(slp->nr_objects * sizeof(*jobs));
	struct err *err;

	*linked = (struct linked){ .nr_parts = slp->nr_objects };
	linked->parts = mem_alloc(slp->nr_objects * sizeof(*linked->parts));
	maps_copy(&process->maps, &w.maps);
	for (size_t i = 0; i < slp->nr_objects; i++)
		job_init(&jobs[i], &w, i);
	linked->parts[0].dispatcher.size = link_stubs_at(process->arch) +
					   nr_stubs * process->arch->dispatch_stub_size;
	err = resolver_init(&w.resolver, process);
	if (!err)
		err = link_parts(&w, jobs);
	resolver_done(&w.resolver);
	maps_done(&w.maps);
	for (size_t i = 0; i < slp->nr_objects; i++)
		job_done(&jobs[i]);
	if (err)
		linked_done(linked);
	return err;
}

bool linked_is_there(const struct process *process, const struct linked *linked,
		     const struct record_patch *patch)
{
	for (size_t i = 0; i < linked->nr_parts; i++) {
		const struct linked_part *part = &linked->parts[i];
		/* Behind it is what each time is written anew. */
		size_t size = part->islands - part->code.addr;
		AUTO_FREE uint8_t *now = mem_alloc(size + 1);

		if (part->arena.start != patch->parts[i].arena.start ||
		    !process_try_read(process, part->code.addr, now, size) ||
		    memcmp(now, part->code.bytes.data, size))
			return false;
	}
	return true;
}

uint64_t linked_memory(const struct linked *linked)
{
	uint64_t size = 0;

	for (size_t i = 0; i < linked->nr_parts; i++)
		size += linked->parts[i].arena.size;
	return size;
}

void linked_done(struct linked *linked)
{
	for (size_t i = 0; i < linked->nr_parts; i++) {
		buf_done(&linked->parts[i].code.bytes);
		buf_done(&linked->parts[i].rodata.bytes);
		buf_done(&linked->parts[i].data.bytes);
		free(linked->parts[i].section_addr);
	}
	free(linked->parts);
	*linked = (struct linked){ 0 };
}
