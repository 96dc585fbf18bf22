/* SPDX-License-Identifier: GPL-2.0-or-later */
/* build: a patch file from a source tree and a diff */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "build.h"
#include "cmd.h"
#include "maps.h"
#include "mem.h"

static void print_progress(void *arg, const char *text)
{
	const struct options *options = arg;

	if (!options->json)
		fprintf(stderr, "stitch build: %s\n", text);
}

/* The program and libraries of a process, by what is mapped. */
static struct err *binaries_of(pid_t pid, char ***binaries, size_t *nr)
{
	AUTO_MAPS struct maps maps = { 0 };
	struct err *err = maps_read(pid, &maps);

	for (size_t i = 0; !err && i < maps.nr; i++)
		if (maps.map[i].exec && maps.map[i].inode)
			*ARRAY_ADD(*binaries, *nr) =
				mem_fmt("/proc/%d/map_files/%lx-%lx", (int)pid,
					(unsigned long)maps.map[i].start,
					(unsigned long)maps.map[i].end);
	return err;
}

static struct err *check_options(const struct options *o)
{
	const char *missing = !o->source ? "--source DIR" : !o->patch ? "--patch FILE" :
			      !o->output ? "--output FILE" :
			      !o->command || !*o->command ? "-- BUILD COMMAND" : NULL;

	if (missing)
		return err_new(ERR_USAGE, "usage", "build wants %s", missing);
	if (o->nr_words)
		return err_new(ERR_USAGE, "usage", "build: what is \"%s\"?", o->words[0]);
	return NULL;
}

static void print_result(const struct options *o, const struct build_result *r)
{
	printf("%s: patches %zu function%s of %s", o->output, r->nr_funcs,
	       r->nr_funcs == 1 ? "" : "s", r->object);
	if (r->nr_new)
		printf(", adds %zu", r->nr_new);
	printf(" (%s)\n", r->matched);
	for (size_t i = 0; i < r->nr_notes; i++)
		printf("  note: %s\n", r->notes[i].text);
}

static json_t *json_result(const struct options *o, const struct build_result *r)
{
	json_t *notes = json_array();

	for (size_t i = 0; i < r->nr_notes; i++)
		json_array_append_new(notes, json_pack("{ss,ss}", "kind", r->notes[i].kind,
						       "text", r->notes[i].text));
	return json_pack("{ss,ss*,ss*,sI,sI,sI,sI,sI,so}", "output", o->output,
			 "object", r->object, "matched", r->matched,
			 "objects_built", (json_int_t)r->nr_units,
			 "objects_compared", (json_int_t)r->nr_compared,
			 "functions", (json_int_t)r->nr_funcs,
			 "new_functions", (json_int_t)r->nr_new,
			 "line_noise", (json_int_t)r->nr_line, "notes", notes);
}

int cmd_build(const struct options *o)
{
	struct build_result result = { 0 };
	struct build_options build = {
		.source = o->source, .patch = o->patch, .output = o->output,
		.work = o->work, .name = o->name, .description = o->description,
		.replace = o->replace, .strip = o->strip, .command = o->command, .created_by = "stitch " STITCH_VERSION,
		.progress = print_progress, .arg = (void *)(uintptr_t)o };
	char self[PATH_MAX] = "";
	pid_t pid;
	struct err *err = check_options(o);

	if (!err && readlink("/proc/self/exe", self, sizeof(self) - 1) < 0)
		err = err_new(ERR_FAILED, "system", "/proc/self/exe cannot be read");
	build.self = self;
	if (!err && o->binary && cmd_is_pid(o->binary, &pid))
		err = binaries_of(pid, &build.binaries, &build.nr_binaries);
	else if (!err && o->binary)
		*ARRAY_ADD(build.binaries, build.nr_binaries) = mem_strdup(o->binary);
	if (!err)
		err = build_patch(&build, &result);
	if (!err && o->json)
		cmd_print_json(json_result(o, &result));
	else if (!err)
		print_result(o, &result);
	build_result_done(&result);
	for (size_t i = 0; i < build.nr_binaries; i++)
		free(build.binaries[i]);
	free(build.binaries);
	return cmd_fail(o, err);
}
