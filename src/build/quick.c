/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The build with the diff, where it changes only what compilers read: a copy of what was
 * built without it, in which the objects that read a changed file are compiled again.  All
 * that is taken of such a build is its objects, so nothing is linked.
 */
#include "work.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "diff.h"
#include "files.h"
#include "mem.h"
#include "readers.h"
#include "share.h"

/* A file that the diff changes. */
struct change {
	char *name;   /* in the tree */
	char *text;   /* before the change */
	size_t size;
};

/* A file of the build's own that is the same: it will have copied the changed one, too. */
struct copy {
	char *name;
	size_t of;    /* index in changes */
};

struct quick {
	const struct job *job;
	const char *tree;
	struct change *changes;
	struct copy *copies;
	size_t nr_changes, nr_copies;
	struct readers readers;
	json_t *reached;       /* keys: names of what reads a changed file */
	const struct captured **units; /* to be compiled again */
	size_t nr_units;
	char *why;             /* all has to be built; NULL: not */
};

static void build_all(struct quick *q, const char *what, const char *why)
{
	if (!q->why)
		q->why = mem_fmt("%s %s", what, why);
}

/* ---- what changes ------------------------------------------------------------------------ */

/* Documentation and tests that no program is made from; what is in tables may be. */
static bool is_left_alone(const char *name)
{
	static const char *const data[] = { "xml", "txt", "yml", "yaml", "html", NULL };

	return diff_is_beside(name) && !files_has_ending(name, data);
}

static void add_change(struct quick *q, const char *name)
{
	AUTO_FREE char *path = mem_fmt("%s/%s", q->job->o->source, name);
	bool is_there = files_exist(path);

	for (size_t i = 0; i < q->nr_changes; i++)
		if (!strcmp(q->changes[i].name, name))
			return;
	/* What is compiled of tests and examples is read as all else; more of them is nothing. */
	if (readers_is_code(name) && is_there)
		ARRAY_ADD(q->changes, q->nr_changes)->name = mem_strdup(name);
	else if (readers_is_code(name) && !is_left_alone(name))
		build_all(q, name, "is new");
	else if (!is_left_alone(name))
		build_all(q, name, "is not only for compilers");
}

/* What a part of a diff may say beyond lines that change. */
static bool moves_files(const char *diff)
{
	static const char *const words[] = { "\nrename from ", "\nrename to ", "\ncopy from ",
		"\nGIT binary patch", "\nBinary files " };

	for (unsigned i = 0; i < ARRAY_SIZE(words); i++)
		if (strstr(diff, words[i]) || !strncmp(diff, words[i] + 1, strlen(words[i] + 1)))
			return true;
	return false;
}

static void find_changes(struct quick *q)
{
	AUTO_FREE char *diff = files_read(q->job->o->patch);
	struct diff_part part;
	size_t at = 0;

	if (!diff || moves_files(diff))
		build_all(q, "the diff", "does more than to change lines");
	while (diff && diff_next(diff, &at, q->job->o->strip, &part)) {
		add_change(q, part.name);
		free(part.name);
	}
	if (!q->nr_changes)
		build_all(q, "the diff", "changes no source");
}

/* The text of each before the change, which has to be what it was before the build. */
static void read_changes(struct quick *q)
{
	for (size_t i = 0; i < q->nr_changes && !q->why; i++) {
		struct change *change = &q->changes[i];
		AUTO_FREE char *built = mem_fmt("%s/%s", q->tree, change->name);
		AUTO_FREE char *source = mem_fmt("%s/%s", q->job->o->source, change->name);
		AUTO_FREE char *text = files_read(source);

		change->text = files_read(built);
		change->size = change->text ? strlen(change->text) : 0;
		if (!change->size || !text || strcmp(change->text, text))
			build_all(q, change->name, "is changed by the build");
	}
}

/* ---- what the build made of it ----------------------------------------------------------- */

/* A generator says what it has read, in a comment or by #line: not where it is included. */
static bool mentions(const char *text, const char *name)
{
	size_t len = strlen(name);

	for (const char *at = text; (at = strstr(at, name)); at += len) {
		const char *line = at;

		while (line > text && line[-1] != '\n')
			line--;
		if (!memmem(line, (size_t)(at - line), "include", 7))
			return true;
	}
	return false;
}

