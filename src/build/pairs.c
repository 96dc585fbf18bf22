/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "work.h"

#include <string.h>

#include "files.h"
#include "mem.h"
#include "share.h"

static const char *short_name(const struct job *job, const char *output)
{
	size_t len = strlen(job->work);

	return !strncmp(output, job->work, len) && !strncmp(output + len, "/tree/", 6) ?
	       output + len + 6 : output;
}

/* LLVM's bitcode, bare or in a wrapper. */
static struct err *refuse_bitcode(const char *file)
{
	static const uint8_t bare[4] = { 'B', 'C', 0xc0, 0xde };
	static const uint8_t wrapped[4] = { 0xde, 0xc0, 0x17, 0x0b };
	AUTO_FREE char *bytes = files_read(file);

	if (!bytes || (memcmp(bytes, bare, 4) && memcmp(bytes, wrapped, 4)))
		return NULL;
	return err_new(ERR_UNSUPPORTED, "lto", "it was compiled with -flto: build with "
		       "-fno-lto to make a patch");
}

static struct err *differ(const struct captured *old, const struct captured *new,
			  bool *different)
{
	struct image *a = NULL, *b = NULL;
	struct err *err;

	if (!(err = refuse_bitcode(new->file)) && !(err = image_open(old->file, &a)) &&
	    !(err = image_open(new->file, &b)))
		*different = !compare_plain_equal(a, b);
	image_free(a);
	image_free(b);
	return err;
}

/* The last time that each object was written counts. */
struct err *work_find_pairs(struct job *job)
{
	for (size_t i = 0; i < job->new.nr; i++) {
		const struct captured *new = &job->new.items[i];
		const struct captured *old = capture_find(&job->old, new->output, false);
		bool different = true;
		struct pair *pair;
		struct err *err;

		if (new->is_link || capture_find(&job->new, new->output, false) != new)
			continue;
		if (old && (err = differ(old, new, &different)))
			return err_wrap(err, "%s", short_name(job, new->output));
		if (!different)
			continue;
		pair = ARRAY_ADD(job->pairs, job->nr_pairs);
		pair->old = old;
		pair->new = new;
		pair->is_new = !old;
		pair->name = short_name(job, new->output);
	}
	job->result->nr_compared = job->nr_pairs;
	if (!job->nr_pairs)
		return err_new(ERR_UNSUPPORTED, "nothing-to-patch", "no object file changes: "
			       "nothing of what the diff changes is compiled in; there is "
			       "nothing to patch");
	return NULL;
}

/* ---- objects with a section for every function -------------------------- */

static const char *const section_args[] = { "-ffunction-sections", "-fdata-sections", "-g",
					    "-w", NULL };
/*
 * Two ways to take line numbers out of a source.  One number for all lets the
 * compiler see that callers of a function that is given its line agree, and make
 * a clone of it; a number for each use does not, but moves when the change adds
 * a use.  What is the same in either differs only by line numbers.
 */
static const char *const line_args[] = { "-ffunction-sections", "-fdata-sections", "-g0",
					 "-w", "-D__LINE__=7", NULL };
static const char *const count_args[] = { "-ffunction-sections", "-fdata-sections", "-g0",
					  "-w", "-D__LINE__=(9000+__COUNTER__)", NULL };

static const struct {
	const char *name;
	const char *const *args;
} line_variants[] = { { "line", line_args }, { "count", count_args } };

/* What becomes of a source that has no line number in it where code could see one. */
#define LINE_MARK "stitch_line_number_"
static const char *const mark_args[] = { "-E", "-w", "-D__LINE__=" LINE_MARK, NULL };

static bool has_line_numbers(const struct captured *unit, const char *output, const char *log)
{
	struct err *err = capture_compile(unit, mark_args, output, log);
	AUTO_FREE char *text = err ? NULL : files_read(output);

	err_free(err);
	return !text || strstr(text, LINE_MARK);
}

