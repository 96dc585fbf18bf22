/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "record.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "bytes.h"
#include "event.h"
#include "mem.h"
#include "remote.h"

static const char magic[16] = "stitch record\n\x1a";

/* The header; all numbers little-endian, whatever the machine. */
enum {
	AT_MAGIC = 0, AT_VERSION = 16, AT_ACTIVE = 24, HEADER_SIZE = 64,
	/* a slot: size of the text, its SHA-256, the text */
	SLOT_SIZE = (RECORD_SIZE - HEADER_SIZE) / 2,
	SLOT_TEXT = 8 + crypto_hash_sha256_BYTES,
	MAX_TEXT = SLOT_SIZE - SLOT_TEXT,
	MAX_DISPATCH_BITS = 20,
	DISTANCE = 256 << 20,
	TRIES = 5,           /* of reading it */
};

#define BAD(...) err_new(ERR_UNSUPPORTED, "bad-record", __VA_ARGS__)

static const char *const state_names[] = {
	"loading", "enabling", "applied", "disabling", "restoring", "unloading", "retained",
};

const char *patch_state_name(enum patch_state state)
{
	return state_names[state];
}

void record_func_done(struct record_func *func)
{
	free(func->name);
	free(func->object);
	free(func->build_id);
	free(func->old_parts);
	free(func->new_parts);
}

static void patch_free(struct record_patch *patch)
{
	for (size_t i = 0; i < patch->nr_funcs; i++)
		record_func_done(&patch->funcs[i]);
	free(patch->funcs);
	free(patch->landings);
	free(patch->parts);
	for (size_t i = 0; i < patch->nr_objects; i++)
		free(patch->objects[i].name);
	free(patch->objects);
	free(patch->states);
	free(patch->name);
	free(patch->digest);
	free(patch->description);
	free(patch);
}

void record_done(struct record *record)
{
	for (size_t i = 0; i < record->nr_patches; i++)
		patch_free(record->patches[i]);
	free(record->patches);
	*record = (struct record){ 0 };
}

struct record_patch *record_add(struct record *record)
{
	struct record_patch *patch = mem_alloc(sizeof(*patch));

	*ARRAY_ADD(record->patches, record->nr_patches) = patch;
	return patch;
}

void record_remove(struct record *record, struct record_patch *patch)
{
	struct record_patch **kept = NULL;
	size_t nr = 0;

	for (size_t i = 0; i < record->nr_patches; i++)
		if (record->patches[i] != patch)
			*ARRAY_ADD(kept, nr) = record->patches[i];
	free(record->patches);
	record->patches = kept;
	record->nr_patches = nr;
	patch_free(patch);
}

uint64_t record_memory(const struct record_patch *patch)
{
	uint64_t size = 0;

	for (size_t i = 0; i < patch->nr_parts; i++)
		size += patch->parts[i].arena.size;
	return size;
}

bool record_has_eh(const struct record_patch *patch)
{
	for (size_t i = 0; i < patch->nr_parts; i++)
		if (patch->parts[i].eh_object)
			return true;
	return false;
}

struct record_patch *record_find(const struct record *record, const char *name)
{
	for (size_t i = record->nr_patches; i-- > 0;)
		if (!strcmp(record->patches[i]->name, name))
			return record->patches[i];
	return NULL;
}

static bool is_within(uint64_t addr, const struct range *ranges, size_t nr)
{
	for (size_t i = 0; i < nr; i++)
		if (addr - ranges[i].start < ranges[i].size)
			return true;
	return false;
}

bool record_landing_at(const struct record *record, uint64_t addr)
{
	for (size_t i = 0; i < record->nr_patches; i++)
		if (is_within(addr, record->patches[i]->landings,
			      record->patches[i]->nr_landings))
			return true;
	return false;
}

/* Another patch that leads callers through a gate in the range. */
static struct record_patch *other_user(const struct record *record,
				       const struct record_patch *patch,
				       const struct range *range)
{
	for (size_t i = 0; i < record->nr_patches; i++) {
		struct record_patch *other = record->patches[i];

		if (other == patch || other->state == PATCH_LOADING ||
		    other->state == PATCH_UNLOADING)
			continue;
		for (size_t j = 0; j < other->nr_funcs; j++)
			if (is_within(other->funcs[j].gate, range, 1))
				return other;
	}
	return NULL;
}

