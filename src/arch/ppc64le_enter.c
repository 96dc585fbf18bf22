/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Threads of ppc64le that are made to do something for us and to get back by themselves: by
 * signal frames and rt_sigreturn(2), which alone loads all registers.
 *
 * It takes a struct ucontext at r1 (arch/powerpc/kernel/signal_64.c): the general registers
 * as NT_PRSTATUS has them, f0 to f31 with fpscr, and through a pointer v0 to v31 with vscr
 * and vrsave, and the other halves of vs0 to vs31; the bits of msr there say that they count.
 */
#include <string.h>

#include "ppc64le.h"

enum {
	UC_STACK_FLAGS = 24, UC_MASK = 40, UC_REGS = 232, UC_FPREGS = 616, UC_V_REGS = 880,
	UC_VECTORS = 896,
	FPREGS = 264, VECTORS = 544 + 256, FP_SIZE = FPREGS + VECTORS,
	NO_ALTSTACK = 4,         /* no flag that there is: the thread's stays as it is */
	CCR_SO = 0x10000000,     /* sc: the call failed */
	TRAP_SC = 0xc00, TRAP_SCV = 0x3000,
	TRAP_NO_RESTART = 1,
	R_MARKS = 30,
	AFTER_BEGINNING = 12, AFTER_CALL = 24, /* in the call's code */
	FUNCTION_FRAME = 128,    /* above its stack pointer: the callee saves LR there */
};

static const uint64_t msr_vectors = 1 << 25 | 1 << 23, msr_transaction = UINT64_C(3) << 33;

static uint64_t get(const struct regs *regs, size_t off)
{
	return bytes_get(regs->bytes + off, 8, false);
}

static void set(struct regs *regs, size_t off, uint64_t value)
{
	bytes_put(regs->bytes + off, 8, value, false);
}

/*
 * On its way to user mode the kernel looks for signals more than once, and begins a call
 * again the first time only: a bit of the trap's word says that it has been there, and no
 * debugger can take that away (set_trap_norestart(), set_trap() in asm/ptrace.h).
 */
bool ppc_begins_again(const struct regs *now)
{
	return !(get(now, PPC_TRAP) & TRAP_NO_RESTART);
}

/* sc says by a bit that r3 is an error's number, scv gives that negative. */
bool ppc_get_result(const struct regs *regs, long *nr, int64_t *result)
{
	uint64_t trap = get(regs, PPC_TRAP) & 0xfff0;

	*nr = (long)get(regs, PPC_R(0));
	*result = (int64_t)get(regs, PPC_R(3));
	if (trap == TRAP_SC && get(regs, PPC_CCR) & CCR_SO)
		*result = -*result;
	return (trap == TRAP_SC || trap == TRAP_SCV) && ppc_begins_again(regs);
}

void ppc_set_result(struct regs *regs, int64_t result)
{
	bool is_sc = (get(regs, PPC_TRAP) & 0xfff0) == TRAP_SC;

	set(regs, PPC_R(3), (uint64_t)(is_sc ? -result : result));
}

/*
 * What the kernel would do with a call that was interrupted, done in advance: it is begun
 * again (check_syscall_restart(); a sleep from its beginning).
 */
static void resolve_restart(struct regs *regs)
{
	int64_t result;
	long nr;

	if (!ppc_get_result(regs, &nr, &result) || !arch_is_restart(result))
		return;
	set(regs, PPC_R(3), get(regs, PPC_ORIG_R3));
	set(regs, PPC_NIP, get(regs, PPC_NIP) - 4);
}

static void put_context(uint8_t *uc, uint64_t addr, const struct regs *regs, const uint8_t *fp,
			uint64_t mask)
{
	uint64_t msr = get(regs, PPC_MSR);

	memset(uc, 0, PPC_REMOTE_FRAME);
	bytes_put(uc + UC_STACK_FLAGS, 4, NO_ALTSTACK, false);
	bytes_put(uc + UC_MASK, 8, mask, false);
	memcpy(uc + UC_REGS, regs->bytes, PPC_REGS_SIZE);
	bytes_put(uc + UC_REGS + PPC_MSR, 8, (msr & ~msr_transaction) | msr_vectors, false);
	memcpy(uc + UC_FPREGS, fp, FPREGS);
	bytes_put(uc + UC_V_REGS, 8, addr + UC_VECTORS, false);
	memcpy(uc + UC_VECTORS, fp + FPREGS, VECTORS);
}

