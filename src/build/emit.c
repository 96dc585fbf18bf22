/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "emit.h"

#include <elf.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "ehframe.h"
#include "mem.h"

/* What a unit's sections and symbols have become in the patch. */
struct placed {
	uint32_t *section;   /* by section of b: number in out + 1; 0: not carried */
	uint32_t *symbol;    /* by symbol of b: number in out; 0: none */
	bool *done;          /* by section: its references are translated */
};

struct known_ref {
	char *key;
	uint32_t symbol;
};

/* What an object of the patch has. */
struct object {
	json_t *funcs;
	json_t *callbacks;        /* NULL: none */
	uint32_t strings;         /* section with its strings, + 1 */
};

struct job {
	struct emit *emit;
	struct slp_out out;
	struct placed *placed;    /* by unit */
	struct known_ref *known;
	size_t nr_known;
	struct object *objects;   /* as emit's */
	json_t *refs;
	json_t *states;           /* NULL: none */
	uint32_t states_symbol;
	bool keep_memory;
	bool progress;            /* something was carried in this round */
};

#define REFUSE(reason, ...) err_new(ERR_UNSUPPORTED, reason, __VA_ARGS__)

void emit_note(struct emit *emit, const char *kind, const char *fmt, ...)
{
	struct emit_note *note = ARRAY_ADD(emit->notes, emit->nr_notes);
	va_list ap;

	va_start(ap, fmt);
	note->kind = mem_strdup(kind);
	note->text = mem_vfmt(fmt, ap);
	va_end(ap);
}

void emit_done(struct emit *emit)
{
	for (size_t i = 0; i < emit->nr_notes; i++) {
		free(emit->notes[i].kind);
		free(emit->notes[i].text);
	}
	free(emit->notes);
	emit->notes = NULL;
	emit->nr_notes = 0;
}

static const struct unit *unit_b(const struct job *job, size_t u)
{
	return job->emit->units[u].compare.b;
}

static const struct match *match_of(const struct job *job, size_t u)
{
	return job->emit->objects[job->emit->units[u].object].match;
}

static struct object *object_of(const struct job *job, size_t u)
{
	return &job->objects[job->emit->units[u].object];
}

static bool is_carried_state(enum part_state state)
{
	return state == STATE_CHANGED || state == STATE_NEW;
}

static enum part_state state_of(const struct job *job, size_t u, uint32_t section)
{
	return job->emit->units[u].compare.state[section];
}

/* ---- references into the running program -------------------------------- */

static uint32_t find_known(const struct job *job, const char *key)
{
	for (size_t i = 0; i < job->nr_known; i++)
		if (!strcmp(job->known[i].key, key))
			return job->known[i].symbol;
	return 0;
}

