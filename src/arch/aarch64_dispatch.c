/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The dispatcher of arm64.
 *
 * x16 and x17 are free between a call and the function (AAPCS64 6.1.1, and GCC's -fipa-ra
 * counts them as changed by every call); three more registers are kept on the stack.  No
 * flag is touched.  The thread is told by tpidr_el0.
 */
#include <dwarf.h>
#include <string.h>

#include "aarch64.h"

enum {
	MULTIPLIER = 0x1e3779b1, /* odd, its bits well mixed (Knuth, 6.4) */
	AT_SHIFT = 24, AT_LOOK = 32, AT_MASK = 56, AT_CHOICE = 144,
	AT_MULTIPLIER = 168, AT_TABLE = 176, AT_INITIAL = 184,
	X16 = 16, X30 = 30,
};

static const uint32_t dispatcher[AT_MULTIPLIER / 4] = {
	0xa9be07e0, /*   0 stp x0, x1, [sp, #-32]! */
	0xf9000be2, /*   4 str x2, [sp, #16] */
	0xd53bd051, /*   8 mrs x17, tpidr_el0 */
	0x91000631, /*  12 add x17, x17, #0x1 */
	0x580004c0, /*  16 ldr x0, 168 */
	0x9b007e20, /*  20 mul x0, x17, x0 */
	0xd340fc00, /*  24 lsr x0, x0, #(64 - bits) */
	0x580004a1, /*  28 ldr x1, 176 */
	0x8b001022, /*  32 add x2, x1, x0, lsl #4 */
	0xf9400042, /*  36 ldr x2, [x2] */
	0xb40000c2, /*  40 cbz x2, 64 */
	0xcb110042, /*  44 sub x2, x2, x17 */
	0xb40000e2, /*  48 cbz x2, 76 */
	0x91000400, /*  52 add x0, x0, #0x1 */
	0xd3400000, /*  56 ubfx x0, x0, #0, #bits */
	0x17fffff9, /*  60 b 32 */
	0x580003c0, /*  64 ldr x0, 184 */
	0x39400000, /*  68 ldrb w0, [x0] */
	0x14000012, /*  72 b 144 */
	0x8b001022, /*  76 add x2, x1, x0, lsl #4 */
	0xf9400440, /*  80 ldr x0, [x2, #8] */
	0xd3483c01, /*  84 ubfx x1, x0, #8, #8 */
	0xb5000181, /*  88 cbnz x1, 136 */
	0x36080180, /*  92 tbz w0, #1, 140 */
	0x910003e1, /*  96 mov x1, sp */
	0xd343c821, /* 100 ubfx x1, x1, #3, #48 */
	0xd350fc11, /* 104 lsr x17, x0, #16 */
	0xcb110021, /* 108 sub x1, x1, x17 */
	0xb7f800e1, /* 112 tbnz x1, #63, 140 */
	0xb5000041, /* 116 cbnz x1, 124 */
	0xd2400000, /* 120 eor x0, x0, #0x1 */
	0xd27f0400, /* 124 eor x0, x0, #0x6 */
	0x39002440, /* 128 strb w0, [x2, #9] */
	0x14000002, /* 132 b 140 */
	0xaa0103e0, /* 136 mov x0, x1 */
	0x92400000, /* 140 and x0, x0, #0x1 */
	0xf8607a10, /* 144 ldr x16, [x16, x0, lsl #3] */
	0xf9400be2, /* 148 ldr x2, [sp, #16] */
	0xa8c207e0, /* 152 ldp x0, x1, [sp], #32 */
	0xd61f0200, /* 156 br x16 */
	0xd4200000, /* 160 brk #0x0 */
};

/* A field of the instruction at off. */
static void put_bits(uint8_t *out, unsigned off, unsigned low, uint32_t value)
{
	bytes_put(out + off, 4, word_at(out + off) | value << low, false);
}

bool arm_put_dispatcher(uint8_t *out, const struct arch_dispatch *d)
{
	put_words(out, dispatcher, ARRAY_SIZE(dispatcher));
	put_bits(out, AT_SHIFT, 16, 64 - d->bits);
	put_bits(out, AT_MASK, 10, d->bits - 1);
	bytes_put(out + AT_MULTIPLIER, 8, MULTIPLIER, false);
	bytes_put(out + AT_TABLE, 8, d->table, false);
	bytes_put(out + AT_INITIAL, 8, d->initial, false);
	return true;
}

/* What it has put on the stack, and when; a stub has nothing there. */
static const struct arch_dispatch_row dispatcher_rows[] = {
	{ 0, 0, 0 }, { 4, 32, 2 }, { 8, 32, 3 }, { 152, 32, 2 }, { 156, 0, 0 },
};
static const struct arch_dispatch_row stub_rows[] = { { 0, 0, 0 } };

/*
 * Some functions have signed their return address before they come here, and some have not.
 * libgcc takes RA_SIGN_STATE (AADWARF64, 4.1) from nothing that is computed, so x30 is said
 * to be what is left of it without a signature: the address, either way.
 */
static const uint8_t without_signature[] = {
	DW_OP_breg30, 0, DW_OP_const1u, 16, DW_OP_shl, DW_OP_const1u, 16, DW_OP_shr,
};

const struct arch_dispatch_frame arm_dispatch_frame = {
	.saved = { { 0, -32 }, { 1, -24 }, { 2, -16 } },
	.rows = dispatcher_rows, .nr_rows = ARRAY_SIZE(dispatcher_rows),
	.stub_rows = stub_rows, .nr_stub_rows = ARRAY_SIZE(stub_rows),
	.expr = without_signature, .expr_size = sizeof(without_signature), .expr_col = X30,
};

/* ldr x16, pair; b dispatcher; the pair's address */
bool arm_put_dispatch_stub(uint8_t *out, uint64_t at, uint64_t pair,
			   const struct arch_dispatch *d)
{
	bytes_put(out, 4, 0x58000050, false);
	bytes_put(out + 8, 8, pair, false);
	return arm_put_jump(out + 4, at + 4, d->at);
}

uint64_t arm_dispatch_hash(uint64_t key, unsigned bits)
{
	return key * MULTIPLIER >> (64 - bits);
}

/* The stub touches x16 alone; what the dispatcher changes first it has put on the stack. */
bool arm_dispatch_undo(struct regs *regs, bool is_stub, uint64_t off,
		       struct arch_undone *undone,
		       bool (*read)(void *arg, uint64_t addr, uint64_t *word), void *arg)
{
	(void)read;
	(void)arg;
	arm_no_branch(regs);
	undone->pair = is_stub ? 0 : bytes_get(regs->bytes + ARM_X(X16), 8, false);
	undone->has_looked = !is_stub && off >= AT_LOOK;
	/* Behind that x16 is where it goes to, and no longer the pair. */
	return is_stub || off <= AT_CHOICE;
}