void record_hand_on_landings(struct record *record, struct record_patch *patch)
{
	size_t kept = 0;

	for (size_t i = 0; i < patch->nr_landings; i++) {
		const struct range *range = &patch->landings[i];
		struct record_patch *heir = other_user(record, patch, range);

		if (heir)
			*ARRAY_ADD(heir->landings, heir->nr_landings) = *range;
		else
			patch->landings[kept++] = *range;
	}
	patch->nr_landings = kept;
}

const struct record_func *record_top(const struct record *record, uint64_t site,
				     const struct record_patch *limit)
{
	const struct record_func *top = NULL;

	for (size_t i = 0; i < record->nr_patches; i++) {
		const struct record_patch *patch = record->patches[i];

		if (patch == limit)
			break;
		for (size_t j = 0; j < patch->nr_funcs; j++)
			if (patch->state == PATCH_APPLIED && patch->funcs[j].site == site)
				top = &patch->funcs[j];
	}
	return top;
}

/* JSON has no unsigned 64-bit numbers: addresses are hexadecimal strings. */
static json_t *put_hex(uint64_t value)
{
	return json_sprintf("%#" PRIx64, value);
}

static bool parse_hex(const json_t *item, uint64_t *value)
{
	const char *text = json_string_value(item);
	char *end;

	if (!text || !*text)
		return false;
	*value = strtoull(text, &end, 16);
	return !*end;
}

static bool get_hex(const json_t *from, const char *key, uint64_t *value)
{
	return parse_hex(json_object_get(from, key), value);
}

static bool get_string(const json_t *from, const char *key, char **value)
{
	const char *text = json_string_value(json_object_get(from, key));

	if (text)
		*value = mem_strdup(text);
	return text != NULL;
}

static json_t *put_range(struct range r)
{
	return json_pack("[o,o]", put_hex(r.start), put_hex(r.size));
}

static bool parse_range(const json_t *from, struct range *r)
{
	const char *start = json_string_value(json_array_get(from, 0));
	const char *size = json_string_value(json_array_get(from, 1));

	if (!start || !size || json_array_size(from) != 2)
		return false;
	r->start = strtoull(start, NULL, 16);
	r->size = strtoull(size, NULL, 16);
	return r->start + r->size >= r->start;
}

static bool get_range(const json_t *from, const char *key, struct range *r)
{
	return parse_range(json_object_get(from, key), r);
}

static json_t *put_ranges(const struct range *ranges, size_t nr)
{
	json_t *array = json_array();

	for (size_t i = 0; i < nr; i++)
		json_array_append_new(array, put_range(ranges[i]));
	return array;
}

static bool get_ranges(const json_t *from, const char *key, struct range **ranges,
		       size_t *nr)
{
	const json_t *array = json_object_get(from, key);
	const json_t *item;
	size_t i;

	if (!json_is_array(array))
		return false;
	json_array_foreach(array, i, item)
		if (!parse_range(item, ARRAY_ADD(*ranges, *nr)))
			return false;
	return true;
}

static json_t *put_func(const struct record_func *func)
{
	AUTO_FREE char *old = bytes_to_hex(func->old_bytes, sizeof(func->old_bytes));

	return json_pack("{ss,ss,ss,so,ss,so,so,so,sb,sb,sb,sb,so,so,so}", "name", func->name,
			 "object", func->object, "build_id", func->build_id,
			 "site", put_hex(func->site), "old_bytes", old,
			 "new", put_hex(func->new_addr), "gate", put_hex(func->gate),
			 "slot", put_hex(func->slot), "nop", func->nop, "held", func->held,
			 "loops", func->loops, "direct", func->direct,
			 "displaced", put_hex(func->displaced),
			 "old_parts", put_ranges(func->old_parts, func->nr_old_parts),
			 "new_parts", put_ranges(func->new_parts, func->nr_new_parts));
}

