/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "work.h"

#include <elf.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "files.h"
#include "mem.h"

size_t work_locate_pairs(struct job *job, const struct image *image, struct err **err)
{
	size_t nr = 0;

	for (size_t i = 0; i < job->nr_pairs && !*err; i++) {
		struct pair *pair = &job->pairs[i];

		pair->in_image = false;
		if (!pair->old || !pair->plain)
			continue;
		*err = locate_unit(image, pair->plain, &pair->locate, &pair->in_image);
		*err = err_wrap(*err, "%s", pair->name);
		nr += pair->in_image;
	}
	return nr;
}

/* Callbacks are all that some files have, and a linker may leave such a file out. */
static bool has_callbacks(const struct unit *unit)
{
	for (size_t i = 0; i < unit->nr_by_name; i++)
		if (!strncmp(unit->by_name[i]->name, "__klp_", 6))
			return true;
	return false;
}

/* A file of tables is known by them, where it has no code to know it by. */
static bool has_its_data(const struct image *image, const struct unit *unit)
{
	bool data = false;

	for (size_t i = 0; i < unit->nr_by_name; i++) {
		const struct symbol *sym = unit->by_name[i], *made;

		if (sym->type == STT_FUNC)
			return false;
		made = sym->bind == STB_LOCAL ? NULL : locate_global(image, sym->name);
		data |= made && made->type == sym->type && made->size == sym->size;
	}
	return data;
}

static bool any_new(const struct job *job)
{
	for (size_t i = 0; i < job->nr_pairs; i++)
		if (job->pairs[i].is_new)
			return true;
	return false;
}

struct err *work_locate_new(struct job *job, const struct captured *link, bool is_first)
{
	const struct captured *made = capture_find(&job->new, link->output, true);
	struct image *image = NULL;
	struct err *err;

	if (!any_new(job))
		return NULL;
	err = made ? image_open(made->file, &image) : NULL;
	for (size_t i = 0; i < job->nr_pairs && !err; i++) {
		struct pair *pair = &job->pairs[i];

		if (!pair->is_new)
			continue;
		pair->in_image = is_first && (!image || has_callbacks(pair->b));
		if (image && !pair->in_image)
			err = locate_unit(image, pair->plain, &pair->locate, &pair->in_image);
		pair->in_image |= !err && image && has_its_data(image, pair->plain);
		err = err_wrap(err, "%s", pair->name);
	}
	image_free(image);
	return err;
}

/* For the message, if nothing fits: the one that should have. */
static void note_unlike(struct job *job, const char *path, const struct match *match)
{
	if (job->unlike)
		return;
	job->unlike = mem_fmt(": %s, which runs, was built with another compiler, other flags or "
			      "libraries, or from another source: %zu of its %zu functions are "
			      "the same", files_last_part(path), match->nr_matched,
			      match->nr_funcs);
}

/* How well a linked image fits a binary that runs, and more is better. */
enum fit { FIT_NAME = -1, FIT_NOT, FIT_FUNCTIONS, FIT_FUNCTIONS_NAMED, FIT_LAYOUT,
	   FIT_LAYOUT_NAMED, FIT_ID, FIT_ID_NAMED };

static bool has_name_of(const char *link, const struct image *running, const char *path)
{
	const char *soname = image_soname(running), *name = files_last_part(link);

	return !strcmp(name, files_last_part(path)) || (soname && !strcmp(name, soname));
}

static enum fit rate_fit(const struct image *linked, const char *linked_name,
			 const struct image *running, const char *running_name,
			 struct match *match)
{
	bool same_name = has_name_of(linked_name, running, running_name);
	struct err *err;
	enum fit fit;

	*match = (struct match){ 0 };
	/* Of files that are one but for their names, the one that the build named. */
	if (image_has_build_id(linked, running->build_id, running->build_id_size))
		return strcmp(files_last_part(linked_name), files_last_part(running_name)) ?
		       FIT_ID : FIT_ID_NAMED;
	err = match_images(linked, running, match);
	fit = err ? FIT_NOT : match->how == MATCH_LAYOUT ?
	      (same_name ? FIT_LAYOUT_NAMED : FIT_LAYOUT) :
	      match->nr_matched * 2 > match->nr_funcs ? FIT_FUNCTIONS : FIT_NOT;
	if (fit == FIT_FUNCTIONS && same_name)
		fit = FIT_FUNCTIONS_NAMED;
	if (!fit && same_name)
		fit = FIT_NAME;
	err_free(err);
	return fit;
}

/* Of what was linked to one place several times the last counts. */
static bool is_final(const struct job *job, const struct captured *link)
{
	return link->is_link && capture_find(&job->old, link->output, true) == link;
}

