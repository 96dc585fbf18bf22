/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory of our own process.
 *
 * Running out of it ends the tool by abort(): for the target that is the death
 * of the tool, which every step has to survive anyway, and no caller could do
 * better.  Sizes that come from outside are bounded before they get here.
 */
#ifndef STITCH_BASE_MEM_H
#define STITCH_BASE_MEM_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

void *mem_alloc(size_t size); /* zeroed */
void *mem_resize(void *old, size_t size);
void *mem_dup(const void *from, size_t size);
char *mem_strdup(const char *s);
char *mem_vfmt(const char *fmt, va_list ap) __attribute__((format(printf, 1, 0)));
char *mem_fmt(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/*
 * Makes room for one more element in an array of nr; the capacity is the next
 * power of two, so that it need not be kept.  New elements are not zeroed.
 */
void *mem_grow(void *array, size_t nr, size_t elem_size);
#define ARRAY_ADD(array, nr) \
	((array) = mem_grow((array), (size_t)(nr), sizeof(*(array))), \
	 mem_zero(&(array)[nr], sizeof(*(array))), &(array)[(nr)++])
void mem_zero(void *p, size_t size);

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* A growable run of bytes. Zero-initialised is empty; buf_done() ends it. */
struct buf {
	uint8_t *data;
	size_t size;
	size_t cap;
};

/* Adds size bytes (zeroes if data is NULL); returns the offset of the first. */
size_t buf_add(struct buf *buf, const void *data, size_t size);
size_t buf_add_str(struct buf *buf, const char *s); /* with its final NUL */
void buf_align(struct buf *buf, size_t align);
void buf_done(struct buf *buf);

/* Scope guards: the variable is ended when its scope is left. */
void mem_freep(void *pp);
#define AUTO_FREE __attribute__((cleanup(mem_freep)))
#define AUTO_CLOSE __attribute__((cleanup(mem_closep)))
#define AUTO_BUF __attribute__((cleanup(buf_done)))
void mem_closep(int *fd);

#endif
