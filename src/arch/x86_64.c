/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * x86-64, System V psABI (https://gitlab.com/x86-psABIs/x86-64-ABI).
 *
 * What matters here: instructions of 1 to 15 bytes at any address; a direct
 * jump is e9 and 32 bits, so 5 bytes and +-2 GiB; 128 bytes below rsp belong to
 * the function that runs (3.2.2); the return address is at the CFA - 8
 * (3.2.2, figure 3.36: column 16); TLS lies below fs_base (variant II); a
 * function may begin with endbr64, which is the only place that an indirect
 * call may land on where CET is on, so it keeps its place.
 */
#include "x86_64.h"

#include <elf.h>
#include <string.h>
#include <sys/syscall.h>

#include "bytes.h"

/* psABI figure 3.36: rax rdx rcx rbx rsi rdi rbp rsp r8..r15 ra. */
static const int16_t col_off[X86_NR_COLS] = {
	RAX, RDX, RCX, RBX, RSI, RDI, RBP, RSP,
	R8, R9, R10, R11, R12, R13, R14, R15, RIP,
};

/*
 * The calls that PTRACE_INTERRUPT makes fail with EINTR and that may be begun
 * anew.  close() and its like are not here: begun anew they would close
 * another file.  Numbers are the kernel's, of arch/x86/entry/syscalls.
 */
static const long eintr_calls[] = {
	232, /* epoll_wait */     281, /* epoll_pwait */ 441, /* epoll_pwait2 */
	45,  /* recvfrom */       47,  /* recvmsg */     299, /* recvmmsg */
	44,  /* sendto */         46,  /* sendmsg */     43,  /* accept */
	288, /* accept4 */        42,  /* connect */     0,   /* read */
	1,   /* write */          19,  /* readv */       20,  /* writev */
	65,  /* semop */          220, /* semtimedop */  128, /* rt_sigtimedwait */
	208, /* io_getevents */   333, /* io_pgetevents */
};

/* Made once: every decoding would have to begin with it. */
static const ZydisDecoder *decoder(void)
{
	static _Thread_local ZydisDecoder made;
	static _Thread_local bool is_made;

	if (!is_made)
		is_made = ZYAN_SUCCESS(ZydisDecoderInit(&made, ZYDIS_MACHINE_MODE_LONG_64,
							ZYDIS_STACK_WIDTH_64));
	return &made;
}

bool x86_decode_raw(const uint8_t *code, size_t size, ZydisDecodedInstruction *raw,
		    ZydisDecodedOperand *ops)
{
	return ZYAN_SUCCESS(ZydisDecoderDecodeFull(decoder(), code, size, raw, ops));
}

static enum insn_flow flow_of(const ZydisDecodedInstruction *raw)
{
	switch (raw->meta.category) {
	case ZYDIS_CATEGORY_CALL:
		return FLOW_CALL;
	case ZYDIS_CATEGORY_COND_BR:
		return FLOW_BRANCH;
	case ZYDIS_CATEGORY_UNCOND_BR:
		return FLOW_JUMP;
	case ZYDIS_CATEGORY_RET:
		return FLOW_RETURN;
	default:
		return raw->mnemonic == ZYDIS_MNEMONIC_UD2 ||
		       raw->mnemonic == ZYDIS_MNEMONIC_HLT ? FLOW_STOP : FLOW_NEXT;
	}
}

/* The DWARF column of a full-width general register, -1 of anything else. */
int16_t x86_column_of(ZydisRegister reg)
{
	static const int8_t by_number[] = { 0, 2, 1, 3, 7, 6, 4, 5,
					    8, 9, 10, 11, 12, 13, 14, 15 };
	ZydisRegister wide = ZydisRegisterGetLargestEnclosing(
		ZYDIS_MACHINE_MODE_LONG_64, reg);

	if (wide < ZYDIS_REGISTER_RAX || wide > ZYDIS_REGISTER_R15)
		return -1;
	return by_number[wide - ZYDIS_REGISTER_RAX];
}

static void note_memory(const ZydisDecodedInstruction *raw,
			const ZydisDecodedOperand *op, uint64_t addr,
			struct insn *insn)
{
	insn->mem_size = (uint8_t)(op->size / 8);
	if (op->mem.base == ZYDIS_REGISTER_RIP) {
		insn->is_pcrel = true;
		insn->mem = addr + raw->length + (uint64_t)op->mem.disp.value;
		insn->field_off = raw->raw.disp.offset;
		insn->field_size = raw->raw.disp.size / 8;
	} else if (op->mem.index == ZYDIS_REGISTER_NONE) {
		insn->base_reg = x86_column_of(op->mem.base);
		insn->base_disp = op->mem.disp.has_displacement ?
				  op->mem.disp.value : 0;
	}
}

static void note_move(const ZydisDecodedInstruction *raw,
		      const ZydisDecodedOperand *ops, struct insn *insn)
{
	bool is_lea = raw->mnemonic == ZYDIS_MNEMONIC_LEA;

	if (raw->mnemonic != ZYDIS_MNEMONIC_MOV && !is_lea)
		return;
	if (ops[0].type == ZYDIS_OPERAND_TYPE_REGISTER)
		insn->dst_reg = x86_column_of(ops[0].reg.value);
	if (ops[1].type == ZYDIS_OPERAND_TYPE_REGISTER)
		insn->src_reg = x86_column_of(ops[1].reg.value);
	if (ops[1].type == ZYDIS_OPERAND_TYPE_IMMEDIATE)
		insn->imm = ops[1].imm.value.s;
	if (is_lea)
		insn->move = MOVE_ADDR;
	else if (ops[0].type == ZYDIS_OPERAND_TYPE_MEMORY)
		insn->move = ops[1].type == ZYDIS_OPERAND_TYPE_IMMEDIATE ?
			     MOVE_STORE_IMM : MOVE_STORE;
	else if (ops[1].type == ZYDIS_OPERAND_TYPE_MEMORY)
		insn->move = MOVE_LOAD;
	else if (ops[1].type == ZYDIS_OPERAND_TYPE_REGISTER)
		insn->move = MOVE_REG;
}

static void set_flow(const ZydisDecodedInstruction *raw, const uint8_t *code, uint64_t addr,
		     struct insn *insn)
{
	insn->size = raw->length;
	insn->flow = flow_of(raw);
	insn->is_nop = raw->mnemonic == ZYDIS_MNEMONIC_NOP;
	insn->is_padding = insn->is_nop || raw->mnemonic == ZYDIS_MNEMONIC_INT3 ||
			   (raw->length == 2 && !code[0] && !code[1]);
	if (!raw->raw.imm[0].is_relative)
		return;
	insn->is_direct = true;
	insn->target = addr + raw->length + (uint64_t)raw->raw.imm[0].value.s;
	insn->field_off = raw->raw.imm[0].offset;
	insn->field_size = raw->raw.imm[0].size / 8;
}

static bool x86_flow(const uint8_t *code, size_t size, uint64_t addr, struct insn *insn)
{
	ZydisDecodedInstruction raw;

	*insn = (struct insn){ .dst_reg = -1, .src_reg = -1, .base_reg = -1,
			       .page_reg = -1, .changes = -1 };
	if (!ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(decoder(), NULL, code, size, &raw)))
		return false;
	set_flow(&raw, code, addr, insn);
	return true;
}