/* Was that which runs linked here under its name, of nothing in which a change is found? */
static bool find_untouched(struct job *job, const char *path, const struct image *running)
{
	bool untouched = false;

	for (size_t i = 0; i < job->old.nr && !untouched; i++) {
		const struct captured *link = &job->old.items[i];
		struct image *linked = NULL;
		struct match match = { 0 };
		struct err *err = NULL;

		if (!is_final(job, link) || !has_name_of(link->output, running, path))
			continue;
		if (!(err = image_open(link->file, &linked)))
			untouched = !work_locate_pairs(job, linked, &err) && !err &&
				    rate_fit(linked, link->output, running, path, &match) >=
				    FIT_LAYOUT;
		match_done(&match);
		image_free(linked);
		err_free(err);
	}
	return untouched;
}

static const char *binary_name(const char *path, const struct image *image, char *buffer)
{
	const char *soname = image_soname(image);
	ssize_t got = readlink(path, buffer, PATH_MAX - 1);

	if (soname)
		return soname;
	if (got > 0) {
		buffer[got] = 0;
		return files_last_part(buffer);
	}
	return files_last_part(path);
}

/* Of one of the given binaries; notes whether it holds a change. */
static enum fit rate_binary(struct job *job, const struct captured *link,
			    const struct image *linked, const char *path,
			    const struct image *running)
{
	struct match match;
	enum fit fit = rate_fit(linked, link->output, running, path, &match);

	/* Programs of one tree share most of their functions, or are built twice by one name. */
	if (fit != FIT_NOT && fit < FIT_LAYOUT && find_untouched(job, path, running))
		fit = FIT_NOT;
	if (fit == FIT_NAME)
		note_unlike(job, path, &match);
	/* Not by functions alone. */
	if (fit >= FIT_FUNCTIONS_NAMED)
		*ARRAY_ADD(job->fits, job->nr_fits) = path;
	else if (fit == FIT_NAME)
		*ARRAY_ADD(job->namesakes, job->nr_namesakes) = path;
	match_done(&match);
	return fit;
}

/* Of all linked images that hold a changed object and all given binaries the
 * pair that fits best. */
static struct err *choose_running(struct job *job, const struct captured *link,
				  struct image *linked, enum fit *best, bool *keep)
{
	for (size_t i = 0; i < job->o->nr_binaries; i++) {
		struct image *running = NULL;
		char buffer[PATH_MAX];
		struct err *err = image_open(job->o->binaries[i], &running);
		enum fit fit;

		if (!err && (err = arch_need_patch(running->arch)))
			image_free(running);
		if (err)
			return err;
		fit = rate_binary(job, link, linked, job->o->binaries[i], running);
		if (fit < *best || fit <= FIT_NOT ||
		    (fit == *best && (job->is_preferred || i >= job->o->nr_preferred))) {
			image_free(running);
			continue;
		}
		*best = fit;
		*keep = true;
		job->is_preferred = i < job->o->nr_preferred;
		image_free(job->running);
		job->running = running;
		free(job->running_name);
		job->running_name = mem_strdup(binary_name(job->o->binaries[i], running,
							   buffer));
	}
	return NULL;
}

static struct err *consider(struct job *job, const struct captured *link, enum fit *best,
			    size_t *nr_fit, char **names)
{
	struct image *linked = NULL;
	bool keep = false;
	char *more;
	struct err *err = image_open(link->file, &linked);

	if (err) {
		err_free(err); /* a script, an object of ld -r: no image */
		return NULL;
	}
	if ((linked->type != ET_EXEC && linked->type != ET_DYN) ||
	    !work_locate_pairs(job, linked, &err) || err) {
		image_free(linked);
		return err;
	}
	++*nr_fit;
	more = mem_fmt("%s%s%s", *names ? *names : "", *names ? ", " : "",
		       files_last_part(link->output));
	free(*names);
	*names = more;
	if (job->o->nr_binaries)
		err = choose_running(job, link, linked, best, &keep);
	else
		keep = *nr_fit == 1;
	if (keep) {
		image_free(job->linked);
		job->linked = linked;
		job->link = link;
		if (!job->o->nr_binaries) {
			free(job->running_name);
			job->running_name = mem_strdup(image_soname(linked) ?
				image_soname(linked) : files_last_part(link->output));
		}
	} else {
		image_free(linked);
	}
	return err;
}

static bool is_untouched(struct job *job, const char *path)
{
	struct image *running = NULL;
	struct err *err = image_open(path, &running);
	bool untouched = !err && find_untouched(job, path, running);

	image_free(running);
	err_free(err);
	return untouched;
}

static struct err *no_match(struct job *job, const char *names)
{
	bool untouched = !job->unlike;

	for (size_t i = 0; i < job->o->nr_binaries && untouched; i++)
		untouched = is_untouched(job, job->o->binaries[i]);
	if (untouched)
		return err_new(ERR_UNSUPPORTED, "no-match", "what changes is found in %s alone, "
			       "and none of the given binaries is that: they were linked of "
			       "files that do not change", names);
	return err_new(ERR_UNSUPPORTED, "no-match", "none of the given binaries is like what "
		       "was linked (%s)%s", names, job->unlike ? job->unlike : "");
}