/* Of readers_scan(): a file of the tree that was built. */
static void look_at_file(void *arg, const char *path, const char *text, size_t size)
{
	struct quick *q = arg;
	AUTO_FREE char *source = mem_fmt("%s/%s", q->job->o->source, path);
	static const char *const compiled[] = { "gch", "pch", NULL };

	if (files_exist(source))
		return;
	if (files_has_ending(path, compiled))
		build_all(q, path, "was compiled before");
	for (size_t i = 0; i < q->nr_changes; i++) {
		const struct change *change = &q->changes[i];

		if (size == change->size && !memcmp(text, change->text, size))
			*ARRAY_ADD(q->copies, q->nr_copies) =
				(struct copy){ mem_strdup(path), i };
		else if (readers_is_code(path) &&
			 mentions(text, files_last_part(change->name)))
			build_all(q, path, "is made by the build from a file that changes");
	}
}

static struct err *make_changes(struct quick *q, const char *step)
{
	struct err *err = work_apply_diff(q->job, step);

	if (err) {
		build_all(q, "the diff", "does not apply to what was built");
		err_freep(&err);
	}
	for (size_t i = 0; i < q->nr_changes && !q->why; i++) {
		AUTO_FREE char *path = mem_fmt("%s/%s", q->tree, q->changes[i].name);

		if (!files_exist(path))
			build_all(q, q->changes[i].name, "goes");
	}
	for (size_t i = 0; i < q->nr_copies && !q->why; i++) {
		AUTO_FREE char *from = mem_fmt("%s/%s", q->tree,
					       q->changes[q->copies[i].of].name);
		AUTO_FREE char *to = mem_fmt("%s/%s", q->tree, q->copies[i].name);

		if (files_copy(from, to))
			return err_sys(errno, "%s", to);
	}
	return NULL;
}

/* ---- what is compiled again -------------------------------------------------------------- */

static bool reads_a_change(const struct quick *q, const struct captured *unit)
{
	if (json_object_get(q->reached, files_last_part(unit->source)))
		return true;
	/* -include FILE, and what may be in a file of arguments. */
	for (char **arg = unit->argv + 1; *arg; arg++)
		if (**arg == '@' || json_object_get(q->reached, files_last_part(*arg)))
			return true;
	return false;
}

static void find_units(struct quick *q)
{
	q->reached = json_object();
	for (size_t i = 0; i < q->nr_changes; i++)
		readers_reach(&q->readers, files_last_part(q->changes[i].name), q->reached);
	for (size_t i = 0; i < q->nr_copies; i++)
		readers_reach(&q->readers, files_last_part(q->copies[i].name), q->reached);
	for (size_t i = 0; i < q->job->old.nr && !q->why; i++) {
		const struct captured *unit = &q->job->old.items[i];

		/* The last time that each object was written counts. */
		if (unit->is_link || !reads_a_change(q, unit) ||
		    capture_find(&q->job->old, unit->output, false) != unit)
			continue;
		if (!capture_has_source(unit))
			build_all(q, unit->source, "is made and removed by the build");
		*ARRAY_ADD(q->units, q->nr_units) = unit;
	}
}

struct compilation {
	const struct quick *q;
	const char *log;
};

static bool compile_unit(void *arg, size_t i)
{
	const struct compilation *c = arg;
	const struct captured *unit = c->q->units[i];
	struct err *err;

	/* So that what is not there could not be compiled. */
	unlink(unit->output);
	err = capture_compile(unit, (const char *[]){ NULL }, unit->output, c->log);
	err_free(err);
	return !err;
}

static const char *uncompiled(const struct quick *q)
{
	for (size_t i = 0; i < q->nr_units; i++)
		if (!files_exist(q->units[i]->output))
			return files_last_part(q->units[i]->output);
	return "an object";
}

static void compile_units(struct quick *q, const char *log)
{
	AUTO_FREE char *why = mem_fmt("cannot be compiled alone (log: %s)", log);
	struct compilation c = { q, log };

	if (!share_work(q->nr_units, compile_unit, &c))
		build_all(q, uncompiled(q), why);
}

