/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "proc.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mem.h"

enum {
	STATUS_MAX = 16384, /* has two masks of all processors in it */
	STAT_MAX = 1024,
};

bool proc_text(pid_t pid, const char *name, char *text, size_t size)
{
	AUTO_FREE char *path = mem_fmt("/proc/%d/%s", (int)pid, name);
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
	/* The kernel makes such a file whole when it is read, and gives as much as fits. */
	ssize_t got = fd < 0 ? -1 : read(fd, text, size - 1);

	text[got > 0 ? got : 0] = 0;
	return got > 0;
}

bool proc_stat(pid_t pid, int n, char *word, size_t size)
{
	char text[STAT_MAX], *save = NULL, *at;

	/* The name before may have anything in it. */
	at = proc_text(pid, "stat", text, sizeof(text)) ? strrchr(text, ')') : NULL;
	at = at ? strtok_r(at + 1, " ", &save) : NULL;
	for (int field = 3; at && field < n; field++)
		at = strtok_r(NULL, " ", &save);
	if (at)
		snprintf(word, size, "%s", at);
	return at != NULL;
}

/* Where a field's value begins in the text of a status. */
static const char *find_field(const char *text, const char *field)
{
	size_t len = strlen(field);

	while (text && (strncmp(text, field, len) || text[len] != ':')) {
		text = strchr(text, '\n');
		text = text ? text + 1 : NULL;
	}
	return text ? text + len + 1 : NULL;
}

bool proc_status_text(pid_t pid, const char *field, char *text, size_t size)
{
	char all[STATUS_MAX];
	const char *at = proc_text(pid, "status", all, sizeof(all)) ? find_field(all, field) :
								      NULL;

	snprintf(text, size, "%.*s", at ? (int)strcspn(at, "\n") : 0, at ? at : "");
	return at != NULL;
}

void proc_status(pid_t pid, const char *const *fields, size_t nr, int base, uint64_t *values)
{
	char text[STATUS_MAX];
	bool is_there = proc_text(pid, "status", text, sizeof(text));

	for (size_t i = 0; i < nr; i++) {
		const char *at = is_there ? find_field(text, fields[i]) : NULL;

		values[i] = at ? strtoull(at, NULL, base) : UINT64_MAX;
	}
}

long proc_status_number(pid_t pid, const char *field)
{
	uint64_t value;

	proc_status(pid, &field, 1, 10, &value);
	return (long)value;
}
