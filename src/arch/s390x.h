/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of the s390x port share. */
#ifndef STITCH_ARCH_S390X_H
#define STITCH_ARCH_S390X_H

#include "arch.h"

/*
 * s390_regs: psw mask and address, r0 to r15, a0 to a15, orig_gpr2; behind it the floating
 * point registers with fpc, and the system call's number with its instruction's length.
 */
#define S390_R(n) (16 + 8 * (n))
enum {
	S390_PSW_ADDR = 8, S390_TP = 144, S390_ORIG_R2 = 208, S390_REGS_SIZE = 216,
	S390_FPREGS_SIZE = 136, S390_SYSCALL = S390_REGS_SIZE + S390_FPREGS_SIZE,
};

bool s390_decode(const uint8_t *code, size_t size, uint64_t addr, struct insn *insn);

/* s390x_code.c */
bool s390_put_jump(uint8_t *out, uint64_t at, uint64_t target);
bool s390_put_far_jump(uint8_t *out, uint64_t at, uint64_t slot);
/* larl: the address of target in a register; false: out of reach. */
bool s390_put_address(uint8_t *out, unsigned reg, uint64_t at, uint64_t target);
size_t s390_entry_keep(const uint8_t *code, size_t size);
bool s390_is_exchangeable(const uint8_t *code);
void s390_jump_window(const uint8_t *old, unsigned nr_free, uint64_t at, uint64_t *first,
		      uint64_t *last);
size_t s390_move_insn(const uint8_t *code, const struct insn *insn, uint64_t to, uint8_t *out);
bool s390_stub_slot(const uint8_t *code, size_t size, uint64_t addr, uint64_t *slot);
bool s390_put_field(uint8_t *at, const struct reloc_type *type, uint64_t value);
enum { S390_NR_RELOCS = 32 };
extern const struct reloc_type s390_relocs[S390_NR_RELOCS];

/* s390x_enter.c */
enum { S390_REMOTE_CODE = 8, S390_REMOTE_FRAME = 1320, S390_MMAP_BLOCK = 1192,
       S390_CALL_CODE = 32 };
void s390_remote_code(uint8_t *out);
bool s390_remote_frame(const struct arch_remote_request *req, uint8_t *frame,
		       struct regs *call, uint64_t *pc_back);
void s390_call_code(uint8_t *out);
bool s390_call_frames(const struct arch_call_request *req, uint8_t *stack, struct regs *go);
void s390_call_abort(const struct arch_call_request *req, int64_t result, struct regs *regs);
bool s390_get_result(const struct regs *regs, long *nr, int64_t *result);
void s390_set_result(struct regs *regs, int64_t result);

/* s390x_dispatch.c */
enum { S390_DISPATCH_SIZE = 288, S390_DISPATCH_STUB = 24 };
extern const struct arch_dispatch_frame s390_dispatch_frame;
bool s390_put_dispatcher(uint8_t *out, const struct arch_dispatch *d);
bool s390_put_dispatch_stub(uint8_t *out, uint64_t at, uint64_t pair,
			    const struct arch_dispatch *d);
uint64_t s390_dispatch_hash(uint64_t key, unsigned bits);
bool s390_dispatch_undo(struct regs *regs, bool is_stub, uint64_t off,
			struct arch_undone *undone,
			bool (*read)(void *arg, uint64_t addr, uint64_t *word), void *arg);

#endif
