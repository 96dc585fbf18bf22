/* SPDX-License-Identifier: GPL-2.0-or-later */
/* build: a patch file from a source tree and a diff */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "build.h"
#include "cmd.h"
#include "files.h"
#include "image.h"
#include "maps.h"
#include "mem.h"
#include "slp.h"

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
			*ARRAY_ADD(*binaries, *nr) = maps_file(pid, &maps.map[i]);
	return err;
}

static bool is_regular(const char *path)
{
	struct stat st;

	return !stat(path, &st) && S_ISREG(st.st_mode);
}

static char ***found;
static size_t *nr_found;

/* A link in a folder leads elsewhere in it only if it is relative. */
static bool leads_out(const char *path)
{
	char to;

	return readlink(path, &to, 1) == 1 && to == '/';
}

/*
 * Packages have firmware of other machines in them, and what is an ELF file by its form alone
 * (Guile's compiled modules): nobody runs that here.  What is damaged nobody runs either, but
 * if it is what the fix is for somebody wants to know.
 */
static bool can_be_read(const char *path)
{
	struct image *image = NULL;
	struct err *err = image_open(path, &image);
	bool is_read = !err;

	if (err && strcmp(err->reason, "unknown-architecture"))
		fprintf(stderr, "stitch build: left out: %s [%s]\n", err->msg, err->reason);
	err_free(err);
	image_free(image);
	return is_read;
}

/* Programs and libraries: of 64 bits, as all ports are. */
static int take_binary(const char *path, const struct stat *st, int type, struct FTW *where)
{
	bool is_file = (type == FTW_F && S_ISREG(st->st_mode)) ||
		       (type == FTW_SL && !leads_out(path) && is_regular(path));
	AUTO_CLOSE int fd = is_file ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	uint8_t head[18] = { 0 };

	(void)where;
	if (fd >= 0 && read(fd, head, sizeof(head)) == sizeof(head) &&
	    !memcmp(head, ELFMAG, SELFMAG) && head[EI_CLASS] == ELFCLASS64 &&
	    (head[16] | head[17]) >= ET_EXEC && (head[16] | head[17]) <= ET_DYN &&
	    can_be_read(path))
		*ARRAY_ADD(*found, *nr_found) = mem_strdup(path);
	return 0;
}

/* What is in a folder: a package as it is shipped. */
static struct err *binaries_in(const char *folder, char ***binaries, size_t *nr)
{
	size_t before = *nr;

	found = binaries;
	nr_found = nr;
	if (nftw(folder, take_binary, 16, FTW_PHYS))
		return err_sys(errno, "%s", folder);
	if (*nr == before)
		return err_new(ERR_FAILED, "not-elf", "%s has no program and no library in it",
			       folder);
	return NULL;
}

static bool is_folder(const char *path)
{
	struct stat st;

	return !stat(path, &st) && S_ISDIR(st.st_mode);
}

/* What is given as the binary that runs: a process, a folder or a file; once or more. */
static struct err *find_binaries(const struct options *o, struct build_options *build)
{
	struct err *err = NULL;
	pid_t pid;

	for (size_t i = 0; i < o->nr_binaries && !err; i++) {
		const char *given = o->binaries[i];

		if (cmd_is_pid(given, &pid))
			err = binaries_of(pid, &build->binaries, &build->nr_binaries);
		else if (is_folder(given))
			err = binaries_in(given, &build->binaries, &build->nr_binaries);
		else
			*ARRAY_ADD(build->binaries, build->nr_binaries) = mem_strdup(given);
		if (!i)
			build->nr_preferred = build->nr_binaries;
	}
	return err;
}

static struct err *check_options(const struct options *o)
{
	const char *missing = !o->source ? "--source DIR" : !o->patch ? "--patch FILE" :
			      !o->output ? "--output FILE" :
			      !o->command || !*o->command ? "-- BUILD COMMAND" : NULL;

	if (o->download_only)
		return err_new(ERR_USAGE, "usage", "--download-only goes with --debian");
	if (missing)
		return err_new(ERR_USAGE, "usage", "build wants %s", missing);
	if (o->nr_words)
		return err_new(ERR_USAGE, "usage", "build: what is \"%s\"?", o->words[0]);
	return NULL;
}

static void print_result(const char *output, const struct build_result *r)
{
	printf("%s: patches %zu function%s of %s", output, r->nr_funcs,
	       r->nr_funcs == 1 ? "" : "s", r->object);
	if (r->nr_new)
		printf(", adds %zu", r->nr_new);
	printf(" (%s)\n", r->matched);
	for (size_t i = 0; i < r->nr_notes; i++)
		printf("  note: %s\n", r->notes[i].text);
}

