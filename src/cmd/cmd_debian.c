/* SPDX-License-Identifier: GPL-2.0-or-later */
/* build --debian: from a package and a fix; scripts/debian gets what a build wants. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd.h"
#include "files.h"
#include "mem.h"

/* The text of scripts/debian, as it was when this program was built. */
extern const char debian_script[];

static struct err *check_options(const struct options *o)
{
	if (!o->patch == !o->fix_from)
		return err_new(ERR_USAGE, "usage", "build --debian wants one of --patch FILE and "
			       "--fix-from VERSION");
	if (o->only && !o->fix_from)
		return err_new(ERR_USAGE, "usage", "--only chooses among the patches of --fix-from");
	if (o->source || o->command)
		return err_new(ERR_USAGE, "usage", "build --debian gets the source and builds as "
			       "Debian does: no --source, no build command");
	if (o->nr_binaries > 1)
		return err_new(ERR_USAGE, "usage", "build --debian takes one --binary");
	if (o->nr_words)
		return err_new(ERR_USAGE, "usage", "build: what is \"%s\"?", o->words[0]);
	return NULL;
}

/* By the fix: CVE-2026-1.patch makes CVE-2026-1.slp, a version PACKAGE-VERSION.slp. */
static char *default_output(const struct options *o)
{
	const char *from = o->patch ? files_last_part(o->patch) : o->fix_from;
	int package = (int)strcspn(o->debian, "=");
	size_t len = strlen(from);
	const char *dot = strrchr(from, '.');

	/* Without the epoch, which file names have not either. */
	if (o->only)
		return mem_fmt("%.*s-%s.slp", package, o->debian, o->only);
	if (!o->patch)
		return mem_fmt("%.*s-%s.slp", package, o->debian,
			       strchr(from, ':') ? strchr(from, ':') + 1 : from);
	if (dot && dot != from && (!strcmp(dot, ".patch") || !strcmp(dot, ".diff")))
		len = (size_t)(dot - from);
	return mem_fmt("%.*s.slp", (int)len, from);
}

/* By the package, for all of its fixes: what the first built is not built again. */
static char *default_work(const struct options *o)
{
	char *work = mem_fmt("%s.work", o->debian);

	/* Compilers are found in it by PATH. */
	for (char *at = work; (at = strchr(at, ':'));)
		*at = '_';
	return work;
}

static void add(char ***argv, size_t *nr, const char *word)
{
	*ARRAY_ADD(*argv, *nr) = word ? mem_strdup(word) : NULL;
}

static void add_option(char ***argv, size_t *nr, const char *name, const char *value)
{
	if (!value)
		return;
	add(argv, nr, name);
	add(argv, nr, value);
}

/* The build that the script ends in: this program, with what it was asked for. */
static void add_build(const struct options *o, const char *self, const char *output,
		      char ***argv, size_t *nr)
{
	AUTO_FREE char *strip = mem_fmt("%u", o->strip);

	if (o->download_only) {
		/* Whatever the script says behind it. */
		add(argv, nr, "true");
		add(argv, nr, NULL);
		return;
	}
	add(argv, nr, self);
	add(argv, nr, "build");
	add_option(argv, nr, "--output", output);
	add_option(argv, nr, "--name", o->name);
	add_option(argv, nr, "--description", o->description);
	add_option(argv, nr, "--strip", strip);
	for (size_t i = 0; i < o->nr_layouts; i++)
		add_option(argv, nr, "--allow-layout", o->layouts[i]);
	if (o->constructors)
		add(argv, nr, "--allow-constructor");
	if (o->full)
		add(argv, nr, "--full");
	if (o->together)
		add(argv, nr, "--together");
	if (o->replace)
		add(argv, nr, "--replace");
	if (o->explain)
		add(argv, nr, "--explain");
	if (o->json)
		add(argv, nr, "--json");
	add(argv, nr, NULL);
}

/* A path that means the same in the script, which goes elsewhere; a PID stays one. */
static struct err *absolute(const char *path, char **out)
{
	pid_t pid;

	*out = !path ? mem_strdup("") : cmd_is_pid(path, &pid) ? mem_strdup(path) :
	       realpath(path, NULL);
	return *out ? NULL : err_sys(errno, "%s", path);
}

int cmd_debian(const struct options *o)
{
	AUTO_FREE char *output = NULL, *work = NULL, *fix = NULL, *binary = NULL;
	char self[PATH_MAX] = "", **argv = NULL;
	size_t nr = 0;
	struct err *err = check_options(o);

	if (!err && readlink("/proc/self/exe", self, sizeof(self) - 1) < 0)
		err = err_new(ERR_FAILED, "system", "/proc/self/exe cannot be read");
	if (err || (err = absolute(o->patch, &fix)) ||
	    (err = absolute(o->nr_binaries ? o->binaries[0] : NULL, &binary)))
		return cmd_fail(o, err);
	output = o->output ? mem_strdup(o->output) : default_output(o);
	work = o->work ? mem_strdup(o->work) : default_work(o);
	add(&argv, &nr, "sh");
	add(&argv, &nr, "-c");
	add(&argv, &nr, debian_script);
	add(&argv, &nr, "stitch-debian");
	add(&argv, &nr, o->debian);
	add(&argv, &nr, work);
	add(&argv, &nr, fix);
	add(&argv, &nr, o->fix_from ? o->fix_from : "");
	add(&argv, &nr, o->only ? o->only : "");
	add(&argv, &nr, binary);
	add_build(o, self, output, &argv, &nr);
	execv("/bin/sh", argv);
	return cmd_fail(o, err_sys(errno, "/bin/sh"));
}
