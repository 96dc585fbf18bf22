/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "slp.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bytes.h"
#include "mem.h"

enum { MAX_FILE = 256 << 20 };

#define BAD(...) err_new(ERR_FAILED, "bad-patch", __VA_ARGS__)

static const char *const callback_names[NR_CALLBACKS] = {
	[CALLBACK_PRE_PATCH] = "pre_patch", [CALLBACK_POST_PATCH] = "post_patch",
	[CALLBACK_PRE_UNPATCH] = "pre_unpatch", [CALLBACK_POST_UNPATCH] = "post_unpatch",
};

static bool get_string(const json_t *from, const char *key, char **value)
{
	const char *text = json_string_value(json_object_get(from, key));

	if (text)
		*value = mem_strdup(text);
	return text != NULL;
}

/* A number written as a hexadecimal string, or plain. */
static bool get_number(const json_t *from, const char *key, uint64_t *value)
{
	const json_t *item = json_object_get(from, key);
	const char *text = json_string_value(item);
	char *end;

	if (json_is_integer(item) && json_integer_value(item) >= 0) {
		*value = (uint64_t)json_integer_value(item);
		return true;
	}
	if (!text || !*text)
		return false;
	*value = strtoull(text, &end, 0);
	return !*end;
}

static bool get_symbol(const struct slp *slp, const json_t *item, bool defined,
		       uint32_t *symbol)
{
	const struct symtab *tab = &slp->image->symtab;
	json_int_t n = json_integer_value(item);

	if (!json_is_integer(item) || n <= 0 || (uint64_t)n >= tab->nr)
		return false;
	*symbol = (uint32_t)n;
	if (!defined)
		return tab->symbols[n].section == SHN_UNDEF;
	return tab->symbols[n].section && tab->symbols[n].section < slp->image->nr_sections &&
	       tab->symbols[n].value <= slp->image->sections[tab->symbols[n].section].size;
}

static bool load_parts(const json_t *from, struct slp_func *func)
{
	const json_t *array = json_object_get(from, "parts"), *item;
	size_t i;

	json_array_foreach(array, i, item) {
		struct slp_part *part = ARRAY_ADD(func->parts, func->nr_parts);

		if (!get_number(item, "vaddr", &part->vaddr) ||
		    !get_number(item, "size", &part->size) ||
		    part->vaddr + part->size < part->vaddr)
			return false;
	}
	return true;
}

static bool load_func(const struct slp *slp, const json_t *from, struct slp_func *func)
{
	const json_t *parts = json_object_get(from, "new_parts"), *item;
	const char *hash = json_string_value(json_object_get(from, "old_sha256"));
	uint64_t sympos = 0;
	size_t i;

	if (!get_string(from, "name", &func->name) ||
	    !get_number(from, "sympos", &sympos) || sympos > UINT32_MAX ||
	    !get_number(from, "vaddr", &func->vaddr) ||
	    !get_number(from, "size", &func->size) || !func->size ||
	    func->vaddr + func->size < func->vaddr || !hash ||
	    !bytes_from_hex(hash, func->old_hash, SLP_HASH_SIZE) ||
	    !get_string(from, "reason", &func->reason) ||
	    !get_symbol(slp, json_object_get(from, "new"), true, &func->symbol) ||
	    !load_parts(from, func))
		return false;
	func->sympos = (unsigned)sympos;
	json_array_foreach(parts, i, item)
		if (!get_symbol(slp, item, true,
				ARRAY_ADD(func->part_symbols, func->nr_part_symbols)))
			return false;
	return true;
}

static bool load_callbacks(const struct slp *slp, const json_t *from,
			   struct slp_object *object)
{
	const json_t *all = json_object_get(from, "callbacks");

	for (unsigned i = 0; i < NR_CALLBACKS; i++) {
		const json_t *item = json_object_get(all, callback_names[i]);

		if (item && !get_symbol(slp, item, true, &object->callbacks[i]))
			return false;
	}
	return true;
}

/* A patch of one object has no need to say it. */
static bool load_sections(struct slp *slp, const json_t *meta)
{
	const json_t *array = json_object_get(meta, "sections"), *item;
	size_t i;

	slp->section_object = mem_alloc(slp->image->nr_sections * sizeof(uint32_t));
	if (slp->nr_objects < 2)
		return true;
	json_array_foreach(array, i, item) {
		json_int_t object = json_integer_value(item);

		/* Section 0 of an ELF file is none. */
		if (i + 1 >= slp->image->nr_sections || object < 0 ||
		    (size_t)object >= slp->nr_objects)
			return false;
		slp->section_object[i + 1] = (uint32_t)object;
	}
	return json_is_array(array);
}

static bool is_beside(const struct slp *slp, uint32_t symbol, size_t object)
{
	uint32_t section = slp->image->symtab.symbols[symbol].section;

	return section < slp->image->nr_sections && slp->section_object[section] == object;
}