static bool get_func(const json_t *from, struct record_func *func)
{
	const char *old = json_string_value(json_object_get(from, "old_bytes"));

	func->nop = json_is_true(json_object_get(from, "nop"));
	func->held = json_is_true(json_object_get(from, "held"));
	func->loops = json_is_true(json_object_get(from, "loops"));
	func->direct = json_is_true(json_object_get(from, "direct"));
	return get_string(from, "name", &func->name) &&
	       get_string(from, "object", &func->object) &&
	       get_string(from, "build_id", &func->build_id) &&
	       get_hex(from, "site", &func->site) && old &&
	       bytes_from_hex(old, func->old_bytes, sizeof(func->old_bytes)) &&
	       get_hex(from, "new", &func->new_addr) &&
	       get_hex(from, "gate", &func->gate) &&
	       get_hex(from, "slot", &func->slot) &&
	       get_hex(from, "displaced", &func->displaced) &&
	       get_ranges(from, "old_parts", &func->old_parts, &func->nr_old_parts) &&
	       get_ranges(from, "new_parts", &func->new_parts, &func->nr_new_parts);
}

static json_t *put_objects(const struct record_patch *patch)
{
	json_t *array = json_array();

	for (size_t i = 0; i < patch->nr_objects; i++) {
		const struct record_object *object = &patch->objects[i];
		json_t *callbacks = json_array();

		for (unsigned j = 0; j < RECORD_CALLBACKS; j++)
			json_array_append_new(callbacks, put_hex(object->callbacks[j]));
		json_array_append_new(array, json_pack("{ss,so,so,sb,sb}",
			"name", object->name, "self", put_hex(object->self),
			"callbacks", callbacks, "pre_patched", object->pre_patched,
			"post_patched", object->post_patched));
	}
	return array;
}

static bool get_object(const json_t *from, struct record_object *object)
{
	const json_t *callbacks = json_object_get(from, "callbacks");

	object->pre_patched = json_is_true(json_object_get(from, "pre_patched"));
	object->post_patched = json_is_true(json_object_get(from, "post_patched"));
	for (unsigned j = 0; j < RECORD_CALLBACKS; j++)
		if (!parse_hex(json_array_get(callbacks, j), &object->callbacks[j]))
			return false;
	return get_string(from, "name", &object->name) &&
	       get_hex(from, "self", &object->self);
}

static json_t *put_states(const struct record_patch *patch)
{
	json_t *array = json_array();

	for (size_t i = 0; i < patch->nr_states; i++)
		json_array_append_new(array, json_pack("[o,o]",
			put_hex(patch->states[i].id), put_hex(patch->states[i].version)));
	return array;
}

/* What only patches that say something to the process have. */
static bool get_livepatch(const json_t *from, struct record_patch *patch)
{
	const json_t *objects = json_object_get(from, "objects"), *item;
	const json_t *states = json_object_get(from, "states");
	size_t i;

	if (!get_hex(from, "self", &patch->self) ||
	    !get_hex(from, "call_code", &patch->call_code) ||
	    !get_hex(from, "call_stack", &patch->call_stack) ||
	    !get_hex(from, "calling", &patch->calling) ||
	    !json_is_array(objects) || !json_is_array(states))
		return false;
	json_array_foreach(objects, i, item)
		if (!get_object(item, ARRAY_ADD(patch->objects, patch->nr_objects)))
			return false;
	json_array_foreach(states, i, item) {
		struct record_state *state = ARRAY_ADD(patch->states, patch->nr_states);

		if (!parse_hex(json_array_get(item, 0), &state->id) ||
		    !parse_hex(json_array_get(item, 1), &state->version))
			return false;
	}
	return patch->calling <= RECORD_CALLBACKS * patch->nr_objects;
}

static json_t *put_parts(const struct record_patch *patch)
{
	json_t *array = json_array();

	for (size_t i = 0; i < patch->nr_parts; i++) {
		const struct record_part *part = &patch->parts[i];

		json_array_append_new(array, json_pack("{so,so,so,so,so,so,so,so}",
			"arena", put_range(part->arena), "code", put_range(part->code),
			"rodata", put_range(part->rodata), "data", put_range(part->data),
			"islands", put_range(part->islands),
			"eh_frame", put_hex(part->eh_frame),
			"eh_frame_size", put_hex(part->eh_frame_size),
			"eh_object", put_hex(part->eh_object)));
	}
	return array;
}