bool x86_decode(const uint8_t *code, size_t size, uint64_t addr, struct insn *insn)
{
	ZydisDecodedInstruction raw;
	ZydisDecodedOperand ops[ZYDIS_MAX_OPERAND_COUNT];

	*insn = (struct insn){ .dst_reg = -1, .src_reg = -1, .base_reg = -1,
			       .page_reg = -1, .changes = -1 };
	if (!x86_decode_raw(code, size, &raw, ops))
		return false;
	set_flow(&raw, code, addr, insn);
	for (unsigned i = 0; i < raw.operand_count_visible; i++)
		if (ops[i].type == ZYDIS_OPERAND_TYPE_MEMORY)
			note_memory(&raw, &ops[i], addr, insn);
	note_move(&raw, ops, insn);
	return true;
}

size_t x86_entry_keep(const uint8_t *code, size_t size)
{
	static const uint8_t endbr64[] = { 0xf3, 0x0f, 0x1e, 0xfa };

	return size >= 4 && !memcmp(code, endbr64, 4) ? 4 : 0;
}

static bool fits32(int64_t v)
{
	return v == (int32_t)v;
}

/* opcode (1 or 2 bytes) and a 32-bit displacement to target */
static size_t put_rel32(uint8_t *out, unsigned opcode, uint64_t at, uint64_t target)
{
	unsigned len = opcode > 0xff ? 2 : 1;
	int64_t disp = (int64_t)(target - (at + len + 4));

	if (!fits32(disp))
		return 0;
	bytes_put(out, len, opcode, true);
	bytes_put(out + len, 4, (uint64_t)disp, false);
	return len + 4;
}

