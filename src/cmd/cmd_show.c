/* SPDX-License-Identifier: GPL-2.0-or-later */
/* show: what a patch file says of itself */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cmd.h"
#include "mem.h"
#include "slp.h"

static const char *ref_kind(enum slp_ref_kind kind)
{
	static const char *const names[] = {
		[SLP_REF_ADDRESS] = "address", [SLP_REF_IMPORT] = "import",
		[SLP_REF_TLS] = "tls", [SLP_REF_IFUNC] = "ifunc",
		[SLP_REF_PATCH] = "itself",
	};

	return names[kind];
}

static void print_func(const struct slp *slp, const struct slp_func *func)
{
	uint64_t new_size = slp->image->symtab.symbols[func->symbol].size;

	printf("    %s", func->name);
	if (func->sympos)
		printf(" (number %u of that name)", func->sympos);
	printf(": %" PRIu64 " -> %" PRIu64 " bytes at %#" PRIx64 ", %s\n", func->size,
	       new_size, func->vaddr, func->reason);
	for (size_t i = 0; i < func->nr_parts; i++)
		printf("      and %" PRIu64 " bytes at %#" PRIx64 "\n", func->parts[i].size,
		       func->parts[i].vaddr);
}

static void print_line(const json_t *row)
{
	const json_t *functions = json_object_get(row, "functions"), *name;
	json_int_t first = json_integer_value(json_object_get(row, "first"));
	json_int_t last = json_integer_value(json_object_get(row, "last"));
	const char *file = json_string_value(json_object_get(row, "file"));
	size_t i;

	printf("  %c %s:%" JSON_INTEGER_FORMAT,
	       json_is_true(json_object_get(row, "removed")) ? '-' : '+', file ? file : "?",
	       first);
	if (last != first)
		printf("-%" JSON_INTEGER_FORMAT, last);
	printf(": %s", json_array_size(functions) ? "" :
		       json_is_true(json_object_get(row, "macro")) ?
		       "a macro; its code is where it is used" : "no code of its own");
	json_array_foreach(functions, i, name)
		printf("%s%s", i ? ", " : "", json_is_string(name) ? json_string_value(name) :
								      "?");
	printf("\n");
}

static json_t *meta_of(const struct slp *slp)
{
	const struct section *meta = image_find_section(slp->image, ".stitch.meta");
	json_error_t why;

	return json_loadb((const char *)meta->data, meta->size, 0, &why);
}

/* Which function carries each line of the diff. */
static void print_lines(const struct slp *slp)
{
	json_t *meta = meta_of(slp), *row;
	size_t i;

	json_array_foreach(json_object_get(meta, "lines"), i, row)
		print_line(row);
	json_decref(meta);
}

void cmd_explain(const struct slp *slp)
{
	for (size_t i = 0; i < slp->nr_objects; i++)
		for (size_t j = 0; j < slp->objects[i].nr_funcs; j++)
			printf("  %s: %s\n", slp->objects[i].funcs[j].name,
			       slp->objects[i].funcs[j].reason);
	print_lines(slp);
}

static void print_slp(const struct slp *slp)
{
	printf("patch %s for %s\n", slp->name, slp->image->arch->name);
	if (*slp->description)
		printf("  %s\n", slp->description);
	printf("  SHA-256 %s\n", slp->digest);
	for (size_t i = 0; i < slp->nr_objects; i++) {
		const struct slp_object *object = &slp->objects[i];

		printf("  object %s, build ID %s\n", object->name, object->build_id);
		for (size_t j = 0; j < object->nr_funcs; j++)
			print_func(slp, &object->funcs[j]);
		for (unsigned j = 0; j < NR_CALLBACKS; j++)
			if (object->callbacks[j])
				printf("    callback %s\n", slp_callback_name((enum slp_callback)j));
	}
	for (size_t i = 0; i < slp->nr_states; i++)
		printf("  state %" PRIu64 " in version %" PRIu64 "\n", slp->states[i].id,
		       slp->states[i].version);
	for (size_t i = 0; i < slp->nr_refs; i++) {
		const struct slp_ref *ref = &slp->refs[i];

		printf("  uses %s (%s", ref->name, ref_kind(ref->kind));
		if (ref->kind == SLP_REF_IMPORT)
			printf("%s%s", ref->version ? " " : "",
			       ref->version ? ref->version : "");
		else if (ref->kind != SLP_REF_PATCH)
			printf(" %#" PRIx64 " in %s", ref->vaddr,
			       slp->objects[ref->object].name);
		printf(")\n");
	}
	for (size_t i = 0; i < slp->nr_notes; i++)
		printf("  note: %s: %s\n", slp->notes[i].kind, slp->notes[i].text);
	print_lines(slp);
	if (slp->replace)
		printf("  takes the place of all patches that were applied before it\n");
	if (slp->keep_memory)
		printf("  its memory stays after revert: addresses of its code are taken\n");
}

int cmd_show(const struct options *options)
{
	AUTO_SLP struct slp *slp = NULL;
	json_t *root;
	struct err *err;

	if (options->nr_words != 1)
		return cmd_fail(options, err_new(ERR_USAGE, "usage",
						 "show wants one patch file"));
	err = slp_open(options->words[0], &slp);
	if (err)
		return cmd_fail(options, err);
	if (!options->json) {
		print_slp(slp);
		return EXIT_DONE;
	}
	root = meta_of(slp);
	json_object_set_new(root, "digest", json_string(slp->digest));
	cmd_print_json(root);
	return EXIT_DONE;
}
