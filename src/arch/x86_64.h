/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the two halves of the x86-64 port share. */
#ifndef STITCH_ARCH_X86_64_H
#define STITCH_ARCH_X86_64_H

#include <Zydis/Zydis.h>

#include "arch.h"

/* Offsets in struct user_regs_struct, which NT_PRSTATUS is. */
enum {
	R15 = 0, R14 = 8, R13 = 16, R12 = 24, RBP = 32, RBX = 40, R11 = 48,
	R10 = 56, R9 = 64, R8 = 72, RAX = 80, RCX = 88, RDX = 96, RSI = 104,
	RDI = 112, ORIG_RAX = 120, RIP = 128, EFLAGS = 144, RSP = 152,
	CS = 136, SS = 160, FS_BASE = 168, REGS_SIZE = 216,
};

/* DWARF columns (psABI figure 3.36). */
enum { COL_RAX = 0, COL_RDX = 1, COL_RCX = 2, COL_RBX = 3, COL_RSI = 4, COL_RBP = 6, COL_RSP = 7, COL_R12 = 12, COL_R15 = 15,
       COL_RA = 16, X86_NR_COLS = 17 };

bool x86_decode_raw(const uint8_t *code, size_t size, ZydisDecodedInstruction *raw,
		    ZydisDecodedOperand *ops);
/* The column of the general register that reg is a part of, else -1. */
int16_t x86_column_of(ZydisRegister reg);
bool x86_decode(const uint8_t *code, size_t size, uint64_t addr, struct insn *insn);
bool x86_follows_call(const uint8_t *code, size_t size);
size_t x86_entry_keep(const uint8_t *code, size_t size);

void x86_resolve_restart(uint64_t *rax, uint64_t *rip, uint64_t orig_rax);

/* x86_64_call.c */
enum { X86_CALL_SIZE = 40 };
void x86_call_code(uint8_t *out);
bool x86_call_frames(const struct arch_call_request *req, uint8_t *stack, struct regs *go);
void x86_call_abort(const struct arch_call_request *req, int64_t result, struct regs *regs);

/* x86_64_dispatch.c */
enum { X86_DISPATCH_SIZE = 156, X86_DISPATCH_STUB = 16, X86_JUMP_SIZE = 5 };
extern const struct arch_dispatch_frame x86_dispatch_frame;
bool x86_put_jump(uint8_t *out, uint64_t at, uint64_t target);
bool x86_put_dispatcher(uint8_t *out, const struct arch_dispatch *d);
bool x86_put_dispatch_stub(uint8_t *out, uint64_t at, uint64_t pair,
			   const struct arch_dispatch *d);
bool x86_dispatch_undo(struct regs *regs, bool is_stub, uint64_t off,
		       struct arch_undone *undone,
		       bool (*read)(void *arg, uint64_t addr, uint64_t *word), void *arg);
uint64_t x86_dispatch_hash(uint64_t key, unsigned bits);

#endif