bool x86_put_jump(uint8_t *out, uint64_t at, uint64_t target)
{
	return put_rel32(out, 0xe9, at, target) != 0; /* jmp target */
}

static bool x86_put_far_jump(uint8_t *out, uint64_t at, uint64_t slot)
{
	if (!put_rel32(out, 0xff25, at, slot)) /* jmp *slot(%rip) */
		return false;
	out[6] = out[7] = 0xcc;
	return true;
}

/* e9 and the displacement's low bytes first: each byte that is fixed fixes a high one. */
static void x86_jump_window(const uint8_t *old, unsigned nr_free, uint64_t at,
			    uint64_t *first, uint64_t *last)
{
	uint8_t low[4], high[4];

	for (unsigned i = 0; i < 4; i++) {
		bool is_free = i + 1 < nr_free;

		low[i] = is_free ? 0 : old[i + 1];
		high[i] = is_free ? 0xff : old[i + 1];
	}
	if (nr_free >= 5) {
		low[3] = 0x80;
		high[3] = 0x7f;
	}
	*first = at + 5 + (uint64_t)(int64_t)(int32_t)bytes_get(low, 4, false);
	*last = at + 5 + (uint64_t)(int64_t)(int32_t)bytes_get(high, 4, false);
}

static size_t x86_move_insn(const uint8_t *code, const struct insn *insn,
			    uint64_t to, uint8_t *out)
{
	if (insn->is_direct && insn->flow == FLOW_CALL)
		return put_rel32(out, 0xe8, to, insn->target);
	if (insn->is_direct && insn->flow == FLOW_JUMP)
		return put_rel32(out, 0xe9, to, insn->target);
	if (insn->is_direct && insn->flow == FLOW_BRANCH) {
		/* 7x rel8 and 0f 8x rel32; jrcxz and loop have no long form. */
		unsigned cc = code[0] == 0x0f ? code[1] : code[0];

		if (code[0] != 0x0f && (cc & 0xf0) != 0x70)
			return 0;
		return put_rel32(out, 0x0f80 | (cc & 0xf), to, insn->target);
	}
	if (insn->is_direct)
		return 0; /* xbegin and what may come */
	memcpy(out, code, insn->size);
	if (insn->is_pcrel) {
		int64_t disp = (int64_t)(insn->mem - (to + insn->size));

		if (insn->field_size != 4 || !fits32(disp))
			return 0;
		bytes_put(out + insn->field_off, 4, (uint64_t)disp, false);
	}
	return insn->size;
}

/* ff /2 as ff /4 (SDM, "CALL", "JMP"), which runs with one word more on the stack. */
static size_t put_call_as_jump(const uint8_t *code, const struct insn *insn, uint64_t to,
			       uint8_t *out)
{
	enum { OPCODE = 0xff, CALL = 2, JUMP = 4, MOD_REG = 3, RM_SIB = 4, BY_STACK = 4 };
	unsigned at = code[0] == 0x3e || code[0] == 0xf2; /* notrack, bnd */
	bool is_high = (code[at] & 0xf0) == 0x40 && (code[at] & 1); /* REX.B: r8 to r15 */
	unsigned mod, rm;

	at += (code[at] & 0xf0) == 0x40;
	if (code[at] != OPCODE || (code[at + 1] >> 3 & 7) != CALL)
		return 0;
	mod = code[at + 1] >> 6;
	rm = code[at + 1] & 7;
	if (!is_high && rm == RM_SIB && (mod == MOD_REG || (code[at + 2] & 7) == BY_STACK))
		return 0; /* by way of the stack pointer, which is another by then */
	if (!x86_move_insn(code, insn, to, out))
		return 0;
	out[at + 1] = (uint8_t)((code[at + 1] & ~0x38u) | JUMP << 3);
	return insn->size;
}

static size_t x86_move_call(const uint8_t *code, const struct insn *insn, uint64_t to,
			    uint64_t back, uint8_t *out)
{
	static const uint8_t high[] = { 0xc7, 0x44, 0x24, 0x04 }; /* movl $, 4(%rsp) */
	enum { PUSHED = 5 + sizeof(high) + 4 };
	size_t size;

	out[0] = 0x68; /* push $ */
	bytes_put(out + 1, 4, back & UINT32_MAX, false);
	memcpy(out + 5, high, sizeof(high));
	bytes_put(out + 5 + sizeof(high), 4, back >> 32, false);
	size = insn->is_direct ? put_rel32(out + PUSHED, 0xe9, to + PUSHED, insn->target) :
	       put_call_as_jump(code, insn, to + PUSHED, out + PUSHED);
	return size ? PUSHED + size : 0;
}

