/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * .eh_frame: call frame information as the System V ABI and the LSB ("Linux
 * Standard Base Core, 10.6: Exception Frames") lay it out.
 *
 * Only the records are read here; what their instructions mean is
 * unwind/cfi.h's.  All offsets are into the section, all addresses are vaddrs
 * of the file that the section is in.
 */
#ifndef STITCH_ELF_EHFRAME_H
#define STITCH_ELF_EHFRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"

struct eh_section {
	const uint8_t *data;
	size_t size;
	uint64_t vaddr;
	bool big_endian;
	/* .eh_frame_hdr with its sorted table; hdr is NULL where there is none. */
	const uint8_t *hdr;
	size_t hdr_size;
	uint64_t hdr_vaddr;
};

struct eh_cie {
	uint64_t code_align;
	int64_t data_align;
	unsigned ra_col;
	uint8_t fde_enc, lsda_enc;
	bool has_augmentation; /* 'z': FDEs carry augmentation data */
	bool is_signal;        /* 'S' */
	bool is_b_key;         /* 'B' (AADWARF64, 4.5) */
	size_t personality_off; /* where its pointer stands, 0: none */
	const uint8_t *insns;
	size_t insns_size;
};

struct eh_fde {
	size_t off, size;      /* the record, its length field included */
	size_t cie_off;
	size_t pc_off;         /* where pc_begin stands */
	uint64_t pc_begin, pc_size;
	size_t lsda_off;       /* where the LSDA's pointer stands, 0: none */
	struct eh_cie cie;
	const uint8_t *insns;
	size_t insns_size;
};

/*
 * The FDE that covers a vaddr; *found is false if none does.  "bad-cfi" if the
 * records cannot be read.
 */
struct err *eh_find(const struct eh_section *eh, uint64_t vaddr, struct eh_fde *fde,
		    bool *found) __attribute__((warn_unused_result));
/*
 * The stretch without an FDE around a vaddr that none covers: from the end of the
 * one before to the beginning of the one behind, 0 where there is none.  False
 * without a sorted table.
 */
bool eh_gap(const struct eh_section *eh, uint64_t vaddr, uint64_t *low, uint64_t *high);
/*
 * The record at *off; moves *off on.  *is_fde is false for a CIE and *done is
 * true at the end.  In an object file (ET_REL) addresses are not relocated yet
 * and only the offsets are of use.
 */
struct err *eh_next(const struct eh_section *eh, size_t *off, struct eh_fde *fde,
		    bool *is_fde, bool *done) __attribute__((warn_unused_result));

#endif
