/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * arm64, AAPCS64 and its DWARF supplement (https://github.com/ARM-software/abi-aa).
 *
 * What unwinding needs: a call leaves the return address in x30; x19 to x29 and
 * sp are given back (AAPCS64 6.1.1); a frame record {x29, x30} is linked from
 * x29 (6.2.3); return addresses may be signed in their upper bits
 * (DW_CFA_AARCH64_negate_ra_state, AADWARF64 4.1).
 */
#include "aarch64.h"

#include <elf.h>

enum { COL_FP = 29, COL_LR = 30, COL_SP = 31, COL_PC = 32, NR_COLS = 33 };

#define X(n) ARM_X(n)
static const int16_t col_off[NR_COLS] = {
	X(0), X(1), X(2), X(3), X(4), X(5), X(6), X(7), X(8), X(9), X(10), X(11),
	X(12), X(13), X(14), X(15), X(16), X(17), X(18), X(19), X(20), X(21), X(22),
	X(23), X(24), X(25), X(26), X(27), X(28), X(29), X(30), X(31), X(32),
};

/* A field of the instruction as a signed number of words or units. */
int64_t arm_field(uint32_t insn, unsigned low, unsigned bits, int64_t unit)
{
	int64_t v = (int64_t)(insn >> low & ((1u << bits) - 1));

	if (v >> (bits - 1))
		v -= (int64_t)1 << bits;
	return v * unit;
}

/* Indirect branches, with and without pointer authentication. */
static enum insn_flow indirect_flow(uint32_t insn)
{
	if (is(insn, 0xfffffc1f, 0xd65f0000) || is(insn, 0xfffffbff, 0xd65f0bff))
		return FLOW_RETURN;
	if (is(insn, 0xfffffc1f, 0xd63f0000) || is(insn, 0xfefff800, 0xd63f0800))
		return FLOW_CALL;
	if (is(insn, 0xfffffc1f, 0xd61f0000) || is(insn, 0xfefff800, 0xd61f0800))
		return FLOW_JUMP;
	if (is(insn, 0xffff0000, 0) || is(insn, 0xffe0001f, 0xd4200000))
		return FLOW_STOP; /* udf, brk */
	return FLOW_NEXT;
}

/* add of 12 bits to a register, and loads and stores with an offset of so many. */
static void note_low(uint32_t word, struct insn *insn)
{
	unsigned reg = word >> 5 & 31, scale = word >> 30;

	insn->changes = (int16_t)(word & 31);
	insn->is_sum = is(word, 0xffc00000, 0x91000000);
	if (insn->is_sum)
		scale = 0;
	else if (!is(word, 0x3b000000, 0x39000000))
		return;
	else if (word >> 26 & 1 && word >> 23 & 1)
		scale = 4; /* q registers */
	if (reg == 31)
		return;
	insn->page_reg = (int16_t)reg;
	insn->low = (uint64_t)(word >> 10 & 0xfff) << scale;
}

/* Pairs, which are stored or loaded; their base register may move. */
static uint32_t changes_of_pair(uint32_t word)
{
	uint32_t moved = word >> 23 & 1 ? 1u << (word >> 5 & 31) : 0;

	return word >> 22 & 1 ? moved | 1u << (word & 31) | 1u << (word >> 10 & 31) : moved;
}

static void arm_value(const uint8_t *code, const struct insn *insn,
		      struct insn_value *value)
{
	uint32_t word = word_at(code);
	uint16_t imm = (uint16_t)(word >> 5);

	*value = (struct insn_value){ .kind = VALUE_ADD, .reg = (int16_t)(word & 31), .base = -1,
				      .changes = UINT32_MAX };
	if (is(word, 0x1f000000, 0x10000000)) {        /* adr, adrp */
		value->off = insn->mem;
	} else if (is(word, 0x7fe00000, 0x52800000)) { /* movz, no shift */
		value->off = imm;
	} else if (is(word, 0xffe0ffe0, 0xaa0003e0)) { /* mov of a register */
		value->base = (int16_t)(word >> 16 & 31);
	} else if (is(word, 0xff800000, 0x91000000)) { /* add */
		value->base = (int16_t)(word >> 5 & 31);
		value->off = (uint64_t)(word >> 10 & 0xfff) << (word >> 22 & 1 ? 12 : 0);
	} else if (is(word, 0xbf800000, 0xb9000000)) { /* ldr, str */
		value->kind = word >> 22 & 1 ? VALUE_LOAD : VALUE_STORE;
		value->base = (int16_t)(word >> 5 & 31);
		value->size = word >> 30 & 1 ? 8 : 4;
		value->off = (uint64_t)(word >> 10 & 0xfff) * value->size;
	} else {
		value->kind = VALUE_OTHER;
		if (insn->flow == FLOW_BRANCH)
			value->changes = 0;
		else if (is(word, 0x3a000000, 0x28000000))
			value->changes = changes_of_pair(word);
		else if (is(word, 0x1f800000, 0x12800000)) /* movn, movz, movk */
			value->changes = 1u << (word & 31);
	}
}

/* What differs between two links of the same code. */
static void arm_clear_address(uint8_t *code, const struct insn *insn)
{
	uint32_t word = word_at(code), field = 0x3ffffff;

	if (insn->page_reg >= 0)
		field = 0xfffu << 10;
	else if (is(word, 0x1f000000, 0x10000000))
		field = 3u << 29 | 0x7ffffu << 5;
	else if (is(word, 0x7e000000, 0x36000000))
		field = 0x3fffu << 5;
	else if (!is(word, 0x7c000000, 0x14000000))
		field = 0x7ffffu << 5;
	bytes_put(code, 4, word & ~field, false);
}

/* adr, adrp, ldr of a literal. */
static void note_pcrel(uint32_t word, uint64_t addr, struct insn *insn)
{
	int64_t imm = arm_field(word, 5, 19, 4) | (word >> 29 & 3);

	insn->is_pcrel = true;
	if (is(word, 0x9f000000, 0x10000000))
		insn->mem = addr + (uint64_t)imm;
	else if (is(word, 0x9f000000, 0x90000000)) {
		insn->mem = (addr & ~UINT64_C(0xfff)) + (uint64_t)imm * 4096;
		insn->is_page = true;
	} else if (is(word, 0x3b000000, 0x18000000))
		insn->mem = addr + (uint64_t)arm_field(word, 5, 19, 4);
	else
		insn->is_pcrel = false;
}

bool arm_decode(const uint8_t *code, size_t size, uint64_t addr, struct insn *insn)
{
	uint32_t word;
	int64_t by = 0;

	*insn = (struct insn){ .dst_reg = -1, .src_reg = -1, .base_reg = -1, .page_reg = -1,
			       .changes = -1 };
	if (size < 4)
		return false;
	word = word_at(code);
	insn->size = 4;
	insn->is_nop = word == (uint32_t)ARM_NOP;
	insn->is_padding = insn->is_nop || !word;
	if (is(word, 0x7c000000, 0x14000000)) { /* b, bl */
		insn->flow = word >> 31 ? FLOW_CALL : FLOW_JUMP;
		by = arm_field(word, 0, 26, 4);
	} else if (is(word, 0xff000000, 0x54000000) || is(word, 0x7e000000, 0x34000000)) {
		insn->flow = FLOW_BRANCH;           /* b.cond, cbz, cbnz */
		by = arm_field(word, 5, 19, 4);
	} else if (is(word, 0x7e000000, 0x36000000)) { /* tbz, tbnz */
		insn->flow = FLOW_BRANCH;
		by = arm_field(word, 5, 14, 4);
	} else {
		insn->flow = indirect_flow(word);
		note_pcrel(word, addr, insn);
		note_low(word, insn);
		return true;
	}
	insn->is_direct = true;
	insn->target = addr + (uint64_t)by;
	return true;
}

static bool arm_follows_call(const uint8_t *code, size_t size)
{
	struct insn insn;

	return size >= 4 && arm_decode(code + size - 4, 4, 0, &insn) &&
	       insn.flow == FLOW_CALL;
}

static void arm_call_at(const uint8_t *code, size_t size, uint64_t addr,
			struct arch_call *call)
{
	struct insn insn;

	if (arm_decode(code, size, addr, &insn))
		*call = arch_call_of(&insn, word_at(code) >> 5 & 31);
	else
		*call = (struct arch_call){ .kind = CALL_UNKNOWN };
}

static void arm_call_before(const uint8_t *code, size_t size, uint64_t ra,
			    struct arch_call *call)
{
	*call = (struct arch_call){ .kind = CALL_UNKNOWN };
	if (size >= 4)
		arm_call_at(code + size - 4, 4, ra - 4, call);
}

static void add_load(struct insn_effect *e, unsigned reg, int64_t off)
{
	if (reg == 31)
		return; /* xzr */
	e->loads[e->nr_loads].col = (uint8_t)reg;
	e->loads[e->nr_loads++].off = off;
}

/* ldp and stp with sp as their base. */
static void pair(uint32_t word, struct insn_effect *e)
{
	bool vector = word >> 26 & 1, load = word >> 22 & 1;
	unsigned opc = word >> 30, how = word >> 23 & 3; /* 1 post, 2 offset, 3 pre */
	int64_t off = arm_field(word, 15, 7, vector ? 4 << opc : opc == 2 ? 8 : 4);
	int64_t at = how == 1 ? 0 : off;

	if (how & 1)
		e->sp_add = off;
	if (!load || vector || opc != 2)
		return;
	add_load(e, word & 31, at);
	add_load(e, word >> 10 & 31, at + 8);
}

/* ldr and str of one register with sp as their base. */
static void single(uint32_t word, struct insn_effect *e)
{
	bool is_x_load = is(word, 0xffc00000, 0xf9400000) ||
			 is(word, 0xffe00000, 0xf8400000);

	if (is(word, 0x3b000000, 0x39000000)) { /* unsigned offset */
		if (is_x_load)
			add_load(e, word & 31, (int64_t)(word >> 10 & 0xfff) * 8);
		return;
	}
	if (word >> 21 & 1)
		return; /* register offset */
	if (word >> 10 & 1)
		e->sp_add = arm_field(word, 12, 9, 1);
	if (is_x_load)
		add_load(e, word & 31, (word >> 10 & 3) == 1 ? 0 : arm_field(word, 12, 9, 1));
}

static bool arm_effect(const uint8_t *code, size_t size, uint64_t addr,
		       struct insn_effect *e)
{
	struct insn insn;
	uint32_t word;
	int64_t imm;

	*e = (struct insn_effect){ 0 };
	if (!arm_decode(code, size, addr, &insn))
		return false;
	e->size = 4;
	e->flow = insn.flow;
	e->is_direct = insn.is_direct;
	e->target = insn.target;
	word = word_at(code);
	imm = (int64_t)(word >> 10 & 0xfff) << (word >> 22 & 1 ? 12 : 0);
	if (is(word, 0xff8003ff, 0x910003ff))
		e->sp_add = imm;
	else if (is(word, 0xff8003ff, 0xd10003ff))
		e->sp_add = -imm;
	else if (is(word, 0xbf80001f, 0x9100001f) || is(word, 0xbfe0001f, 0x8b20001f))
		e->is_lost = true; /* sp from another register */
	else if (is(word, 0x3a0003e0, 0x280003e0))
		pair(word, e);
	else if (is(word, 0x3a0003e0, 0x380003e0))
		single(word, e);
	return true;
}

/* stp x16,x30,[sp,#-16]! in the first entry; adrp x16, ldr x17, add x16, br x17. */
static bool arm_stub_frame(const uint8_t *near, uint64_t pc, struct arch_frame *frame)
{
	static const uint32_t mask[] = { 0x9f00001f, 0xffc003ff, 0xffc003ff, 0xffffffff };
	static const uint32_t value[] = { 0x90000010, 0xf9400211, 0x91000210, 0xd61f0220 };
	enum { STP = 0xa9bf7bf0 };
	const uint8_t *at = near + 16;
	unsigned which = 0;
	uint32_t word = word_at(at);

	(void)pc;
	*frame = (struct arch_frame){ 0 };
	if (word == (uint32_t)ARM_BTI_C)
		word = word_at(at + 4);
	if (word == STP)
		return true;
	while (which < 4 && !is(word, mask[which], value[which]))
		which++;
	if (which == 4)
		return false;
	if (word_at(near + 12 - 4 * which) == STP) {
		frame->cfa = 16;
		frame->nr_saved = 1;
		frame->saved[0].col = COL_LR;
		frame->saved[0].off = 8;
	}
	return true;
}

/* mov x29,sp or add x29,sp,#n */
static bool arm_links_frame(const uint8_t *code, size_t size)
{
	for (size_t i = 0; i + 4 <= size; i += 4)
		if (is(word_at(code + i), 0xffc003ff, 0x910003fd))
			return true;
	return false;
}

/* Of user space: bit 55 is clear, and addresses have 48 bits (TBI and PAC above). */
static uint64_t arm_strip(uint64_t addr)
{
	return addr >> 55 & 1 ? addr : addr & ((UINT64_C(1) << 48) - 1);
}

/* mov x8,#139; svc #0: __kernel_rt_sigreturn of the vDSO. */
static const uint8_t trampoline[] = { 0x68, 0x11, 0x80, 0xd2, 0x01, 0x00, 0x00, 0xd4 };

/*
 * At sp: siginfo (128), ucontext with uc_mcontext at 176, and in that regs after
 * fault_address (arch/arm64/include/uapi/asm/ucontext.h, sigcontext.h).
 */
#define SX(n) { n, 312 + 8 * (n) }

static const struct arch_unwind aarch64_unwind = {
	.pc_col = COL_PC,
	.ra_in_register = true,
	.kept = { 0xfff80000u & ~(1u << COL_LR) },
	.chain = CHAIN_FP,
	.fp_col = COL_FP,
	.start_below = 64,
	.trampoline = trampoline,
	.trampoline_size = sizeof(trampoline),
	.signal_frame = {
		.nr_saved = 33,
		.saved = { SX(0), SX(1), SX(2), SX(3), SX(4), SX(5), SX(6), SX(7), SX(8),
			   SX(9), SX(10), SX(11), SX(12), SX(13), SX(14), SX(15), SX(16),
			   SX(17), SX(18), SX(19), SX(20), SX(21), SX(22), SX(23), SX(24),
			   SX(25), SX(26), SX(27), SX(28), SX(29), SX(30), SX(31), SX(32) },
	},
	.strip = arm_strip,
	.links_frame = arm_links_frame,
	.effect = arm_effect,
	.stub_frame = arm_stub_frame,
	.call_before = arm_call_before,
	.call_at = arm_call_at,
};

const struct arch arch_aarch64 = {
	.name = "aarch64",
	.machine = EM_AARCH64,
	.page_size = 65536,
	.regs_size = ARM_REGS_SIZE,
	.pc_off = X(32),
	.sp_off = X(31),
	.tp_off = ARM_TP_OFF,
	.more_regs = { { 0x401 /* NT_ARM_TLS */, 8, false } },
	.fp_sets = { { NT_PRFPREG, 528, false } },
	.col_off = col_off,
	.nr_cols = NR_COLS,
	.sp_col = COL_SP,
	.ra_col = COL_LR,
	.second_arg_col = 1,
	.unwind = &aarch64_unwind,
	/* The kernel has set an interrupted call back in front of its svc already. */
	.sysno_off = X(8),
	.sysno_regset = 0x404, /* NT_ARM_SYSTEM_CALL */
	.syscall_size = 4,
	.steps_off_events = true,
	.sysret_off = X(0),
	.sysnr_off = X(8),
	.sysarg_off = { X(0), X(1), X(2), X(3), X(4), X(5) },
	.nr_mmap = 222,
	.nr_munmap = 215,
	.nr_mprotect = 226,
	.nr_prctl = 167,

	.jump_size = 4,
	.jump_is_insn = true,
	.code_word = 4,
	.jump_reach = 0x7ff0000,
	.stub_size = 12,
	.decode = arm_decode,
	.value = arm_value,
	.flow = arm_decode,
	.entry_keep = arm_entry_keep,
	.put_undo = arm_put_undo,
	.is_exchangeable = arm_is_exchangeable,
	.put_jump = arm_put_jump,
	.put_far_jump = arm_put_far_jump,
	.jump_window = arm_jump_window,
	.move_insn = arm_move_insn,
	.follows_call = arm_follows_call,
	.stub_slot = arm_stub_slot,

	.dispatch_size = ARM_DISPATCH_SIZE,
	.dispatch_depth = 32,
	.dispatch_frame = &arm_dispatch_frame,
	.dispatch_stub_size = ARM_DISPATCH_STUB,
	.put_dispatcher = arm_put_dispatcher,
	.put_dispatch_stub = arm_put_dispatch_stub,
	.dispatch_undo = arm_dispatch_undo,
	.dispatch_hash = arm_dispatch_hash,

	.clear_address = arm_clear_address,
	.is_mark = arm_is_mark,
	.relocs = arm_relocs,
	.nr_relocs = ARM_NR_RELOCS,
	.put_field = arm_put_field,
	.rel_copy = R_AARCH64_COPY,
	.rel_glob_dat = R_AARCH64_GLOB_DAT,
	.rel_jump_slot = R_AARCH64_JUMP_SLOT,
	.rel_relative = R_AARCH64_RELATIVE,
	.rel_irelative = R_AARCH64_IRELATIVE,
	.rel_dtpmod = R_AARCH64_TLS_DTPMOD,
	.rel_dtpoff = R_AARCH64_TLS_DTPREL,
	.rel_tpoff = R_AARCH64_TLS_TPREL,
	.rel_tlsdesc = R_AARCH64_TLSDESC,
	.desc_is_static = arm_desc_is_static,

	.tcb_size = 16,

	.call_code_size = ARM_CALL_CODE,
	.call_code = arm_call_code,
	.call_frames = arm_call_frames,
	.call_abort = arm_call_abort,

	.remote = { ARM_REMOTE_CODE, 0, ARM_REMOTE_FRAME, 0, true, 0 },
	.remote_code = arm_remote_code,
	.remote_frame = arm_remote_frame,
	/* struct user_sve_header: flags, bit 0: the registers are in SVE's format. */
	.live_vectors = { 0x405 /* NT_ARM_SVE */, 16, 12, 1 },
};