/*
 * A call is e8 and 32 bits, or ff /2 with a register (2 bytes) or memory
 * operand (2 to 7), one more with a REX prefix.
 */
bool x86_follows_call(const uint8_t *code, size_t size)
{
	const uint8_t *end = code + size;

	if (size >= 5 && end[-5] == 0xe8)
		return true;
	for (unsigned len = 2; len <= 8 && len <= size; len++) {
		const uint8_t *at = end - len;
		unsigned rex = (at[0] & 0xf0) == 0x40;
		struct insn insn;

		if (len < 2 + rex || at[rex] != 0xff || (at[rex + 1] & 0x38) != 0x10)
			continue;
		if (x86_decode(at, len, 0, &insn) && insn.size == len &&
		    insn.flow == FLOW_CALL)
			return true;
	}
	return false;
}

static bool x86_stub_slot(const uint8_t *code, size_t size, uint64_t addr,
			  uint64_t *slot)
{
	size_t skip = x86_entry_keep(code, size);
	struct insn insn;

	if (size > skip && code[skip] == 0xf2) /* bnd jmp */
		skip++;
	if (size < skip + 6 || code[skip] != 0xff || code[skip + 1] != 0x25)
		return false;
	if (!x86_decode(code + skip, size - skip, addr + skip, &insn) || !insn.is_pcrel)
		return false;
	*slot = insn.mem;
	return true;
}

/* psABI table 4.10 and 4.9. */
static const struct reloc_type relocs[] = {
	{ R_X86_64_NONE, "R_X86_64_NONE", RELOC_NONE, 0, false, 0 },
	{ R_X86_64_64, "R_X86_64_64", RELOC_ABS, 8, false, 0 },
	{ R_X86_64_PC32, "R_X86_64_PC32", RELOC_PC, 4, true, 0 },
	{ R_X86_64_PLT32, "R_X86_64_PLT32", RELOC_CALL, 4, true, 0 },
	{ R_X86_64_GOTPCREL, "R_X86_64_GOTPCREL", RELOC_GOT_PC, 4, true, 0 },
	{ R_X86_64_32, "R_X86_64_32", RELOC_ABS, 4, false, 0 },
	{ R_X86_64_32S, "R_X86_64_32S", RELOC_ABS, 4, true, 0 },
	{ R_X86_64_16, "R_X86_64_16", RELOC_ABS, 2, false, 0 },
	{ R_X86_64_PC16, "R_X86_64_PC16", RELOC_PC, 2, true, 0 },
	{ R_X86_64_8, "R_X86_64_8", RELOC_ABS, 1, false, 0 },
	{ R_X86_64_PC8, "R_X86_64_PC8", RELOC_PC, 1, true, 0 },
	{ R_X86_64_PC64, "R_X86_64_PC64", RELOC_PC, 8, true, 0 },
	{ R_X86_64_TPOFF32, "R_X86_64_TPOFF32", RELOC_TP, 4, true, 0 },
	{ R_X86_64_TPOFF64, "R_X86_64_TPOFF64", RELOC_TP, 8, true, 0 },
	{ R_X86_64_GOTTPOFF, "R_X86_64_GOTTPOFF", RELOC_GOT_TP, 4, true, 0 },
	{ R_X86_64_TLSGD, "R_X86_64_TLSGD", RELOC_TLS_GD, 4, true, 0 },
	{ R_X86_64_TLSLD, "R_X86_64_TLSLD", RELOC_TLS_LD, 4, true, 0 },
	{ R_X86_64_DTPOFF32, "R_X86_64_DTPOFF32", RELOC_DTP, 4, true, 0 },
	{ R_X86_64_DTPOFF64, "R_X86_64_DTPOFF64", RELOC_DTP, 8, true, 0 },
	{ R_X86_64_SIZE32, "R_X86_64_SIZE32", RELOC_SIZE, 4, false, 0 },
	{ R_X86_64_SIZE64, "R_X86_64_SIZE64", RELOC_SIZE, 8, false, 0 },
	{ R_X86_64_GOTPCRELX, "R_X86_64_GOTPCRELX", RELOC_GOT_PC, 4, true, 0 },
	{ R_X86_64_REX_GOTPCRELX, "R_X86_64_REX_GOTPCRELX", RELOC_GOT_PC, 4, true, 0 },
};

