/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of the ppc64le port share. */
#ifndef STITCH_ARCH_PPC64LE_H
#define STITCH_ARCH_PPC64LE_H

#include "words.h"

/* struct pt_regs: r0 to r31, nip, msr, orig_gpr3, ctr, link, xer, ccr, softe, trap, ... */
#define PPC_R(n) (8 * (n))
enum {
	PPC_NIP = 256, PPC_MSR = 264, PPC_ORIG_R3 = 272, PPC_CTR = 280, PPC_LINK = 288,
	PPC_CCR = 304, PPC_TRAP = 320, PPC_REGS_SIZE = 384,
	PPC_NOP = 0x60000000, PPC_TRAP_INSN = 0x7fe00008,
};

bool ppc_decode(const uint8_t *code, size_t size, uint64_t addr, struct insn *insn);

/* ppc64le_code.c */
enum { PPC_STUB = 28, PPC_ADDRESS = 16 };
/* li, sldi, oris, ori: an address of user space in a register, with nothing else changed. */
void ppc_put_address(uint8_t *out, unsigned reg, uint64_t address);
bool ppc_put_jump(uint8_t *out, uint64_t at, uint64_t target);
bool ppc_put_far_jump(uint8_t *out, uint64_t at, uint64_t slot);
bool ppc_put_call_stub(uint8_t *out, uint64_t at, uint64_t slot);
bool ppc_put_restore(uint8_t *code);
size_t ppc_entry_keep(const uint8_t *code, size_t size);
bool ppc_is_exchangeable(const uint8_t *code);
void ppc_jump_window(const uint8_t *old, unsigned nr_free, uint64_t at, uint64_t *first,
		     uint64_t *last);
size_t ppc_move_insn(const uint8_t *code, const struct insn *insn, uint64_t to, uint8_t *out);
bool ppc_stub_slot(const uint8_t *code, size_t size, uint64_t addr, uint64_t *slot);
bool ppc_put_field(uint8_t *at, const struct reloc_type *type, uint64_t value);
enum { PPC_NR_RELOCS = 50 };
extern const struct reloc_type ppc_relocs[PPC_NR_RELOCS];

/* ppc64le_enter.c */
enum { PPC_REMOTE_CODE = 16, PPC_REMOTE_FRAME = 1696, PPC_CALL_CODE = 56 };
void ppc_remote_code(uint8_t *out);
bool ppc_remote_frame(const struct arch_remote_request *req, uint8_t *frame,
		      struct regs *call, uint64_t *pc_back);
void ppc_call_code(uint8_t *out);
bool ppc_call_frames(const struct arch_call_request *req, uint8_t *stack, struct regs *go);
void ppc_call_abort(const struct arch_call_request *req, int64_t result, struct regs *regs);
bool ppc_get_result(const struct regs *regs, long *nr, int64_t *result);
void ppc_set_result(struct regs *regs, int64_t result);
bool ppc_begins_again(const struct regs *now);

/* ppc64le_dispatch.c */
enum { PPC_DISPATCH_SIZE = 240, PPC_DISPATCH_STUB = 24 };
extern const struct arch_dispatch_frame ppc_dispatch_frame;
bool ppc_put_dispatcher(uint8_t *out, const struct arch_dispatch *d);
bool ppc_put_dispatch_stub(uint8_t *out, uint64_t at, uint64_t pair,
			   const struct arch_dispatch *d);
uint64_t ppc_dispatch_hash(uint64_t key, unsigned bits);
bool ppc_dispatch_undo(struct regs *regs, bool is_stub, uint64_t off,
		       struct arch_undone *undone,
		       bool (*read)(void *arg, uint64_t addr, uint64_t *word), void *arg);

#endif
