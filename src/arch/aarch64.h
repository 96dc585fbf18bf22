/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of the arm64 port share. */
#ifndef STITCH_ARCH_AARCH64_H
#define STITCH_ARCH_AARCH64_H

#include "words.h"

/* struct user_pt_regs: x0 to x30, sp, pc, pstate; behind it the thread pointer. */
#define ARM_X(n) (8 * (n))
enum {
	ARM_SP = 31, ARM_PC = 32, ARM_PSTATE = 33, ARM_TP_OFF = 272, ARM_REGS_SIZE = 272,
	ARM_NOP = (int)0xd503201f, ARM_BTI_C = (int)0xd503245f,
};

/* A field of the instruction as a signed number of units. */
int64_t arm_field(uint32_t insn, unsigned low, unsigned bits, int64_t unit);
bool arm_decode(const uint8_t *code, size_t size, uint64_t addr, struct insn *insn);

/* aarch64_code.c */
size_t arm_entry_keep(const uint8_t *code, size_t size);
bool arm_put_undo(uint8_t *out, const uint8_t *kept, uint64_t at, uint64_t target, size_t *size);
bool arm_put_jump(uint8_t *out, uint64_t at, uint64_t target);
bool arm_put_far_jump(uint8_t *out, uint64_t at, uint64_t slot);
void arm_jump_window(const uint8_t *old, unsigned nr_free, uint64_t at, uint64_t *first,
		     uint64_t *last);
bool arm_is_exchangeable(const uint8_t *code);
size_t arm_move_insn(const uint8_t *code, const struct insn *insn, uint64_t to, uint8_t *out);
bool arm_stub_slot(const uint8_t *code, size_t size, uint64_t addr, uint64_t *slot);
bool arm_is_mark(const char *name);
bool arm_put_field(uint8_t *at, const struct reloc_type *type, uint64_t value);
bool arm_desc_is_static(const uint8_t *code);
enum { ARM_NR_RELOCS = 36 };
extern const struct reloc_type arm_relocs[ARM_NR_RELOCS];
/* adrp and add: the address of target in register reg; false: out of reach. */
bool arm_put_address(uint8_t *out, unsigned reg, uint64_t at, uint64_t target);

/* aarch64_enter.c */
enum { ARM_REMOTE_CODE = 16, ARM_REMOTE_FRAME = 1152, ARM_CALL_CODE = 48 };
/* PSTATE.BTYPE: by what branch it has come to where it stands, until the next instruction. */
#define ARM_BTYPE UINT64_C(0xc00)
void arm_no_branch(struct regs *regs);
void arm_remote_code(uint8_t *out);
bool arm_remote_frame(const struct arch_remote_request *req, uint8_t *frame,
		      struct regs *call, uint64_t *pc_back);
void arm_call_code(uint8_t *out);
bool arm_call_frames(const struct arch_call_request *req, uint8_t *stack, struct regs *go);
void arm_call_abort(const struct arch_call_request *req, int64_t result, struct regs *regs);

/* aarch64_dispatch.c */
enum { ARM_DISPATCH_SIZE = 192, ARM_DISPATCH_STUB = 16 };
extern const struct arch_dispatch_frame arm_dispatch_frame;
bool arm_put_dispatcher(uint8_t *out, const struct arch_dispatch *d);
bool arm_put_dispatch_stub(uint8_t *out, uint64_t at, uint64_t pair,
			   const struct arch_dispatch *d);
bool arm_dispatch_undo(struct regs *regs, bool is_stub, uint64_t off,
		       struct arch_undone *undone,
		       bool (*read)(void *arg, uint64_t addr, uint64_t *word), void *arg);
uint64_t arm_dispatch_hash(uint64_t key, unsigned bits);

#endif
