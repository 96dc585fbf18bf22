/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Any bytes as the diff that a patch is explained by. */
#include <string.h>

#include "explain.h"
#include "fuzz.h"
#include "mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO_FREE char *text = mem_alloc(size + 1);
	struct explain explain = { 0 };

	memcpy(text, data, size);
	explain_diff(&explain, text, size ? data[0] & 3 : 1);
	json_decref(explain_lines(&explain));
	explain_done(&explain);
	return 0;
}
