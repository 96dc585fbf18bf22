/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Any bytes as a patch file. */
#include "fuzz.h"
#include "mem.h"
#include "slp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slp *slp = NULL;
	struct err *err = slp_from_bytes(mem_dup(data, size), size, &slp);

	err_free(err);
	if (!err) {
		slp_nr_funcs(slp);
		slp_find_ref(slp, 1);
	}
	slp_free(slp);
	return 0;
}