static bool get_part(const json_t *from, struct record_part *part)
{
	return get_range(from, "arena", &part->arena) &&
	       get_range(from, "code", &part->code) &&
	       get_range(from, "rodata", &part->rodata) &&
	       get_range(from, "data", &part->data) &&
	       get_range(from, "islands", &part->islands) &&
	       get_hex(from, "eh_frame", &part->eh_frame) &&
	       get_hex(from, "eh_frame_size", &part->eh_frame_size) &&
	       get_hex(from, "eh_object", &part->eh_object);
}

static bool get_parts(const json_t *from, struct record_patch *patch)
{
	const json_t *parts = json_object_get(from, "parts"), *item;
	size_t i;

	json_array_foreach(parts, i, item)
		if (!get_part(item, ARRAY_ADD(patch->parts, patch->nr_parts)))
			return false;
	return patch->nr_parts;
}

static json_t *put_patch(const struct record_patch *patch)
{
	json_t *funcs = json_array();

	for (size_t i = 0; i < patch->nr_funcs; i++)
		json_array_append_new(funcs, put_func(&patch->funcs[i]));
	return json_pack("{ss,ss,so,ss,sI,ss,sb,sb,sb,sb,so,so,so,sI,so,so,so,so,so,so,so}",
			 "name", patch->name, "digest", patch->digest,
			 "dispatcher", put_range(patch->dispatcher),
			 "description", patch->description,
			 "applied_at", (json_int_t)patch->applied_at,
			 "state", state_names[patch->state],
			 "replace", patch->replace, "keep_memory", patch->keep_memory,
			 "had_memory", patch->had_memory, "forced", patch->forced,
			 "parts", put_parts(patch),
			 "landings", put_ranges(patch->landings, patch->nr_landings),
			 "dispatch", put_hex(patch->dispatch),
			 "dispatch_bits", (json_int_t)patch->dispatch_bits,
			 "functions", funcs,
			 "self", put_hex(patch->self),
			 "call_code", put_hex(patch->call_code),
			 "call_stack", put_hex(patch->call_stack),
			 "calling", put_hex(patch->calling),
			 "objects", put_objects(patch), "states", put_states(patch));
}

static bool get_state(const json_t *from, enum patch_state *state)
{
	const char *name = json_string_value(json_object_get(from, "state"));

	for (unsigned i = 0; name && i < ARRAY_SIZE(state_names); i++)
		if (!strcmp(name, state_names[i])) {
			*state = (enum patch_state)i;
			return true;
		}
	return false;
}

static bool get_patch(const json_t *from, struct record_patch *patch)
{
	const json_t *funcs = json_object_get(from, "functions"), *item;
	json_int_t bits = json_integer_value(json_object_get(from, "dispatch_bits"));
	size_t i;

	patch->applied_at = (uint64_t)json_integer_value(json_object_get(from, "applied_at"));
	patch->replace = json_is_true(json_object_get(from, "replace"));
	patch->keep_memory = json_is_true(json_object_get(from, "keep_memory"));
	patch->had_memory = json_is_true(json_object_get(from, "had_memory"));
	patch->forced = json_is_true(json_object_get(from, "forced"));
	patch->dispatch_bits = (unsigned)bits;
	if (!get_string(from, "name", &patch->name) ||
	    !get_string(from, "digest", &patch->digest) ||
	    !get_string(from, "description", &patch->description) ||
	    !get_state(from, &patch->state) ||
	    !get_parts(from, patch) ||
	    !get_range(from, "dispatcher", &patch->dispatcher) ||
	    !get_ranges(from, "landings", &patch->landings, &patch->nr_landings) ||
	    !get_hex(from, "dispatch", &patch->dispatch) ||
	    bits < (patch->dispatch ? 1 : 0) || bits > MAX_DISPATCH_BITS ||
	    !json_is_array(funcs))
		return false;
	json_array_foreach(funcs, i, item)
		if (!get_func(item, ARRAY_ADD(patch->funcs, patch->nr_funcs)))
			return false;
	return get_livepatch(from, patch);
}

