/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "readers.h"

#include <errno.h>
#include <fts.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "files.h"
#include "mem.h"

enum { MAX_TEXT = 32 << 20 };

/* Read by who includes what a macro says, which may be anything. */
#define ANY ""

bool readers_is_code(const char *name)
{
	static const char *const endings[] = { "c", "cc", "cpp", "cxx", "C", "c++", "S", "s",
					       "h", "hh", "hpp", "hxx", "h++", "inc", "inl",
					       "ipp", "tcc", NULL };

	return files_has_ending(name, endings);
}

static void add(struct readers *readers, const char *name, const char *reader)
{
	json_t *those = json_object_get(readers->of, name);

	if (!those) {
		those = json_object();
		json_object_set_new_nocheck(readers->of, name, those);
	}
	json_object_set_new_nocheck(those, reader, json_true());
}

/* The names between the quotes and the angle brackets of a line. */
static void add_names(struct readers *readers, const char *line, const char *end,
		      const char *reader)
{
	for (const char *from = line; from < end; from++) {
		const char *to = from + 1;
		AUTO_FREE char *path = NULL;

		if (*from != '"' && *from != '<')
			continue;
		/* In the text of an asm() the quotes have a backslash. */
		while (to < end && *to != '"' && *to != '>' && *to != '\\')
			to++;
		path = mem_fmt("%.*s", (int)(to - from - 1), from + 1);
		if (*files_last_part(path))
			add(readers, files_last_part(path), reader);
	}
}

static const char *skip_blanks(const char *at, const char *end)
{
	while (at < end && (*at == ' ' || *at == '\t'))
		at++;
	return at;
}

/* "# include MACRO": word is where the line says include. */
static bool is_computed(const char *line, const char *word, const char *end)
{
	const char *at = skip_blanks(line, end);

	if (at == end || *at != '#' || skip_blanks(at + 1, end) != word)
		return false;
	while (word < end && (*word == '_' || (*word >= 'a' && *word <= 'z')))
		word++;
	word = skip_blanks(word, end);
	return word < end && *word != '"' && *word != '<';
}

/* Where a line says that another file is read, NULL if it does not. */
static const char *directive(const char *line, const char *end)
{
	static const char *const words[] = { "include", "incbin", "import", "embed" };

	for (unsigned i = 0; i < ARRAY_SIZE(words); i++) {
		const char *word = memmem(line, (size_t)(end - line), words[i],
					  strlen(words[i]));

		if (word)
			return word;
	}
	return NULL;
}

static void add_text(struct readers *readers, const char *name, const char *text, size_t size)
{
	const char *line = text, *stop = text + size, *end, *word;

	for (; line < stop; line = end + 1) {
		end = memchr(line, '\n', (size_t)(stop - line));
		end = end ? end : stop;
		if (!(word = directive(line, end)))
			continue;
		add_names(readers, line, end, name);
		if (is_computed(line, word, end))
			add(readers, ANY, name);
	}
}

/* A link under another name reads what it leads to. */
static void add_link(struct readers *readers, const char *path, const char *name)
{
	char target[PATH_MAX];
	ssize_t got = readlink(path, target, sizeof(target) - 1);

	if (got <= 0)
		return;
	target[got] = 0;
	if (strcmp(files_last_part(target), name))
		add(readers, files_last_part(target), name);
}

static void scan_file(struct readers *readers, const FTSENT *entry, const char *path,
		      readers_visit *visit, void *arg)
{
	size_t size = (size_t)entry->fts_statp->st_size;
	AUTO_FREE char *text = size <= MAX_TEXT ? files_read(entry->fts_accpath) : NULL;

	if (!text)
		return;
	visit(arg, path, text, size);
	if (!memchr(text, 0, size))
		add_text(readers, entry->fts_name, text, size);
}

struct err *readers_scan(struct readers *readers, const char *tree, readers_visit *visit,
			 void *arg)
{
	char *const paths[] = { (char *)(uintptr_t)tree, NULL };
	FTS *fts = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
	FTSENT *entry;
	int why;

	readers->of = json_object();
	if (!fts)
		return err_sys(errno, "%s", tree);
	errno = 0;
	while ((entry = fts_read(fts))) {
		if (entry->fts_info == FTS_F)
			scan_file(readers, entry, entry->fts_path + strlen(tree) + 1, visit, arg);
		else if (entry->fts_info == FTS_SL || entry->fts_info == FTS_SLNONE)
			add_link(readers, entry->fts_accpath, entry->fts_name);
		errno = 0;
	}
	why = errno;
	fts_close(fts);
	return why ? err_sys(why, "%s", tree) : NULL;
}

void readers_done(struct readers *readers)
{
	json_decref(readers->of);
	readers->of = NULL;
}

static void reach_all(const struct readers *readers, const char *name, json_t *reached,
		      json_t *queue)
{
	const char *reader;
	json_t *value;

	json_object_foreach(json_object_get(readers->of, name), reader, value) {
		if (json_object_get(reached, reader))
			continue;
		json_object_set_new_nocheck(reached, reader, json_true());
		json_array_append_new(queue, json_stringn_nocheck(reader, strlen(reader)));
	}
}

void readers_reach(const struct readers *readers, const char *name, json_t *reached)
{
	json_t *queue = json_array();

	json_object_set_new_nocheck(reached, name, json_true());
	reach_all(readers, name, reached, queue);
	reach_all(readers, ANY, reached, queue);
	for (size_t i = 0; i < json_array_size(queue); i++)
		reach_all(readers, json_string_value(json_array_get(queue, i)), reached, queue);
	json_decref(queue);
}