struct err *work_choose(struct job *job)
{
	AUTO_FREE char *names = NULL;
	size_t nr_fit = 0;
	enum fit best = FIT_NOT;
	struct err *err = NULL;

	for (size_t i = 0; i < job->old.nr && !err; i++) {
		const struct captured *link = &job->old.items[i];

		if (is_final(job, link))
			err = consider(job, link, &best, &nr_fit, &names);
	}
	if (err)
		return err;
	if (!nr_fit)
		return err_new(ERR_UNSUPPORTED, "not-linked", "the objects that change are in "
			       "no program or library that was linked");
	if (!job->o->nr_binaries && nr_fit > 1)
		return err_new(ERR_USAGE, "which-binary", "the objects that change are in "
			       "several images (%s): say which with --binary", names);
	if (!job->linked)
		return no_match(job, names);
	return NULL;
}

static bool is_known(const struct image *image, struct image *const *known, size_t nr)
{
	for (size_t i = 0; i < nr; i++)
		if (image_has_build_id(image, known[i]->build_id, known[i]->build_id_size))
			return true;
	return false;
}

/* known has room for one more. */
static void note_other(struct job *job, const char *path, struct image **known, size_t *nr)
{
	struct image *image = NULL;
	struct err *err = image_open(path, &image);

	if (err || is_known(image, known, *nr)) {
		err_free(err);
		image_free(image);
		return;
	}
	known[(*nr)++] = image;
	*ARRAY_ADD(job->result->others, job->result->nr_others) = mem_strdup(path);
}

/*
 * What else the change is in; files that are one but for their names count once.  A program
 * that ought to be patched and whose rebuild is not like it is not passed over: it comes
 * last, and is refused.
 */
void work_note_others(struct job *job)
{
	size_t room = job->nr_fits + job->nr_namesakes + 1, nr = 0;
	struct image **known = mem_alloc(room * sizeof(*known));

	if (job->running)
		known[nr++] = job->running;
	for (size_t i = 0; i < job->nr_fits; i++)
		note_other(job, job->fits[i], known, &nr);
	for (size_t i = 0; i < job->nr_namesakes; i++)
		note_other(job, job->namesakes[i], known, &nr);
	for (size_t i = job->running ? 1 : 0; i < nr; i++)
		image_free(known[i]);
	free(known);
}

struct err *work_match(struct job *job)
{
	const struct image *running = job->running ? job->running : job->linked;
	struct err *err = match_images(job->linked, running, &job->match);

	if (err)
		return err;
	if (!running->build_id_size)
		return err_new(ERR_UNSUPPORTED, "no-build-id", "%s has no build ID: a patch "
			       "could not know its target (link with -Wl,--build-id)",
			       job->running_name);
	job->result->matched = mem_strdup(match_how_text(job->match.how));
	job->result->object = mem_strdup(job->running_name);
	work_progress(job, "4-match: %s: %s", job->running_name, job->result->matched);
	if (job->match.how == MATCH_FUNCTIONS)
		work_progress(job, "4-match: %zu of %zu functions found", job->match.nr_matched,
			 job->match.nr_funcs);
	return NULL;
}

/* Another of the binaries that the change is in, chosen and matched as the first was. */
static struct err *join(struct job *job, char *path)
{
	struct build_result result = { 0 };
	struct build_options one = *job->o;
	struct job other = *job;
	struct target *target;
	struct err *err;

	one.binaries = &path;
	one.nr_binaries = 1;
	other.o = &one;
	other.result = &result;
	other.linked = other.running = NULL;
	other.link = NULL;
	other.running_name = NULL;
	other.fits = other.namesakes = NULL;
	other.unlike = NULL;
	other.nr_fits = other.nr_namesakes = 0;
	other.match = (struct match){ 0 };
	if (!(err = work_choose(&other)))
		err = work_match(&other);
	target = ARRAY_ADD(job->more, job->nr_more);
	*target = (struct target){ other.link, other.linked, other.running, other.running_name,
				   other.match };
	free(other.fits);
	free(other.namesakes);
	free(other.unlike);
	build_result_done(&result);
	return err ? err_wrap(err, "%s", path) : NULL;
}

struct err *work_join_others(struct job *job)
{
	struct build_result *result = job->result;
	struct err *err = NULL;

	while (job->o->together && result->nr_others && !err) {
		AUTO_FREE char *path = result->others[--result->nr_others];
		char *all;

		if ((err = join(job, path)))
			break;
		all = mem_fmt("%s, %s", result->object,
			      job->more[job->nr_more - 1].running_name);
		free(result->object);
		result->object = all;
	}
	return err;
}
