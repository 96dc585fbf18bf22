/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Any bytes as .eh_frame, with and without a sorted table, for each port: every
 * record, every row of it, and the search for an address.
 */
#include <string.h>

#include "cfi.h"
#include "fuzz.h"

static void take(void *arg, uint64_t start, uint64_t end, const struct cfi_row *row)
{
	unsigned *rows = arg;

	if (start >= end || row->nr_rules > CFI_MAX_RULES || ++*rows > CFI_MAX_ROWS)
		__builtin_trap();
}

static void all_records(const struct arch *arch, const struct eh_section *eh)
{
	bool is_fde, done = false, found;
	struct eh_fde fde;
	uint64_t low, high;
	size_t off = 0;

	for (unsigned n = 0; n < 64 && !done; n++) {
		unsigned rows = 0;
		struct err *err = eh_next(eh, &off, &fde, &is_fde, &done);

		if (err) {
			err_free(err);
			return;
		}
		if (!is_fde)
			continue;
		err_free(cfi_rows(arch, eh, &fde, take, &rows));
		err_free(eh_find(eh, fde.pc_begin, &fde, &found));
		eh_gap(eh, fde.pc_begin + fde.pc_size, &low, &high);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct arch *arch = arch_nth(size ? data[0] % 4 : 0);
	size_t table = size > 1 ? data[1] : 0;
	struct eh_section eh = { .data = data, .size = size, .vaddr = 0x1000 };

	if (!arch)
		return 0;
	eh.big_endian = arch->big_endian;
	all_records(arch, &eh);
	if (table >= size)
		return 0;
	eh.hdr = data + table;
	eh.hdr_size = size - table;
	eh.hdr_vaddr = 0x1000 + table;
	all_records(arch, &eh);
	return 0;
}