struct err *record_parse(const char *text, size_t size, struct record *record)
{
	json_error_t why;
	json_t *root = json_loadb(text, size, JSON_REJECT_DUPLICATES, &why);
	const json_t *patches = json_object_get(root, "patches"), *item;
	struct err *err = NULL;
	size_t i;

	if (!root || !json_is_array(patches) || !get_hex(root, "runtime", &record->runtime)) {
		json_decref(root);
		return BAD("its text cannot be read%s%s", root ? "" : ": ",
			   root ? "" : why.text);
	}
	json_array_foreach(patches, i, item)
		if (!err && !get_patch(item, record_add(record)))
			err = BAD("its patch number %zu cannot be read", i + 1);
	json_decref(root);
	return err;
}

static struct err *read_slot(const struct process *process, struct record *record)
{
	uint64_t slot = record->addr + HEADER_SIZE + (record->active & 1) * SLOT_SIZE, size;
	uint8_t head[SLOT_TEXT], hash[crypto_hash_sha256_BYTES];
	AUTO_FREE uint8_t *text = NULL;
	struct err *err = process_read(process, slot, head, sizeof(head));

	if (err)
		return err;
	size = bytes_get(head, 8, false);
	if (size > MAX_TEXT)
		return BAD("its text has %" PRIu64 " bytes", size);
	text = mem_alloc(size);
	if ((err = process_read(process, slot + SLOT_TEXT, text, size)))
		return err;
	crypto_hash_sha256(hash, text, size);
	if (memcmp(hash, head + 8, sizeof(hash)))
		return BAD("its text is damaged");
	return record_parse((const char *)text, size, record);
}

/* No more than what it has: a mapping of 1 MiB is empty but for some pages. */
static struct err *read_mapping(const struct process *process, struct record *record)
{
	uint8_t head[HEADER_SIZE];
	struct err *err = process_read(process, record->addr, head, sizeof(head));
	uint64_t version;

	if (err)
		return err;
	version = bytes_get(head + AT_VERSION, 4, false);
	/* Formats 1 to 4 were never released. */
	if (version < RECORD_VERSION)
		return BAD("it has the format %" PRIu64 " of an older stitch", version);
	if (version > RECORD_VERSION)
		return err_new(ERR_UNSUPPORTED, "record-too-new",
			       "it was written by a newer stitch (format %" PRIu64
			       ", this one knows %d)", version, RECORD_VERSION);
	record->active = bytes_get(head + AT_ACTIVE, 8, false);
	return read_slot(process, record);
}

static bool is_candidate(const struct map *map)
{
	return !map->inode && map->read && !map->write && !map->exec && !map->shared;
}

/*
 * Mappings of ours may be merged with neighbours of the same kind, so every
 * page of a candidate could be the record's first; the record is aligned to
 * its size to keep the search short.
 */
static bool find_in_map(const struct process *process, const struct map *map,
			uint64_t *addr)
{
	uint64_t at = (map->start + RECORD_SIZE - 1) & ~(uint64_t)(RECORD_SIZE - 1);
	char head[sizeof(magic)];

	for (; at + RECORD_SIZE <= map->end; at += RECORD_SIZE)
		if (process_try_read(process, at, head, sizeof(head)) &&
		    !memcmp(head, magic, sizeof(magic))) {
			*addr = at;
			return true;
		}
	return false;
}

static struct err *read_once(const struct process *process, struct record *record)
{
	struct err *err;

	*record = (struct record){ 0 };
	for (size_t i = 0; i < process->maps.nr && !record->addr; i++)
		if (is_candidate(&process->maps.map[i]))
			find_in_map(process, &process->maps.map[i], &record->addr);
	if (!record->addr)
		return NULL;
	if ((err = read_mapping(process, record)))
		record_done(record);
	return err;
}

/*
 * Who only looks has no lock: another stitch may unmap the record meanwhile, or write it twice
 * and so what is just being read.
 */
struct err *record_read(const struct process *process, struct record *record)
{
	struct err *err;

