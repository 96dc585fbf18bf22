/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ehframe.h"

#include <string.h>

#include "bytes.h"

/* Pointer encodings (LSB 10.5.1). */
enum {
	ENC_ABSPTR = 0x00, ENC_ULEB = 0x01, ENC_UDATA2 = 0x02, ENC_UDATA4 = 0x03,
	ENC_UDATA8 = 0x04, ENC_SLEB = 0x09, ENC_SDATA2 = 0x0a, ENC_SDATA4 = 0x0b,
	ENC_SDATA8 = 0x0c, ENC_PCREL = 0x10, ENC_DATAREL = 0x30, ENC_OMIT = 0xff,
};

#define BAD(...) err_new(ERR_FAILED, "bad-cfi", __VA_ARGS__)

/* field: the vaddr of the encoded value; data: what datarel counts from. */
static uint64_t get_encoded(struct cursor *c, uint8_t enc, uint64_t field, uint64_t data)
{
	uint64_t v;

	switch (enc & 0x0f) {
	case ENC_ABSPTR:
	case ENC_UDATA8:
	case ENC_SDATA8:
		v = cursor_get(c, 8);
		break;
	case ENC_UDATA2:
		v = cursor_get(c, 2);
		break;
	case ENC_SDATA2:
		v = (uint64_t)(int16_t)cursor_get(c, 2);
		break;
	case ENC_UDATA4:
		v = cursor_get(c, 4);
		break;
	case ENC_SDATA4:
		v = (uint64_t)(int32_t)cursor_get(c, 4);
		break;
	case ENC_ULEB:
		v = cursor_uleb(c);
		break;
	case ENC_SLEB:
		v = (uint64_t)cursor_sleb(c);
		break;
	default:
		c->bad = true;
		return 0;
	}
	switch (enc & 0x70) {
	case 0:
		return v;
	case ENC_PCREL:
		return v + field;
	case ENC_DATAREL:
		return v + data;
	default:
		c->bad = true;
		return 0;
	}
}

static size_t off_of(const struct eh_section *eh, const struct cursor *c)
{
	return (size_t)(c->at - eh->data);
}

static uint64_t vaddr_of(const struct eh_section *eh, const struct cursor *c)
{
	return eh->vaddr + off_of(eh, c);
}

/* The body of one record: after the length, up to its end. */
static struct err *open_record(const struct eh_section *eh, size_t off,
			       struct cursor *body, size_t *next)
{
	struct cursor c = cursor_make(eh->data, eh->size, eh->big_endian);
	uint64_t size;
	const uint8_t *at;

	cursor_take(&c, off);
	size = cursor_get(&c, 4);
	if (size == 0xffffffff)
		size = cursor_get(&c, 8);
	at = cursor_take(&c, size);
	if (c.bad)
		return BAD("record at %#zx leaves the section", off);
	*body = cursor_make(at, size, eh->big_endian);
	*next = off_of(eh, &c);
	return NULL;
}

static void read_augmentation(const struct eh_section *eh, const char *aug,
			      struct cursor *c, struct eh_cie *cie)
{
	uint64_t size = cursor_uleb(c);
	struct cursor data = *c;

	cursor_take(c, size);
	if (c->bad)
		return;
	data.end = c->at;
	for (const char *p = aug + 1; *p && !data.bad; p++) {
		uint8_t enc;

		switch (*p) {
		case 'R':
			cie->fde_enc = (uint8_t)cursor_get(&data, 1);
			break;
		case 'L':
			cie->lsda_enc = (uint8_t)cursor_get(&data, 1);
			break;
		case 'P':
			enc = (uint8_t)cursor_get(&data, 1);
			cie->personality_off = off_of(eh, &data);
			get_encoded(&data, enc & 0x0f, 0, 0);
			break;
		case 'S':
			cie->is_signal = true;
			break;
		case 'B': /* arm64: return addresses signed with the B key */
			cie->is_b_key = true;
			break;
		default:
			data.bad = true;
		}
	}
	c->bad |= data.bad;
}

