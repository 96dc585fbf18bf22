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

static inline void put_word(uint8_t *code, uint32_t word)
{
	bytes_put(code, 4, word, false);
}

static inline void put_words(uint8_t *code, const uint32_t *words, size_t nr)
{
	for (size_t i = 0; i < nr; i++)
		put_word(code + 4 * i, words[i]);
}

static inline bool is(uint32_t insn, uint32_t mask, uint32_t value)
{
	return (insn & mask) == value;
}

#endif
