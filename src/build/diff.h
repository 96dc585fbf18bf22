/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A unified diff, file by file. */
#ifndef STITCH_BUILD_DIFF_H
#define STITCH_BUILD_DIFF_H

#include <stdbool.h>
#include <stddef.h>

/* One file's part, from behind the part before it. */
struct diff_part {
	const char *text;   /* in the diff */
	size_t size;
	char *name;         /* of the file, without the folders that strip leaves out */
};

/* The next part; false at the end.  *at begins with 0; part->name is the caller's to free. */
bool diff_next(const char *diff, size_t *at, unsigned strip, struct diff_part *part);

/* The lines of each file that a hunk goes on for; counted down as they come. */
struct diff_hunk {
	unsigned next[2];   /* number of the next line in the old and the new file */
	long left[2];
};

/* "@@ -1,2 +3,4 @@"; false for any other line, and for numbers beyond reason. */
bool diff_hunk_begin(const char *line, struct diff_hunk *hunk);
/* True if the line, by its first character, is part of the hunk. */
bool diff_hunk_line(char sign, struct diff_hunk *hunk);

/* The name in a line behind "--- " or "+++ "; NULL: /dev/null. The caller frees. */
char *diff_name(const char *line, size_t size, unsigned strip);

/* By its name no part of what is built: documentation, tests, a change log. */
bool diff_is_beside(const char *name);

#endif