/* What an object has of the patch is linked beside it. */
static bool check_sections(const struct slp *slp, size_t object)
{
	const struct slp_object *o = &slp->objects[object];
	bool good = true;

	for (size_t i = 0; i < o->nr_funcs; i++) {
		good &= is_beside(slp, o->funcs[i].symbol, object);
		for (size_t j = 0; j < o->funcs[i].nr_part_symbols; j++)
			good &= is_beside(slp, o->funcs[i].part_symbols[j], object);
	}
	for (unsigned i = 0; i < NR_CALLBACKS; i++)
		good &= !o->callbacks[i] || is_beside(slp, o->callbacks[i], object);
	return good;
}

static bool load_states(struct slp *slp, const json_t *meta)
{
	const json_t *array = json_object_get(meta, "states"), *item;
	size_t i;

	if (!array)
		return true;
	json_array_foreach(array, i, item) {
		struct slp_state *state = ARRAY_ADD(slp->states, slp->nr_states);

		if (!get_number(item, "id", &state->id) || !state->id ||
		    !get_number(item, "version", &state->version))
			return false;
	}
	return get_symbol(slp, json_object_get(meta, "states_symbol"), true,
			  &slp->states_symbol);
}

static struct err *load_object(const struct slp *slp, const json_t *from,
			       struct slp_object *object)
{
	const json_t *funcs = json_object_get(from, "functions"), *item;
	size_t i;

	if (!get_string(from, "name", &object->name) ||
	    !get_string(from, "build_id", &object->build_id) ||
	    strlen(object->build_id) > 128 || !json_is_array(funcs))
		return BAD("an object's name, build ID or functions are missing");
	json_array_foreach(funcs, i, item)
		if (!load_func(slp, item, ARRAY_ADD(object->funcs, object->nr_funcs)))
			return BAD("%s: function number %zu cannot be read",
				   object->name, i + 1);
	if (!load_callbacks(slp, from, object))
		return BAD("%s: its callbacks cannot be read", object->name);
	return NULL;
}

static bool load_ref(const struct slp *slp, const json_t *from, struct slp_ref *ref)
{
	const char *kind = json_string_value(json_object_get(from, "kind"));
	uint64_t object = 0;

	if (!kind || !get_symbol(slp, json_object_get(from, "symbol"), false,
				 &ref->symbol) ||
	    !get_number(from, "object", &object) || object >= slp->nr_objects)
		return false;
	ref->object = (unsigned)object;
	if (!strcmp(kind, "import")) {
		ref->kind = SLP_REF_IMPORT;
		get_string(from, "version", &ref->version);
		ref->weak = json_is_true(json_object_get(from, "weak"));
		return get_string(from, "name", &ref->name);
	}
	if (!strcmp(kind, "patch")) {
		ref->kind = SLP_REF_PATCH;
		return get_string(from, "name", &ref->name);
	}
	ref->kind = !strcmp(kind, "tls") ? SLP_REF_TLS :
		    !strcmp(kind, "ifunc") ? SLP_REF_IFUNC : SLP_REF_ADDRESS;
	if (ref->kind == SLP_REF_ADDRESS && strcmp(kind, "address"))
		return false;
	return get_string(from, "name", &ref->name) &&
	       get_number(from, "vaddr", &ref->vaddr);
}

static void load_notes(struct slp *slp, const json_t *meta)
{
	const json_t *array = json_object_get(meta, "notes"), *item;
	size_t i;

	json_array_foreach(array, i, item) {
		struct slp_note *note = ARRAY_ADD(slp->notes, slp->nr_notes);

		if (!get_string(item, "kind", &note->kind))
			note->kind = mem_strdup("");
		if (!get_string(item, "text", &note->text))
			note->text = mem_strdup("");
	}
}

static struct err *load_meta(struct slp *slp, const json_t *meta)
{
	const json_t *objects = json_object_get(meta, "objects");
	const json_t *refs = json_object_get(meta, "references"), *item;
	uint64_t format = 0;
	struct err *err;
	size_t i;

	if (!get_number(meta, "format", &format))
		return BAD("its format number is missing");
	if (format > SLP_FORMAT)
		return err_new(ERR_UNSUPPORTED, "patch-too-new",
			       "it has format %lu, this stitch knows %d",
			       (unsigned long)format, SLP_FORMAT);
	if (!get_string(meta, "name", &slp->name) || !*slp->name ||
	    strlen(slp->name) > 255 || !json_is_array(objects) || !json_is_array(refs))
		return BAD("its name, objects or references are missing");
	if (!get_string(meta, "description", &slp->description))
		slp->description = mem_strdup("");
	slp->replace = json_is_true(json_object_get(meta, "replace"));
	slp->keep_memory = json_is_true(json_object_get(meta, "keep_memory"));
	json_array_foreach(objects, i, item)
		if ((err = load_object(slp, item, ARRAY_ADD(slp->objects,
							    slp->nr_objects))))
			return err;
	if (!load_sections(slp, meta))
		return BAD("it does not say whose its sections are");
	for (i = 0; i < slp->nr_objects; i++)
		if (!check_sections(slp, i))
			return BAD("what %s has of it is another object's",
				   slp->objects[i].name);
	json_array_foreach(refs, i, item)
		if (!load_ref(slp, item, ARRAY_ADD(slp->refs, slp->nr_refs)))
			return BAD("reference number %zu cannot be read", i + 1);
	if (!load_states(slp, meta))
		return BAD("its states cannot be read");
	load_notes(slp, meta);
	if (slp_nr_funcs(slp) > SLP_MAX_FUNCS)
		return err_new(ERR_UNSUPPORTED, "too-many-functions",
			       "it replaces %zu functions, at most %d can be in one patch",
			       slp_nr_funcs(slp), SLP_MAX_FUNCS);
	return NULL;
}

