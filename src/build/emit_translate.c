/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "emit_job.h"

#include <elf.h>
#include <inttypes.h>
#include <string.h>

#define REFUSE(reason, ...) err_new(ERR_UNSUPPORTED, reason, __VA_ARGS__)

struct place {
	size_t u;
	const struct unit_part *part;  /* that the reference is in */
	const struct unit_ref *ref;
	const struct symbol *target;   /* named symbol there, or NULL */
};

/* The addend that goes with a symbol at the start of target, not ref->symbol. */
static int64_t addend_from(const struct emit_job *job, const struct place *p)
{
	const struct symbol *named =
		&emit_unit_b(job, p->u)->image->symtab.symbols[p->ref->symbol];

	return p->ref->addend + (int64_t)named->value - (int64_t)p->target->value;
}

static void use_carried(struct emit_job *job, const struct place *p, struct slp_out_reloc *out)
{
	out->symbol = emit_symbol(job, p->u, p->ref->symbol);
	out->addend = p->ref->addend;
}

/* What compilers make for one function, and no source can take the address of. */
static bool is_compilers(const struct emit_job *job, const struct place *p)
{
	const struct unit *unit = emit_unit_b(job, p->u);
	const struct unit_part *to = &unit->parts[p->ref->section];

	/* A switch that only looks values up. */
	if (p->target)
		return !strncmp(p->target->name, "CSWTCH.", 7) ||
		       !strncmp(p->target->name, "switch.table.", 13);
	/* A number, such a table that clang has made, or a table of jumps. */
	return to->section->flags & SHF_MERGE || strstr(to->section->name, "switch.table.") ||
	       (to->nr_refs && unit->parts[to->refs[0].section].kind == PART_CODE);
}

/*
 * Data of the patch's: where its address may have been put the program may find it when the
 * patch has long been reverted.
 */
static void note_address(struct emit_job *job, const struct place *p)
{
	enum part_kind to = emit_unit_b(job, p->u)->parts[p->ref->section].kind;
	bool is_told = p->part->kind != PART_EH && p->part->kind != PART_LSDA;

	if (is_told && !p->ref->is_access && (to == PART_STRINGS || !is_compilers(job, p)))
		job->keep_memory = true;
}

static void use_carried_data(struct emit_job *job, const struct place *p,
			     struct slp_out_reloc *out)
{
	note_address(job, p);
	use_carried(job, p, out);
}

/*
 * A word with a personality routine's address: only .eh_frame refers to it, so no function
 * tells where it is in a binary that is matched by functions.  Any other will do.
 */
static bool is_personality(const struct symbol *sym)
{
	return !strncmp(sym->name, "DW.ref.", 7);
}

/* By the old version if there is one, else a copy of its own. */
static struct err *use_twin_or_carry(struct emit_job *job, const struct place *p,
				     struct slp_out_reloc *out)
{
	struct err *err = NULL;

	out->symbol = 0;
	if (p->target)
		err = emit_ref_twin(job, p->u, p->target, &out->symbol);
	if (err && is_personality(p->target))
		err_freep(&err);
	if (err)
		return err;
	if (out->symbol)
		out->addend = addend_from(job, p);
	else
		use_carried_data(job, p, out);
	return NULL;
}

/*
 * A carried function is called directly, but its address is that of the old
 * entry, which leads to the newest version and stays when the patch goes.
 */
static struct err *use_function(struct emit_job *job, const struct place *p,
				struct slp_out_reloc *out)
{
	enum part_state state = emit_state(job, p->u, p->ref->section);
	bool inside = !p->target || p->ref->at != p->target->value;
	struct err *err;

	if (!emit_is_carried(state)) {
		if (!p->target)
			return REFUSE("reference-unknown", "code without a name is used");
		if ((err = emit_ref_twin(job, p->u, p->target, &out->symbol)))
			return err;
		if (!out->symbol)
			return REFUSE("no-match", "%s is not in the linked image",
				      p->target->name);
		out->addend = addend_from(job, p);
		return NULL;
	}
	if (inside || p->ref->is_branch || p->part->kind == PART_EH ||
	    p->part->kind == PART_LSDA) {
		use_carried(job, p, out);
		return NULL;
	}
	if ((err = emit_ref_twin(job, p->u, p->target, &out->symbol)))
		return err;
	if (out->symbol) {
		out->addend = addend_from(job, p);
		return NULL;
	}
	job->keep_memory = true;
	use_carried(job, p, out);
	return NULL;
}

static struct err *use_constant(struct emit_job *job, const struct place *p,
				struct slp_out_reloc *out)
{
	size_t base;

	if (emit_state(job, p->u, p->ref->section) == STATE_SAME && p->target &&
	    !unit_is_numbered(p->target->name, &base))
		return use_twin_or_carry(job, p, out);
	use_carried_data(job, p, out);
	return NULL;
}

static struct err *use_variable(struct emit_job *job, const struct place *p,
				struct slp_out_reloc *out)
{
	struct err *err = use_twin_or_carry(job, p, out);

	if (!err && p->target && p->target->type == STT_TLS &&
	    job->placed[p->u].section[p->ref->section])
		return REFUSE("tls-new", "%s is a new thread-local variable: running threads "
			      "have no room for it", p->target->name);
	return err;
}

/* A unit of an object that defines a global name; SIZE_MAX if none does. */
static size_t definer_of(const struct emit_job *job, size_t object, const char *name,
			 uint32_t *number)
{
	for (size_t u = 0; u < job->emit->nr_units; u++) {
		const struct unit *unit = emit_unit_b(job, u);
		const struct symbol *sym = unit_find_symbol(unit, name);

		if (!sym || sym->bind == STB_LOCAL ||
		    sym->section >= unit->image->nr_sections ||
		    job->emit->units[u].object != object)
			continue;
		*number = (uint32_t)(sym - unit->image->symtab.symbols);
		return u;
	}
	return SIZE_MAX;
}

