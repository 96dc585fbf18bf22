/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ppc64le, OpenPOWER 64-bit ELF V2 ABI (https://openpowerfoundation.org).
 *
 * What unwinding needs: a call leaves the return address in LR; r1, r13 to r31
 * and CR2 to CR4 are given back (2.2.1.1); r1 points to the back chain always,
 * and stdu changes both at once (2.2.2.1); LR is kept at the CFA + 16; the
 * outermost back chain is 0, and no CFI marks the end.
 */
#include "ppc64le.h"

#include <elf.h>

enum { COL_SP = 1, COL_TOC = 2, COL_LR = 65, COL_CTR = 66, COL_PC = 67, COL_CR2 = 70,
       NR_COLS = 76, NIP = PPC_NIP, CTR = PPC_CTR, LINK = PPC_LINK, CCR = PPC_CCR };

#define R(n) PPC_R(n)
static const int16_t col_off[NR_COLS] = {
	R(0), R(1), R(2), R(3), R(4), R(5), R(6), R(7), R(8), R(9), R(10), R(11),
	R(12), R(13), R(14), R(15), R(16), R(17), R(18), R(19), R(20), R(21), R(22),
	R(23), R(24), R(25), R(26), R(27), R(28), R(29), R(30), R(31),
	-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
	-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
	-1, LINK, CTR, NIP, -1, -1, CCR, -1, -1, -1, -1, -1,
};

/*
 * The calls that a stop makes fail with EINTR and that may be begun anew; numbers of
 * arch/powerpc/kernel/syscalls/syscall.tbl.
 */
static const long eintr_calls[] = {
	238, /* epoll_wait */     303, /* epoll_pwait */ 441, /* epoll_pwait2 */
	337, /* recvfrom */       342, /* recvmsg */     343, /* recvmmsg */
	334, /* send */           336, /* recv */
	335, /* sendto */         341, /* sendmsg */     330, /* accept */
	344, /* accept4 */        328, /* connect */     3,   /* read */
	4,   /* write */          145, /* readv */       146, /* writev */
	117, /* ipc: semop */     392, /* semtimedop */  102, /* socketcall */
	176, /* rt_sigtimedwait */
	229, /* io_getevents */   388, /* io_pgetevents */
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

static bool is_x_form(uint32_t word, const uint16_t *rows, size_t nr)
{
	for (size_t i = 0; i < nr; i++)
		if (word >> 26 == 31 && (word >> 1 & 0x3ff) == rows[i])
			return true;
	return false;
}

/*
 * The general register that it may change, -1: none; stores that move their base aside.  An
 * X-form instruction has its result in RT (Power ISA, book I, 3.3) but for these.
 */
static int16_t changed_by(uint32_t word)
{
	static const uint16_t in_ra[] = {
		28, 60, 284, 476, 124, 444, 412, 316,            /* and .. xor, mr */
		24, 27, 536, 539, 792, 824, 794, 826, 827,       /* shifts */
		26, 58, 538, 570, 954, 922, 986, 890, 891,       /* counts, extsb .. extswsli */
		122, 378, 506, 154, 186, 252, 508, 51, 115, 307, /* bits, mfvsrd .. mfvsrld */
	};
	static const uint16_t in_none[] = {
		0, 32, 4, 68, 467, 144, 598, 278, 1014,          /* cmp, tw, mtspr, sync, dcbt */
		149, 181, 151, 183, 407, 439, 215, 247, 660, 662, 918, 150, 214, /* stores */
		599, 535, 727, 663, 983, 103, 231, 844, 780, 268, 972, 908, 396, /* of others */
		179, 211, 243, 435, 403,                         /* mtvsrd .. mtvsrws */
	};
	unsigned op = word >> 26;
	int16_t rt = word >> 21 & 31, ra = word >> 16 & 31;

	/* ld r2,24(r1), behind a call: r2 is again what it was (ELFv2 ABI, 2.3.6).  Nops. */
	if (word == 0xe8410018 || (is(word, 0xfc00ffff, 0x60000000) && rt == ra) ||
	    is_x_form(word, in_none, ARRAY_SIZE(in_none)))
		return -1;
	if ((op >= 20 && op <= 30) || is_x_form(word, in_ra, ARRAY_SIZE(in_ra)))
		return ra;
	if (op == 31 || op == 58 || op == 46 || (op >= 32 && op <= 35) || (op >= 40 && op <= 43) ||
	    op == 7 || op == 8 || (op >= 12 && op <= 15))
		return rt;
	return -1;
}

/*
 * What adds a displacement to a register: addi, addis, loads and stores.  With r2 for the
 * register that is how variables are reached (ELFv2 ABI, 3.6.3), half and half where one
 * half is too little; and r2 itself is made so of r12, or of nothing where addresses are
 * absolute.
 */
static void note_low(uint32_t word, struct insn *insn)
{
	unsigned op = word >> 26, ra = word >> 16 & 31;
	uint64_t by = (uint64_t)(int16_t)word;

	insn->changes = changed_by(word);
	if (op == 15) {
		by <<= 16;
		insn->is_page = ra > COL_SP || (!ra && insn->changes == COL_TOC);
		insn->mem = by;
	} else if (op >= 57 && op <= 62 && op != 59 && op != 60) {
		by &= ~UINT64_C(3);
		if (op == 61 && (word & 3) == 1)
			by &= ~UINT64_C(15);
	} else if (op != 14 && (op < 32 || op > 55)) {
		return;
	}
	if (ra <= COL_SP)
		return;
	insn->is_sum = op == 14 || op == 15;
	insn->page_reg = (int16_t)ra;
	insn->low = by;
}

/* What differs between two links of the same code. */
static void ppc_clear_address(uint8_t *code, const struct insn *insn)
{
	uint32_t word = word_at(code), op = word >> 26, field = 0xffff;

	if (insn->page_reg < 0)
		field = op == 18 ? 0x3fffffc : 0xfffc;
	else if (op == 61 && (word & 3) == 1)
		field = 0xfff0;
	else if (op >= 57 && op <= 62)
		field = 0xfffc;
	put_word(code, word & ~field);
}

bool ppc_decode(const uint8_t *code, size_t size, uint64_t addr, struct insn *insn)
{
	uint32_t word;
	int64_t by;

	*insn = (struct insn){ .dst_reg = -1, .src_reg = -1, .base_reg = -1, .page_reg = -1,
			       .changes = -1 };
	if (size < 4)
		return false;
	word = word_at(code);
	insn->size = 4;
	insn->is_nop = word == (uint32_t)PPC_NOP;
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
		note_low(word, insn);
		return true;
	}
	insn->is_direct = true;
	insn->field_size = 4;
	insn->target = (word & 2 ? 0 : addr) + (uint64_t)by;
	return true;
}

/* Loads and stores, by their first six bits and, in two of them, the last two. */
static void value_of_place(uint32_t word, struct insn_value *value)
{
	static const struct { uint8_t op, low, kind, size; } rows[] = {
		{ 58, 0, VALUE_LOAD, 8 }, /* ld */  { 32, 4, VALUE_LOAD, 4 }, /* lwz */
		{ 62, 0, VALUE_STORE, 8 }, /* std */ { 36, 4, VALUE_STORE, 4 }, /* stw */
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
		if (word >> 26 == rows[i].op && (rows[i].low == 4 || (word & 3) == rows[i].low)) {
			value->kind = rows[i].kind;
			value->size = rows[i].size;
			value->off = (uint64_t)(int16_t)(rows[i].low == 4 ? word : word & 0xfffc);
			value->base = word >> 16 & 31 ? (int16_t)(word >> 16 & 31) : -1;
		}
}

static void ppc_value(const uint8_t *code, const struct insn *insn,
		      struct insn_value *value)
{
	uint32_t word = word_at(code), op = word >> 26;
	int16_t rt = word >> 21 & 31, ra = word >> 16 & 31;

	*value = (struct insn_value){ .reg = rt, .base = -1, .changes = UINT32_MAX };
	if (op == 14 || op == 15) {                              /* addi, addis */
		value->kind = VALUE_ADD;
		value->base = ra ? ra : -1;
		value->off = (uint64_t)(int16_t)word << (op == 15 ? 16 : 0);
	} else if (is(word, 0xfc0007fe, 0x7c000378) && rt == (int16_t)(word >> 11 & 31)) { /* mr */
		value->kind = VALUE_ADD;
		value->reg = ra;
		value->base = rt;
	} else if (op == 58 || op == 32 || op == 62 || op == 36) {
		value_of_place(word, value);
	} else if (insn->flow == FLOW_BRANCH || op == 10 || op == 11 ||
		   is(word, 0xfc1fffff, 0x7c0803a6) || is(word, 0xfc00ffff, 0x60000000)) {
		value->changes = 0; /* comparisons with a constant, mtlr, nop */
	} else if (is(word, 0xfc1fffff, 0x7c0802a6)) { /* mflr */
		value->changes = 1u << rt;
	}
	/* stdu: the register that it stores by has moved. */
	if (op == 62 && value->kind == VALUE_OTHER)
		value->changes = 1u << ra;
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
	.ends_by_chain = true,
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
	.regs_size = PPC_REGS_SIZE,
	.pc_off = NIP,
	.sp_off = R(1),
	.tp_off = R(13),
	.col_off = col_off,
	.nr_cols = NR_COLS,
	.sp_col = COL_SP,
	.ra_col = COL_LR,
	.second_arg_col = 4,
	.unwind = &ppc64le_unwind,
	.fp_sets = { { NT_PRFPREG, 264, false }, { NT_PPC_VMX, 544, false },
		     { NT_PPC_VSX, 256, false } },

	.sysno_off = R(0),
	.syscall_size = 4,
	.get_result = ppc_get_result,
	.set_result = ppc_set_result,
	.begins_again = ppc_begins_again,
	.sysret_off = R(3),
	.sysnr_off = R(0),
	.sysarg_off = { R(3), R(4), R(5), R(6), R(7), R(8) },
	.nr_mmap = 90,
	.nr_munmap = 91,
	.nr_mprotect = 125,
	.nr_prctl = 171,
	.eintr_calls = eintr_calls,
	.nr_eintr_calls = ARRAY_SIZE(eintr_calls),

	.jump_size = 4,
	.jump_is_insn = true,
	.code_word = 4,
	.jump_reach = 0x1ff0000,
	.stub_size = PPC_STUB,
	.decode = ppc_decode,
	.value = ppc_value,
	.self_col = 12,
	.flow = ppc_decode,
	.entry_keep = ppc_entry_keep,
	.is_exchangeable = ppc_is_exchangeable,
	.keeps_gates = true,
	.put_jump = ppc_put_jump,
	.put_far_jump = ppc_put_far_jump,
	.jump_window = ppc_jump_window,
	.move_insn = ppc_move_insn,
	.follows_call = ppc_follows_call,
	.stub_slot = ppc_stub_slot,

	.dispatch_size = PPC_DISPATCH_SIZE,
	.dispatch_frame = &ppc_dispatch_frame,
	.dispatch_stub_size = PPC_DISPATCH_STUB,
	.put_dispatcher = ppc_put_dispatcher,
	.put_dispatch_stub = ppc_put_dispatch_stub,
	.dispatch_undo = ppc_dispatch_undo,
	.dispatch_hash = ppc_dispatch_hash,

	.base_symbol = ".TOC.",
	.base_col = COL_TOC,
	.clear_address = ppc_clear_address,
	.base_in_got = 0x8000,
	.put_call_stub = ppc_put_call_stub,
	.put_restore = ppc_put_restore,
	.relocs = ppc_relocs,
	.nr_relocs = ARRAY_SIZE(ppc_relocs),
	.put_field = ppc_put_field,
	.rel_copy = R_PPC64_COPY,
	.rel_glob_dat = R_PPC64_GLOB_DAT,
	.rel_jump_slot = R_PPC64_JMP_SLOT,
	/* ELFv2 ABI 4.2.5.3 and glibc's elf_machine_runtime_setup(): one branch for each. */
	.lazy_tag = DT_PPC64_GLINK,
	.lazy_first = 32,
	.lazy_size = 4,
	.rel_relative = R_PPC64_RELATIVE,
	.rel_irelative = R_PPC64_IRELATIVE,
	.rel_dtpmod = R_PPC64_DTPMOD64,
	.rel_dtpoff = R_PPC64_DTPREL64,
	.rel_tpoff = R_PPC64_TPREL64,
	.tp_bias = 0x7000,
	.dtp_bias = 0x8000,

	.call_code_size = PPC_CALL_CODE,
	.call_code = ppc_call_code,
	.call_frames = ppc_call_frames,
	.call_abort = ppc_call_abort,

	.remote = { PPC_REMOTE_CODE, 0, PPC_REMOTE_FRAME, 512, true, 0 },
	.remote_code = ppc_remote_code,
	.remote_frame = ppc_remote_frame,
};