/* Some sources cannot be compiled so: then line noise is carried. */
static void compile_line_variants(const struct job *job, size_t i, const struct captured *unit,
				  char side, const char *log)
{
	AUTO_FREE char *plain = work_path(job, "3-sections/%zu-%c.i", i, side);

	if (!has_line_numbers(unit, plain, log))
		return;
	for (unsigned v = 0; v < ARRAY_SIZE(line_variants); v++) {
		AUTO_FREE char *line = work_path(job, "3-sections/%zu-%c-%s.o", i, side,
						 line_variants[v].name);

		err_free(capture_compile(unit, line_variants[v].args, line, log));
	}
}

/* One side of all pairs. */
struct side {
	struct job *job;
	char letter;           /* a: as it was; b: with the diff */
	const char *log;
};

static const struct captured *unit_of(const struct side *side, size_t i)
{
	const struct pair *pair = &side->job->pairs[i];

	return pair->gone || pair->refusal ? NULL : side->letter == 'a' ? pair->old : pair->new;
}

static struct err *compile_plain(const struct side *side, size_t i)
{
	AUTO_FREE char *plain = work_path(side->job, "3-sections/%zu-%c.o", i, side->letter);

	return capture_compile(unit_of(side, i), section_args, plain, side->log);
}

/* What cannot be compiled leaves no object; the others are, all the same. */
static bool compile_one(void *arg, size_t i)
{
	const struct side *side = arg;
	const struct captured *unit = unit_of(side, i);
	struct err *err = unit ? compile_plain(side, i) : NULL;

	if (unit && !err)
		compile_line_variants(side->job, i, unit, side->letter, side->log);
	err_free(err);
	return true;
}

/*
 * Why an object is not there; the process that tried had nobody to tell.  It counts only if
 * the object is in the image, which of a new one is not known yet.
 */
static struct err *look_at_missing(const struct side *side, size_t i)
{
	AUTO_FREE char *plain = work_path(side->job, "3-sections/%zu-%c.o", i, side->letter);
	struct pair *pair = &side->job->pairs[i];
	struct err *err;

	if (!unit_of(side, i) || files_exist(plain))
		return NULL;
	err = compile_plain(side, i);
	if (pair->is_new)
		return err;
	pair->refusal = err;
	return NULL;
}

static struct err *compile_all(struct job *job, const char *step, char letter)
{
	AUTO_FREE char *log = work_path(job, "3-sections/compile.log");
	struct side side = { job, letter, log };
	struct err *err = work_tree_in_place(job, step);

	for (size_t i = 0; i < job->nr_pairs && !err; i++)
		if (unit_of(&side, i))
			job->pairs[i].gone = !capture_has_source(unit_of(&side, i));
	if (!err && !share_work(job->nr_pairs, compile_one, &side))
		err = err_new(ERR_FAILED, "build-failed", "no process can be made, or one was "
			      "killed, compiling the objects again");
	for (size_t i = 0; i < job->nr_pairs && !err; i++)
		err = look_at_missing(&side, i);
	if (err) {
		err_free(work_tree_back(job));
		return err;
	}
	return work_tree_back(job);
}

static struct err *load_unit(const char *file, struct unit **unit)
{
	struct image *image = NULL;
	struct err *err = image_open(file, &image);

	return err ? err : err_wrap(unit_load(image, unit), "%s", file);
}

static bool is_lto(const struct unit *unit)
{
	for (size_t i = 0; i < unit->image->nr_sections; i++)
		if (!strncmp(unit->image->sections[i].name, ".gnu.lto_", 9))
			return true;
	return false;
}

static struct err *load_pair(struct job *job, size_t i)
{
	struct pair *pair = &job->pairs[i];
	AUTO_FREE char *a = work_path(job, "3-sections/%zu-a.o", i);
	AUTO_FREE char *b = work_path(job, "3-sections/%zu-b.o", i);
	struct err *err = load_unit(pair->old ? pair->old->file : pair->new->file, &pair->plain);

	if (err)
		return err;
	if (pair->gone) {
		pair->is_new = false;
		pair->refusal = err_new(ERR_UNSUPPORTED, "source-gone", "the build removes the "
					"file that it is compiled from, so it cannot be compiled "
					"again");
		return NULL;
	}
	if (pair->refusal)
		return NULL;
	/* A file that the change adds is compared with itself, emptied. */
	if (pair->old && (err = load_unit(a, &pair->a)))
		return err;
	if ((err = load_unit(b, &pair->b)))
		return err;
	if (is_lto(pair->b) || (pair->plain && is_lto(pair->plain)))
		return err_new(ERR_UNSUPPORTED, "lto", "%s was compiled with -flto: build "
			       "with -fno-lto to make a patch", pair->name);
	return NULL;
}