/* The patch adds it to what the object exports: no running object has it yet. */
static bool is_new_export(const struct emit_job *job, size_t u, uint32_t number)
{
	const struct symbol *sym = &emit_unit_b(job, u)->image->symtab.symbols[number];

	return sym->visibility == STV_DEFAULT &&
	       (job->emit->units[u].is_new || emit_state(job, u, sym->section) == STATE_NEW) &&
	       !image_find_export(emit_match(job, u)->to, sym->name, NULL);
}

/*
 * The unit whose definition of a global name is carried, or may be; SIZE_MAX if it is no
 * unit's of the patch.  What another object exports is an import, for the dynamic linker
 * has said whose it is, unless it comes with the patch.
 */
static size_t carrier_of(const struct emit_job *job, size_t from, const char *name,
			 uint32_t *number)
{
	size_t own = job->emit->units[from].object;
	size_t u = definer_of(job, own, name, number);

	for (size_t i = 0; i < job->emit->nr_objects && u == SIZE_MAX; i++) {
		if (i != own)
			u = definer_of(job, i, name, number);
		if (u != SIZE_MAX && !is_new_export(job, u, *number))
			u = SIZE_MAX;
	}
	return u;
}

/* A name that another file defines: perhaps one that is carried, too. */
static struct err *use_undefined(struct emit_job *job, const struct place *p,
				 struct slp_out_reloc *out)
{
	const struct symbol *sym = &emit_unit_b(job, p->u)->image->symtab.symbols[p->ref->symbol];
	uint32_t number = 0;
	size_t other = carrier_of(job, p->u, sym->name, &number);

	out->addend = p->ref->addend;
	if (p->ref->formula == RELOC_BASE_PC) {
		const char *base = job->out.arch->base_symbol;

		if (base && !strcmp(sym->name, base))
			return NULL; /* no symbol: what code counts from */
		return REFUSE("relocation-unknown", "%s is used as %s is", sym->name, base);
	}
	if (sym->section != SHN_UNDEF && sym->section != SHN_COMMON)
		return REFUSE("reference-unknown", "%s is an absolute symbol", sym->name);
	if (other != SIZE_MAX && other != p->u) {
		const struct symbol *there = &emit_unit_b(job, other)->image->symtab.symbols[number];
		struct unit_ref ref = *p->ref;

		ref.symbol = number;
		ref.section = there->section;
		ref.at = there->value;
		return emit_translate(job, other, p->part, &ref, out);
	}
	return emit_ref_undefined(job, p->u, sym, &out->symbol);
}

struct err *emit_translate(struct emit_job *job, size_t u, const struct unit_part *part,
			   const struct unit_ref *ref, struct slp_out_reloc *out)
{
	const struct unit *unit = emit_unit_b(job, u);
	struct place p = { u, part, ref, NULL };

	if (ref->formula == RELOC_UNKNOWN)
		return REFUSE("relocation-unknown", "relocation type %u is not known", ref->type);
	out->off = ref->off;
	out->type = ref->type;
	if (!ref->section)
		return use_undefined(job, &p, out);
	p.target = unit_symbol_at(unit, ref->section, ref->at);
	switch (unit->parts[ref->section].kind) {
	case PART_CODE:
		return use_function(job, &p, out);
	case PART_STRINGS:
		note_address(job, &p);
		out->symbol = emit_string_symbol(job, u, unit->parts[ref->section].section, ref->at);
		/* The symbol is the string's start: keep only what counts from the
		 * end of the instruction. */
		out->addend = ref->addend +
			(int64_t)unit->image->symtab.symbols[ref->symbol].value -
			(int64_t)ref->at;
		return NULL;
	case PART_RODATA:
		return use_constant(job, &p, out);
	case PART_LSDA:
		use_carried(job, &p, out);
		return NULL;
	case PART_DATA:
	case PART_TLS:
		return use_variable(job, &p, out);
	default:
		return REFUSE("reference-unknown", "%s is used in section %s",
			      unit->parts[ref->section].section->name, part->section->name);
	}
}

static struct err *translate_section(struct emit_job *job, size_t u, uint32_t section)
{
	const struct unit_part *part = &emit_unit_b(job, u)->parts[section];
	uint32_t to = job->placed[u].section[section] - 1;
	struct err *err;

	job->placed[u].done[section] = true;
	for (size_t i = 0; i < part->nr_refs; i++) {
		struct slp_out_reloc rel = { 0 };

		if ((err = emit_translate(job, u, part, &part->refs[i], &rel)))
			return err_wrap(err, "%s: %s+%#" PRIx64, job->emit->units[u].name,
					part->section->name, part->refs[i].off);
		*ARRAY_ADD(job->out.sections[to].relocs,
			   job->out.sections[to].nr_relocs) = rel;
	}
	return NULL;
}

/* Until nothing more is pulled in. */
struct err *emit_translate_all(struct emit_job *job)
{
	struct err *err;

	do {
		job->progress = false;
		for (size_t u = 0; u < job->emit->nr_units; u++)
			for (uint32_t n = 1; n < emit_unit_b(job, u)->image->nr_sections; n++)
				if (job->placed[u].section[n] && !job->placed[u].done[n] &&
				    (err = translate_section(job, u, n)))
					return err;
	} while (job->progress);
	return NULL;
}