static struct err *load(struct slp *slp)
{
	const struct section *sec = image_find_section(slp->image, ".stitch.meta");
	json_error_t why;
	json_t *meta;
	struct err *err;

	if (slp->image->type != ET_REL || !sec || !sec->data)
		return BAD("not a stitch patch: no section .stitch.meta");
	meta = json_loadb((const char *)sec->data, sec->size, JSON_REJECT_DUPLICATES, &why);
	if (!meta)
		return BAD("its description cannot be read: %s", why.text);
	err = load_meta(slp, meta);
	json_decref(meta);
	return err;
}

struct err *slp_from_bytes(void *data, size_t size, struct slp **result)
{
	uint8_t hash[SLP_HASH_SIZE];
	struct slp *slp = mem_alloc(sizeof(*slp));
	struct err *err;

	crypto_hash_sha256(hash, data, size);
	sodium_bin2hex(slp->digest, sizeof(slp->digest), hash, sizeof(hash));
	err = image_from_bytes(data, size, &slp->image);
	if (!err)
		err = arch_need_patch(slp->image->arch);
	if (!err)
		err = load(slp);
	if (err)
		slp_free(slp);
	else
		*result = slp;
	return err;
}

struct err *slp_open(const char *path, struct slp **slp)
{
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	void *data;

	if (fd < 0 || fstat(fd, &st))
		return err_new(ERR_FAILED, "bad-patch", "%s: %s", path, strerror(errno));
	if (!S_ISREG(st.st_mode) || st.st_size > MAX_FILE)
		return BAD("%s: not a stitch patch", path);
	data = mem_alloc((size_t)st.st_size);
	if (read(fd, data, (size_t)st.st_size) != st.st_size) {
		free(data);
		return BAD("%s: cannot be read", path);
	}
	return err_wrap(slp_from_bytes(data, (size_t)st.st_size, slp), "%s", path);
}

static void object_done(struct slp_object *object)
{
	for (size_t i = 0; i < object->nr_funcs; i++) {
		free(object->funcs[i].name);
		free(object->funcs[i].parts);
		free(object->funcs[i].part_symbols);
		free(object->funcs[i].reason);
	}
	free(object->funcs);
	free(object->name);
	free(object->build_id);
}

void slp_free(struct slp *slp)
{
	if (!slp)
		return;
	for (size_t i = 0; i < slp->nr_objects; i++)
		object_done(&slp->objects[i]);
	for (size_t i = 0; i < slp->nr_refs; i++) {
		free(slp->refs[i].name);
		free(slp->refs[i].version);
	}
	for (size_t i = 0; i < slp->nr_notes; i++) {
		free(slp->notes[i].kind);
		free(slp->notes[i].text);
	}
	free(slp->objects);
	free(slp->section_object);
	free(slp->states);
	free(slp->refs);
	free(slp->notes);
	free(slp->name);
	free(slp->description);
	image_free(slp->image);
	free(slp);
}

void slp_freep(struct slp **slp)
{
	slp_free(*slp);
}

const struct slp_ref *slp_find_ref(const struct slp *slp, uint32_t symbol)
{
	for (size_t i = 0; i < slp->nr_refs; i++)
		if (slp->refs[i].symbol == symbol)
			return &slp->refs[i];
	return NULL;
}

bool slp_has_callbacks(const struct slp *slp)
{
	for (size_t i = 0; i < slp->nr_objects; i++)
		for (unsigned j = 0; j < NR_CALLBACKS; j++)
			if (slp->objects[i].callbacks[j])
				return true;
	return false;
}

bool slp_needs_runtime(const struct slp *slp)
{
	for (size_t i = 0; i < slp->nr_refs; i++)
		if (slp->refs[i].kind == SLP_REF_PATCH)
			return true;
	return slp->nr_states || slp_has_callbacks(slp);
}

const char *slp_callback_name(enum slp_callback which)
{
	return callback_names[which];
}

size_t slp_nr_funcs(const struct slp *slp)
{
	size_t nr = 0;

	for (size_t i = 0; i < slp->nr_objects; i++)
		nr += slp->objects[i].nr_funcs;
	return nr;
}
