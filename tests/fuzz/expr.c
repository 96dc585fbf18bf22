/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Any bytes as a DWARF expression, over registers and memory of any value. */
#include <string.h>

#include "cfi.h"
#include "fuzz.h"

static const uint8_t *bytes;
static size_t nr_bytes;

static bool read_word(void *arg, uint64_t addr, uint64_t *value)
{
	(void)arg;
	if (addr % 3 == 0 || nr_bytes < 8)
		return false;
	memcpy(value, bytes + addr % (nr_bytes - 7), 8);
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t cols[ARCH_COLS_MAX], known[ARCH_MASK] = { 0x5555aaaa0f0f3333, 0xff };
	struct cfi_machine m = { cols, known, ARCH_COLS_MAX, size & 1, read_word, NULL };
	struct cfi_expr expr = { data, size };
	uint64_t value;

	bytes = data;
	nr_bytes = size;
	for (unsigned i = 0; i < ARCH_COLS_MAX; i++)
		cols[i] = i * UINT64_C(0x123456789) + size;
	cfi_eval(&expr, &m, false, 0, &value);
	cfi_eval(&expr, &m, true, 0x7fff0000, &value);
	return 0;
}
