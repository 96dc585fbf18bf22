/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "emit_job.h"

#include <string.h>

#include "bytes.h"
#include "mem.h"

#define REFUSE(reason, ...) err_new(ERR_UNSUPPORTED, reason, __VA_ARGS__)

/* ---- callbacks and states: what livepatch.h's macros leave in a unit -------------- */

static const struct symbol *find_own(const struct emit_job *job, size_t u, const char *name)
{
	const struct symbol *sym = unit_find_symbol(emit_unit_b(job, u), name);

	return sym && sym->section && sym->section < emit_unit_b(job, u)->image->nr_sections ? sym :
											 NULL;
}

static struct err *add_callback(struct emit_job *job, size_t u, enum slp_callback which)
{
	AUTO_FREE char *name = mem_fmt("__klp_%s", slp_callback_name(which));
	const struct symbol *sym = find_own(job, u, name);
	struct emit_contents *object = emit_contents_of(job, u);
	uint32_t number;

	if (!sym)
		return NULL;
	if (json_object_get(object->callbacks, slp_callback_name(which)))
		return REFUSE("two-callbacks", "two files of %s have a %s callback: make one "
			      "of them call the other",
			      job->emit->objects[job->emit->units[u].object].name,
			      slp_callback_name(which));
	number = (uint32_t)(sym - emit_unit_b(job, u)->image->symtab.symbols);
	if (!object->callbacks)
		object->callbacks = json_object();
	json_object_set_new(object->callbacks, slp_callback_name(which),
			    json_integer(emit_symbol(job, u, number)));
	return NULL;
}

/* struct klp_state of livepatch.h: id, version, data; ended by an id of 0. */
static struct err *add_states(struct emit_job *job, size_t u)
{
	enum { STATE_SIZE = 24 };
	const struct symbol *sym = find_own(job, u, "__klp_states");
	bool be = job->out.arch->big_endian;
	const struct section *sec;

	if (!sym)
		return NULL;
	if (job->states)
		return REFUSE("two-states", "two files of the patch have KLP_STATES");
	sec = &emit_unit_b(job, u)->image->sections[sym->section];
	job->states = json_array();
	job->states_symbol = emit_symbol(job, u, (uint32_t)(sym -
					    emit_unit_b(job, u)->image->symtab.symbols));
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

struct err *emit_livepatch(struct emit_job *job, size_t u)
{
	struct err *err = add_states(job, u);

	for (unsigned i = 0; i < NR_CALLBACKS && !err; i++)
		err = add_callback(job, u, (enum slp_callback)i);
	return err;
}

static json_t *json_notes(const struct emit *emit)
{
	json_t *notes = json_array();

	for (size_t i = 0; i < emit->nr_notes; i++)
		json_array_append_new(notes, json_pack("{ss,ss}", "kind",
			emit->notes[i].kind, "text", emit->notes[i].text));
	return notes;
}

static json_t *make_object(const struct emit_job *job, size_t n)
{
	const struct emit_object *object = &job->emit->objects[n];
	AUTO_FREE char *id = image_build_id_hex(object->match->to);
	json_t *meta = json_pack("{ss,ss,sO}", "name", object->name, "build_id", id,
				 "functions", job->objects[n].funcs);

	if (job->objects[n].callbacks)
		json_object_set(meta, "callbacks", job->objects[n].callbacks);
	return meta;
}

static json_t *section_objects(const struct emit_job *job)
{
	json_t *array = json_array();

	for (size_t i = 0; i < job->out.nr_sections; i++)
		json_array_append_new(array, json_integer(
			(json_int_t)job->out.sections[i].object));
	return array;
}

void emit_meta(struct emit_job *job)
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

