/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * x86-64: what the unwinder asks of the port beyond call frame information.
 *
 * Functions give rbx, rbp, rsp and r12 to r15 back (psABI 3.2.1); a call pushes
 * the return address, so it lies at the CFA - 8; the kernel enters a program
 * with rsp 16-aligned and _start calls on from 16 bytes below that (psABI
 * 3.4.1, figure 3.9).
 */
#include "x86_64.h"

#include <string.h>

#include "bytes.h"

enum { UC_MCONTEXT = 40 };

static bool is_push(const ZydisDecodedInstruction *raw)
{
	return raw->mnemonic == ZYDIS_MNEMONIC_PUSH ||
	       raw->mnemonic == ZYDIS_MNEMONIC_PUSHFQ;
}

/* The general registers among the written operands, by column. */
static uint32_t written_by(const ZydisDecodedInstruction *raw, const ZydisDecodedOperand *ops)
{
	uint32_t mask = 0;

	for (unsigned i = 0; i < raw->operand_count; i++)
		if (ops[i].type == ZYDIS_OPERAND_TYPE_REGISTER &&
		    (ops[i].actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) &&
		    x86_column_of(ops[i].reg.value) >= 0)
			mask |= 1u << x86_column_of(ops[i].reg.value);
	return mask;
}

static uint32_t x86_written(const uint8_t *code, size_t size)
{
	ZydisDecodedInstruction raw;
	ZydisDecodedOperand ops[ZYDIS_MAX_OPERAND_COUNT];

	if (!x86_decode_raw(code, size, &raw, ops) ||
	    raw.meta.category == ZYDIS_CATEGORY_CALL ||
	    raw.meta.category == ZYDIS_CATEGORY_SYSCALL)
		return UINT32_MAX;
	return written_by(&raw, ops);
}

/* What an instruction that changes rsp makes of it; others lose it. */
static void move_stack(const ZydisDecodedInstruction *raw, const ZydisDecodedOperand *ops,
		       struct insn_effect *e)
{
	bool is_imm = ops[1].type == ZYDIS_OPERAND_TYPE_IMMEDIATE;

	if (is_push(raw)) {
		e->sp_add = -8;
	} else if (raw->mnemonic == ZYDIS_MNEMONIC_POP &&
		   ops[0].type == ZYDIS_OPERAND_TYPE_REGISTER) {
		e->loads[0].col = (uint8_t)x86_column_of(ops[0].reg.value);
		e->loads[0].off = 0;
		e->nr_loads = 1;
		e->sp_add = 8;
	} else if (raw->mnemonic == ZYDIS_MNEMONIC_ADD && is_imm) {
		e->sp_add = ops[1].imm.value.s;
	} else if (raw->mnemonic == ZYDIS_MNEMONIC_SUB && is_imm) {
		e->sp_add = -ops[1].imm.value.s;
	} else if (raw->mnemonic == ZYDIS_MNEMONIC_LEA &&
		   ops[1].mem.base == ZYDIS_REGISTER_RSP &&
		   ops[1].mem.index == ZYDIS_REGISTER_NONE) {
		e->sp_add = ops[1].mem.disp.value;
	} else {
		e->is_lost = true;
	}
}

static bool x86_effect(const uint8_t *code, size_t size, uint64_t addr,
		       struct insn_effect *e)
{
	ZydisDecodedInstruction raw;
	ZydisDecodedOperand ops[ZYDIS_MAX_OPERAND_COUNT];
	struct insn insn;

	*e = (struct insn_effect){ 0 };
	if (!x86_decode_raw(code, size, &raw, ops) || !x86_decode(code, size, addr, &insn))
		return false;
	e->size = insn.size;
	e->flow = insn.flow;
	e->is_direct = insn.is_direct;
	e->target = insn.target;
	/* A call gives rsp back; what a return takes is in ra_from_cfa. */
	if (insn.flow != FLOW_CALL && insn.flow != FLOW_RETURN &&
	    written_by(&raw, ops) >> COL_RSP & 1)
		move_stack(&raw, ops, e);
	if (insn.flow == FLOW_RETURN && raw.operand_count_visible)
		e->is_lost = true; /* ret n */
	return true;
}

/*
 * A lazy PLT entry without CFI, as lld writes it: jmp *slot; push n; jmp plt0,
 * where plt0 is push *link_map; jmp *resolver.  near + 16 is pc.
 */
static bool x86_stub_frame(const uint8_t *near, uint64_t pc, struct arch_frame *frame)
{
	const uint8_t *at = near + 16;
	size_t keep = x86_entry_keep(at, 16);
	unsigned pushed;

	(void)pc;
	if (keep || (at[0] == 0xff && at[1] == 0x25))
		/* the second half of plt0 stands behind its push */
		pushed = near[10] == 0xff && near[11] == 0x35 ? 2 : 0;
	else if (at[0] == 0xff && at[1] == 0x35)
		pushed = 1;
	else if (at[0] == 0xe9 && near[11] == 0x68)
		pushed = 1;
	else if (at[0] == 0x68 && at[5] == 0xe9)
		pushed = 0;
	else
		return false;
	if (keep && !(at[keep] == 0xff && at[keep + 1] == 0x25) &&
	    !(at[keep] == 0xf2 && at[keep + 1] == 0xff && at[keep + 2] == 0x25))
		return false;
	*frame = (struct arch_frame){ .cfa = 8 + 8 * (int64_t)pushed, .nr_saved = 1,
				      .saved = { { COL_RA, 8 * (int64_t)pushed } } };
	return true;
}

