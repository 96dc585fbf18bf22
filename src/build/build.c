/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "build.h"

#include <errno.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "capture.h"
#include "compare.h"
#include "emit.h"
#include "files.h"
#include "locate.h"
#include "match.h"
#include "mem.h"
#include "wrapper.h"

extern char **environ;

/* A pair of objects that differ. */
struct pair {
	const struct captured *old, *new;
	const char *name;      /* of the object file, for people */
	struct unit *plain;    /* as it was built for the image */
	struct unit *a, *b;    /* with a section for every function */
	struct compare compare;
	struct locate locate;
	bool compared, in_image, is_new;
	struct err *refusal;   /* what of its change cannot be carried */
};

/* include/stitch/livepatch.h, as it was when this program was built. */
extern const char livepatch_header[];

struct job {
	const struct build_options *o;
	struct build_result *result;
	char *work;            /* absolute */
	struct capture old, new;
	struct pair *pairs;
	size_t nr_pairs;
	struct image *linked;  /* the reference image */
	struct image *running;
	char *running_name;
	struct match match;
};

static void progress(const struct job *job, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
static void progress(const struct job *job, const char *fmt, ...)
{
	AUTO_FREE char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	text = mem_vfmt(fmt, ap);
	va_end(ap);
	if (job->o->progress)
		job->o->progress(job->o->arg, text);
}

static char *in_work(const struct job *job, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
static char *in_work(const struct job *job, const char *fmt, ...)
{
	AUTO_FREE char *name = NULL;
	va_list ap;

	va_start(ap, fmt);
	name = mem_vfmt(fmt, ap);
	va_end(ap);
	return mem_fmt("%s/%s", job->work, name);
}

/* ---- the two builds ----------------------------------------------------- */

/* The tree that was left in place by a tool that was killed is moved back. */
static struct err *put_tree_back(const struct job *job)
{
	AUTO_FREE char *tree = in_work(job, "tree");
	AUTO_FREE char *mark = in_work(job, "tree.is");
	AUTO_FREE char *which = files_read(mark);
	AUTO_FREE char *home = NULL;

	if (!files_exist(tree))
		return NULL;
	if (!which)
		return files_remove_tree(tree); /* a build that did not end */
	home = in_work(job, "%s/tree", which);
	if (rename(tree, home))
		return err_sys(errno, "%s", home);
	unlink(mark);
	return NULL;
}

static struct err *put_tree_in_place(const struct job *job, const char *step)
{
	AUTO_FREE char *tree = in_work(job, "tree");
	AUTO_FREE char *mark = in_work(job, "tree.is");
	AUTO_FREE char *home = in_work(job, "%s/tree", step);
	struct err *err = put_tree_back(job);

	if (err || (err = files_write(mark, step)))
		return err;
	return rename(home, tree) ? err_sys(errno, "%s", tree) : NULL;
}

static char *find_ccache(void)
{
	static const char *const places[] = { "/usr/bin/ccache", "/usr/local/bin/ccache" };

	for (unsigned i = 0; i < ARRAY_SIZE(places); i++)
		if (!access(places[i], X_OK))
			return mem_strdup(places[i]);
	return mem_strdup("");
}

/*
 * The environment of a build: our compilers first in PATH.  Objects that were
 * compiled before from the same text come out of a cache of the working
 * folder's own.  Builds that stamp the time must stamp the same; a Debian
 * package does so by itself, from its changelog.
 */
/* <stitch/livepatch.h> for the sources of the patch, out of this program. */
static struct err *put_header(const struct job *job)
{
	AUTO_FREE char *outer = in_work(job, "include"), *inner = NULL, *file = NULL;
	struct err *err = files_make_dir(outer);

	inner = in_work(job, "include/stitch");
	file = in_work(job, "include/stitch/livepatch.h");
	if (!err)
		err = files_make_dir(inner);
	return err ? err : files_write(file, livepatch_header);
}

static char **build_env(const struct job *job, const char *capture)
{
	const char *path = getenv("PATH") ? getenv("PATH") : "/usr/bin:/bin";
	AUTO_FREE char *changelog = mem_fmt("%s/debian/changelog", job->o->source);
	AUTO_FREE char *ccache = find_ccache();
	const char *c_path = getenv("C_INCLUDE_PATH") ? getenv("C_INCLUDE_PATH") : "";
	const char *cxx_path = getenv("CPLUS_INCLUDE_PATH") ? getenv("CPLUS_INCLUDE_PATH") :
							      "";
	char **env = NULL;
	size_t nr = 0;

	for (char **var = environ; *var; var++)
		if (strncmp(*var, "PATH=", 5) && strncmp(*var, "CCACHE_", 7) &&
		    strncmp(*var, "C_INCLUDE_PATH=", 15) &&
		    strncmp(*var, "CPLUS_INCLUDE_PATH=", 19))
			*ARRAY_ADD(env, nr) = mem_strdup(*var);
	*ARRAY_ADD(env, nr) = mem_fmt("PATH=%s/bin:%s", job->work, path);
	*ARRAY_ADD(env, nr) = mem_fmt(WRAPPER_PATH "=%s", path);
	/* Behind the build's own folders: <stitch/livepatch.h>. */
	*ARRAY_ADD(env, nr) = mem_fmt("C_INCLUDE_PATH=%s%s%s/include", c_path,
				      *c_path ? ":" : "", job->work);
	*ARRAY_ADD(env, nr) = mem_fmt("CPLUS_INCLUDE_PATH=%s%s%s/include", cxx_path,
				      *cxx_path ? ":" : "", job->work);
	*ARRAY_ADD(env, nr) = mem_fmt(WRAPPER_CAPTURE "=%s", capture);
	*ARRAY_ADD(env, nr) = mem_fmt(WRAPPER_CACHE "=%s", ccache);
	*ARRAY_ADD(env, nr) = mem_fmt("CCACHE_DIR=%s/ccache", job->work);
	if (!getenv("SOURCE_DATE_EPOCH") && !files_exist(changelog))
		*ARRAY_ADD(env, nr) = mem_strdup("SOURCE_DATE_EPOCH=1700000000");
	*ARRAY_ADD(env, nr) = NULL;
	return env;
}

static struct err *run_build(const struct job *job, const char *step)
{
	AUTO_FREE char *tree = in_work(job, "tree");
	AUTO_FREE char *capture = in_work(job, "%s/capture", step);
	AUTO_FREE char *log = in_work(job, "%s/build.log", step);
	char **env;
	struct err *err;

	if ((err = files_remove_tree(capture)) || (err = files_make_dir(capture)))
		return err;
	unlink(log);
	env = build_env(job, capture);
	err = files_run((const char *const *)job->o->command, tree, env, log);
	for (char **var = env; *var; var++)
		free(*var);
	free(env);
	return err;
}

static struct err *apply_diff(const struct job *job, const char *step)
{
	AUTO_FREE char *tree = in_work(job, "tree");
	AUTO_FREE char *log = in_work(job, "%s/patch.log", step);
	AUTO_FREE char *strip = mem_fmt("-p%u", job->o->strip);
	char full[PATH_MAX];
	const char *argv[] = { "patch", strip, "--batch", "--forward", "--no-backup-if-mismatch",
			       "-i", full, NULL };
	struct err *err;

	if (!realpath(job->o->patch, full))
		return err_new(ERR_FAILED, "no-such-file", "%s: %s", job->o->patch,
			       strerror(errno));
	unlink(log);
	err = files_run(argv, tree, NULL, log);
	if (err) {
		err->reason = "patch-does-not-apply";
		return err_wrap(err, "%s", job->o->patch);
	}
	return NULL;
}

/* What a build is made from: when it is the same, so is the build. */
static struct err *key_of(const struct job *job, bool patched, char **key)
{
	AUTO_BUF struct buf text = { 0 };
	AUTO_FREE char *diff = patched ? files_read(job->o->patch) : NULL;
	unsigned char hash[crypto_hash_sha256_BYTES];
	char fingerprint[65], hex[65];
	struct err *err = files_fingerprint(job->o->source, fingerprint);

	if (err)
		return err;
	buf_add_str(&text, fingerprint);
	for (char **word = job->o->command; *word; word++)
		buf_add_str(&text, *word);
	if (diff)
		buf_add_str(&text, diff);
	crypto_hash_sha256(hash, text.data, text.size);
	sodium_bin2hex(hex, sizeof(hex), hash, sizeof(hash));
	*key = mem_strdup(hex);
	return NULL;
}

static struct err *build_step(const struct job *job, const char *step, bool patched)
{
	AUTO_FREE char *folder = in_work(job, "%s", step);
	AUTO_FREE char *home = in_work(job, "%s/tree", step);
	AUTO_FREE char *done = in_work(job, "%s/key", step);
	AUTO_FREE char *tree = in_work(job, "tree");
	AUTO_FREE char *key = NULL, *old = files_read(done);
	struct err *err;

	if ((err = key_of(job, patched, &key)))
		return err;
	if (old && !strcmp(old, key) && files_exist(home)) {
		progress(job, "%s: as it was built before", step);
		return NULL;
	}
	progress(job, "%s: building (log: %s/build.log)", step, folder);
	if ((err = files_remove_tree(folder)) || (err = files_make_dir(folder)) ||
	    (err = files_copy_tree(job->o->source, tree)) ||
	    (patched && (err = apply_diff(job, step))) || (err = run_build(job, step)))
		return err_wrap(err, "%s", step);
	if (rename(tree, home))
		return err_sys(errno, "%s", home);
	return files_write(done, key);
}

static struct err *two_builds(struct job *job)
{
	AUTO_FREE char *bin = in_work(job, "bin");
	AUTO_FREE char *old = in_work(job, "1-original/capture");
	AUTO_FREE char *new = in_work(job, "2-patched/capture");
	struct err *err;

	if ((err = files_make_dir(job->work)) || (err = put_header(job)) ||
	    (err = wrapper_install(bin, job->o->self)) || (err = put_tree_back(job)) ||
	    (err = build_step(job, "1-original", false)) ||
	    (err = build_step(job, "2-patched", true)) ||
	    (err = capture_read(old, &job->old)) || (err = capture_read(new, &job->new)))
		return err;
	for (size_t i = 0; i < job->old.nr; i++)
		job->result->nr_units += !job->old.items[i].is_link;
	if (!job->result->nr_units)
		return err_new(ERR_FAILED, "no-objects", "the build command compiled nothing: "
			       "it must build from scratch and find its compiler in PATH "
			       "(not CC=/usr/bin/gcc)");
	return NULL;
}

/* ---- which objects differ ----------------------------------------------- */

static const char *short_name(const struct job *job, const char *output)
{
	size_t len = strlen(job->work);

	return !strncmp(output, job->work, len) && !strncmp(output + len, "/tree/", 6) ?
	       output + len + 6 : output;
}

static struct err *differ(const struct captured *old, const struct captured *new,
			  bool *different)
{
	struct image *a = NULL, *b = NULL;
	struct err *err;

	if (!(err = image_open(old->file, &a)) && !(err = image_open(new->file, &b)))
		*different = !compare_plain_equal(a, b);
	image_free(a);
	image_free(b);
	return err;
}

/* The last time that each object was written counts. */
static struct err *find_pairs(struct job *job)
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

static const char *const section_args[] = { "-ffunction-sections", "-fdata-sections", "-g0",
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

static struct err *compile_all(const struct job *job, const char *step, bool new)
{
	AUTO_FREE char *log = in_work(job, "3-sections/compile.log");
	struct err *err = put_tree_in_place(job, step);

	for (size_t i = 0; i < job->nr_pairs && !err; i++) {
		const struct captured *unit = new ? job->pairs[i].new : job->pairs[i].old;
		AUTO_FREE char *plain = in_work(job, "3-sections/%zu-%c.o", i, new ? 'b' : 'a');

		if (!unit)
			continue;
		err = capture_compile(unit, section_args, plain, log);
		if (err)
			break;
		/* Some sources cannot be compiled so: then line noise is carried. */
		for (unsigned v = 0; v < ARRAY_SIZE(line_variants); v++) {
			AUTO_FREE char *line = in_work(job, "3-sections/%zu-%c-%s.o", i,
						       new ? 'b' : 'a',
						       line_variants[v].name);

			err_free(capture_compile(unit, line_variants[v].args, line, log));
		}
	}
	if (err) {
		err_free(put_tree_back(job));
		return err;
	}
	return put_tree_back(job);
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
	AUTO_FREE char *a = in_work(job, "3-sections/%zu-a.o", i);
	AUTO_FREE char *b = in_work(job, "3-sections/%zu-b.o", i);
	struct err *err;

	/* A file that the change adds is compared with itself, emptied. */
	if (pair->old && ((err = load_unit(pair->old->file, &pair->plain)) ||
			  (err = load_unit(a, &pair->a))))
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
	AUTO_FREE char *a = in_work(job, "3-sections/%zu-a-%s.o", i, variant);
	AUTO_FREE char *b = in_work(job, "3-sections/%zu-b-%s.o", i, variant);
	struct unit *a_line = NULL, *b_line = NULL;
	struct err *err = NULL;

	if (!files_exist(a) || !files_exist(b))
		return NULL;
	if (!(err = load_unit(a, &a_line)) && !(err = load_unit(b, &b_line)))
		err = compare_drop_line_noise(&pair->compare, a_line, b_line);
	unit_free(a_line);
	unit_free(b_line);
	return err;
}

static struct err *compare_all(struct job *job)
{
	AUTO_FREE char *folder = in_work(job, "3-sections");
	struct err *err;

	progress(job, "3-sections: comparing %zu object file%s", job->nr_pairs,
		 job->nr_pairs == 1 ? "" : "s");
	if ((err = files_remove_tree(folder)) || (err = files_make_dir(folder)) ||
	    (err = compile_all(job, "1-original", false)) ||
	    (err = compile_all(job, "2-patched", true)))
		return err;
	for (size_t i = 0; i < job->nr_pairs; i++) {
		struct pair *pair = &job->pairs[i];

		if ((err = load_pair(job, i)))
			return err;
		/* Kept for later: it counts only if the file is in the image. */
		pair->refusal = pair->a ? compare_units(pair->a, pair->b, &pair->compare) :
					  compare_new_unit(pair->b, &pair->compare);
		pair->compared = !pair->refusal;
		for (unsigned v = 0; v < ARRAY_SIZE(line_variants); v++)
			if (pair->compared && pair->a &&
			    (err = drop_line_noise(job, i, line_variants[v].name)))
				return err;
	}
	return NULL;
}

/* ---- which image -------------------------------------------------------- */

static size_t count_in(struct job *job, const struct image *image, struct err **err)
{
	size_t nr = 0;

	for (size_t i = 0; i < job->nr_pairs && !*err; i++) {
		struct pair *pair = &job->pairs[i];

		pair->in_image = false;
		if (!pair->plain)
			continue;
		*err = locate_unit(image, pair->plain, &pair->locate, &pair->in_image);
		*err = err_wrap(*err, "%s", pair->name);
		nr += pair->in_image;
	}
	return nr;
}

static const char *last_part(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* How well a linked image fits a binary that runs: more is better. */
static int rate_fit(const struct image *linked, const char *linked_name,
		    const struct image *running, const char *running_name)
{
	struct match match;
	const char *soname = image_soname(running);
	struct err *err;
	int rate;

	if (image_has_build_id(linked, running->build_id, running->build_id_size))
		return 4;
	err = match_images(linked, running, &match);
	rate = err ? 0 : match.how == MATCH_LAYOUT ? 3 :
	       match.nr_matched * 2 > match.nr_funcs ? 1 : 0;
	if (rate == 1 && (!strcmp(last_part(linked_name), last_part(running_name)) ||
			  (soname && !strcmp(last_part(linked_name), soname))))
		rate = 2;
	err_free(err);
	match_done(&match);
	return rate;
}

static const char *binary_name(const char *path, const struct image *image, char *buffer)
{
	const char *soname = image_soname(image);
	ssize_t got = readlink(path, buffer, PATH_MAX - 1);

	if (soname)
		return soname;
	if (got > 0) {
		buffer[got] = 0;
		return last_part(buffer);
	}
	return last_part(path);
}

/* Of all linked images that hold a changed object and all given binaries the
 * pair that fits best. */
static struct err *choose_running(struct job *job, const struct captured *link,
				  struct image *linked, int *best, bool *keep)
{
	for (size_t i = 0; i < job->o->nr_binaries; i++) {
		struct image *running = NULL;
		char buffer[PATH_MAX];
		struct err *err = image_open(job->o->binaries[i], &running);
		int rate;

		if (!err && (err = arch_need_patch(running->arch)))
			image_free(running);
		if (err)
			return err;
		rate = rate_fit(linked, link->output, running, job->o->binaries[i]);
		if (rate <= *best) {
			image_free(running);
			continue;
		}
		*best = rate;
		*keep = true;
		image_free(job->running);
		job->running = running;
		free(job->running_name);
		job->running_name = mem_strdup(binary_name(job->o->binaries[i], running,
							   buffer));
	}
	return NULL;
}

static struct err *consider(struct job *job, const struct captured *link, int *best,
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
	    !count_in(job, linked, &err) || err) {
		image_free(linked);
		return err;
	}
	++*nr_fit;
	more = mem_fmt("%s%s%s", *names ? *names : "", *names ? ", " : "",
		       last_part(link->output));
	free(*names);
	*names = more;
	if (job->o->nr_binaries)
		err = choose_running(job, link, linked, best, &keep);
	else
		keep = *nr_fit == 1;
	if (keep) {
		image_free(job->linked);
		job->linked = linked;
		if (!job->o->nr_binaries) {
			free(job->running_name);
			job->running_name = mem_strdup(image_soname(linked) ?
				image_soname(linked) : last_part(link->output));
		}
	} else {
		image_free(linked);
	}
	return err;
}

static struct err *choose_image(struct job *job)
{
	AUTO_FREE char *names = NULL;
	size_t nr_fit = 0;
	int best = 0;
	struct err *err = NULL;

	for (size_t i = 0; i < job->old.nr && !err; i++) {
		const struct captured *link = &job->old.items[i];

		if (link->is_link && capture_find(&job->old, link->output, true) == link)
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
		return err_new(ERR_UNSUPPORTED, "no-match", "none of the given binaries is "
			       "like what was linked (%s)", names);
	return NULL;
}

static struct err *match_running(struct job *job)
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
	progress(job, "4-match: %s: %s", job->running_name, job->result->matched);
	if (job->match.how == MATCH_FUNCTIONS)
		progress(job, "4-match: %zu of %zu functions found", job->match.nr_matched,
			 job->match.nr_funcs);
	return NULL;
}

/* ---- the patch ---------------------------------------------------------- */

/* One source compiled twice to the same code (libtool): once is enough. */
static bool is_twice(const struct job *job, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (job->pairs[i].in_image && job->pairs[i].locate.first &&
		    job->pairs[i].locate.first == job->pairs[n].locate.first)
			return true;
	return false;
}

static struct err *gather(struct job *job, struct emit *emit)
{
	struct err *err = NULL;

	count_in(job, job->linked, &err);
	for (size_t i = 0; i < job->nr_pairs && !err; i++) {
		struct pair *pair = &job->pairs[i];
		struct emit_unit *unit;

		if (pair->in_image && is_twice(job, i))
			continue;
		if (!pair->in_image && !pair->is_new) {
			emit_note(emit, "not-in-image", "%s changes but is not in %s",
				  pair->name, job->running_name);
			continue;
		}
		if (pair->refusal) {
			err = err_wrap(pair->refusal, "%s", pair->name);
			pair->refusal = NULL;
			return err;
		}
		unit = ARRAY_ADD(emit->units, emit->nr_units);
		unit->name = pair->name;
		unit->compare = pair->compare;
		unit->locate = pair->locate;
		unit->is_new = pair->is_new;
	}
	return err;
}

static char *default_name(const char *output)
{
	char *name = mem_strdup(last_part(output));
	char *dot = strrchr(name, '.');

	if (dot && dot != name)
		*dot = 0;
	return name;
}

static void note_lines(struct emit *emit)
{
	if (emit->nr_line)
		emit_note(emit, "line-numbers", "%zu function%s differ%s only by line numbers "
			  "(__LINE__) and %s left as %s", emit->nr_line,
			  emit->nr_line == 1 ? "" : "s", emit->nr_line == 1 ? "s" : "",
			  emit->nr_line == 1 ? "is" : "are",
			  emit->nr_line == 1 ? "it is" : "they are");
}

static struct err *write_patch(struct job *job)
{
	AUTO_FREE char *name = job->o->name ? mem_strdup(job->o->name) :
					      default_name(job->o->output);
	struct emit emit = { .match = &job->match, .object_name = job->running_name,
			     .patch_name = name,
			     .replace = job->o->replace,
			     .description = job->o->description ? job->o->description : "",
			     .created_by = job->o->created_by };
	struct err *err = gather(job, &emit);

	for (size_t u = 0; u < emit.nr_units; u++)
		for (uint32_t n = 1; n < emit.units[u].compare.b->image->nr_sections; n++)
			emit.nr_line += unit_function(emit.units[u].compare.b, n) &&
					emit.units[u].compare.state[n] == STATE_LINE;
	note_lines(&emit);
	if (!err)
		err = emit_patch(&emit, job->o->output);
	job->result->nr_funcs = emit.nr_funcs;
	job->result->nr_new = emit.nr_new;
	job->result->nr_line = emit.nr_line;
	for (size_t i = 0; i < emit.nr_notes; i++) {
		struct build_note *note = ARRAY_ADD(job->result->notes,
						    job->result->nr_notes);

		note->kind = mem_strdup(emit.notes[i].kind);
		note->text = mem_strdup(emit.notes[i].text);
	}
	emit_done(&emit);
	free(emit.units);
	return err;
}

static void job_done(struct job *job)
{
	for (size_t i = 0; i < job->nr_pairs; i++) {
		struct pair *pair = &job->pairs[i];

		if (pair->compared)
			compare_done(&pair->compare);
		unit_free(pair->plain);
		unit_free(pair->a);
		unit_free(pair->b);
		err_free(pair->refusal);
	}
	free(job->pairs);
	match_done(&job->match);
	image_free(job->linked);
	image_free(job->running);
	free(job->running_name);
	capture_done(&job->old);
	capture_done(&job->new);
	free(job->work);
}

static struct err *set_up(struct job *job)
{
	AUTO_FREE char *beside = mem_fmt("%s.work", job->o->output);
	const char *work = job->o->work ? job->o->work : beside;
	char cwd[PATH_MAX];

	if (!files_exist(job->o->source))
		return err_new(ERR_FAILED, "no-such-file", "--source %s: no such folder",
			       job->o->source);
	if (!files_exist(job->o->patch))
		return err_new(ERR_FAILED, "no-such-file", "--patch %s: no such file",
			       job->o->patch);
	if (!getcwd(cwd, sizeof(cwd)))
		return err_sys(errno, "getcwd");
	job->work = *work == '/' ? mem_strdup(work) : mem_fmt("%s/%s", cwd, work);
	return NULL;
}

struct err *build_patch(const struct build_options *options, struct build_result *result)
{
	struct job job = { .o = options, .result = result };
	struct err *err;

	*result = (struct build_result){ 0 };
	if (!(err = set_up(&job)) && !(err = two_builds(&job)) &&
	    !(err = find_pairs(&job)) && !(err = compare_all(&job)) &&
	    !(err = choose_image(&job)) && !(err = match_running(&job)))
		err = write_patch(&job);
	job_done(&job);
	return err;
}

void build_result_done(struct build_result *result)
{
	for (size_t i = 0; i < result->nr_notes; i++) {
		free(result->notes[i].kind);
		free(result->notes[i].text);
	}
	free(result->notes);
	free(result->object);
	free(result->matched);
	*result = (struct build_result){ 0 };
}