/*
 * Without the change each comes out as it did in the build: what it reads may have been
 * other then, in a tree where several flavours are built one after the other.
 */
static void check_units(struct quick *q, const char *log)
{
	compile_units(q, log);
	for (size_t i = 0; i < q->nr_units && !q->why; i++) {
		struct image *was = NULL, *is = NULL;
		struct err *err = image_open(q->units[i]->file, &was);

		if (!err)
			err = image_open(q->units[i]->output, &is);
		/* What is no ELF file (LLVM's bitcode) is refused by who looks at all of them. */
		if (err || !compare_plain_equal(was, is))
			build_all(q, files_last_part(q->units[i]->output),
				  "comes out otherwise at the end of the build");
		image_free(was);
		image_free(is);
		err_free(err);
	}
}

static bool is_compiled(const struct quick *q, const struct captured *item)
{
	for (size_t i = 0; i < q->nr_units; i++)
		if (q->units[i] == item)
			return true;
	return false;
}

/* x.o as x.json: the story of a captured file. */
static char *story_of(const char *file)
{
	return mem_fmt("%.*s.json", (int)strlen(file) - 2, file);
}

/* The new object, or the one that was there; and its story, which is the same. */
static struct err *keep(const struct quick *q, const struct captured *item, const char *folder)
{
	AUTO_FREE char *file = mem_fmt("%s/%s", folder, files_last_part(item->file));
	AUTO_FREE char *from = story_of(item->file), *to = story_of(file);

	if (is_compiled(q, item) ? files_copy(item->output, file) : link(item->file, file))
		return err_sys(errno, "%s", file);
	return link(from, to) ? err_sys(errno, "%s", to) : NULL;
}

static struct err *keep_all(const struct quick *q, const char *folder)
{
	struct err *err = files_make_dir(folder);

	for (size_t i = 0; i < q->job->old.nr && !err; i++)
		err = keep(q, &q->job->old.items[i], folder);
	return err;
}

/* ---- for builds.c ------------------------------------------------------------------------ */

static struct err *try(struct quick *q, const char *step)
{
	AUTO_FREE char *built = work_path(q->job, "1-original/tree");
	AUTO_FREE char *capture = work_path(q->job, "%s/capture", step);
	/* Of its own: where this is not enough the log of the whole build comes beside it. */
	AUTO_FREE char *log = work_path(q->job, "%s/again.log", step);
	struct err *err;

	find_changes(q);
	if (q->why || (err = files_copy_tree(built, q->tree)))
		return q->why ? NULL : err;
	read_changes(q);
	if (q->why || (err = readers_scan(&q->readers, q->tree, look_at_file, q)))
		return q->why ? NULL : err;
	find_units(q);
	if (!q->why)
		check_units(q, log);
	if (q->why || (err = make_changes(q, step)))
		return q->why ? NULL : err;
	if (!q->why)
		compile_units(q, log);
	if (q->why)
		return NULL;
	work_progress(q->job, "%s: compiled again what reads a changed file: %zu object file%s",
		      step, q->nr_units, q->nr_units == 1 ? "" : "s");
	return keep_all(q, capture);
}

static void quick_done(struct quick *q)
{
	for (size_t i = 0; i < q->nr_changes; i++) {
		free(q->changes[i].name);
		free(q->changes[i].text);
	}
	for (size_t i = 0; i < q->nr_copies; i++)
		free(q->copies[i].name);
	free(q->changes);
	free(q->copies);
	free(q->units);
	free(q->why);
	json_decref(q->reached);
	readers_done(&q->readers);
}

struct err *work_build_quick(const struct job *job, const char *step, bool *done)
{
	AUTO_FREE char *tree = work_path(job, "tree");
	struct quick q = { .job = job, .tree = tree };
	struct err *err = try(&q, step);

	*done = !err && !q.why;
	if (q.why)
		work_progress(job, "%s: all of it, for %s", step, q.why);
	quick_done(&q);
	return err || *done ? err : files_remove_tree(tree);
}