static void call_memory(const ZydisDecodedOperand *op, uint64_t end, struct arch_call *call)
{
	int16_t base = x86_column_of(op->mem.base);

	call->nr_steps = 1;
	call->steps[0] = op->mem.disp.value;
	if (op->mem.base == ZYDIS_REGISTER_RIP) {
		call->kind = CALL_ADDR;
		call->addr = end;
	} else if (op->mem.index != ZYDIS_REGISTER_NONE) {
		return;
	} else if (op->mem.segment == ZYDIS_REGISTER_FS) {
		call->kind = op->mem.base == ZYDIS_REGISTER_NONE ? CALL_TP : CALL_UNKNOWN;
	} else if (base >= 0) {
		call->kind = CALL_COL;
		call->col = (unsigned)base;
	}
}

static void x86_call_at(const uint8_t *code, size_t size, uint64_t addr,
			struct arch_call *call)
{
	ZydisDecodedInstruction raw;
	ZydisDecodedOperand ops[ZYDIS_MAX_OPERAND_COUNT];

	*call = (struct arch_call){ .kind = CALL_UNKNOWN };
	if (!x86_decode_raw(code, size, &raw, ops) ||
	    raw.meta.category != ZYDIS_CATEGORY_CALL)
		return;
	if (raw.raw.imm[0].is_relative) {
		call->kind = CALL_ADDR;
		call->addr = addr + raw.length + (uint64_t)raw.raw.imm[0].value.s;
	} else if (ops[0].type == ZYDIS_OPERAND_TYPE_REGISTER) {
		call->kind = CALL_COL;
		call->col = (unsigned)x86_column_of(ops[0].reg.value);
	} else {
		call_memory(&ops[0], addr + raw.length, call);
	}
}

/*
 * The bytes before a return address can be read as several calls; a direct one
 * counts only if none of the indirect forms fits as well.
 */
static void x86_call_before(const uint8_t *code, size_t size, uint64_t ra,
			    struct arch_call *call)
{
	const uint8_t *end = code + size;

	*call = (struct arch_call){ .kind = CALL_UNKNOWN };
	if (size < 5 || end[-5] != 0xe8)
		return;
	for (unsigned len = 2; len <= 7; len++)
		if (len < size && len != 5 && end[-(int)len] == 0xff &&
		    (end[-(int)len + 1] & 0x38) == 0x10 && x86_follows_call(end - len, len))
			return;
	call->kind = CALL_ADDR;
	call->addr = ra + bytes_get(end - 4, 4, false);
	if (end[-1] & 0x80)
		call->addr -= UINT64_C(1) << 32;
}

/* mov $15,%rax; syscall: __restore_rt of every C library, as unwinders expect it. */
static const uint8_t trampoline[] = { 0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05 };

/*
 * struct rt_sigframe: when its trampoline runs, the return address is off the
 * stack and rsp is at the ucontext (arch/x86/include/asm/sigframe.h); uc_mcontext
 * is at 40 and holds r8-r15, rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip.
 */
#define MC(n) (UC_MCONTEXT + 8 * (n))

const struct arch_unwind x86_64_unwind = {
	.pc_col = COL_RA,
	.ra_from_cfa = -8,
	.kept = { 1u << COL_RBX | 1u << COL_RBP | 1u << COL_RSP | 0xfu << COL_R12 },
	.fp_col = COL_RBP,
	.start_below = 16,
	.shadow_regset = 0x204, /* NT_X86_SHSTK (include/uapi/linux/elf.h) */
	.shadow_line = "x86_Thread_features", /* arch/x86/kernel/cpu/proc.c */
	.shadow_word = "shstk",
	.trampoline = trampoline,
	.trampoline_size = sizeof(trampoline),
	.signal_frame = {
		.nr_saved = 17,
		.saved = {
			{ 8, MC(0) }, { 9, MC(1) }, { 10, MC(2) }, { 11, MC(3) },
			{ 12, MC(4) }, { 13, MC(5) }, { 14, MC(6) }, { 15, MC(7) },
			{ 5, MC(8) }, { 4, MC(9) }, { COL_RBP, MC(10) },
			{ COL_RBX, MC(11) }, { 1, MC(12) }, { COL_RAX, MC(13) },
			{ 2, MC(14) }, { COL_RSP, MC(15) }, { COL_RA, MC(16) },
		},
	},
	.effect = x86_effect,
	.stub_frame = x86_stub_frame,
	.call_before = x86_call_before,
	.call_at = x86_call_at,
	.written = x86_written,
};
