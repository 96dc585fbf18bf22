/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Ports whose instructions are words of 4 bytes, little-endian. */
#ifndef STITCH_ARCH_WORDS_H
#define STITCH_ARCH_WORDS_H

#include "arch.h"
#include "bytes.h"

static inline uint32_t word_at(const uint8_t *code)
{
	return (uint32_t)bytes_get(code, 4, false);
}

static inline bool is(uint32_t insn, uint32_t mask, uint32_t value)
{
	return (insn & mask) == value;
}

#endif