/* An undefined symbol of the patch with its meaning; the same one each time. */
static uint32_t add_ref(struct job *job, size_t u, const char *kind, const char *name,
			const char *version, uint64_t vaddr, bool weak)
{
	size_t object = job->emit->units[u].object;
	AUTO_FREE char *key = mem_fmt("%s %s %s %" PRIx64 " %zu", kind, name,
				      version ? version : "", vaddr, object);
	uint32_t symbol = find_known(job, key);
	struct known_ref *known;
	json_t *ref;

	if (symbol)
		return symbol;
	symbol = slp_out_symbol(&job->out, name, STT_NOTYPE, 0, 0, 0);
	known = ARRAY_ADD(job->known, job->nr_known);
	known->key = mem_strdup(key);
	known->symbol = symbol;
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

static struct err *ref_linked(struct job *job, size_t u, const struct symbol *linked,
			      uint32_t *symbol)
{
	const char *kind = linked->type == STT_TLS ? "tls" :
			   linked->type == STT_GNU_IFUNC ? "ifunc" : "address";
	uint64_t vaddr = linked->value;

	if (linked->type != STT_TLS && !match_vaddr(match_of(job, u), linked->value, &vaddr))
		return REFUSE("no-match", "%s is not found in the running binary: no "
			      "function that could be matched refers to it", linked->name);
	*symbol = add_ref(job, u, kind, linked->name, NULL, vaddr, false);
	return NULL;
}

/* A name that the unit does not define. */
static struct err *ref_undefined(struct job *job, size_t u, const struct symbol *sym,
				 uint32_t *symbol)
{
	const struct image *running = match_of(job, u)->to;
	const struct symbol *linked = locate_global(match_of(job, u)->from, sym->name);

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
static struct err *ref_twin(struct job *job, size_t u, const struct symbol *sym,
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

static uint32_t carry(struct job *job, size_t u, uint32_t section)
{
	const struct section *sec = &unit_b(job, u)->image->sections[section];
	struct placed *placed = &job->placed[u];
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
static uint32_t carried_symbol(struct job *job, size_t u, uint32_t number)
{
	const struct symbol *sym = &unit_b(job, u)->image->symtab.symbols[number];
	uint32_t *known = &job->placed[u].symbol[number];
	uint32_t section = carry(job, u, sym->section);

	if (!*known)
		*known = slp_out_symbol(&job->out, sym->type == STT_SECTION ?
					unit_b(job, u)->image->sections[sym->section].name :
					sym->name,
					sym->type == STT_FUNC ? STT_FUNC : STT_NOTYPE,
					section, sym->value, sym->size);
	return *known;
}

/* One string, once: sections of strings are not carried whole. */
static uint32_t string_symbol(struct job *job, size_t u, const struct section *sec, uint64_t at)
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
	struct known_ref *known = ARRAY_ADD(job->known, job->nr_known);

	known->key = mem_strdup(key);
	known->symbol = symbol;
	return symbol;
}

/* ---- translating references --------------------------------------------- */

struct place {
	size_t u;
	const struct unit_part *part;  /* that the reference is in */
	const struct unit_ref *ref;
	const struct symbol *target;   /* named symbol there, or NULL */
};

/* The addend that goes with a symbol at the start of target, not ref->symbol. */
static int64_t addend_from(const struct job *job, const struct place *p)
{
	const struct symbol *named =
		&unit_b(job, p->u)->image->symtab.symbols[p->ref->symbol];

	return p->ref->addend + (int64_t)named->value - (int64_t)p->target->value;
}

static void use_carried(struct job *job, const struct place *p, struct slp_out_reloc *out)
{
	out->symbol = carried_symbol(job, p->u, p->ref->symbol);
	out->addend = p->ref->addend;
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
static struct err *use_twin_or_carry(struct job *job, const struct place *p,
				     struct slp_out_reloc *out)
{
	struct err *err = NULL;

	out->symbol = 0;
	if (p->target)
		err = ref_twin(job, p->u, p->target, &out->symbol);
	if (err && is_personality(p->target))
		err_freep(&err);
	if (err)
		return err;
	if (out->symbol)
		out->addend = addend_from(job, p);
	else
		use_carried(job, p, out);
	return NULL;
}

/*
 * A carried function is called directly, but its address is that of the old
 * entry, which leads to the newest version and stays when the patch goes.
 */
static struct err *use_function(struct job *job, const struct place *p,
				struct slp_out_reloc *out)
{
	enum part_state state = state_of(job, p->u, p->ref->section);
	bool inside = !p->target || p->ref->at != p->target->value;
	struct err *err;

	if (!is_carried_state(state)) {
		if (!p->target)
			return REFUSE("reference-unknown", "code without a name is used");
		if ((err = ref_twin(job, p->u, p->target, &out->symbol)))
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
	if ((err = ref_twin(job, p->u, p->target, &out->symbol)))
		return err;
	if (out->symbol) {
		out->addend = addend_from(job, p);
		return NULL;
	}
	job->keep_memory = true;
	use_carried(job, p, out);
	return NULL;
}

static struct err *use_constant(struct job *job, const struct place *p,
				struct slp_out_reloc *out)
{
	size_t base;

	if (state_of(job, p->u, p->ref->section) == STATE_SAME && p->target &&
	    !unit_is_numbered(p->target->name, &base))
		return use_twin_or_carry(job, p, out);
	use_carried(job, p, out);
	return NULL;
}

static struct err *use_variable(struct job *job, const struct place *p,
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
static size_t definer_of(const struct job *job, size_t object, const char *name,
			 uint32_t *number)
{
	for (size_t u = 0; u < job->emit->nr_units; u++) {
		const struct unit *unit = unit_b(job, u);
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
static bool is_new_export(const struct job *job, size_t u, uint32_t number)
{
	const struct symbol *sym = &unit_b(job, u)->image->symtab.symbols[number];

	return sym->visibility == STV_DEFAULT &&
	       (job->emit->units[u].is_new || state_of(job, u, sym->section) == STATE_NEW) &&
	       !image_find_export(match_of(job, u)->to, sym->name, NULL);
}

/*
 * The unit whose definition of a global name is carried, or may be; SIZE_MAX if it is no
 * unit's of the patch.  What another object exports is an import, for the dynamic linker
 * has said whose it is, unless it comes with the patch.
 */
static size_t carrier_of(const struct job *job, size_t from, const char *name, uint32_t *number)
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

static struct err *translate(struct job *job, size_t u, const struct unit_part *part,
			     const struct unit_ref *ref, struct slp_out_reloc *out);

/* A name that another file defines: perhaps one that is carried, too. */
static struct err *use_undefined(struct job *job, const struct place *p,
				 struct slp_out_reloc *out)
{
	const struct symbol *sym = &unit_b(job, p->u)->image->symtab.symbols[p->ref->symbol];
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
		const struct symbol *there = &unit_b(job, other)->image->symtab.symbols[number];
		struct unit_ref ref = *p->ref;

		ref.symbol = number;
		ref.section = there->section;
		ref.at = there->value;
		return translate(job, other, p->part, &ref, out);
	}
	return ref_undefined(job, p->u, sym, &out->symbol);
}

static struct err *translate(struct job *job, size_t u, const struct unit_part *part,
			     const struct unit_ref *ref, struct slp_out_reloc *out)
{
	const struct unit *unit = unit_b(job, u);
	struct place p = { u, part, ref, NULL };

	out->off = ref->off;
	out->type = ref->type;
	if (!ref->section)
		return use_undefined(job, &p, out);
	p.target = unit_symbol_at(unit, ref->section, ref->at);
	switch (unit->parts[ref->section].kind) {
	case PART_CODE:
		return use_function(job, &p, out);
	case PART_STRINGS:
		out->symbol = string_symbol(job, u, unit->parts[ref->section].section, ref->at);
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

static struct err *translate_section(struct job *job, size_t u, uint32_t section)
{
	const struct unit_part *part = &unit_b(job, u)->parts[section];
	uint32_t to = job->placed[u].section[section] - 1;
	struct err *err;

	job->placed[u].done[section] = true;
	for (size_t i = 0; i < part->nr_refs; i++) {
		struct slp_out_reloc rel = { 0 };

		if ((err = translate(job, u, part, &part->refs[i], &rel)))
			return err_wrap(err, "%s: %s+%#" PRIx64, job->emit->units[u].name,
					part->section->name, part->refs[i].off);
		*ARRAY_ADD(job->out.sections[to].relocs,
			   job->out.sections[to].nr_relocs) = rel;
	}
	return NULL;
}

/* Until nothing more is pulled in. */
static struct err *translate_all(struct job *job)
{
	struct err *err;

	do {
		job->progress = false;
		for (size_t u = 0; u < job->emit->nr_units; u++)
			for (uint32_t n = 1; n < unit_b(job, u)->image->nr_sections; n++)
				if (job->placed[u].section[n] && !job->placed[u].done[n] &&
				    (err = translate_section(job, u, n)))
					return err;
	} while (job->progress);
	return NULL;
}

/* ---- unwind information ------------------------------------------------- */

struct eh_job {
	size_t u;
	const struct unit_part *part;
	uint32_t to;               /* section in out */
	size_t cie_from, cie_to;   /* the CIE copied last */
	bool has_cie;
};

static const struct unit_ref *ref_at(const struct unit_part *part, uint64_t off)
{
	for (size_t i = 0; i < part->nr_refs; i++)
		if (part->refs[i].off == off)
			return &part->refs[i];
	return NULL;
}

/* Copies bytes [from, from + size) with their relocations; returns where. */
static struct err *copy_record(struct job *job, const struct eh_job *eh, size_t from,
			       size_t size, size_t *to)
{
	struct err *err;

	*to = buf_add(&job->out.sections[eh->to].data, eh->part->section->data + from, size);
	for (size_t i = 0; i < eh->part->nr_refs; i++) {
		const struct unit_ref *ref = &eh->part->refs[i];
		struct slp_out_reloc rel = { 0 };

		if (ref->off < from || ref->off >= from + size)
			continue;
		if ((err = translate(job, eh->u, eh->part, ref, &rel)))
			return err_wrap(err, ".eh_frame");
		rel.off = ref->off - from + *to;
		*ARRAY_ADD(job->out.sections[eh->to].relocs,
			   job->out.sections[eh->to].nr_relocs) = rel;
	}
	return NULL;
}

static struct err *copy_fde(struct job *job, struct eh_job *eh, const struct eh_fde *fde)
{
	bool be = job->out.arch->big_endian;
	struct err *err;
	size_t at;

	if (!eh->has_cie || eh->cie_from != fde->cie_off) {
		size_t size = 4 + bytes_get(eh->part->section->data + fde->cie_off, 4, be);

		if ((err = copy_record(job, eh, fde->cie_off, size, &eh->cie_to)))
			return err;
		eh->cie_from = fde->cie_off;
		eh->has_cie = true;
	}
	if ((err = copy_record(job, eh, fde->off, fde->size, &at)))
		return err;
	/* The CIE pointer is the distance back from its own place. */
	bytes_put(job->out.sections[eh->to].data.data + at + 4, 4, at + 4 - eh->cie_to, be);
	return NULL;
}

static struct err *copy_eh_of(struct job *job, size_t u, uint32_t section, uint32_t to)
{
	const struct unit *unit = unit_b(job, u);
	struct eh_job eh = { .u = u, .part = &unit->parts[section], .to = to };
	const struct section *sec = eh.part->section;
	struct eh_section records = { .data = sec->data, .size = sec->size,
				      .big_endian = unit->image->arch->big_endian };
	bool is_fde, done = false;
	struct eh_fde fde;
	size_t off = 0;
	struct err *err;

	while (!done) {
		const struct unit_ref *pc;

		if ((err = eh_next(&records, &off, &fde, &is_fde, &done)))
			return err;
		pc = is_fde ? ref_at(eh.part, fde.pc_off) : NULL;
		if (pc && pc->section && job->placed[u].section[pc->section] &&
		    unit->parts[pc->section].kind == PART_CODE &&
		    (err = copy_fde(job, &eh, &fde)))
			return err;
	}
	return NULL;
}

static struct err *copy_eh(struct job *job)
{
	AUTO_FREE uint32_t *to = mem_alloc(job->emit->nr_objects * sizeof(*to));
	struct err *err = NULL;

	for (size_t i = 0; i < job->emit->nr_objects; i++)
		to[i] = slp_out_section(&job->out, ".eh_frame", SHT_PROGBITS, SHF_ALLOC, 8, i);
	for (size_t u = 0; u < job->emit->nr_units; u++)
		for (uint32_t n = 1; n < unit_b(job, u)->image->nr_sections && !err; n++)
			if (unit_b(job, u)->parts[n].kind == PART_EH &&
			    unit_b(job, u)->parts[n].section->data)
				err = copy_eh_of(job, u, n, to[job->emit->units[u].object]);
	return err;
}

/* ---- functions ---------------------------------------------------------- */

/* Another name at the same place that is no alias in the object: the linker
 * made two functions one, and both would be redirected. */
static const struct symbol *find_folded(const struct job *job, size_t u,
					const struct symbol *linked)
{
	const struct symtab *tab = &match_of(job, u)->from->symtab;
	const struct unit *old = job->emit->units[u].locate.unit;
	const struct symbol *own = unit_find_symbol(old, linked->name);

	for (size_t i = 0; i < tab->nr; i++) {
		const struct symbol *sym = &tab->symbols[i], *alias;

		if (sym->type != STT_FUNC || sym->section == SHN_UNDEF ||
		    sym->value != linked->value || !strcmp(sym->name, linked->name))
			continue;
		alias = unit_find_symbol(old, sym->name);
		if (!alias || !own || alias->section != own->section ||
		    alias->value != own->value)
			return sym;
	}
	return NULL;
}

static struct err *hash_old(const struct match *match, uint64_t vaddr, uint64_t size,
			    const char *name, char hex[65])
{
	const uint8_t *code = image_at(match->to, vaddr, size);
	unsigned char hash[crypto_hash_sha256_BYTES];

	if (!code)
		return REFUSE("no-match", "%s is not in the running binary's file", name);
	crypto_hash_sha256(hash, code, size);
	sodium_bin2hex(hex, 65, hash, sizeof(hash));
	return NULL;
}

static struct err *place_of(const struct match *match, const struct symbol *linked,
			    uint64_t *vaddr)
{
	if (match_vaddr(match, linked->value, vaddr) &&
	    (match->how != MATCH_FUNCTIONS ||
	     match_same_code(match, linked->value, *vaddr, linked->size)))
		return NULL;
	return REFUSE("no-match", "%s of the rebuild is not found in the running binary: its "
		      "code there is other code (another compiler, other flags, another "
		      "version?)", linked->name);
}

/* Its .cold parts, old and new. */
static struct err *add_parts(struct job *job, size_t u, const char *name, json_t *func)
{
	const struct emit_unit *unit = &job->emit->units[u];
	json_t *old = json_array(), *new = json_array();
	const struct unit *b = unit_b(job, u);
	struct err *err = NULL;

	for (size_t i = 0; i < unit->locate.unit->nr_by_name && !err; i++) {
		const struct symbol *sym = unit->locate.unit->by_name[i], *linked;
		uint64_t vaddr;
		size_t size;

		if (!unit_is_cold(sym->name, &size) || size != strlen(name) ||
		    strncmp(sym->name, name, size) ||
		    !(linked = locate_symbol(&unit->locate, sym->name)))
			continue;
		err = place_of(match_of(job, u), linked, &vaddr);
		json_array_append_new(old, json_pack("{so,sI}", "vaddr",
			json_sprintf("%#" PRIx64, vaddr), "size", (json_int_t)linked->size));
	}
	for (size_t i = 0; i < b->nr_by_name; i++) {
		const struct symbol *sym = b->by_name[i];
		size_t size;

		if (unit_is_cold(sym->name, &size) && size == strlen(name) &&
		    !strncmp(sym->name, name, size) &&
		    job->placed[u].section[sym->section])
			json_array_append_new(new, json_integer(carried_symbol(job, u,
				(uint32_t)(sym - b->image->symtab.symbols))));
	}
	json_object_set_new(func, "parts", old);
	json_object_set_new(func, "new_parts", new);
	return err;
}

/* Every file has its copy of an inline function, the program has one. */
static bool is_listed(const struct job *job, size_t u, const struct symbol *linked)
{
	const json_t *func;
	size_t i;

	json_array_foreach(object_of(job, u)->funcs, i, func)
		if (json_integer_value(json_object_get(func, "linked_at")) ==
		    (json_int_t)linked->value)
			return true;
	return false;
}

static struct err *add_function(struct job *job, size_t u, const struct symbol *sym,
				const struct symbol *linked)
{
	const struct emit_object *object = &job->emit->objects[job->emit->units[u].object];
	const struct symbol *folded = find_folded(job, u, linked);
	const struct match *match = object->match;
	uint32_t number = (uint32_t)(sym - unit_b(job, u)->image->symtab.symbols);
	AUTO_FREE char *reason = NULL;
	uint64_t vaddr;
	char hex[65];
	json_t *func;
	struct err *err;

	if (is_listed(job, u, linked))
		return NULL;
	if (folded)
		return REFUSE("folded-function", "%s and %s are one function in the program",
			      sym->name, folded->name);
	if ((err = place_of(match, linked, &vaddr)) ||
	    (err = hash_old(match, vaddr, linked->size, sym->name, hex)))
		return err;
	reason = explain_reason(&job->emit->explain, &job->emit->units[u].compare, sym);
	func = json_pack("{ss,sI,sI,so,sI,ss,sI,ss,ss}", "name", sym->name,
			 "linked_at", (json_int_t)linked->value,
			 "sympos", (json_int_t)locate_sympos(match->from, linked),
			 "vaddr", json_sprintf("%#" PRIx64, vaddr),
			 "size", (json_int_t)linked->size, "old_sha256", hex,
			 "new", (json_int_t)carried_symbol(job, u, number),
			 "reason", reason, "file", unit_b(job, u)->file);
	json_array_append_new(object_of(job, u)->funcs, func);
	job->emit->nr_funcs++;
	if (startup_has(&object->startup, linked->value))
		emit_note(job->emit, "runs-at-start", "%s is called only while the program "
			  "starts, as far as its code tells: in a process that has started "
			  "its change has no effect; what it set up can be changed in a "
			  "callback", sym->name);
	return add_parts(job, u, sym->name, func);
}

/* A function of a section that is carried, if it is another than it was. */
static struct err *add_carried(struct job *job, size_t u, const struct symbol *sym)
{
	struct emit_unit *unit = &job->emit->units[u];
	const struct symbol *linked;
	size_t size, number = (size_t)(sym - unit_b(job, u)->image->symtab.symbols);
	enum part_state state = state_of(job, u, sym->section);

	if (unit_is_cold(sym->name, &size) ||
	    (state == STATE_CHANGED && !unit->compare.differs[number]))
		return NULL;
	if (unit->is_new || state == STATE_NEW || !compare_twin(&unit->compare, sym)) {
		job->emit->nr_new++;
		return NULL;
	}
	linked = locate_symbol(&unit->locate, sym->name);
	if (linked)
		return add_function(job, u, sym, linked);
	emit_note(job->emit, "not-linked", "%s changed, but is not in the linked image", sym->name);
	return NULL;
}

static struct err *add_functions(struct job *job, size_t u)
{
	const struct unit *b = unit_b(job, u);
	struct err *err = NULL;

	for (uint32_t n = 1; n < b->image->nr_sections && !err; n++) {
		size_t nr = 0;
		AUTO_FREE const struct symbol **funcs = job->placed[u].section[n] ?
			unit_functions(b, n, &nr) : NULL;

		for (size_t i = 0; i < nr && !err; i++)
			err = add_carried(job, u, funcs[i]);
	}
	return err;
}

/* ---- callbacks and states: what livepatch.h's macros leave in a unit -------------- */

static const struct symbol *find_own(const struct job *job, size_t u, const char *name)
{
	const struct symbol *sym = unit_find_symbol(unit_b(job, u), name);

	return sym && sym->section && sym->section < unit_b(job, u)->image->nr_sections ? sym :
											 NULL;
}

static struct err *add_callback(struct job *job, size_t u, enum slp_callback which)
{
	AUTO_FREE char *name = mem_fmt("__klp_%s", slp_callback_name(which));
	const struct symbol *sym = find_own(job, u, name);
	struct object *object = object_of(job, u);
	uint32_t number;

	if (!sym)
		return NULL;
	if (json_object_get(object->callbacks, slp_callback_name(which)))
		return REFUSE("two-callbacks", "two files of %s have a %s callback: make one "
			      "of them call the other",
			      job->emit->objects[job->emit->units[u].object].name,
			      slp_callback_name(which));
	number = (uint32_t)(sym - unit_b(job, u)->image->symtab.symbols);
	if (!object->callbacks)
		object->callbacks = json_object();
	json_object_set_new(object->callbacks, slp_callback_name(which),
			    json_integer(carried_symbol(job, u, number)));
	return NULL;
}

/* struct klp_state of livepatch.h: id, version, data; ended by an id of 0. */
static struct err *add_states(struct job *job, size_t u)
{
	enum { STATE_SIZE = 24 };
	const struct symbol *sym = find_own(job, u, "__klp_states");
	bool be = job->out.arch->big_endian;
	const struct section *sec;

	if (!sym)
		return NULL;
	if (job->states)
		return REFUSE("two-states", "two files of the patch have KLP_STATES");
	sec = &unit_b(job, u)->image->sections[sym->section];
	job->states = json_array();
	job->states_symbol = carried_symbol(job, u, (uint32_t)(sym -
					    unit_b(job, u)->image->symtab.symbols));
	for (uint64_t at = sym->value; sec->data && at + STATE_SIZE <= sec->size;
	     at += STATE_SIZE) {
		uint64_t id = bytes_get(sec->data + at, 8, be);

		if (!id)
			break;
		json_array_append_new(job->states, json_pack("{sI,sI}", "id", (json_int_t)id,
			"version", (json_int_t)bytes_get(sec->data + at + 8, 4, be)));
	}
	return NULL;
}

static struct err *add_livepatch(struct job *job, size_t u)
{
	struct err *err = add_states(job, u);

	for (unsigned i = 0; i < NR_CALLBACKS && !err; i++)
		err = add_callback(job, u, (enum slp_callback)i);
	return err;
}

/* Functions that only initialisation calls have run already. */
static void warn_of_init(struct job *job, size_t u)
{
	const struct unit *b = unit_b(job, u);

	for (uint32_t n = 1; n < b->image->nr_sections; n++) {
		const char *name = b->image->sections[n].name;

		if (is_carried_state(state_of(job, u, n)) &&
		    !strncmp(name, ".text.startup.", 14))
			emit_note(job->emit, "runs-at-start", "%s runs when the program "
				  "starts: in a process that has started its change has no "
				  "effect", name + 14);
	}
}

static json_t *json_notes(const struct emit *emit)
{
	json_t *notes = json_array();

	for (size_t i = 0; i < emit->nr_notes; i++)
		json_array_append_new(notes, json_pack("{ss,ss}", "kind",
			emit->notes[i].kind, "text", emit->notes[i].text));
	return notes;
}

static json_t *make_object(const struct job *job, size_t n)
{
	const struct emit_object *object = &job->emit->objects[n];
	AUTO_FREE char *id = image_build_id_hex(object->match->to);
	json_t *meta = json_pack("{ss,ss,sO}", "name", object->name, "build_id", id,
				 "functions", job->objects[n].funcs);

	if (job->objects[n].callbacks)
		json_object_set(meta, "callbacks", job->objects[n].callbacks);
	return meta;
}

static json_t *section_objects(const struct job *job)
{
	json_t *array = json_array();

	for (size_t i = 0; i < job->out.nr_sections; i++)
		json_array_append_new(array, json_integer(
			(json_int_t)job->out.sections[i].object));
	return array;
}

static void make_meta(struct job *job)
{
	const struct emit *emit = job->emit;
	bool is_new = job->states != NULL;
	json_t *objects = json_array();

	for (size_t i = 0; i < json_array_size(job->refs); i++)
		is_new |= !strcmp(json_string_value(json_object_get(
			json_array_get(job->refs, i), "kind")), "patch");
	for (size_t i = 0; i < emit->nr_objects; i++) {
		is_new |= job->objects[i].callbacks != NULL;
		json_array_append_new(objects, make_object(job, i));
	}
	job->out.meta = json_pack("{si,ss,ss,ss,ss,ss,sb,sb,so,sO,so}",
				  "format", emit->nr_objects > 1 ? 3 : is_new ? 2 : 1, "name", emit->patch_name,
				  "description", emit->description,
				  "arch", job->out.arch->name,
				  "created_by", emit->created_by,
				  "matched", match_how_text(emit->objects[0].match->how),
				  "replace", emit->replace, "keep_memory", job->keep_memory,
				  "objects", objects, "references", job->refs,
				  "notes", json_notes(emit));
	json_object_set_new(job->out.meta, "lines", explain_lines(&emit->explain));
	if (emit->nr_objects > 1)
		json_object_set_new(job->out.meta, "sections", section_objects(job));
	if (job->states) {
		json_object_set(job->out.meta, "states", job->states);
		json_object_set_new(job->out.meta, "states_symbol",
				    json_integer(job->states_symbol));
	}
}

static struct err *check_alignment(const struct job *job)
{
	for (size_t i = 0; i < job->out.nr_sections; i++)
		if (job->out.sections[i].align > SLP_MAX_ALIGN)
			return REFUSE("large-alignment", "section %s is to be aligned to %" PRIu64
				      " bytes; what a patch adds can be aligned to %d",
				      job->out.sections[i].name,
				      (uint64_t)job->out.sections[i].align, SLP_MAX_ALIGN);
	return NULL;
}

static struct err *fill(struct job *job)
{
	struct err *err;

	for (size_t u = 0; u < job->emit->nr_units; u++)
		for (uint32_t n = 1; n < unit_b(job, u)->image->nr_sections; n++)
			if (unit_b(job, u)->parts[n].kind == PART_CODE &&
			    unit_b(job, u)->parts[n].section->size &&
			    is_carried_state(state_of(job, u, n)))
				carry(job, u, n);
	for (size_t u = 0; u < job->emit->nr_units; u++)
		if ((err = add_livepatch(job, u)))
			return err_wrap(err, "%s", job->emit->units[u].name);
	if ((err = translate_all(job)))
		return err;
	for (size_t u = 0; u < job->emit->nr_units; u++) {
		if ((err = add_functions(job, u)))
			return err_wrap(err, "%s", job->emit->units[u].name);
		warn_of_init(job, u);
	}
	/* Last: exception tables and personalities may pull more in. */
	if ((err = copy_eh(job)) || (err = translate_all(job)))
		return err;
	if ((err = check_alignment(job)))
		return err;
	for (size_t i = 0; i < job->emit->nr_objects; i++)
		if (!json_array_size(job->objects[i].funcs) && !job->objects[i].callbacks)
			return err_new(ERR_UNSUPPORTED, "nothing-to-patch", "no function of %s "
				       "changes: there is nothing to patch",
				       job->emit->objects[i].name);
	make_meta(job);
	return NULL;
}

static void job_init(struct job *job, struct emit *emit)
{
	*job = (struct job){ .emit = emit };
	job->out.arch = emit->objects[0].match->to->arch;
	job->objects = mem_alloc(emit->nr_objects * sizeof(*job->objects));
	for (size_t i = 0; i < emit->nr_objects; i++)
		job->objects[i].funcs = json_array();
	job->refs = json_array();
	job->placed = mem_alloc(emit->nr_units * sizeof(*job->placed));
	for (size_t u = 0; u < emit->nr_units; u++) {
		const struct image *image = unit_b(job, u)->image;

		job->placed[u].section = mem_alloc(image->nr_sections * sizeof(uint32_t));
		job->placed[u].done = mem_alloc(image->nr_sections * sizeof(bool));
		job->placed[u].symbol = mem_alloc(image->symtab.nr * sizeof(uint32_t));
	}
}

static void job_done(struct job *job)
{
	for (size_t u = 0; u < job->emit->nr_units; u++) {
		free(job->placed[u].section);
		free(job->placed[u].done);
		free(job->placed[u].symbol);
	}
	for (size_t i = 0; i < job->nr_known; i++)
		free(job->known[i].key);
	free(job->known);
	free(job->placed);
	for (size_t i = 0; i < job->emit->nr_objects; i++) {
		json_decref(job->objects[i].funcs);
		json_decref(job->objects[i].callbacks);
	}
	free(job->objects);
	json_decref(job->refs);
	json_decref(job->states);
	slp_out_done(&job->out);
}

struct err *emit_patch(struct emit *emit, const char *path)
{
	struct job job;
	struct err *err;

	job_init(&job, emit);
	err = fill(&job);
	if (!err)
		err = slp_write(&job.out, path);
	job_done(&job);
	return err;
}