static void send(const struct regs *from, uint64_t frame, uint64_t code, struct regs *go)
{
	*go = *from;
	set(go, PPC_R(1), frame);
	set(go, PPC_NIP, code);
	set(go, PPC_TRAP, 0);
}

void ppc_remote_code(uint8_t *out)
{
	static const uint32_t words[PPC_REMOTE_CODE / 4] = {
		0x44000002, /* sc */
		0x380000ac, /* li r0,172: rt_sigreturn */
		0x44000002, /* sc */
		PPC_TRAP_INSN,
	};

	put_words(out, words, ARRAY_SIZE(words));
}

static bool can_be_kept(const struct regs *regs, size_t fp_size, uint64_t at)
{
	/* A transaction's registers are two sets (signal_64.c, restore_tm_sigcontexts()). */
	return fp_size >= FP_SIZE && !(at & 15) && !(get(regs, PPC_MSR) & msr_transaction);
}

bool ppc_remote_frame(const struct arch_remote_request *req, uint8_t *frame,
		      struct regs *call, uint64_t *pc_back)
{
	struct regs regs = *req->regs;

	*pc_back = 0;
	if (!can_be_kept(&regs, req->fp_size, req->frame))
		return false;
	resolve_restart(&regs);
	put_context(frame, req->frame, &regs, req->fp, req->mask);
	send(req->regs, req->frame, req->code, call);
	return true;
}

void ppc_call_code(uint8_t *out)
{
	static const uint32_t words[PPC_CALL_CODE / 4] = {
		0x380000ac, /*  0 li r0,172 */
		0x44000002, /*  4 sc: to 12, with the registers of the first frame */
		PPC_TRAP_INSN,
		0x39200001, /* 12 li r9,1 */
		0x913e0000, /* 16 stw r9,0(r30): begun */
		0x4e800421, /* 20 bctrl */
		0x7c6307b4, /* 24 extsw r3,r3 */
		0xf87e0010, /* 28 std r3,16(r30): the result */
		0x39200001, /* 32 li r9,1 */
		0x913e0008, /* 36 stw r9,8(r30): done */
		0x38210080, /* 40 addi r1,r1,128 */
		0x380000ac, /* 44 li r0,172 */
		0x44000002, /* 48 sc: home */
		PPC_TRAP_INSN,
	};

	put_words(out, words, ARRAY_SIZE(words));
}

enum { MARKS = CALL_FRAMES - CALL_MARKS, BACK = MARKS - 1728, THERE = BACK - 1728 - 512,
       STACK = BACK - FUNCTION_FRAME };

bool ppc_call_frames(const struct arch_call_request *req, uint8_t *stack, struct regs *go)
{
	static const uint8_t clear[FP_SIZE];
	struct regs regs = *req->regs;

	if (!can_be_kept(&regs, req->fp_size, req->stack))
		return false;
	memset(stack, 0, CALL_FRAMES);
	resolve_restart(&regs);
	put_context(stack + BACK, req->stack + BACK, &regs, req->fp, req->mask);

	for (unsigned reg = 0; reg < 32; reg++)
		if (reg != 13) /* the thread pointer */
			set(&regs, PPC_R(reg), 0);
	set(&regs, PPC_R(1), req->stack + STACK);
	set(&regs, PPC_R(3), req->argument);
	set(&regs, PPC_R(12), req->function);
	set(&regs, PPC_CTR, req->function);
	set(&regs, PPC_R(R_MARKS), req->stack + MARKS);
	set(&regs, PPC_NIP, req->code + AFTER_BEGINNING);
	put_context(stack + THERE, req->stack + THERE, &regs, clear, ~CALL_OWN_FAULTS);
	send(req->regs, req->stack + THERE, req->code, go);
	return true;
}

void ppc_call_abort(const struct arch_call_request *req, int64_t result, struct regs *regs)
{
	set(regs, PPC_R(3), (uint64_t)result);
	set(regs, PPC_R(R_MARKS), req->stack + MARKS);
	set(regs, PPC_R(1), req->stack + STACK);
	set(regs, PPC_NIP, req->code + AFTER_CALL);
	set(regs, PPC_TRAP, 0);
}
