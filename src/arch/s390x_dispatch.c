/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The dispatcher of s390x.
 *
 * Only r1 is free between a call and the function; three more registers are kept on the
 * stack.  No instruction in it sets the condition code.  The thread is told by a0 and a1.
 */
#include <string.h>

#include "bytes.h"
#include "s390x.h"

enum {
	MULTIPLIER = 0x1e3779b1, /* odd, its bits well mixed (Knuth, 6.4) */
	AT_SHIFT = 43, AT_FIRST_LOOK = 62, AT_CHOICE = 118, AT_NO_ENTRY = 136,
	AT_MULTIPLIER = 152, AT_TABLE = 160, AT_END = 168, AT_INITIAL = 176,
	FRAME = 32,
};

static const uint8_t dispatcher[AT_MULTIPLIER] = {
	0xe3, 0xf0, 0xff, 0xe0, 0xff, 0x71, /*   0 lay %r15,-32(%r15) */
	0xeb, 0x24, 0xf0, 0x00, 0x00, 0x24, /*   6 stmg %r2,%r4,0(%r15) */
	0xb2, 0x4f, 0x00, 0x20,             /*  12 ear %r2,%a0 */
	0xeb, 0x22, 0x00, 0x20, 0x00, 0x0d, /*  16 sllg %r2,%r2,32 */
	0xb2, 0x4f, 0x00, 0x21,             /*  22 ear %r2,%a1 */
	0x41, 0x20, 0x20, 0x01,             /*  26 la %r2,1(%r2) */
	0xc4, 0x38, 0x00, 0x00, 0x00, 0x3d, /*  30 lgrl %r3,multiplier */
	0xb9, 0x0c, 0x00, 0x32,             /*  36 msgr %r3,%r2 */
	0xeb, 0x33, 0x00, 0x30, 0x00, 0x0c, /*  40 srlg %r3,%r3,48 */
	0xeb, 0x33, 0x00, 0x04, 0x00, 0x0d, /*  46 sllg %r3,%r3,4 */
	0xc4, 0x48, 0x00, 0x00, 0x00, 0x36, /*  52 lgrl %r4,table */
	0x41, 0x33, 0x40, 0x00,             /*  58 la %r3,0(%r3,%r4) */
	0xe3, 0x40, 0x30, 0x00, 0x00, 0x04, /*  62 lg %r4,0(%r3) */
	0xec, 0x48, 0x00, 0x22, 0x00, 0x7c, /*  68 cgije %r4,0,136 */
	0xec, 0x42, 0x00, 0x10, 0x80, 0x64, /*  74 cgrje %r4,%r2,106 */
	0x41, 0x30, 0x30, 0x10,             /*  80 la %r3,16(%r3) */
	0xc4, 0x48, 0x00, 0x00, 0x00, 0x2a, /*  84 lgrl %r4,end */
	0xec, 0x34, 0xff, 0xf2, 0x60, 0x64, /*  90 cgrjne %r3,%r4,62 */
	0xc4, 0x38, 0x00, 0x00, 0x00, 0x20, /*  96 lgrl %r3,table */
	0xa7, 0xf4, 0xff, 0xec,             /* 102 j 62 */
	0xe3, 0x20, 0x30, 0x08, 0x00, 0x90, /* 106 llgc %r2,8(%r3) */
	0xeb, 0x22, 0x00, 0x03, 0x00, 0x0d, /* 112 sllg %r2,%r2,3 */
	0xe3, 0x12, 0x10, 0x00, 0x00, 0x04, /* 118 lg %r1,0(%r2,%r1) */
	0xeb, 0x24, 0xf0, 0x00, 0x00, 0x04, /* 124 lmg %r2,%r4,0(%r15) */
	0x41, 0xf0, 0xf0, 0x20,             /* 130 la %r15,32(%r15) */
	0x07, 0xf1,                         /* 134 br %r1 */
	0xc4, 0x28, 0x00, 0x00, 0x00, 0x14, /* 136 lgrl %r2,initial */
	0xe3, 0x20, 0x20, 0x00, 0x00, 0x90, /* 142 llgc %r2,0(%r2) */
	0xa7, 0xf4, 0xff, 0xee,             /* 148 j 112 */
};

bool s390_put_dispatcher(uint8_t *out, const struct arch_dispatch *d)
{
	memcpy(out, dispatcher, sizeof(dispatcher));
	out[AT_SHIFT] = (uint8_t)(64 - d->bits);
	bytes_put(out + AT_MULTIPLIER, 8, MULTIPLIER, true);
	bytes_put(out + AT_TABLE, 8, d->table, true);
	bytes_put(out + AT_END, 8, d->table + (UINT64_C(16) << d->bits), true);
	bytes_put(out + AT_INITIAL, 8, d->initial, true);
	return true;
}

/* larl %r1,pair; jg dispatcher */
bool s390_put_dispatch_stub(uint8_t *out, uint64_t at, uint64_t pair,
			    const struct arch_dispatch *d)
{
	memset(out, 0, S390_DISPATCH_STUB);
	return s390_put_address(out, 1, at, pair) && s390_put_jump(out + 6, at + 6, d->at);
}

uint64_t s390_dispatch_hash(uint64_t key, unsigned bits)
{
	return key * MULTIPLIER >> (64 - bits);
}

/* The stub touches r1 alone; what the dispatcher changes first it has put on the stack. */
bool s390_dispatch_undo(struct regs *regs, bool is_stub, uint64_t off,
			struct arch_undone *undone,
			bool (*read)(void *arg, uint64_t addr, uint64_t *word), void *arg)
{
	enum { SP = S390_R(15), STORED = 12 };
	uint64_t sp = bytes_get(regs->bytes + SP, 8, true), word;

	undone->pair = is_stub ? 0 : bytes_get(regs->bytes + S390_R(1), 8, true);
	if (is_stub || !off)
		return true;
	if (off > AT_CHOICE && off < AT_NO_ENTRY)
		return false; /* r1 is where it goes to, and no longer the pair */
	undone->has_looked = off > AT_FIRST_LOOK;
	for (unsigned i = 0; i < 3 && off >= STORED; i++) {
		if (!read(arg, sp + 8 * i, &word))
			return false;
		bytes_put(regs->bytes + S390_R(2 + i), 8, word, true);
	}
	bytes_put(regs->bytes + SP, 8, sp + FRAME, true);
	return true;
}