static struct err *drop_line_noise(struct job *job, size_t i, const char *variant)
{
	struct pair *pair = &job->pairs[i];
	AUTO_FREE char *a = work_path(job, "3-sections/%zu-a-%s.o", i, variant);
	AUTO_FREE char *b = work_path(job, "3-sections/%zu-b-%s.o", i, variant);
	struct unit *a_line = NULL, *b_line = NULL;
	struct err *err = NULL;

	/* Without line numbers on one side there is nothing that only they make different. */
	if (!files_exist(a) || !files_exist(b))
		return NULL;
	if (!(err = load_unit(a, &a_line)) && !(err = load_unit(b, &b_line)))
		err = compare_drop_line_noise(&pair->compare, a_line, b_line);
	unit_free(a_line);
	unit_free(b_line);
	return err;
}

/*
 * What both builds are and which of their objects differ: of several binaries each is compared
 * with the same objects.
 */
static char *sections_key(const struct job *job)
{
	AUTO_FREE char *old = work_path(job, "1-original/key");
	AUTO_FREE char *new = work_path(job, "2-patched/key");
	AUTO_FREE char *old_key = files_read(old), *new_key = files_read(new);
	struct buf text = { 0 };

	if (!old_key || !new_key)
		return NULL;
	buf_add(&text, old_key, strlen(old_key));
	buf_add(&text, new_key, strlen(new_key));
	buf_add(&text, job->o->created_by, strlen(job->o->created_by));
	for (size_t i = 0; i < job->nr_pairs; i++) {
		buf_add(&text, "\n", 1);
		buf_add(&text, job->pairs[i].name, strlen(job->pairs[i].name));
	}
	buf_add(&text, "", 1);
	return (char *)text.data;
}

static bool all_compiled(const struct job *job)
{
	for (size_t i = 0; i < job->nr_pairs; i++)
		if (job->pairs[i].gone || job->pairs[i].refusal)
			return false;
	return true;
}

/* Both sides of all pairs, if that has not been done for another binary. */
static struct err *compile_sections(struct job *job)
{
	AUTO_FREE char *folder = work_path(job, "3-sections");
	AUTO_FREE char *stamp = work_path(job, "3-sections/key"), *was = files_read(stamp);
	AUTO_FREE char *key = sections_key(job);
	struct err *err;

	if (was && key && !strcmp(was, key))
		return NULL;
	if ((err = files_remove_tree(folder)) || (err = files_make_dir(folder)) ||
	    (err = compile_all(job, "1-original", 'a')) ||
	    (err = compile_all(job, "2-patched", 'b')))
		return err;
	return key && all_compiled(job) ? files_write(stamp, key) : NULL;
}

struct err *work_compare_pairs(struct job *job)
{
	struct err *err;

	work_progress(job, "3-sections: comparing %zu object file%s", job->nr_pairs,
		 job->nr_pairs == 1 ? "" : "s");
	if ((err = compile_sections(job)))
		return err;
	for (size_t i = 0; i < job->nr_pairs; i++) {
		struct pair *pair = &job->pairs[i];

		if ((err = load_pair(job, i)))
			return err;
		if (pair->refusal)
			continue;
		/* Kept for later: it counts only if the file is in the image. */
		pair->refusal = pair->a ? compare_units(pair->a, pair->b, &pair->compare) :
					  compare_new_unit(pair->b, &pair->compare);
		pair->compared = !pair->refusal;
		for (unsigned v = 0; v < ARRAY_SIZE(line_variants); v++)
			if (pair->compared && pair->a &&
			    (err = drop_line_noise(job, i, line_variants[v].name)))
				return err;
		if (pair->compared && !job->o->constructors)
			pair->refusal = compare_constructors(&pair->compare);
	}
	return NULL;
}
