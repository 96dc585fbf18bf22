/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The GNU hash table of dynamic symbols, as linkers write it (SHT_GNU_HASH). */
#include <string.h>

#include "bytes.h"
#include "image.h"

enum { SYMBOL = sizeof(Elf64_Sym), MAX_CHAIN = 1 << 20 };

struct table {
	const struct section *hash, *symbols, *strings;
	uint32_t nr_buckets, first;
	uint64_t buckets, chains; /* offsets in the section */
	bool big_endian;
};

static uint32_t hash_of(const char *name)
{
	uint32_t h = 5381;

	for (; *name; name++)
		h = h * 33 + (uint8_t)*name;
	return h;
}

static bool word(const struct table *t, uint64_t off, uint32_t *value)
{
	if (off > t->hash->size || t->hash->size - off < 4)
		return false;
	*value = (uint32_t)bytes_get(t->hash->data + off, 4, t->big_endian);
	return true;
}

static bool open_table(const struct image *image, struct table *t)
{
	uint32_t bloom;

	*t = (struct table){ .big_endian = image->arch->big_endian };
	for (size_t i = 0; i < image->nr_sections; i++)
		if (image->sections[i].type == SHT_GNU_HASH && image->sections[i].data)
			t->hash = &image->sections[i];
	if (!t->hash || t->hash->link >= image->nr_sections)
		return false;
	t->symbols = &image->sections[t->hash->link];
	if (!t->symbols->data || t->symbols->link >= image->nr_sections)
		return false;
	t->strings = &image->sections[t->symbols->link];
	if (!t->strings->data || !word(t, 0, &t->nr_buckets) || !word(t, 4, &t->first) ||
	    !word(t, 8, &bloom) || !t->nr_buckets)
		return false;
	t->buckets = 16 + 8 * (uint64_t)bloom;
	t->chains = t->buckets + 4 * (uint64_t)t->nr_buckets;
	return true;
}

static bool is_named(const struct table *t, uint32_t symbol, const char *name, uint64_t *value)
{
	uint64_t off = (uint64_t)symbol * SYMBOL, at;
	size_t size = strlen(name) + 1;

	if (off > t->symbols->size || t->symbols->size - off < SYMBOL)
		return false;
	at = bytes_get(t->symbols->data + off, 4, t->big_endian);
	if (at > t->strings->size || t->strings->size - at < size ||
	    memcmp(t->strings->data + at, name, size))
		return false;
	*value = bytes_get(t->symbols->data + off + 8, 8, t->big_endian);
	return true;
}

bool image_has_hash(const struct image *image)
{
	struct table t;

	return open_table(image, &t);
}

bool image_find_hashed(const struct image *image, const char *name, uint64_t *value)
{
	uint32_t wanted = hash_of(name), symbol, hash;
	struct table t;

	if (!open_table(image, &t) ||
	    !word(&t, t.buckets + 4 * (uint64_t)(wanted % t.nr_buckets), &symbol) ||
	    symbol < t.first)
		return false;
	for (unsigned i = 0; i < MAX_CHAIN; i++, symbol++) {
		if (!word(&t, t.chains + 4 * (uint64_t)(symbol - t.first), &hash))
			return false;
		if ((hash | 1) == (wanted | 1) && is_named(&t, symbol, name, value))
			return true;
		if (hash & 1)
			return false;
	}
	return false;
}
