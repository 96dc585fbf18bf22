/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "work.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "diff.h"
#include "files.h"
#include "mem.h"
#include "run.h"
#include "wrapper.h"

extern char **environ;

/* include/stitch/livepatch.h, as it was when this program was built. */
extern const char livepatch_header[];

void work_progress(const struct job *job, const char *fmt, ...)
{
	AUTO_FREE char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	text = mem_vfmt(fmt, ap);
	va_end(ap);
	if (job->o->progress)
		job->o->progress(job->o->arg, text);
}

char *work_path(const struct job *job, const char *fmt, ...)
{
	AUTO_FREE char *name = NULL;
	va_list ap;

	va_start(ap, fmt);
	name = mem_vfmt(fmt, ap);
	va_end(ap);
	return mem_fmt("%s/%s", job->work, name);
}

/* The tree that was left in place by a tool that was killed is moved back. */
struct err *work_tree_back(const struct job *job)
{
	AUTO_FREE char *tree = work_path(job, "tree");
	AUTO_FREE char *mark = work_path(job, "tree.is");
	AUTO_FREE char *which = files_read(mark);
	AUTO_FREE char *home = NULL;

	if (!files_exist(tree)) {
		unlink(mark); /* it was moved back just before the end */
		return NULL;
	}
	if (!which)
		return files_remove_tree(tree); /* a build that did not end */
	home = work_path(job, "%s/tree", which);
	if (rename(tree, home))
		return err_sys(errno, "%s", home);
	unlink(mark);
	return NULL;
}

struct err *work_tree_in_place(const struct job *job, const char *step)
{
	AUTO_FREE char *tree = work_path(job, "tree");
	AUTO_FREE char *mark = work_path(job, "tree.is");
	AUTO_FREE char *home = work_path(job, "%s/tree", step);
	struct err *err = work_tree_back(job);

	if (err || (err = files_write(mark, step)))
		return err;
	return rename(home, tree) ? err_sys(errno, "%s", tree) : NULL;
}

/* Its path, or "": there is none, or the user wants none. */
static char *find_ccache(void)
{
	static const char *const places[] = { "/usr/bin/ccache", "/usr/local/bin/ccache" };

	for (unsigned i = 0; i < ARRAY_SIZE(places) && !getenv("CCACHE_DISABLE"); i++)
		if (!access(places[i], X_OK))
			return mem_strdup(places[i]);
	return mem_strdup("");
}

/* <stitch/livepatch.h> for the sources of the patch, out of this program. */
static struct err *put_header(const struct job *job)
{
	AUTO_FREE char *outer = work_path(job, "include"), *inner = NULL, *file = NULL;
	struct err *err = files_make_dir(outer);

	inner = work_path(job, "include/stitch");
	file = work_path(job, "include/stitch/livepatch.h");
	if (!err)
		err = files_make_dir(inner);
	return err ? err : files_write(file, livepatch_header);
}

/*
 * The environment of a build: our compilers first in PATH.  Objects that were
 * compiled before from the same text come out of a cache of the working
 * folder's own.  Builds that stamp the time must stamp the same; a Debian
 * package does so by itself, from its changelog.
 */
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
		    strncmp(*var, "GIT_CEILING_DIRECTORIES=", 24) &&
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
	/* A repository that the working folder lies in is not the source's. */
	*ARRAY_ADD(env, nr) = mem_fmt("GIT_CEILING_DIRECTORIES=%s", job->work);
	if (!getenv("SOURCE_DATE_EPOCH") && !files_exist(changelog))
		*ARRAY_ADD(env, nr) = mem_strdup("SOURCE_DATE_EPOCH=1700000000");
	*ARRAY_ADD(env, nr) = NULL;
	return env;
}

static struct err *run_build(const struct job *job, const char *step)
{
	AUTO_FREE char *tree = work_path(job, "tree");
	AUTO_FREE char *capture = work_path(job, "%s/capture", step);
	AUTO_FREE char *log = work_path(job, "%s/build.log", step);
	char **env;
	struct err *err;

	if ((err = files_remove_tree(capture)) || (err = files_make_dir(capture)))
		return err;
	unlink(log);
	env = build_env(job, capture);
	err = run_program((const char *const *)job->o->command, tree, env, log);
	for (char **var = env; *var; var++)
		free(*var);
	free(env);
	return err;
}

static struct err *run_patch(const struct job *job, const char *step, const char *file)
{
	AUTO_FREE char *tree = work_path(job, "tree");
	AUTO_FREE char *log = work_path(job, "%s/patch.log", step);
	AUTO_FREE char *strip = mem_fmt("-p%u", job->o->strip);
	const char *argv[] = { "patch", strip, "--batch", "--forward", "--no-backup-if-mismatch",
			       "-i", file, NULL };

	unlink(log);
	return run_program(argv, tree, NULL, log);
}

/* One file of the diff; *left_out gets its name if it does not apply and need not. */
static struct err *apply_part(const struct job *job, const char *step,
			      const struct diff_part *part, char **left_out, bool *applied)
{
	AUTO_FREE char *file = work_path(job, "%s/part.diff", step);
	AUTO_FREE char *text = mem_fmt("%.*s", (int)part->size, part->text);
	struct err *err = files_write(file, text);
	char *more;

	if (err)
		return err;
	err = run_patch(job, step, file);
	*applied |= !err;
	if (!err || !diff_is_beside(part->name))
		return err;
	err_free(err);
	work_progress(job, "%s: left out, for it does not apply: %s", step, part->name);
	more = mem_fmt("%s%s%s", *left_out, **left_out ? ", " : "", part->name);
	free(*left_out);
	*left_out = more;
	return NULL;
}

