/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ppc64le, OpenPOWER 64-bit ELF V2 ABI (https://openpowerfoundation.org).
 *
 * What unwinding needs: a call leaves the return address in LR; r1, r13 to r31
 * and CR2 to CR4 are given back (2.2.1.1); r1 points to the back chain always,
 * and stdu changes both at once (2.2.2.1); LR is kept at the CFA + 16; the
 * outermost back chain is 0, and no CFI marks the end.
 */
#include "words.h"

#include <elf.h>

enum { COL_SP = 1, COL_LR = 65, COL_CTR = 66, COL_PC = 67, COL_CR2 = 70, NR_COLS = 76,
       NIP = 256, CTR = 280, LINK = 288, CCR = 304, REGS_SIZE = 384, NOP = 0x60000000 };

/* struct pt_regs: r0 to r31, nip, msr, orig_gpr3, ctr, link, xer, ccr, ... */
#define R(n) (8 * (n))
static const int16_t col_off[NR_COLS] = {
	R(0), R(1), R(2), R(3), R(4), R(5), R(6), R(7), R(8), R(9), R(10), R(11),
	R(12), R(13), R(14), R(15), R(16), R(17), R(18), R(19), R(20), R(21), R(22),
	R(23), R(24), R(25), R(26), R(27), R(28), R(29), R(30), R(31),
	-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
	-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
	-1, LINK, CTR, NIP, -1, -1, CCR, -1, -1, -1, -1, -1,
};

/* bclr and bcctr: BO with bits 4 and 16 set goes always (Power ISA 2.4). */
static enum insn_flow indirect_flow(uint32_t word)
{
	bool always = is(word, 0x02800000, 0x02800000);

	if (!is(word, 0xfc0007fe, 0x4c000020) && !is(word, 0xfc0007fe, 0x4c000420))
		return word == 0x7fe00008 || !word ? FLOW_STOP : FLOW_NEXT;
	if (word & 1)
		return FLOW_CALL;
	if (!always)
		return FLOW_BRANCH;
	return word & 0x400 ? FLOW_JUMP : FLOW_RETURN;
}

static bool ppc_decode(const uint8_t *code, size_t size, uint64_t addr, struct insn *insn)
{
	uint32_t word;
	int64_t by;

	*insn = (struct insn){ .dst_reg = -1, .src_reg = -1, .base_reg = -1 };
	if (size < 4)
		return false;
	word = word_at(code);
	insn->size = 4;
	insn->is_nop = word == NOP;
	insn->is_padding = insn->is_nop || !word;
	if (is(word, 0xfc000000, 0x48000000)) { /* b, bl */
		by = (int64_t)(word & 0x3fffffc) - ((word & 0x2000000) ? 0x4000000 : 0);
		insn->flow = word & 1 ? FLOW_CALL : FLOW_JUMP;
	} else if (is(word, 0xfc000000, 0x40000000)) { /* bc */
		by = (int16_t)(word & 0xfffc);
		insn->flow = word & 1 ? FLOW_CALL :
			     is(word, 0x02800000, 0x02800000) ? FLOW_JUMP : FLOW_BRANCH;
	} else {
		insn->flow = indirect_flow(word);
		return true;
	}
	insn->is_direct = true;
	insn->target = (word & 2 ? 0 : addr) + (uint64_t)by;
	return true;
}

static bool ppc_follows_call(const uint8_t *code, size_t size)
{
	struct insn insn;

	return size >= 4 && ppc_decode(code + size - 4, 4, 0, &insn) &&
	       insn.flow == FLOW_CALL;
}

static void ppc_call_at(const uint8_t *code, size_t size, uint64_t addr,
			struct arch_call *call)
{
	struct insn insn;

	if (ppc_decode(code, size, addr, &insn))
		*call = arch_call_of(&insn, COL_CTR);
	else
		*call = (struct arch_call){ .kind = CALL_UNKNOWN };
}

static void ppc_call_before(const uint8_t *code, size_t size, uint64_t ra,
			    struct arch_call *call)
{
	*call = (struct arch_call){ .kind = CALL_UNKNOWN };
	if (size >= 4)
		ppc_call_at(code + size - 4, 4, ra - 4, call);
}

static bool ppc_effect(const uint8_t *code, size_t size, uint64_t addr,
		       struct insn_effect *e)
{
	struct insn insn;
	uint32_t word;
	unsigned reg;

	*e = (struct insn_effect){ 0 };
	if (!ppc_decode(code, size, addr, &insn))
		return false;
	e->size = 4;
	e->flow = insn.flow;
	e->is_direct = insn.is_direct;
	e->target = insn.target;
	word = word_at(code);
	reg = word >> 21 & 31;
	if (is(word, 0xffff0000, 0x38210000)) {        /* addi r1,r1,n */
		e->sp_add = (int16_t)word;
	} else if (is(word, 0xfc1f0003, 0xf8010001)) { /* stdu rN,n(r1) */
		e->sp_add = (int16_t)(word & 0xfffc);
	} else if (is(word, 0xfc1f0003, 0xe8010000)) { /* ld rN,n(r1) */
		e->nr_loads = 1;
		e->loads[0].col = (uint8_t)reg;
		e->loads[0].off = (int16_t)(word & 0xfffc);
	} else if (is(word, 0xfc1fffff, 0x7c0803a6) || is(word, 0xfc1fffff, 0x7c0802a6)) {
		e->has_move = true;                    /* mtlr, mflr */
		e->move_to = (uint8_t)(word & 0x100 ? COL_LR : reg);
		e->move_from = (uint8_t)(word & 0x100 ? reg : COL_LR);
	} else if ((is(word, 0xfc1f07ff, 0x7c01016a)) ||  /* stdux rN,r1,rM */
		   (is(word, 0xfc1f0000, 0x7c010000) && is(word, 0x7fe, 0x378)) ||
		   is(word, 0xffe00000, 0x38200000)) { /* mr r1,rN; addi r1,rN,n */
		e->is_lost = true;
	}
	return true;
}

static bool ppc_links_frame(const uint8_t *code, size_t size)
{
	for (size_t i = 0; i + 4 <= size; i += 4)
		if (is(word_at(code + i), 0xffff0003, 0xf8210001) || /* stdu r1 */
		    is(word_at(code + i), 0xffff07ff, 0x7c21016a))   /* stdux r1 */
			return true;
	return false;
}

/* addi r1,r1,128; li r0,172; sc: __kernel_sigtramp_rt64 of the vDSO. */
static const uint8_t trampoline[] = { 0x80, 0x00, 0x21, 0x38, 0xac, 0x00, 0x00, 0x38,
				      0x02, 0x00, 0x00, 0x44 };

/*
 * At r1: 128 bytes for the handler, ucontext with uc_mcontext at 168, gp_regs at
 * 64 in that (arch/powerpc/kernel/signal_64.c; uapi/asm/sigcontext.h).
 */
#define GP 360
#define SR(n) { n, GP + 8 * (n) }

static const struct arch_unwind ppc64le_unwind = {
	.pc_col = COL_PC,
	.ra_in_register = true,
	.kept = { 0xffffe002u, 1u << (COL_CR2 - 64) },
	.chain = CHAIN_SP,
	.fp_col = 31,
	.start_below = 512,
	.trampoline = trampoline,
	.trampoline_size = sizeof(trampoline),
	.signal_frame = {
		.nr_saved = 36,
		.saved = {
			SR(0), SR(1), SR(2), SR(3), SR(4), SR(5), SR(6), SR(7), SR(8), SR(9),
			SR(10), SR(11), SR(12), SR(13), SR(14), SR(15), SR(16), SR(17),
			SR(18), SR(19), SR(20), SR(21), SR(22), SR(23), SR(24), SR(25),
			SR(26), SR(27), SR(28), SR(29), SR(30), SR(31),
			{ COL_LR, GP + LINK }, { COL_CTR, GP + CTR }, { COL_PC, GP + NIP },
			{ COL_CR2, GP + CCR },
		},
	},
	.links_frame = ppc_links_frame,
	.effect = ppc_effect,
	.call_before = ppc_call_before,
	.call_at = ppc_call_at,
};

const struct arch arch_ppc64le = {
	.name = "ppc64le",
	.machine = EM_PPC64,
	.page_size = 65536,
	.regs_size = REGS_SIZE,
	.pc_off = NIP,
	.sp_off = R(1),
	.tp_off = R(13),
	.col_off = col_off,
	.nr_cols = NR_COLS,
	.sp_col = COL_SP,
	.ra_col = COL_LR,
	.second_arg_col = 4,
	.unwind = &ppc64le_unwind,
	.decode = ppc_decode,
	.flow = ppc_decode,
	.follows_call = ppc_follows_call,
};