static struct err *read_cie(const struct eh_section *eh, size_t off, struct eh_cie *cie)
{
	struct cursor c;
	const char *aug;
	size_t next;
	unsigned version;
	struct err *err = open_record(eh, off, &c, &next);

	if (err)
		return err;
	memset(cie, 0, sizeof(*cie));
	cie->lsda_enc = ENC_OMIT;
	if (cursor_get(&c, 4) != 0)
		return BAD("no CIE at %#zx", off);
	version = (unsigned)cursor_get(&c, 1);
	aug = cursor_str(&c);
	if (version != 1 && version != 3)
		return BAD("CIE at %#zx has version %u", off, version);
	cie->code_align = cursor_uleb(&c);
	cie->data_align = cursor_sleb(&c);
	cie->ra_col = (unsigned)(version == 1 ? cursor_get(&c, 1) : cursor_uleb(&c));
	if (*aug == 'z') {
		cie->has_augmentation = true;
		read_augmentation(eh, aug, &c, cie);
	} else if (*aug) {
		return BAD("CIE at %#zx has augmentation \"%.8s\"", off, aug);
	}
	if (c.bad)
		return BAD("CIE at %#zx is cut short", off);
	cie->insns = c.at;
	cie->insns_size = cursor_left(&c);
	return NULL;
}

static struct err *read_fde(const struct eh_section *eh, size_t off, struct eh_fde *fde,
			    size_t *next, bool *is_fde, bool *done)
{
	struct err *err;
	struct cursor c;
	uint64_t back;
	size_t id_off;

	if ((err = open_record(eh, off, &c, next)))
		return err;
	*is_fde = false;
	*done = !cursor_left(&c); /* a record of length 0 ends the section */
	if (*done)
		return NULL;
	id_off = off_of(eh, &c);
	back = cursor_get(&c, 4);
	if (c.bad || back > id_off)
		return BAD("record at %#zx has no CIE", off);
	if (!back) {
		fde->off = off;
		fde->size = *next - off;
		return read_cie(eh, off, &fde->cie);
	}
	*is_fde = true;
	fde->off = off;
	fde->size = *next - off;
	fde->cie_off = id_off - back;
	if ((err = read_cie(eh, fde->cie_off, &fde->cie)))
		return err;
	fde->pc_off = off_of(eh, &c);
	fde->pc_begin = get_encoded(&c, fde->cie.fde_enc, vaddr_of(eh, &c), 0);
	fde->pc_size = get_encoded(&c, fde->cie.fde_enc & 0x0f, 0, 0);
	fde->lsda_off = 0;
	if (fde->cie.has_augmentation) {
		uint64_t size = cursor_uleb(&c);

		if (fde->cie.lsda_enc != ENC_OMIT && size)
			fde->lsda_off = off_of(eh, &c);
		cursor_take(&c, size);
	}
	if (c.bad)
		return BAD("FDE at %#zx is cut short", off);
	fde->insns = c.at;
	fde->insns_size = cursor_left(&c);
	return NULL;
}

struct err *eh_next(const struct eh_section *eh, size_t *off, struct eh_fde *fde,
		    bool *is_fde, bool *done)
{
	size_t next;
	struct err *err;

	*is_fde = false;
	*done = *off + 4 > eh->size;
	if (*done)
		return NULL;
	err = read_fde(eh, *off, fde, &next, is_fde, done);
	if (!err)
		*off = next;
	return err;
}

static bool covers(const struct eh_fde *fde, uint64_t vaddr)
{
	return vaddr >= fde->pc_begin && vaddr - fde->pc_begin < fde->pc_size;
}

/*
 * The sorted table: pairs of (pc_begin, address of the FDE), as every linker
 * writes it (sdata4, relative to the header).
 */
struct table {
	const uint8_t *data;
	uint64_t nr;
};