/* File by file, for a fix's changes of documentation and tests often fit another version
 * only; which were left out stands in a file beside the build. */
static struct err *apply_parts(const struct job *job, const char *step, const char *diff)
{
	AUTO_FREE char *tree = work_path(job, "tree");
	AUTO_FREE char *list = work_path(job, "%s/left-out", step);
	AUTO_FREE char *left_out = mem_strdup("");
	struct diff_part part;
	bool applied = false;
	struct err *err;
	size_t at = 0;

	if ((err = files_remove_tree(tree)) || (err = files_copy_tree(job->o->source, tree)))
		return err;
	while (!err && diff_next(diff, &at, job->o->strip, &part)) {
		err = apply_part(job, step, &part, &left_out, &applied);
		free(part.name);
	}
	if (!err && !applied)
		err = err_new(ERR_FAILED, "patch-does-not-apply", "nothing of it applies");
	return err ? err : files_write(list, left_out);
}

struct err *work_apply_diff(const struct job *job, const char *step)
{
	AUTO_FREE char *diff = files_read(job->o->patch);
	char full[PATH_MAX];
	struct err *err, *whole;

	if (!realpath(job->o->patch, full))
		return err_new(ERR_FAILED, "no-such-file", "%s: %s", job->o->patch,
			       strerror(errno));
	whole = run_patch(job, step, full);
	if (!whole)
		return NULL;
	err = apply_parts(job, step, diff ? diff : "");
	if (!err) {
		err_free(whole);
		return NULL;
	}
	err_free(err);
	whole->reason = "patch-does-not-apply";
	return err_wrap(whole, "%s", job->o->patch);
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
	if (patched && job->o->full)
		buf_add_str(&text, "all of it");
	crypto_hash_sha256(hash, text.data, text.size);
	sodium_bin2hex(hex, sizeof(hex), hash, sizeof(hash));
	*key = mem_strdup(hex);
	return NULL;
}

/* All of it, by the command. */
static struct err *build_whole(const struct job *job, const char *step, bool patched)
{
	AUTO_FREE char *tree = work_path(job, "tree");
	AUTO_FREE char *folder = work_path(job, "%s", step);
	struct err *err;

	work_progress(job, "%s: building (log: %s/build.log)", step, folder);
	if ((err = files_copy_tree(job->o->source, tree)) ||
	    (patched && (err = work_apply_diff(job, step))))
		return err;
	return run_build(job, step);
}

static struct err *build_step(const struct job *job, const char *step, bool patched)
{
	AUTO_FREE char *folder = work_path(job, "%s", step);
	AUTO_FREE char *home = work_path(job, "%s/tree", step);
	AUTO_FREE char *stamp = work_path(job, "%s/key", step);
	AUTO_FREE char *tree = work_path(job, "tree");
	AUTO_FREE char *key = NULL, *old = files_read(stamp);
	bool done = false;
	struct err *err;

	if ((err = key_of(job, patched, &key)))
		return err;
	if (old && !strcmp(old, key) && files_exist(home)) {
		work_progress(job, "%s: as it was built before", step);
		return NULL;
	}
	if ((err = files_remove_tree(folder)) || (err = files_make_dir(folder)) ||
	    (patched && !job->o->full && (err = work_build_quick(job, step, &done))) ||
	    (!done && (err = build_whole(job, step, patched))))
		return err_wrap(err, "%s", step);
	if (rename(tree, home))
		return err_sys(errno, "%s", home);
	return files_write(stamp, key);
}

/*
 * Two at once would take each other's objects for their own.  What a tool that was killed
 * has left running holds its lock until it has been ended (run.h), which takes a moment.
 */
static struct err *lock_work(struct job *job)
{
	const struct timespec moment = { .tv_nsec = 20000000 };
	AUTO_FREE char *path = work_path(job, "lock");

	job->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	if (job->lock < 0)
		return err_sys(errno, "%s", path);
	for (unsigned tries = 0; tries < 150; tries++) {
		if (!flock(job->lock, LOCK_EX | LOCK_NB) || errno != EWOULDBLOCK)
			return NULL;
		nanosleep(&moment, NULL);
	}
	return err_new(ERR_NOT_NOW, "work-in-use", "another stitch build is at work in %s: wait "
		       "for it, or give this one a folder of its own with --work", job->work);
}

struct err *work_build_both(struct job *job)
{
	AUTO_FREE char *bin = work_path(job, "bin");
	AUTO_FREE char *old = work_path(job, "1-original/capture");
	AUTO_FREE char *new = work_path(job, "2-patched/capture");
	struct err *err;

	if ((err = files_make_dir(job->work)) || (err = lock_work(job)) || (err = put_header(job)) ||
	    (err = wrapper_install(bin, job->o->self)) || (err = work_tree_back(job)) ||
	    (err = build_step(job, "1-original", false)) ||
	    (err = capture_read(old, &job->old)) ||
	    (err = build_step(job, "2-patched", true)) ||
	    (err = capture_read(new, &job->new)))
		return err;
	for (size_t i = 0; i < job->old.nr; i++)
		job->result->nr_units += !job->old.items[i].is_link;
	if (!job->result->nr_units)
		return err_new(ERR_FAILED, "no-objects", "the build command compiled nothing: "
			       "it must build from scratch and find its compiler in PATH "
			       "(not CC=/usr/bin/gcc)");
	return NULL;
}
