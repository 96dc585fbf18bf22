/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "diff.h"

#include <stdio.h>
#include <string.h>

#include "mem.h"

enum { MAX_LINE = 1 << 24 };

char *diff_name(const char *line, size_t size, unsigned strip)
{
	const char *end = line + size, *tab = memchr(line, '\t', size);

	if (tab)
		end = tab;
	if (end - line == 9 && !memcmp(line, "/dev/null", 9))
		return NULL;
	for (unsigned i = 0; i < strip; i++) {
		const char *slash = memchr(line, '/', (size_t)(end - line));

		if (!slash)
			break;
		line = slash + 1;
	}
	return mem_fmt("%.*s", (int)(end - line), line);
}

bool diff_hunk_line(char sign, struct diff_hunk *hunk)
{
	if (hunk->left[0] <= 0 && hunk->left[1] <= 0)
		return false;
	hunk->left[0] -= sign != '+' && sign != '\\';
	hunk->left[1] -= sign != '-' && sign != '\\';
	return true;
}

/* GNU diff leaves a count of 1 out. */
static bool read_hunk(const char *line, struct diff_hunk *h)
{
	*h = (struct diff_hunk){ .left = { 1, 1 } };
	if (sscanf(line, "@@ -%u,%ld +%u,%ld", &h->next[0], &h->left[0], &h->next[1],
		   &h->left[1]) == 4)
		return true;
	*h = (struct diff_hunk){ .left = { 1, 1 } };
	if (sscanf(line, "@@ -%u,%ld +%u", &h->next[0], &h->left[0], &h->next[1]) == 3)
		return true;
	*h = (struct diff_hunk){ .left = { 1, 1 } };
	return sscanf(line, "@@ -%u +%u,%ld", &h->next[0], &h->next[1], &h->left[1]) >= 2;
}

bool diff_hunk_begin(const char *line, struct diff_hunk *hunk)
{
	if (strncmp(line, "@@ ", 3) || !read_hunk(line, hunk) || hunk->next[0] >= MAX_LINE ||
	    hunk->next[1] >= MAX_LINE) {
		*hunk = (struct diff_hunk){ 0 };
		return false;
	}
	return true;
}

/* Two lines that name a file, and not lines of a hunk that look like them. */
static bool begins_file(const char *line)
{
	const char *next = strchr(line, '\n');

	return !strncmp(line, "--- ", 4) && next && !strncmp(next + 1, "+++ ", 4);
}

static char *name_of_file(const char *line, unsigned strip)
{
	const char *next = strchr(line, '\n') + 1;
	char *name = diff_name(next + 4, strcspn(next + 4, "\n"), strip);

	return name ? name : diff_name(line + 4, strcspn(line + 4, "\n"), strip);
}

bool diff_next(const char *diff, size_t *at, unsigned strip, struct diff_part *part)
{
	struct diff_hunk hunk = { 0 };
	const char *line = diff + *at, *end, *last = NULL;

	*part = (struct diff_part){ .text = line };
	for (; *line; line = *end ? end + 1 : end) {
		end = strchrnul(line, '\n');
		if (diff_hunk_line(*line == '\n' ? ' ' : *line, &hunk)) {
			last = *end ? end + 1 : end;
			continue;
		}
		/* The text between two parts belongs to the second. */
		if (part->name && last && begins_file(line))
			break;
		if (!part->name && begins_file(line))
			part->name = name_of_file(line, strip);
		else
			diff_hunk_begin(line, &hunk);
	}
	if (!part->name)
		return false;
	if (!last)
		last = line;
	part->size = (size_t)(last - part->text);
	*at += part->size;
	return true;
}

static bool is_one_of(const char *word, size_t size, const char *const *list, size_t nr)
{
	for (size_t i = 0; i < nr; i++)
		if (strlen(list[i]) == size && !strncasecmp(word, list[i], size))
			return true;
	return false;
}

bool diff_is_beside(const char *name)
{
	static const char *const folders[] = { "test", "tests", "testing", "testsuite",
		"testdata", "regress", "t", "doc", "docs", "documentation", "man", "examples",
		"fuzz", "ci", ".github", "po" };
	static const char *const files[] = { "changelog", "changes", "news", "readme",
		"authors", "todo", "release-notes", "copyright" };
	static const char *const endings[] = { "md", "rst", "txt", "html", "xml", "pod", "tex",
		"texi", "1", "3", "5", "7", "8", "yml", "yaml", "po" };
	const char *part = name, *slash, *dot;

	for (; (slash = strchr(part, '/')); part = slash + 1)
		if (is_one_of(part, (size_t)(slash - part), folders, ARRAY_SIZE(folders)))
			return true;
	dot = strrchr(part, '.');
	return is_one_of(part, strcspn(part, ".-"), files, ARRAY_SIZE(files)) ||
	       (dot && is_one_of(dot + 1, strlen(dot + 1), endings, ARRAY_SIZE(endings)));
}
