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
	AT_SHIFT = 43, AT_LOOK = 62, AT_CHOICE = 222, AT_NO_ENTRY = 240,
	AT_MULTIPLIER = 256, AT_TABLE = 264, AT_END = 272, AT_INITIAL = 280,
	FRAME = 32,
	CFA = 160,    /* of who called, from r15 (ABI, 1.2.2.1) */
	AT_PAIR = 16, /* in a stub */
};

static const uint8_t dispatcher[AT_MULTIPLIER] = {
	0xe3, 0xf0, 0xff, 0xe0, 0xff, 0x71, /*   0 lay %r15,-32(%r15) */
	0xeb, 0x24, 0xf0, 0x00, 0x00, 0x24, /*   6 stmg %r2,%r4,0(%r15) */
	0xb2, 0x4f, 0x00, 0x20,             /*  12 ear %r2,%a0 */
	0xeb, 0x22, 0x00, 0x20, 0x00, 0x0d, /*  16 sllg %r2,%r2,32 */
	0xb2, 0x4f, 0x00, 0x21,             /*  22 ear %r2,%a1 */
	0x41, 0x20, 0x20, 0x01,             /*  26 la %r2,1(%r2) */
	0xc4, 0x38, 0x00, 0x00, 0x00, 0x71, /*  30 lgrl %r3,multiplier */
	0xb9, 0x0c, 0x00, 0x32,             /*  36 msgr %r3,%r2 */
	0xeb, 0x33, 0x00, 0x30, 0x00, 0x0c, /*  40 srlg %r3,%r3,48 */
	0xeb, 0x33, 0x00, 0x04, 0x00, 0x0d, /*  46 sllg %r3,%r3,4 */
	0xc4, 0x48, 0x00, 0x00, 0x00, 0x6a, /*  52 lgrl %r4,table */
	0x41, 0x33, 0x40, 0x00,             /*  58 la %r3,0(%r3,%r4) */
	0xe3, 0x40, 0x30, 0x00, 0x00, 0x04, /*  62 lg %r4,0(%r3) */
	0xec, 0x48, 0x00, 0x56, 0x00, 0x7c, /*  68 cgije %r4,0,240 */
	0xec, 0x42, 0x00, 0x10, 0x80, 0x64, /*  74 cgrje %r4,%r2,106 */
	0x41, 0x30, 0x30, 0x10,             /*  80 la %r3,16(%r3) */
	0xc4, 0x48, 0x00, 0x00, 0x00, 0x5e, /*  84 lgrl %r4,end */
	0xec, 0x34, 0xff, 0xf2, 0x60, 0x64, /*  90 cgrjne %r3,%r4,62 */
	0xc4, 0x38, 0x00, 0x00, 0x00, 0x54, /*  96 lgrl %r3,table */
	0xa7, 0xf4, 0xff, 0xec,             /* 102 j 62 */
	0xe3, 0x20, 0x30, 0x09, 0x00, 0x90, /* 106 llgc %r2,9(%r3) */
	0xec, 0x26, 0x00, 0x31, 0x00, 0x7c, /* 112 cgijne %r2,0,210 */
	0xe3, 0x20, 0x30, 0x08, 0x00, 0x90, /* 118 llgc %r2,8(%r3) */
	0xeb, 0x42, 0x00, 0x01, 0x00, 0x0c, /* 124 srlg %r4,%r2,1 */
	0xec, 0x48, 0x00, 0x28, 0x00, 0x7c, /* 130 cgije %r4,0,210 */
	0xe3, 0x40, 0x30, 0x08, 0x00, 0x04, /* 136 lg %r4,8(%r3) */
	0xeb, 0x44, 0x00, 0x10, 0x00, 0x0d, /* 142 sllg %r4,%r4,16 */
	0xeb, 0x2f, 0x00, 0x0d, 0x00, 0x0d, /* 148 sllg %r2,%r15,13 */
	0xec, 0x24, 0x00, 0x19, 0x40, 0x65, /* 154 clgrjl %r2,%r4,204 */
	0xec, 0x24, 0x00, 0x0a, 0x80, 0x64, /* 160 cgrje %r2,%r4,180 */
	0xe3, 0x20, 0x30, 0x08, 0x00, 0x90, /* 166 llgc %r2,8(%r3) */
	0x41, 0x20, 0x20, 0x02,             /* 172 la %r2,2(%r2) */
	0xa7, 0xf4, 0x00, 0x0a,             /* 176 j 196 */
	0xe3, 0x20, 0x30, 0x08, 0x00, 0x90, /* 180 llgc %r2,8(%r3) */
	0xc2, 0x20, 0xff, 0xff, 0xff, 0xff, /* 186 msgfi %r2,-1 */
	0x41, 0x20, 0x20, 0x07,             /* 192 la %r2,7(%r2) */
	0x42, 0x20, 0x30, 0x09,             /* 196 stc %r2,9(%r3) */
	0xa7, 0xf4, 0x00, 0x05,             /* 200 j 210 */
	0xe3, 0x20, 0x30, 0x08, 0x00, 0x90, /* 204 llgc %r2,8(%r3) */
	0xeb, 0x22, 0x00, 0x3f, 0x00, 0x0d, /* 210 sllg %r2,%r2,63 */
	0xeb, 0x22, 0x00, 0x3c, 0x00, 0x0c, /* 216 srlg %r2,%r2,60 */
	0xe3, 0x12, 0x10, 0x00, 0x00, 0x04, /* 222 lg %r1,0(%r2,%r1) */
	0xeb, 0x24, 0xf0, 0x00, 0x00, 0x04, /* 228 lmg %r2,%r4,0(%r15) */
	0x41, 0xf0, 0xf0, 0x20,             /* 234 la %r15,32(%r15) */
	0x07, 0xf1,                         /* 238 br %r1 */
	0xc4, 0x28, 0x00, 0x00, 0x00, 0x14, /* 240 lgrl %r2,initial */
	0xe3, 0x20, 0x20, 0x00, 0x00, 0x90, /* 246 llgc %r2,0(%r2) */
	0xa7, 0xf4, 0xff, 0xeb,             /* 252 j 210 */
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

/* What it has put on the stack, and when; a stub has nothing there. */
static const struct arch_dispatch_row dispatcher_rows[] = {
	{ 0, 0, 0 }, { 6, FRAME, 0 }, { 12, FRAME, 3 }, { 234, FRAME, 0 }, { 238, 0, 0 },
	{ AT_NO_ENTRY, FRAME, 3 },
};
static const struct arch_dispatch_row stub_rows[] = { { 0, 0, 0 } };

const struct arch_dispatch_frame s390_dispatch_frame = {
	.saved = { { 2, -CFA - 32 }, { 3, -CFA - 24 }, { 4, -CFA - 16 } },
	.rows = dispatcher_rows, .nr_rows = ARRAY_SIZE(dispatcher_rows),
	.stub_rows = stub_rows, .nr_stub_rows = ARRAY_SIZE(stub_rows),
};

/* lgrl %r1,pair; jg dispatcher; the pair's address */
bool s390_put_dispatch_stub(uint8_t *out, uint64_t at, uint64_t pair,
			    const struct arch_dispatch *d)
{
	static const uint8_t load[] = { 0xc4, 0x18, 0, 0, 0, AT_PAIR / 2 };

	memset(out, 0, S390_DISPATCH_STUB);
	memcpy(out, load, sizeof(load));
	bytes_put(out + AT_PAIR, 8, pair, true);
	return s390_put_jump(out + 6, at + 6, d->at);
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
	(void)read;
	(void)arg;
	undone->pair = is_stub ? 0 : bytes_get(regs->bytes + S390_R(1), 8, true);
	undone->has_looked = !is_stub && off >= AT_LOOK;
	/* Behind that r1 is where it goes to, and no longer the pair. */
	return is_stub || off <= AT_CHOICE || off >= AT_NO_ENTRY;
}
