/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Any bytes as the text of a process's record. */
#include "fuzz.h"
#include "record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct record record = { 0 };

	err_free(record_parse((const char *)data, size, &record));
	record_top(&record, 1, NULL);
	record_done(&record);
	return 0;
}
