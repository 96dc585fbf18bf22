/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "capture.h"

#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "files.h"
#include "mem.h"
#include "run.h"
#include "wrapper.h"

static char **strings_of(const json_t *array)
{
	char **strings = mem_alloc((json_array_size(array) + 1) * sizeof(char *));
	const json_t *item;
	size_t i;

	json_array_foreach(array, i, item)
		strings[i] = mem_strdup(json_is_string(item) ? json_string_value(item) : "");
	return strings;
}

static char *string_of(const json_t *root, const char *key)
{
	const char *text = json_string_value(json_object_get(root, key));

	return mem_strdup(text ? text : "");
}

/* /a/b/../c/./d as /a/c/d: the same file by the same name in both builds. */
static char *plain_path(const char *cwd, const char *path)
{
	AUTO_FREE char *full = *path == '/' ? mem_strdup(path) : mem_fmt("%s/%s", cwd, path);
	char *plain = mem_alloc(strlen(full) + 2), *save = NULL;

	for (char *word = strtok_r(full, "/", &save); word; word = strtok_r(NULL, "/", &save)) {
		char *slash;

		if (!strcmp(word, "."))
			continue;
		if (!strcmp(word, "..")) {
			if ((slash = strrchr(plain, '/')))
				*slash = 0;
			continue;
		}
		strcat(plain, "/");
		strcat(plain, word);
	}
	return plain;
}

static void read_one(const char *story, struct captured *item)
{
	json_t *root = json_load_file(story, 0, NULL);
	const char *kind = json_string_value(json_object_get(root, "kind"));

	item->file = mem_strdup(story);
	strcpy(strstr(item->file, ".json"), ".o");
	item->is_link = kind && !strcmp(kind, "link");
	item->cwd = string_of(root, "cwd");
	item->compiler = string_of(root, "compiler");
	item->source = string_of(root, "source");
	item->as_given = string_of(root, "output");
	item->output = plain_path(item->cwd, item->as_given);
	item->argv = strings_of(json_object_get(root, "argv"));
	item->env = strings_of(json_object_get(root, "env"));
	item->order = json_integer_value(json_object_get(root, "order"));
	json_decref(root);
}

static int by_order(const void *a, const void *b)
{
	const struct captured *x = a, *y = b;

	return x->order < y->order ? -1 : x->order > y->order;
}

struct err *capture_read(const char *folder, struct capture *capture)
{
	DIR *dir = opendir(folder);
	struct dirent *entry;

	*capture = (struct capture){ 0 };
	if (!dir)
		return err_sys(errno, "%s", folder);
	while ((entry = readdir(dir))) {
		AUTO_FREE char *story = mem_fmt("%s/%s", folder, entry->d_name);
		size_t len = strlen(entry->d_name);

		if (len > 5 && !strcmp(entry->d_name + len - 5, ".json"))
			read_one(story, ARRAY_ADD(capture->items, capture->nr));
	}
	closedir(dir);
	if (capture->nr)
		qsort(capture->items, capture->nr, sizeof(*capture->items), by_order);
	return NULL;
}

static void free_strings(char **strings)
{
	for (char **s = strings; s && *s; s++)
		free(*s);
	free(strings);
}

void capture_done(struct capture *capture)
{
	for (size_t i = 0; i < capture->nr; i++) {
		struct captured *item = &capture->items[i];

		free(item->file);
		free(item->output);
		free(item->as_given);
		free(item->cwd);
		free(item->compiler);
		free(item->source);
		free_strings(item->argv);
		free_strings(item->env);
	}
	free(capture->items);
	*capture = (struct capture){ 0 };
}

const struct captured *capture_find(const struct capture *capture, const char *output,
				    bool is_link)
{
	for (size_t i = capture->nr; i-- > 0;)
		if (capture->items[i].is_link == is_link &&
		    !strcmp(capture->items[i].output, output))
			return &capture->items[i];
	return NULL;
}

/* Is it a variable that only the wrapper is to see? */
static bool is_ours(const char *var)
{
	return !strncmp(var, WRAPPER_CAPTURE "=", strlen(WRAPPER_CAPTURE) + 1) ||
	       !strncmp(var, "PATH=", 5);
}

/* The unit's environment with the real PATH. */
static char **real_env(const struct captured *unit)
{
	size_t skip = strlen(WRAPPER_PATH) + 1, nr = 0;
	char **env = NULL;

	for (char **var = unit->env; *var; var++) {
		if (!strncmp(*var, WRAPPER_PATH "=", skip))
			*ARRAY_ADD(env, nr) = mem_fmt("PATH=%s", *var + skip);
		else if (!is_ours(*var))
			*ARRAY_ADD(env, nr) = mem_strdup(*var);
	}
	*ARRAY_ADD(env, nr) = NULL;
	return env;
}

/* The compiler cache that the build had; NULL: none. */
static const char *cache_of(const struct captured *unit)
{
	size_t size = strlen(WRAPPER_CACHE) + 1;

	for (char **var = unit->env; *var; var++)
		if (!strncmp(*var, WRAPPER_CACHE "=", size) && (*var)[size])
			return *var + size;
	return NULL;
}

bool capture_has_source(const struct captured *unit)
{
	AUTO_FREE char *path = *unit->source == '/' ? mem_strdup(unit->source) :
			       mem_fmt("%s/%s", unit->cwd, unit->source);

	return !access(path, R_OK);
}

struct err *capture_compile(const struct captured *unit, const char *const *more,
			    const char *output, const char *log)
{
	char **env = real_env(unit);
	const char **argv = NULL;
	size_t nr = 0;
	struct err *err;

	/* As it was compiled before: then it need not be again. */
	if (!*more && cache_of(unit))
		*ARRAY_ADD(argv, nr) = cache_of(unit);
	*ARRAY_ADD(argv, nr) = unit->compiler;
	for (char **arg = unit->argv + 1; *arg; arg++) {
		enum wrapper_arg kind = wrapper_classify(*arg);

		if (kind == ARG_OUTPUT || kind == ARG_DEPEND_VALUE) {
			arg += (kind == ARG_DEPEND_VALUE || !(*arg)[2]) && arg[1];
			continue;
		}
		if (kind == ARG_DEPEND || kind == ARG_INPUT || kind == ARG_COMPILE ||
		    (kind == ARG_SOURCE && strcmp(*arg, unit->source)))
			continue;
		*ARRAY_ADD(argv, nr) = *arg;
		if (kind == ARG_VALUE && arg[1])
			*ARRAY_ADD(argv, nr) = *++arg;
	}
	for (; *more; more++)
		*ARRAY_ADD(argv, nr) = *more;
	*ARRAY_ADD(argv, nr) = "-c";
	*ARRAY_ADD(argv, nr) = "-o";
	/* Code that counts its runs depends on how its object is called. */
	*ARRAY_ADD(argv, nr) = strcmp(output, unit->output) ? output : unit->as_given;
	*ARRAY_ADD(argv, nr) = NULL;
	err = run_program(argv, unit->cwd, env, log);
	free(argv);
	free_strings(env);
	return err_wrap(err, "compiling %s again", unit->source);
}
