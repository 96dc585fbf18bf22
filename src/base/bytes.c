/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "bytes.h"

#include <stdio.h>
#include <string.h>

#include "mem.h"

void bytes_put(void *p, unsigned size, uint64_t value, bool big_endian)
{
	uint8_t *b = p;

	for (unsigned i = 0; i < size; i++, value >>= 8)
		b[big_endian ? size - 1 - i : i] = (uint8_t)value;
}

struct cursor cursor_make(const void *data, size_t size, bool big_endian)
{
	const uint8_t *at = data;

	return (struct cursor){ at, at ? at + size : at, big_endian, false };
}

size_t cursor_left(const struct cursor *c)
{
	return (size_t)(c->end - c->at);
}

const uint8_t *cursor_take(struct cursor *c, uint64_t size)
{
	const uint8_t *at = c->at;

	if (c->bad || size > cursor_left(c)) {
		c->bad = true;
		return NULL;
	}
	c->at += size;
	return at;
}

uint64_t cursor_get(struct cursor *c, unsigned size)
{
	const uint8_t *p = cursor_take(c, size);

	return p ? bytes_get(p, size, c->big_endian) : 0;
}

uint64_t cursor_uleb(struct cursor *c)
{
	uint64_t v = 0;

	for (unsigned shift = 0;; shift += 7) {
		uint8_t b = (uint8_t)cursor_get(c, 1);

		if (c->bad)
			return 0;
		if (shift < 64)
			v |= (uint64_t)(b & 0x7f) << shift;
		if (!(b & 0x80))
			return v;
	}
}

int64_t cursor_sleb(struct cursor *c)
{
	uint64_t v = 0;

	for (unsigned shift = 0;; shift += 7) {
		uint8_t b = (uint8_t)cursor_get(c, 1);

		if (c->bad)
			return 0;
		if (shift < 64)
			v |= (uint64_t)(b & 0x7f) << shift;
		if (b & 0x80)
			continue;
		if ((b & 0x40) && shift + 7 < 64)
			v |= ~UINT64_C(0) << (shift + 7);
		return (int64_t)v;
	}
}

const char *cursor_str(struct cursor *c)
{
	const uint8_t *nul = c->bad ? NULL : memchr(c->at, 0, cursor_left(c));
	const char *s = (const char *)c->at;

	if (!nul) {
		c->bad = true;
		return "";
	}
	c->at = nul + 1;
	return s;
}

char *bytes_to_hex(const void *data, size_t size)
{
	const uint8_t *b = data;
	char *hex = mem_alloc(size * 2 + 1);

	for (size_t i = 0; i < size; i++)
		sprintf(hex + 2 * i, "%02x", b[i]);
	return hex;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

bool bytes_from_hex(const char *hex, void *out, size_t size)
{
	uint8_t *b = out;

	if (strlen(hex) != size * 2)
		return false;
	for (size_t i = 0; i < size; i++) {
		int high = hex_digit(hex[2 * i]), low = hex_digit(hex[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		b[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}
