/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the compiler wrapper kept of one build, read back. */
#ifndef STITCH_BUILD_CAPTURE_H
#define STITCH_BUILD_CAPTURE_H

#include <stdbool.h>
#include <stddef.h>

#include "err.h"

struct captured {
	char *file;      /* the object or image, in the capture folder */
	char *output;    /* where the build put it, absolute and made plain */
	char *as_given;  /* the same as the compiler was told, or called it itself */
	char *cwd, *compiler, *source;
	char **argv, **env;
	long long order;
	bool is_link;
};

struct capture {
	struct captured *items; /* in order of time */
	size_t nr;
};

struct err *capture_read(const char *folder, struct capture *capture)
	__attribute__((warn_unused_result));
void capture_done(struct capture *capture);
/* The last one with that output, NULL if there is none. */
const struct captured *capture_find(const struct capture *capture, const char *output,
				    bool is_link);

/* The file that it was compiled from is there (still). */
bool capture_has_source(const struct captured *unit);
/*
 * Compiles a captured unit once more, to an object file of ours, with more
 * arguments at the end.
 */
struct err *capture_compile(const struct captured *unit, const char *const *more,
			    const char *output, const char *log)
	__attribute__((warn_unused_result));

#endif