static struct err *open_table(const struct eh_section *eh, struct table *table)
{
	struct cursor c = cursor_make(eh->hdr, eh->hdr_size, eh->big_endian);
	unsigned version = (unsigned)cursor_get(&c, 1);
	uint8_t frame_enc = (uint8_t)cursor_get(&c, 1);
	uint8_t count_enc = (uint8_t)cursor_get(&c, 1);
	uint8_t table_enc = (uint8_t)cursor_get(&c, 1);

	get_encoded(&c, frame_enc, eh->hdr_vaddr + 4, eh->hdr_vaddr);
	table->nr = get_encoded(&c, count_enc, 0, 0);
	if (c.bad || version != 1 || table_enc != (ENC_DATAREL | ENC_SDATA4) ||
	    table->nr > cursor_left(&c) / 8)
		return BAD(".eh_frame_hdr cannot be read");
	table->data = c.at;
	return NULL;
}

static uint64_t table_word(const struct eh_section *eh, const struct table *table,
			   uint64_t i, unsigned which)
{
	return eh->hdr_vaddr + (uint64_t)(int32_t)
		bytes_get(table->data + 8 * i + 4 * which, 4, eh->big_endian);
}

/* How many entries begin at or below vaddr. */
static uint64_t entries_below(const struct eh_section *eh, const struct table *table,
			      uint64_t vaddr)
{
	uint64_t low = 0, high = table->nr;

	while (low < high) {
		uint64_t mid = low + (high - low) / 2;

		if (table_word(eh, table, mid, 0) <= vaddr)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/* The record of an entry, which must lie in the section that we have. */
static struct err *entry_record(const struct eh_section *eh, const struct table *table,
				uint64_t i, size_t *off)
{
	uint64_t vaddr = table_word(eh, table, i, 1);

	if (vaddr < eh->vaddr || vaddr - eh->vaddr >= eh->size)
		return BAD(".eh_frame_hdr points outside .eh_frame");
	*off = vaddr - eh->vaddr;
	return NULL;
}

/* *off is SIZE_MAX if no entry is at or below vaddr. */
static struct err *search_table(const struct eh_section *eh, uint64_t vaddr, size_t *off)
{
	struct table table;
	struct err *err = open_table(eh, &table);
	uint64_t below;

	*off = SIZE_MAX;
	if (err)
		return err;
	below = entries_below(eh, &table, vaddr);
	return below ? entry_record(eh, &table, below - 1, off) : NULL;
}

struct err *eh_find(const struct eh_section *eh, uint64_t vaddr, struct eh_fde *fde,
		    bool *found)
{
	bool is_fde, done = false;
	size_t off = 0, next;
	struct err *err;

	*found = false;
	if (eh->hdr) {
		if ((err = search_table(eh, vaddr, &off)) || off == SIZE_MAX)
			return err;
		err = read_fde(eh, off, fde, &next, &is_fde, &done);
		*found = !err && is_fde && covers(fde, vaddr);
		return err;
	}
	while (!done) {
		if ((err = eh_next(eh, &off, fde, &is_fde, &done)))
			return err;
		if (is_fde && covers(fde, vaddr)) {
			*found = true;
			return NULL;
		}
	}
	return NULL;
}

bool eh_gap(const struct eh_section *eh, uint64_t vaddr, uint64_t *low, uint64_t *high)
{
	struct table table;
	bool is_fde = false, done = false;
	struct eh_fde fde;
	uint64_t below;
	size_t off = 0, next;
	struct err *err;

	*low = *high = 0;
	if (!eh->hdr)
		return false;
	if ((err = open_table(eh, &table))) {
		err_free(err);
		return false;
	}
	below = entries_below(eh, &table, vaddr);
	if (below < table.nr)
		*high = table_word(eh, &table, below, 0);
	if (!below)
		return true;
	err = entry_record(eh, &table, below - 1, &off);
	if (!err)
		err = read_fde(eh, off, &fde, &next, &is_fde, &done);
	if (!err && is_fde)
		*low = fde.pc_begin + fde.pc_size;
	err_free(err);
	return is_fde && *low <= vaddr;
}