/*
 * The thread's way back, which needs nobody: the call, then every register
 * that the call or its arguments changed comes off the stack, the stack pointer
 * goes back over the red zone, and the jump goes through the slot beside the
 * code.  No return instruction, for that would contradict a shadow stack.
 */
static const uint8_t remote_bytes[] = {
	0x0f, 0x05,                               /*  0 syscall            */
	0x9d,                                     /*  2 popfq              */
	0x58, 0x59, 0x5a, 0x5e, 0x5f,             /*  3 pop rax rcx rdx rsi rdi */
	0x41, 0x58, 0x41, 0x59,                   /*  8 pop r8 r9          */
	0x41, 0x5a, 0x41, 0x5b,                   /* 12 pop r10 r11        */
	0x48, 0x8d, 0xa4, 0x24, 0x80, 0, 0, 0,    /* 16 lea 128(%rsp),%rsp */
	0xff, 0x25, 0x02, 0, 0, 0,                /* 24 jmp *2(%rip)       */
	0xcc, 0xcc,                               /* 30                    */
	0, 0, 0, 0, 0, 0, 0, 0,                   /* 32 the pc to go back to */
};

static void x86_remote_code(uint8_t *out)
{
	memcpy(out, remote_bytes, sizeof(remote_bytes));
}

/*
 * What the kernel would do on its way to user mode with a system call that was
 * interrupted, done in advance, for the case that the tool is not there to put
 * the registers back whole: the call is begun again.
 * (arch/x86/kernel/signal.c, arch_do_signal_or_restart)
 */
void x86_resolve_restart(uint64_t *rax, uint64_t *rip, uint64_t orig_rax)
{
	enum { RESTARTSYS = 512, RESTARTNOINTR = 513, RESTARTNOHAND = 514,
	       RESTART_RESTARTBLOCK = 516, NR_RESTART_SYSCALL = 219 };

	if ((int64_t)orig_rax < 0)
		return;
	switch (-(int64_t)*rax) {
	case RESTARTSYS:
	case RESTARTNOINTR:
	case RESTARTNOHAND:
		*rax = orig_rax;
		*rip -= 2;
		break;
	case RESTART_RESTARTBLOCK:
		*rax = NR_RESTART_SYSCALL;
		*rip -= 2;
		break;
	}
}

static bool x86_remote_frame(const struct arch_remote_request *req, uint8_t *frame,
			     struct regs *call, uint64_t *pc_back)
{
	const struct regs *regs = req->regs;
	static const uint16_t popped[] = { EFLAGS, RAX, RCX, RDX, RSI, RDI,
					   R8, R9, R10, R11 };
	uint64_t rax = bytes_get(regs->bytes + RAX, 8, false);
	uint64_t rsp = bytes_get(regs->bytes + RSP, 8, false);

	*pc_back = bytes_get(regs->bytes + RIP, 8, false);
	x86_resolve_restart(&rax, pc_back, bytes_get(regs->bytes + ORIG_RAX, 8, false));
	for (unsigned i = 0; i < ARRAY_SIZE(popped); i++)
		memcpy(frame + 8 * i, regs->bytes + popped[i], 8);
	bytes_put(frame + 8, 8, rax, false);
	*call = *regs;
	bytes_put(call->bytes + RSP, 8, rsp - 128 - 80, false);
	bytes_put(call->bytes + RIP, 8, req->code, false);
	bytes_put(call->bytes + ORIG_RAX, 8, UINT64_MAX, false);
	/* Clear the direction and trap flags: the frame keeps the real ones. */
	bytes_put(call->bytes + EFLAGS, 8,
		  bytes_get(regs->bytes + EFLAGS, 8, false) & ~UINT64_C(0x500), false);
	return true;
}

static void x86_value(const uint8_t *code, const struct insn *insn,
		      struct insn_value *value)
{
	static const uint8_t kinds[] = {
		[MOVE_REG] = VALUE_ADD, [MOVE_ADDR] = VALUE_ADD, [MOVE_LOAD] = VALUE_LOAD,
		[MOVE_STORE] = VALUE_STORE, [MOVE_STORE_IMM] = VALUE_STORE_IMM,
	};
	bool stores = insn->move == MOVE_STORE || insn->move == MOVE_STORE_IMM;