static json_t *json_result(const char *output, const struct build_result *r)
{
	json_t *notes = json_array();

	for (size_t i = 0; i < r->nr_notes; i++)
		json_array_append_new(notes, json_pack("{ss,ss}", "kind", r->notes[i].kind,
						       "text", r->notes[i].text));
	return json_pack("{ss,ss*,ss*,sI,sI,sI,sI,sI,so}", "output", output,
			 "object", r->object, "matched", r->matched,
			 "objects_built", (json_int_t)r->nr_units,
			 "objects_compared", (json_int_t)r->nr_compared,
			 "functions", (json_int_t)r->nr_funcs,
			 "new_functions", (json_int_t)r->nr_new,
			 "line_noise", (json_int_t)r->nr_line, "notes", notes);
}

/* fix.slp is the patch of one object, fix.OBJECT.slp that of another. */
static char *other_output(const char *output, const char *path)
{
	size_t len = strlen(output);

	if (len > 4 && !strcmp(output + len - 4, ".slp"))
		len -= 4;
	return mem_fmt("%.*s.%s.slp", (int)len, output, files_last_part(path));
}

/* One patch; its line, or its object for all in JSON. */
static struct err *build_one(const struct options *o, const struct build_options *build,
			     struct build_result *result, json_t *all)
{
	struct err *err = build_patch(build, result);
	AUTO_SLP struct slp *slp = NULL;

	if (!err && o->json)
		json_array_append_new(all, json_result(build->output, result));
	else if (!err)
		print_result(build->output, result);
	if (!err && o->explain && !o->json && !(err = slp_open(build->output, &slp)))
		cmd_explain(slp);
	return err;
}

/* A fix may be in several objects; what the builds made is there already. */
static struct err *build_other(const struct options *o, const struct build_options *first,
			       char *path, json_t *all)
{
	AUTO_FREE char *output = other_output(first->output, path), *name = NULL, *work = NULL;
	struct build_options build = *first;
	struct build_result result = { 0 };
	struct err *err;

	build.is_other = true;
	build.binaries = &path;
	build.nr_binaries = 1;
	build.output = output;
	if (!first->work)
		build.work = work = mem_fmt("%s.work", first->output);
	if (first->name)
		build.name = name = mem_fmt("%s-%s", first->name, files_last_part(path));
	err = build_one(o, &build, &result, all);
	build_result_done(&result);
	return err ? err_wrap(err, "%s", path) : NULL;
}

/* One that is refused does not keep the next from being made; the first reason is returned. */
static struct err *build_others(const struct options *o, const struct build_options *first,
				const struct build_result *result, json_t *all)
{
	struct err *err = NULL;

	for (size_t i = 0; i < result->nr_others; i++) {
		struct err *more = build_other(o, first, result->others[i], all);

		if (!err)
			err = more;
		else if (o->json)
			err_free(more); /* one object is printed, of the first */
		else
			cmd_fail(o, more);
	}
	return err;
}

/* all holds one at least, and is taken over. */
static void print_json(json_t *all)
{
	json_t *first = json_incref(json_array_get(all, 0));

	json_array_remove(all, 0);
	if (json_array_size(all))
		json_object_set(first, "others", all);
	json_decref(all);
	cmd_print_json(first);
}

/* Of the patches of a newer version (scripts/debian) others may do where one does not. */
static void print_advice(const struct options *o, bool refused)
{
	const char *patches = getenv("STITCH_FIX_PATCHES");

	if (refused && patches && strchr(patches, ' ') && !o->json)
		fprintf(stderr, "stitch build: the fix is of several patches; --only with a part "
			"of its name takes one by itself: %s\n", patches);
}

int cmd_build(const struct options *o)
{
	struct build_result result = { 0 };
	struct build_options build = {
		.source = o->source, .patch = o->patch, .output = o->output,
		.work = o->work, .name = o->name, .description = o->description,
		.layouts = o->layouts, .nr_layouts = o->nr_layouts,
		.constructors = o->constructors, .together = o->together, .full = o->full,
		.replace = o->replace, .strip = o->strip, .command = o->command,
		.created_by = "stitch " STITCH_VERSION,
		.progress = print_progress, .arg = (void *)(uintptr_t)o };
	char self[PATH_MAX] = "";
	bool refused;
	struct err *err;
	json_t *all;
	int status;

	if (o->debian)
		return cmd_debian(o);
	all = json_array();
	err = check_options(o);
	if (!err && readlink("/proc/self/exe", self, sizeof(self) - 1) < 0)
		err = err_new(ERR_FAILED, "system", "/proc/self/exe cannot be read");
	build.self = self;
	if (!err)
		err = find_binaries(o, &build);
	if (!err)
		err = build_one(o, &build, &result, all);
	if (!err)
		err = build_others(o, &build, &result, all);
	if (!err && o->json)
		print_json(all);
	else
		json_decref(all);
	build_result_done(&result);
	for (size_t i = 0; i < build.nr_binaries; i++)
		free(build.binaries[i]);
	free(build.binaries);
	refused = err && err->kind == ERR_UNSUPPORTED && strcmp(err->reason, "nothing-to-patch");
	status = cmd_fail(o, err);
	print_advice(o, refused);
	return status;
}
