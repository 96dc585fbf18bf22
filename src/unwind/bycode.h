/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A frame where there is no call frame information, from the code itself.
 *
 * Start-up code of every program (.init, .fini, what the compiler's crt files
 * bring) and the stubs of linkers have none.  From where the thread stands all
 * ways to a return are followed; the stack pointer and the registers that come
 * back off the stack are added up; and only if every way says the same is it the
 * frame.  Anything that is not understood on any way refuses.
 */
#ifndef STITCH_UNWIND_BYCODE_H
#define STITCH_UNWIND_BYCODE_H

#include "walk.h"

struct bycode {
	const struct unwinder *unwinder;
	const struct unwind_code *code;
	uint64_t start, end;  /* addresses: the stretch without information */
	bool is_call;         /* pc is behind a call: it took the link register */
};

/* row: with room for CFI_MAX_RULES. False: not to be told. */
bool bycode_row(const struct bycode *where, uint64_t pc, struct cfi_row *row);

#endif
