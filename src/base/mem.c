/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void *mem_alloc(size_t size)
{
	void *p = calloc(1, size ? size : 1);

	if (!p)
		abort();
	return p;
}

void *mem_resize(void *old, size_t size)
{
	void *p = realloc(old, size ? size : 1);

	if (!p)
		abort();
	return p;
}

void *mem_dup(const void *from, size_t size)
{
	void *p = mem_alloc(size);

	if (size)
		memcpy(p, from, size);
	return p;
}

char *mem_strdup(const char *s)
{
	return mem_dup(s, strlen(s) + 1);
}

char *mem_vfmt(const char *fmt, va_list ap)
{
	char *s;

	if (vasprintf(&s, fmt, ap) < 0)
		abort();
	return s;
}

char *mem_fmt(const char *fmt, ...)
{
	va_list ap;
	char *s;

	va_start(ap, fmt);
	s = mem_vfmt(fmt, ap);
	va_end(ap);
	return s;
}

void *mem_grow(void *array, size_t nr, size_t elem_size)
{
	/* Full exactly when nr is zero or a power of two. */
	if (nr & (nr - 1))
		return array;
	return mem_resize(array, (nr ? nr * 2 : 1) * elem_size);
}

void mem_zero(void *p, size_t size)
{
	memset(p, 0, size);
}

size_t buf_add(struct buf *buf, const void *data, size_t size)
{
	size_t at = buf->size;

	if (at + size > buf->cap) {
		buf->cap = (at + size) * 2;
		buf->data = mem_resize(buf->data, buf->cap);
	}
	if (size && data)
		memcpy(buf->data + at, data, size);
	else if (size)
		memset(buf->data + at, 0, size);
	buf->size += size;
	return at;
}

size_t buf_add_str(struct buf *buf, const char *s)
{
	return buf_add(buf, s, strlen(s) + 1);
}

void buf_align(struct buf *buf, size_t align)
{
	if (align > 1 && buf->size % align)
		buf_add(buf, NULL, align - buf->size % align);
}

void buf_done(struct buf *buf)
{
	free(buf->data);
	*buf = (struct buf){0};
}

void mem_freep(void *pp)
{
	free(*(void **)pp);
}

void mem_closep(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}