	*value = (struct insn_value){ .kind = kinds[insn->move], .imm = (uint64_t)insn->imm,
				      .size = insn->mem_size,
				      .changes = x86_64_unwind.written(code, insn->size) };
	value->reg = stores ? insn->src_reg : insn->dst_reg;
	value->base = insn->move == MOVE_REG ? insn->src_reg : insn->base_reg;
	value->off = insn->is_pcrel ? insn->mem : (uint64_t)insn->base_disp;
	if (insn->move != MOVE_REG && !insn->is_pcrel && insn->base_reg < 0)
		value->kind = VALUE_OTHER;
}

/* rdfsbase %rcx; ret */
static const uint8_t reads_tp[] = { 0xf3, 0x48, 0x0f, 0xae, 0xc1, 0xc3 };

const struct arch arch_x86_64 = {
	.name = "x86_64",
	.machine = EM_X86_64,
	.big_endian = false,
	.page_size = 4096,

	.regs_size = REGS_SIZE,
	.pc_off = RIP,
	.sp_off = RSP,
	.tp_off = FS_BASE,
	.col_off = col_off,
	.nr_cols = ARRAY_SIZE(col_off),
	.sp_col = 7,
	.ra_col = 16,
	.second_arg_col = 4, /* rsi */
	.unwind = &x86_64_unwind,

	/* glibc, sysdeps/unix/sysv/linux/x86_64/pointer_guard.h. */
	.pointer_guard = 0x30,
	.pointer_rotated = 17,

	.sysno_off = ORIG_RAX,
	.sysno_is_apart = true,
	.syscall_size = 2,
	.sysret_off = RAX,
	.sysnr_off = RAX,
	.sysarg_off = { RDI, RSI, RDX, R10, R8, R9 },
	.nr_mmap = 9,
	.nr_munmap = 11,
	.nr_mprotect = 10,
	.nr_prctl = 157,
	.eintr_calls = eintr_calls,
	.nr_eintr_calls = ARRAY_SIZE(eintr_calls),

	.jump_size = 5,
	.code_word = 8,
	.jump_reach = 0x7fff0000,
	.stub_size = 8,
	.pcrel = PCREL_FROM_END,
	.decode = x86_decode,
	.value = x86_value,
	.flow = x86_flow,
	.entry_keep = x86_entry_keep,
	.put_jump = x86_put_jump,
	.put_far_jump = x86_put_far_jump,
	.jump_window = x86_jump_window,
	.move_insn = x86_move_insn,
	.move_call = x86_move_call,
	.follows_call = x86_follows_call,
	.stub_slot = x86_stub_slot,

	.dispatch_size = X86_DISPATCH_SIZE,
	.dispatch_depth = 48,
	.dispatch_frame = &x86_dispatch_frame,
	.dispatch_stub_size = X86_DISPATCH_STUB,
	.dispatch_hwcap2 = 1 << 1, /* HWCAP2_FSGSBASE: rdfsbase, Linux 5.9 and Ivy Bridge */
	.dispatch_probe = reads_tp, .dispatch_probe_size = sizeof(reads_tp),
	.put_dispatcher = x86_put_dispatcher,
	.put_dispatch_stub = x86_put_dispatch_stub,
	.dispatch_undo = x86_dispatch_undo,
	.dispatch_hash = x86_dispatch_hash,

	.relocs = relocs,
	.nr_relocs = ARRAY_SIZE(relocs),
	.rel_copy = R_X86_64_COPY,
	.rel_glob_dat = R_X86_64_GLOB_DAT,
	.rel_jump_slot = R_X86_64_JUMP_SLOT,
	.rel_relative = R_X86_64_RELATIVE,
	.rel_irelative = R_X86_64_IRELATIVE,
	.rel_dtpmod = R_X86_64_DTPMOD64,
	.rel_dtpoff = R_X86_64_DTPOFF64,
	.rel_tpoff = R_X86_64_TPOFF64,
	.tls_below_tp = true,

	.fp_sets = { { 0x202 /* NT_X86_XSTATE */, 12288, false } },
	.call_code_size = X86_CALL_SIZE,
	.call_code = x86_call_code,
	.call_frames = x86_call_frames,
	.call_abort = x86_call_abort,

	.remote = { sizeof(remote_bytes), 32, 80, 128, false, 0 },
	.remote_code = x86_remote_code,
	.remote_frame = x86_remote_frame,
};