	for (unsigned try = 1; (err = read_once(process, record)) && !err_is_gone(err) &&
	     try < TRIES; try++)
		err_free(err);
	return err_wrap(err, "process %d: the record of its patches", process->pid);
}

static struct err *write_empty(const struct process *process, struct record *record)
{
	uint8_t head[AT_ACTIVE + 8] = { 0 };
	struct err *err;

	/* The magic comes last: a record without it is not one. */
	record->active = 0;
	if ((err = record_prepare(process, record)) ||
	    (err = record_commit(process, record)))
		return err;
	bytes_put(head + AT_VERSION, 4, RECORD_VERSION, false);
	bytes_put(head + AT_ACTIVE, 8, record->active, false);
	if ((err = process_write(process, record->addr, head, sizeof(head))) ||
	    (err = event_step("record-magic")))
		return err;
	return process_write(process, record->addr, magic, sizeof(magic));
}

/*
 * A place anywhere, aligned to its size; far from the program if there is room, for patches
 * need what is near it, and some jumps can lead to one page only (redirect/landing.h).
 */
static uint64_t choose_place(const struct process *process)
{
	const struct object *program = process_program(process);
	uint64_t at = maps_find_room(&process->maps, program->start, program->end,
				     2 * RECORD_SIZE + DISTANCE, UINT64_C(1) << 40);

	if (!at)
		at = maps_find_room(&process->maps, program->start, program->end,
				    2 * RECORD_SIZE, UINT64_C(1) << 40);
	return (at + RECORD_SIZE - 1) & ~(uint64_t)(RECORD_SIZE - 1);
}

static struct err *map_record(struct process *process, struct record *record)
{
	struct remote_mapping map = { { choose_place(process), RECORD_SIZE }, PROT_READ,
				      MAP_NORESERVE };
	struct err *err;

	if ((err = event_step("record-map")) || (err = remote_map(process, &map, 1)))
		return err;
	record->addr = map.range.start;
	event("mapped record size=%d", RECORD_SIZE);
	return write_empty(process, record);
}

struct err *record_create(struct process *process, struct record *record)
{
	struct err *err = NULL;
	int tries = 0;

	if (record->addr)
		return NULL;
	/* A thread that an earlier tool died over may only now map that one's record. */
	do
		err = map_record(process, record);
	while (remote_look_elsewhere(process, &err, &tries));
	return err;
}

struct err *record_prepare(const struct process *process, const struct record *record)
{
	uint64_t slot = record->addr + HEADER_SIZE + (~record->active & 1) * SLOT_SIZE;
	json_t *patches = json_array(), *root;
	AUTO_FREE char *text = NULL;
	AUTO_BUF struct buf buf = { 0 };
	size_t size;

	for (size_t i = 0; i < record->nr_patches; i++)
		json_array_append_new(patches, put_patch(record->patches[i]));
	root = json_pack("{so,so}", "patches", patches, "runtime", put_hex(record->runtime));
	text = json_dumps(root, JSON_COMPACT);
	json_decref(root);
	if (!text)
		return err_new(ERR_FAILED, "bad-record", "it cannot be written as JSON");
	size = strlen(text);
	if (size > MAX_TEXT)
		return err_new(ERR_UNSUPPORTED, "record-full",
			       "process %d: the record of its patches would need %zu bytes",
			       process->pid, size);
	buf_add(&buf, NULL, SLOT_TEXT);
	buf_add(&buf, text, size);
	bytes_put(buf.data, 8, size, false);
	crypto_hash_sha256(buf.data + 8, (const uint8_t *)text, size);
	return process_write(process, slot, buf.data, buf.size);
}

struct err *record_commit(const struct process *process, struct record *record)
{
	uint64_t active = (record->active / 2 + 1) * 2 + (~record->active & 1);
	uint8_t word[8];
	struct err *err;

	bytes_put(word, 8, active, false);
	err = process_write(process, record->addr + AT_ACTIVE, word, sizeof(word));
	if (!err)
		record->active = active;
	return err;
}

struct err *record_write(const struct process *process, struct record *record)
{
	struct err *err = record_prepare(process, record);

	return err ? err : record_commit(process, record);
}
