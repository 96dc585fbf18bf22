/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * s390x, zSeries ELF ABI supplement (https://github.com/IBM/s390x-abi).
 *
 * What unwinding needs: a call leaves the return address in r14; r6 to r13, r15
 * and f8 to f15 are given back (1.2.2); the CFA is r15 at a call + 160, so a
 * caller's r15 is the CFA - 160 (1.9); leaf functions may keep registers in
 * f0 to f7, so these belong to the registers of a thread; a word at r15 is the
 * caller's r15 only where the program is built with -mbackchain.
 */
#include "s390x.h"

#include <elf.h>
#include <string.h>

#include "bytes.h"

enum { COL_F0 = 16, COL_SP = 15, COL_LR = 14, COL_PC = 65, NR_COLS = 66 };

#define R(n) S390_R(n)
#define F(n) (S390_REGS_SIZE + 8 + 8 * (n))
static const int16_t col_off[NR_COLS] = {
	R(0), R(1), R(2), R(3), R(4), R(5), R(6), R(7), R(8), R(9), R(10), R(11), R(12),
	R(13), R(14), R(15),
	F(0), F(2), F(4), F(6), F(1), F(3), F(5), F(7),
	F(8), F(10), F(12), F(14), F(9), F(11), F(13), F(15),
	-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
	-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
	0, S390_PSW_ADDR,
};

/*
 * The calls that a stop makes fail with EINTR and that may be begun anew; numbers of
 * arch/s390/kernel/syscalls/syscall.tbl.
 */
static const long eintr_calls[] = {
	251, /* epoll_wait */     312, /* epoll_pwait */ 441, /* epoll_pwait2 */
	371, /* recvfrom */       372, /* recvmsg */     357, /* recvmmsg */
	369, /* sendto */         370, /* sendmsg */     364, /* accept4 */
	362, /* connect */        3,   /* read */        4,   /* write */
	145, /* readv */          146, /* writev */      392, /* semtimedop */
	117, /* ipc: semop */     102, /* socketcall */  177, /* rt_sigtimedwait */
	245, /* io_getevents */   382, /* io_pgetevents */
};

static unsigned size_of(uint8_t first)
{
	return first < 0x40 ? 2 : first < 0xc0 ? 4 : 6;
}

static void set_target(struct insn *insn, enum insn_flow flow, uint64_t target)
{
	insn->flow = flow;
	insn->is_direct = true;
	insn->target = target;
	insn->field_off = 2;
	insn->field_size = 2;
}

/* larl, and what loads, stores, compares or runs (exrl) what it points to. */
static bool is_pcrel(const uint8_t *code)
{
	unsigned op = code[1] & 15;

	return (code[0] == 0xc0 && !op) || code[0] == 0xc4 || code[0] == 0xc6;
}

static uint64_t relative(const uint8_t *code, unsigned bytes, uint64_t addr)
{
	int64_t v = (int64_t)bytes_get(code + 2, bytes, true);

	return addr + 2 * (uint64_t)(bytes == 2 ? (int16_t)v : (int32_t)v);
}

/* Branches relative to pc with a mask: 15 always, 0 never. */
static void masked(struct insn *insn, unsigned mask, uint64_t target)
{
	if (mask)
		set_target(insn, mask == 15 ? FLOW_JUMP : FLOW_BRANCH, target);
}

static void decode_two(const uint8_t *code, struct insn *insn)
{
	unsigned high = code[1] >> 4, low = code[1] & 15;

	if (code[0] == 0x07 && high && low) /* bcr */
		insn->flow = high != 15 ? FLOW_BRANCH :
			     low == COL_LR ? FLOW_RETURN : FLOW_JUMP;
	else if (code[0] == 0x0d && low) /* basr */
		insn->flow = high == COL_LR ? FLOW_CALL : FLOW_JUMP;
	else if (!code[0] && !code[1])
		insn->flow = FLOW_STOP;
	insn->is_nop = code[0] == 0x07 && (!high || !low);
}

static void decode_four(const uint8_t *code, uint64_t addr, struct insn *insn)
{
	unsigned op = code[1] & 15, first = code[1] >> 4;
	uint64_t target = relative(code, 2, addr);

	if (code[0] == 0xa7 && op == 4) /* brc; to its own second half: a trap */
		masked(insn, first, target);
	else if (code[0] == 0xa7 && op == 5 && first == COL_LR) /* bras */
		set_target(insn, FLOW_CALL, target);
	else if ((code[0] == 0xa7 && (op == 6 || op == 7)) || code[0] == 0x84 ||
		 code[0] == 0x85) /* brct, brctg, brxh, brxle */
		set_target(insn, FLOW_BRANCH, target);
	else if (code[0] == 0x47 && first) /* bc */
		insn->flow = first == 15 ? FLOW_JUMP : FLOW_BRANCH;
	if (insn->is_direct && target == addr + 2)
		insn->flow = FLOW_STOP;
	insn->is_nop = code[0] == 0x47 && !first;
}

static void decode_six(const uint8_t *code, uint64_t addr, struct insn *insn)
{
	static const uint8_t compares[] = { 0x64, 0x65, 0x76, 0x77, 0x7c, 0x7d, 0x7e, 0x7f,
					    0x44, 0x45 };
	unsigned op = code[1] & 15, first = code[1] >> 4;

	if (code[0] == 0xc0 && op == 4) { /* brcl */
		masked(insn, first, relative(code, 4, addr));
		insn->is_nop = !first;
	} else if (code[0] == 0xc0 && op == 5 && first == COL_LR) { /* brasl */
		set_target(insn, FLOW_CALL, relative(code, 4, addr));
	} else if (code[0] == 0xcc && op == 6) { /* brcth */
		set_target(insn, FLOW_BRANCH, relative(code, 4, addr));
	} else if (is_pcrel(code)) {
		insn->is_pcrel = true;
		insn->mem = relative(code, 4, addr);
		insn->field_off = 2;
	} else if (code[0] == 0xec && memchr(compares, code[5], sizeof(compares))) {
		set_target(insn, FLOW_BRANCH, relative(code, 2, addr)); /* crj and kin */
	}
	if (insn->field_off && code[0] != 0xec)
		insn->field_size = 4;
}

bool s390_decode(const uint8_t *code, size_t size, uint64_t addr, struct insn *insn)
{
	*insn = (struct insn){ .dst_reg = -1, .src_reg = -1, .base_reg = -1, .page_reg = -1,
			       .changes = -1 };
	if (!size || size < size_of(code[0]))
		return false;
	insn->size = (uint8_t)size_of(code[0]);
	if (insn->size == 2)
		decode_two(code, insn);
	else if (insn->size == 4)
		decode_four(code, addr, insn);
	else
		decode_six(code, addr, insn);
	insn->is_padding = insn->is_nop || insn->flow == FLOW_STOP;
	return true;
}

/* A displacement of 20 bits with its base register; false: there is an index, too. */
static bool long_place(const uint8_t *code, struct insn_value *value)
{
	uint32_t disp = (code[2] & 15u) << 8 | code[3] | (uint32_t)code[4] << 12;

	value->base = code[2] >> 4 ? (int16_t)(code[2] >> 4) : -1;
	value->off = (uint64_t)((int64_t)(int32_t)(disp << 12) >> 12);
	return !(code[1] & 15);
}

static void value_of_rxy(const uint8_t *code, struct insn_value *value)
{
	static const struct { uint8_t op, kind, size; } rows[] = {
		{ 0x04, VALUE_LOAD, 8 }, /* lg */  { 0x02, VALUE_LOAD, 8 }, /* ltg */
		{ 0x12, VALUE_LOAD, 4 }, /* lt */  { 0x58, VALUE_LOAD, 4 }, /* ly */
		{ 0x24, VALUE_STORE, 8 }, /* stg */ { 0x50, VALUE_STORE, 4 }, /* sty */
		{ 0x71, VALUE_ADD, 0 }, /* lay */
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (code[5] == rows[i].op && long_place(code, value)) {
			value->kind = rows[i].kind;
			value->size = rows[i].size;
		}
}

/* mvhi, mvghi: a constant to a base register and 12 bits. */
static void value_of_sil(const uint8_t *code, struct insn_value *value)
{
	if (code[1] != 0x4c && code[1] != 0x48)
		return;
	value->kind = VALUE_STORE_IMM;
	value->size = code[1] == 0x4c ? 4 : 8;
	value->base = code[2] >> 4 ? (int16_t)(code[2] >> 4) : -1;
	value->off = (code[2] & 15u) << 8 | code[3];
	value->imm = (uint64_t)(int16_t)bytes_get(code + 4, 2, true);
}

/* stmg changes none, lmg those from the first to the last. */
static uint32_t changes_of_many(const uint8_t *code)
{
	unsigned first = code[1] >> 4, last = code[1] & 15;
	uint32_t all = 0;

	if (code[5] == 0x24)
		return 0;
	for (unsigned i = first; code[5] == 0x04; i = (i + 1) & 15) {
		all |= 1u << i;
		if (i == last)
			return all;
	}
	return UINT32_MAX;
}

static void s390_value(const uint8_t *code, const struct insn *insn,
		       struct insn_value *value)
{
	unsigned op = code[1] & 15;

	*value = (struct insn_value){ .reg = code[1] >> 4, .base = -1,
				      .changes = insn->flow == FLOW_BRANCH ? 0 : UINT32_MAX };
	if (code[0] == 0xc0 && !op) { /* larl */
		value->kind = VALUE_ADD;
		value->off = insn->mem;
	} else if (code[0] == 0xc4 && (op == 8 || op == 11)) { /* lgrl, stgrl */
		value->kind = op == 8 ? VALUE_LOAD : VALUE_STORE;
		value->size = 8;
		value->off = insn->mem;
	} else if (code[0] == 0xb9 && (code[1] == 0x04 || code[1] == 0x02)) { /* lgr, ltgr */
		value->kind = VALUE_ADD;
		value->reg = code[3] >> 4;
		value->base = code[3] & 15;
	} else if (code[0] == 0xa5 || (code[0] == 0xa7 && op == 9)) { /* llihh ..., lghi */
		value->changes = 1u << value->reg;
	} else if (code[0] == 0xe3) {
		value_of_rxy(code, value);
	} else if (code[0] == 0xe5) {
		value_of_sil(code, value);
	} else if (code[0] == 0xeb) {
		value->changes = changes_of_many(code);
	}
}

/* The calls that could end where the bytes do, by their length. */
static bool call_of(const uint8_t *code, size_t size, unsigned len)
{
	struct insn insn;

	return size >= len && s390_decode(code + size - len, len, 0, &insn) &&
	       insn.size == len && insn.flow == FLOW_CALL;
}

static bool s390_follows_call(const uint8_t *code, size_t size)
{
	return call_of(code, size, 2) || call_of(code, size, 4) || call_of(code, size, 6);
}

static void s390_call_at(const uint8_t *code, size_t size, uint64_t addr,
			 struct arch_call *call)
{
	struct insn insn;

	if (s390_decode(code, size, addr, &insn))
		*call = arch_call_of(&insn, code[1] & 15);
	else
		*call = (struct arch_call){ .kind = CALL_UNKNOWN };
}

static void s390_call_before(const uint8_t *code, size_t size, uint64_t ra,
			     struct arch_call *call)
{
	unsigned ways = 0, len = 0;

	*call = (struct arch_call){ .kind = CALL_UNKNOWN };
	for (unsigned l = 2; l <= 6; l += 2)
		if (call_of(code, size, l))
			ways++, len = l;
	if (ways == 1)
		s390_call_at(code + size - len, len, ra - len, call);
}

static int64_t disp20(const uint8_t *code)
{
	int64_t v = (int64_t)((code[2] & 15u) << 8 | code[3] | (unsigned)code[4] << 12);

	return v >> 19 ? v - (1 << 20) : v;
}

static void load_range(struct insn_effect *e, unsigned from, unsigned to, int64_t off)
{
	for (unsigned reg = from;; reg = (reg + 1) & 15, off += 8) {
		e->loads[e->nr_loads].col = (uint8_t)reg;
		e->loads[e->nr_loads++].off = off;
		if (reg == to)
			return;
	}
}

static bool s390_effect(const uint8_t *code, size_t size, uint64_t addr,
			struct insn_effect *e)
{
	unsigned reg, base;
	struct insn insn;

	*e = (struct insn_effect){ 0 };
	if (!s390_decode(code, size, addr, &insn))
		return false;
	e->size = insn.size;
	e->flow = insn.flow;
	e->is_direct = insn.is_direct;
	e->target = insn.target;
	reg = code[1] >> 4;
	base = insn.size > 2 ? code[2] >> 4 : 0;
	if (code[0] == 0xa7 && code[1] == 0xfb) /* aghi r15 */
		e->sp_add = (int16_t)bytes_get(code + 2, 2, true);
	else if (code[0] == 0xeb && code[5] == 0x04 && base == COL_SP) /* lmg */
		load_range(e, reg, code[1] & 15, disp20(code));
	else if (code[0] == 0xe3 && code[5] == 0x04 && base == COL_SP && !(code[1] & 15))
		load_range(e, reg, reg, disp20(code)); /* lg */
	else if (code[0] == 0xe3 && code[5] == 0x71 && reg == COL_SP && code[1] == 0xf0 &&
		 base == COL_SP) /* lay r15 */
		e->sp_add = disp20(code);
	else if (code[0] == 0x41 && code[1] == 0xf0 && base == COL_SP) /* la r15 */
		e->sp_add = (int64_t)((code[2] & 15u) << 8 | code[3]);
	else if (reg == COL_SP && (code[0] == 0x41 || code[0] == 0xe3 || code[0] == 0xeb) &&
		 code[5 % insn.size] != 0x24)
		e->is_lost = true;
	else if (code[0] == 0xb9 && (code[3 % insn.size] >> 4) == COL_SP)
		e->is_lost = true; /* lgr r15 and kin */
	return true;
}

/* stg rN,0(r15): the back chain is kept. */
static bool s390_links_frame(const uint8_t *code, size_t size)
{
	for (size_t i = 0; i < size; i += size_of(code[i]))
		if (i + 6 <= size && code[i] == 0xe3 && !(code[i + 1] & 15) &&
		    code[i + 2] == 0xf0 && !code[i + 3] && !code[i + 4] && code[i + 5] == 0x24)
			return true;
	return false;
}

/* svc 173: rt_sigreturn; svc 119: sigreturn. */
static const uint8_t trampoline[] = { 0x0a, 0xad }, short_trampoline[] = { 0x0a, 0x77 };

/*
 * At r15: 160 bytes for the handler, a slot for the svc (8), siginfo (128),
 * ucontext with uc_mcontext at 40: psw, r0-r15, a0-a15, fpc, f0-f15.  Without siginfo the
 * same behind the 160 bytes and a struct sigcontext (16).
 * (arch/s390/kernel/signal.c, struct rt_sigframe and sigframe; uapi/asm/sigcontext.h)
 */
#define MC 336
#define SR(n) { n, MC + 16 + 8 * (n) }
#define SF(col, n) { col, MC + 216 + 8 * (n) }

static const struct arch_unwind s390x_unwind = {
	.pc_col = COL_PC,
	.ra_in_register = true,
	.cfa_above_sp = 160,
	.kept = { 0xff00bfc0u },
	.chain = CHAIN_SP,
	.fp_col = 11,
	.start_below = 512,
	.trampoline = trampoline,
	.trampoline_size = sizeof(trampoline),
	.short_trampoline = short_trampoline,
	.short_by = MC - 176,
	.signal_frame = {
		.nr_saved = 33,
		.saved = {
			SR(0), SR(1), SR(2), SR(3), SR(4), SR(5), SR(6), SR(7), SR(8), SR(9),
			SR(10), SR(11), SR(12), SR(13), SR(14), SR(15),
			SF(16, 0), SF(17, 2), SF(18, 4), SF(19, 6), SF(20, 1), SF(21, 3),
			SF(22, 5), SF(23, 7), SF(24, 8), SF(25, 10), SF(26, 12), SF(27, 14),
			SF(28, 9), SF(29, 11), SF(30, 13), SF(31, 15), { COL_PC, MC + 8 },
		},
	},
	.links_frame = s390_links_frame,
	.effect = s390_effect,
	.call_before = s390_call_before,
	.call_at = s390_call_at,
};

const struct arch arch_s390x = {
	.name = "s390x",
	.machine = EM_S390,
	.big_endian = true,
	.page_size = 4096,
	.regs_size = S390_REGS_SIZE,
	.pc_off = S390_PSW_ADDR,
	.sp_off = R(15),
	.tp_off = S390_TP, /* a0 and a1 */
	.more_regs = { { NT_PRFPREG, S390_FPREGS_SIZE, false },
		       { NT_S390_SYSTEM_CALL, 8, true } },
	.fp_sets = { { NT_PRFPREG, S390_FPREGS_SIZE, false }, { NT_S390_VXRS_LOW, 128, false },
		     { NT_S390_VXRS_HIGH, 256, false } },
	.col_off = col_off,
	.nr_cols = NR_COLS,
	.sp_col = COL_SP,
	.ra_col = COL_LR,
	.second_arg_col = 3,
	.unwind = &s390x_unwind,

	.sysno_off = R(2),
	.sysarg0_entered_off = S390_ORIG_R2,
	.syscall_size = 2,
	.get_result = s390_get_result,
	.set_result = s390_set_result,
	.sysret_off = R(2),
	.sysnr_off = R(1), /* of svc 0 */
	.sysarg_off = { R(2), R(3), R(4), R(5), R(6), R(7) },
	.nr_mmap = 90,
	.nr_munmap = 91,
	.nr_mprotect = 125,
	.nr_prctl = 172,
	.eintr_calls = eintr_calls,
	.nr_eintr_calls = ARRAY_SIZE(eintr_calls),

	.jump_size = 6,
	.code_word = 8,
	.jump_reach = 0xffff0000,
	.stub_size = 8,
	.pcrel = PCREL_FROM_INSN,
	.decode = s390_decode,
	.value = s390_value,
	.flow = s390_decode,
	.entry_keep = s390_entry_keep,
	.is_exchangeable = s390_is_exchangeable,
	.keeps_gates = true,
	.put_jump = s390_put_jump,
	.put_far_jump = s390_put_far_jump,
	.jump_window = s390_jump_window,
	.move_insn = s390_move_insn,
	.follows_call = s390_follows_call,
	.stub_slot = s390_stub_slot,

	.dispatch_size = S390_DISPATCH_SIZE,
	.dispatch_depth = 32,
	.dispatch_frame = &s390_dispatch_frame,
	.dispatch_stub_size = S390_DISPATCH_STUB,
	.put_dispatcher = s390_put_dispatcher,
	.put_dispatch_stub = s390_put_dispatch_stub,
	.dispatch_undo = s390_dispatch_undo,
	.dispatch_hash = s390_dispatch_hash,

	.base_symbol = "_GLOBAL_OFFSET_TABLE_",
	.relocs = s390_relocs,
	.nr_relocs = ARRAY_SIZE(s390_relocs),
	.put_field = s390_put_field,
	.rel_copy = R_390_COPY,
	.rel_glob_dat = R_390_GLOB_DAT,
	.rel_jump_slot = R_390_JMP_SLOT,
	.rel_relative = R_390_RELATIVE,
	.rel_irelative = R_390_IRELATIVE,
	.rel_dtpmod = R_390_TLS_DTPMOD,
	.rel_dtpoff = R_390_TLS_DTPOFF,
	.rel_tpoff = R_390_TLS_TPOFF,
	.tls_below_tp = true,

	.call_code_size = S390_CALL_CODE,
	.call_code = s390_call_code,
	.call_frames = s390_call_frames,
	.call_abort = s390_call_abort,

	.remote = { S390_REMOTE_CODE, 0, S390_REMOTE_FRAME, 0, true, S390_MMAP_BLOCK },
	.remote_code = s390_remote_code,
	.remote_frame = s390_remote_frame,
};
