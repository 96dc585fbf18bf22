/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Errors.
 *
 * A function that can fail returns struct err *; NULL is success and any other
 * value is owned by the caller, who hands it on, adds to it with err_wrap() or
 * ends it with err_free().  The kind tells a program what it can do about it,
 * the reason is one of the stable names of docs/refusals.md, the message tells
 * a person what was seen.  Nothing below src/cmd prints an error.
 */
#ifndef STITCH_BASE_ERR_H
#define STITCH_BASE_ERR_H

#include <stdarg.h>

enum err_kind {
	ERR_FAILED,      /* an ordinary failure: a bad file, a failed build */
	ERR_USAGE,       /* the caller asked for something that makes no sense */
	ERR_NOT_NOW,     /* it may work later, the target is as it was */
	ERR_UNSUPPORTED, /* it will not work, the target is as it was */
	ERR_GONE,        /* the target or the thread ended: an ordinary answer */
	ERR_CHANGED,     /* the target was left changed; its record says how */
};

struct err {
	enum err_kind kind;
	const char *reason; /* a string constant, never freed */
	char *msg;          /* one line, no newline at its end */
};

#define ERR_PRINTF(a, b) __attribute__((format(printf, a, b), warn_unused_result))

struct err *err_new(enum err_kind kind, const char *reason, const char *fmt, ...)
	ERR_PRINTF(3, 4);
/* For a failed system call: appends strerror(errnum). ESRCH becomes ERR_GONE. */
struct err *err_sys(int errnum, const char *fmt, ...) ERR_PRINTF(2, 3);
/* Says where it happened: the new text stands before the old message. */
struct err *err_wrap(struct err *err, const char *fmt, ...) ERR_PRINTF(2, 3);
void err_free(struct err *err);
void err_freep(struct err **err);

/* True for ERR_GONE; NULL is not gone. */
int err_is_gone(const struct err *err);

#endif
