/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "err.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mem.h"

static struct err *err_make(enum err_kind kind, const char *reason, char *msg)
{
	struct err *err = mem_alloc(sizeof(*err));

	err->kind = kind;
	err->reason = reason;
	err->msg = msg;
	return err;
}

struct err *err_new(enum err_kind kind, const char *reason, const char *fmt, ...)
{
	va_list ap;
	char *msg;

	va_start(ap, fmt);
	msg = mem_vfmt(fmt, ap);
	va_end(ap);
	return err_make(kind, reason, msg);
}

struct err *err_sys(int errnum, const char *fmt, ...)
{
	enum err_kind kind = errnum == ESRCH ? ERR_GONE : ERR_FAILED;
	const char *reason = errnum == ESRCH ? "gone" : "system";
	va_list ap;
	char *what, *msg;

	if (errnum == EPERM || errnum == EACCES) {
		kind = ERR_UNSUPPORTED;
		reason = "not-permitted";
	}
	va_start(ap, fmt);
	what = mem_vfmt(fmt, ap);
	va_end(ap);
	msg = mem_fmt("%s: %s", what, strerror(errnum));
	free(what);
	return err_make(kind, reason, msg);
}

struct err *err_wrap(struct err *err, const char *fmt, ...)
{
	va_list ap;
	char *where, *msg;

	if (!err)
		return NULL;
	va_start(ap, fmt);
	where = mem_vfmt(fmt, ap);
	va_end(ap);
	msg = mem_fmt("%s: %s", where, err->msg);
	free(where);
	free(err->msg);
	err->msg = msg;
	return err;
}

void err_free(struct err *err)
{
	if (!err)
		return;
	free(err->msg);
	free(err);
}

void err_freep(struct err **err)
{
	err_free(*err);
	*err = NULL;
}

int err_is_gone(const struct err *err)
{
	return err && err->kind == ERR_GONE;
}
