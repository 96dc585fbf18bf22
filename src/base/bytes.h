/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reading numbers from bytes of either byte order, and a cursor that cannot
 * leave its bytes.  The first read past the end sets bad; from then on every
 * read gives zero, so a parser checks once, after a record, not at each field.
 */
#ifndef STITCH_BASE_BYTES_H
#define STITCH_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* 1 to 8 bytes. */
static inline uint64_t bytes_get(const void *p, unsigned size, bool big_endian)
{
	const uint8_t *b = p;
	uint64_t v = 0;

	for (unsigned i = 0; i < size; i++)
		v = v << 8 | b[big_endian ? i : size - 1 - i];
	return v;
}

/* The same for 4 and 8 bytes, where it has to be fast. */
static inline uint32_t bytes_get4(const void *p, bool big_endian)
{
	uint32_t v;

	__builtin_memcpy(&v, p, 4);
	return big_endian == (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__) ? v :
	       __builtin_bswap32(v);
}
static inline uint64_t bytes_get8(const void *p, bool big_endian)
{
	uint64_t v;

	__builtin_memcpy(&v, p, 8);
	return big_endian == (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__) ? v :
	       __builtin_bswap64(v);
}
void bytes_put(void *p, unsigned size, uint64_t value, bool big_endian);

struct cursor {
	const uint8_t *at;
	const uint8_t *end;
	bool big_endian;
	bool bad;
};

struct cursor cursor_make(const void *data, size_t size, bool big_endian);
size_t cursor_left(const struct cursor *c);
uint64_t cursor_get(struct cursor *c, unsigned size);
uint64_t cursor_uleb(struct cursor *c);
int64_t cursor_sleb(struct cursor *c);
/* NULL and bad if there are not size bytes left. */
const uint8_t *cursor_take(struct cursor *c, uint64_t size);
/* A NUL-terminated string inside the bytes; "" and bad if it does not end. */
const char *cursor_str(struct cursor *c);

/* Lower-case hexadecimal. The caller frees. */
char *bytes_to_hex(const void *data, size_t size);
/* False unless hex is exactly 2 * size hexadecimal digits. */
bool bytes_from_hex(const char *hex, void *out, size_t size);

#endif
