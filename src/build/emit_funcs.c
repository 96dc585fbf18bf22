/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "emit_job.h"

#include <elf.h>
#include <inttypes.h>
#include <sodium.h>
#include <string.h>

#include "mem.h"

#define REFUSE(reason, ...) err_new(ERR_UNSUPPORTED, reason, __VA_ARGS__)

/* Another name at the same place that is no alias in the object: the linker
 * made two functions one, and both would be redirected. */
static const struct symbol *find_folded(const struct emit_job *job, size_t u,
					const struct symbol *linked)
{
	const struct symtab *tab = &emit_match(job, u)->from->symtab;
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
static struct err *add_parts(struct emit_job *job, size_t u, const char *name, json_t *func)
{
	const struct emit_unit *unit = &job->emit->units[u];
	json_t *old = json_array(), *new = json_array();
	const struct unit *b = emit_unit_b(job, u);
	struct err *err = NULL;

	for (size_t i = 0; i < unit->locate.unit->nr_by_name && !err; i++) {
		const struct symbol *sym = unit->locate.unit->by_name[i], *linked;
		uint64_t vaddr;
		size_t size;

		if (!unit_is_cold(sym->name, &size) || size != strlen(name) ||
		    strncmp(sym->name, name, size) ||
		    !(linked = locate_symbol(&unit->locate, sym->name)))
			continue;
		err = place_of(emit_match(job, u), linked, &vaddr);
		json_array_append_new(old, json_pack("{so,sI}", "vaddr",
			json_sprintf("%#" PRIx64, vaddr), "size", (json_int_t)linked->size));
	}
	for (size_t i = 0; i < b->nr_by_name; i++) {
		const struct symbol *sym = b->by_name[i];
		size_t size;

		if (unit_is_cold(sym->name, &size) && size == strlen(name) &&
		    !strncmp(sym->name, name, size) &&
		    job->placed[u].section[sym->section])
			json_array_append_new(new, json_integer(emit_symbol(job, u,
				(uint32_t)(sym - b->image->symtab.symbols))));
	}
	json_object_set_new(func, "parts", old);
	json_object_set_new(func, "new_parts", new);
	return err;
}

/* Every file has its copy of an inline function, the program has one. */
static bool is_listed(const struct emit_job *job, size_t u, const struct symbol *linked)
{
	const json_t *func;
	size_t i;

	json_array_foreach(emit_contents_of(job, u)->funcs, i, func)
		if (json_integer_value(json_object_get(func, "linked_at")) ==
		    (json_int_t)linked->value)
			return true;
	return false;
}

static struct err *add_function(struct emit_job *job, size_t u, const struct symbol *sym,
				const struct symbol *linked)
{
	const struct emit_object *object = &job->emit->objects[job->emit->units[u].object];
	const struct symbol *folded = find_folded(job, u, linked);
	const struct match *match = object->match;
	uint32_t number = (uint32_t)(sym - emit_unit_b(job, u)->image->symtab.symbols);
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
			 "new", (json_int_t)emit_symbol(job, u, number),
			 "reason", reason, "file", emit_unit_b(job, u)->file);
	json_array_append_new(emit_contents_of(job, u)->funcs, func);
	job->emit->nr_funcs++;
	if (startup_has(&object->startup, linked->value))
		emit_note(job->emit, "runs-at-start", "%s is called only while the program "
			  "starts, as far as its code tells: in a process that has started "
			  "its change has no effect; what it set up can be changed in a "
			  "callback", sym->name);
	return add_parts(job, u, sym->name, func);
}

/* A function of a section that is carried, if it is another than it was. */
static struct err *add_carried(struct emit_job *job, size_t u, const struct symbol *sym)
{
	struct emit_unit *unit = &job->emit->units[u];
	const struct symbol *linked;
	size_t size, number = (size_t)(sym - emit_unit_b(job, u)->image->symtab.symbols);
	enum part_state state = emit_state(job, u, sym->section);

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

struct err *emit_functions(struct emit_job *job, size_t u)
{
	const struct unit *b = emit_unit_b(job, u);
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

/* Functions that only initialisation calls have run already. */
void emit_warn_of_init(struct emit_job *job, size_t u)
{
	const struct unit *b = emit_unit_b(job, u);

	for (uint32_t n = 1; n < b->image->nr_sections; n++) {
		const char *name = b->image->sections[n].name;

		if (emit_is_carried(emit_state(job, u, n)) &&
		    !strncmp(name, ".text.startup.", 14))
			emit_note(job->emit, "runs-at-start", "%s runs when the program "
				  "starts: in a process that has started its change has no "
				  "effect", name + 14);
	}
}

