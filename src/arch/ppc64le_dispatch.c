/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The dispatcher of ppc64le.
 *
 * r0, r12, ctr and cr0 are free between a call and the function; three more registers are
 * kept below what the kernel leaves alone under a signal (512 bytes; the ABI's red zone,
 * 2.2.3.4, has 288).  The thread is told by r13.  r12 leaves with where it goes, so that a
 * global entry finds its address there.
 */
#include <string.h>

#include "ppc64le.h"

enum {
	MULTIPLIER = 0x1e3779b1, /* odd, its bits well mixed (Knuth, 6.4) */
	AT_ADDRESS = 12, AT_SHIFT = 40, AT_LOOK = 56, AT_CHOICE = 176,
	AT_MULTIPLIER = 208, AT_TABLE = 216, AT_END = 224, AT_INITIAL = 232,
	SAVED = 320, R9 = 9, R11 = 11, R12 = 12,
};

static const uint32_t dispatcher[AT_MULTIPLIER / 4] = {
	0xf921fec0, /*   0 std r9,-320(r1) */
	0xf941fec8, /*   4 std r10,-312(r1) */
	0xf961fed0, /*   8 std r11,-304(r1) */
	0, 0, 0, 0, /*  12 r11: the address of 208 */
	0xe92b0000, /*  28 ld r9,0(r11) */
	0x394d0001, /*  32 addi r10,r13,1 */
	0x7d2951d2, /*  36 mulld r9,r9,r10 */
	0,          /*  40 srdi r9,r9,64-bits */
	0x792926e4, /*  44 sldi r9,r9,4 */
	0xe80b0008, /*  48 ld r0,8(r11) */
	0x7d290214, /*  52 add r9,r9,r0 */
	0xe8090000, /*  56 ld r0,0(r9) */
	0x2c200000, /*  60 cmpdi r0,0 */
	0x41820024, /*  64 beq 100 */
	0x7c205000, /*  68 cmpd r0,r10 */
	0x41820028, /*  72 beq 112 */
	0x39290010, /*  76 addi r9,r9,16 */
	0xe80b0010, /*  80 ld r0,16(r11) */
	0x7c290040, /*  84 cmpld r9,r0 */
	0x4082ffe0, /*  88 bne 56 */
	0xe92b0008, /*  92 ld r9,8(r11) */
	0x4bffffd8, /*  96 b 56 */
	0xe92b0018, /* 100 ld r9,24(r11) */
	0x88090000, /* 104 lbz r0,0(r9) */
	0x48000040, /* 108 b 172 */
	0xe9490008, /* 112 ld r10,8(r9) */
	0x7940c623, /* 116 rldicl. r0,r10,56,56 */
	0x40820034, /* 120 bne 172 */
	0x71400002, /* 124 andi. r0,r10,2 */
	0x41820028, /* 128 beq 168 */
	0x78206ca4, /* 132 sldi r0,r1,13 */
	0x794b03e4, /* 136 clrrdi r11,r10,16 */
	0x780003e4, /* 140 clrrdi r0,r0,16 */
	0x7c205840, /* 144 cmpld r0,r11 */
	0x41800014, /* 148 blt 168 */
	0x40820008, /* 152 bne 160 */
	0x694a0001, /* 156 xori r10,r10,1 */
	0x694a0006, /* 160 xori r10,r10,6 */
	0x99490009, /* 164 stb r10,9(r9) */
	0x7d405378, /* 168 mr r0,r10 */
	0x78001f28, /* 172 rldic r0,r0,3,60 */
	0x7d8c002a, /* 176 ldx r12,r12,r0 */
	0x7d8903a6, /* 180 mtctr r12 */
	0xe961fed0, /* 184 ld r11,-304(r1) */
	0xe941fec8, /* 188 ld r10,-312(r1) */
	0xe921fec0, /* 192 ld r9,-320(r1) */
	0x4e800420, /* 196 bctr */
	PPC_TRAP_INSN, PPC_TRAP_INSN,
};

/* srdi r9,r9,64-bits: rldicl r9,r9,bits,64-bits */
static uint32_t shift_right(unsigned bits)
{
	unsigned begin = 64 - bits;

	return 0x78000000u | R9 << 21 | R9 << 16 | (bits & 31) << 11 | (begin & 31) << 6 |
	       begin >> 5 << 5 | bits >> 5 << 1;
}

bool ppc_put_dispatcher(uint8_t *out, const struct arch_dispatch *d)
{
	put_words(out, dispatcher, ARRAY_SIZE(dispatcher));
	ppc_put_address(out + AT_ADDRESS, R11, d->at + AT_MULTIPLIER);
	bytes_put(out + AT_SHIFT, 4, shift_right(d->bits), false);
	bytes_put(out + AT_MULTIPLIER, 8, MULTIPLIER, false);
	bytes_put(out + AT_TABLE, 8, d->table, false);
	bytes_put(out + AT_END, 8, d->table + (UINT64_C(16) << d->bits), false);
	bytes_put(out + AT_INITIAL, 8, d->initial, false);
	return true;
}

/* What it has put below the stack, and when; a stub has nothing there. */
static const struct arch_dispatch_row dispatcher_rows[] = {
	{ 0, 0, 0 }, { 4, 0, 1 }, { 8, 0, 2 }, { AT_ADDRESS, 0, 3 },
	{ 188, 0, 2 }, { 192, 0, 1 }, { 196, 0, 0 },
};
static const struct arch_dispatch_row stub_rows[] = { { 0, 0, 0 } };

const struct arch_dispatch_frame ppc_dispatch_frame = {
	.saved = { { R9, -SAVED }, { R9 + 1, -SAVED + 8 }, { R11, -SAVED + 16 } },
	.rows = dispatcher_rows, .nr_rows = ARRAY_SIZE(dispatcher_rows),
	.stub_rows = stub_rows, .nr_stub_rows = ARRAY_SIZE(stub_rows),
};

/* r12: the pair; b dispatcher */
bool ppc_put_dispatch_stub(uint8_t *out, uint64_t at, uint64_t pair,
			   const struct arch_dispatch *d)
{
	ppc_put_address(out, R12, pair);
	bytes_put(out + PPC_ADDRESS + 4, 4, PPC_TRAP_INSN, false);
	return ppc_put_jump(out + PPC_ADDRESS, at + PPC_ADDRESS, d->at);
}

uint64_t ppc_dispatch_hash(uint64_t key, unsigned bits)
{
	return key * MULTIPLIER >> (64 - bits);
}

/* The stub touches r12 alone; what the dispatcher changes first it has put on the stack. */
bool ppc_dispatch_undo(struct regs *regs, bool is_stub, uint64_t off,
		       struct arch_undone *undone,
		       bool (*read)(void *arg, uint64_t addr, uint64_t *word), void *arg)
{
	(void)read;
	(void)arg;
	undone->pair = is_stub ? 0 : bytes_get(regs->bytes + PPC_R(R12), 8, false);
	undone->has_looked = !is_stub && off >= AT_LOOK;
	/* Behind that r12 is where it goes to, and no longer the pair. */
	return is_stub || off <= AT_CHOICE;
}
