/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Threads of arm64 that are made to do something for us and to get back by themselves.
 *
 * There is no way to load all registers and jump that leaves none of them changed but
 * rt_sigreturn(2): so the way back is a signal frame, with the vector registers in it that
 * the kernel insists on, for system calls, too.  (arch/arm64/kernel/signal.c; a call that
 * a signal interrupted has been set back in front of its svc before anybody sees the
 * thread, so nothing has to be done for it.)
 */
#include <string.h>

#include "aarch64.h"

enum {
	/* struct rt_sigframe: siginfo, ucontext, and in its mcontext the registers */
	FRAME_STACK_FLAGS = 152, FRAME_MASK = 168, FRAME_REGS = 312, FRAME_RECORDS = 592,
	NO_ALTSTACK = 4,   /* no flag that there is: the thread's stays as it is */
	FPSIMD_MAGIC = 0x46508001, FPSIMD_SIZE = 528,
	/* NT_PRFPREG: the vector registers, then fpsr and fpcr */
	FP_VREGS = 512, FP_SIZE = 520,
	AFTER_CALL = 24,   /* in the call's code: where the function returns to */
};

/* Where it goes now it has not come by a branch, whatever it stood behind (BTI). */
void arm_no_branch(struct regs *regs)
{
	uint64_t pstate = bytes_get(regs->bytes + ARM_X(ARM_PSTATE), 8, false);

	bytes_put(regs->bytes + ARM_X(ARM_PSTATE), 8, pstate & ~ARM_BTYPE, false);
}

static void put_frame(uint8_t *frame, const struct regs *regs, const uint8_t *fp, uint64_t mask)
{
	uint8_t *record = frame + FRAME_RECORDS;

	memset(frame, 0, ARM_REMOTE_FRAME);
	bytes_put(frame + FRAME_STACK_FLAGS, 4, NO_ALTSTACK, false);
	bytes_put(frame + FRAME_MASK, 8, mask, false);
	memcpy(frame + FRAME_REGS, regs->bytes, 8 * (ARM_PSTATE + 1));
	bytes_put(record, 4, FPSIMD_MAGIC, false);
	bytes_put(record + 4, 4, FPSIMD_SIZE, false);
	memcpy(record + 8, fp + FP_VREGS, 8);
	memcpy(record + 16, fp, FP_VREGS);
}

static const uint32_t remote_words[ARM_REMOTE_CODE / 4] = {
	0xd4000001, /* svc #0 */
	0xd2801168, /* mov x8, #139: rt_sigreturn */
	0xd4000001, /* svc #0 */
	0xd4200000, /* brk */
};

void arm_remote_code(uint8_t *out)
{
	put_words(out, remote_words, ARRAY_SIZE(remote_words));
}

bool arm_remote_frame(const struct arch_remote_request *req, uint8_t *frame,
		      struct regs *call, uint64_t *pc_back)
{
	*pc_back = 0;
	if (req->fp_size < FP_SIZE || req->frame & 15)
		return false;
	put_frame(frame, req->regs, req->fp, req->mask);
	*call = *req->regs;
	bytes_put(call->bytes + ARM_X(ARM_SP), 8, req->frame, false);
	bytes_put(call->bytes + ARM_X(ARM_PC), 8, req->code, false);
	arm_no_branch(call);
	return true;
}

/* x19: the marks, x20: the function. */
static const uint32_t call_words[ARM_CALL_CODE / 4] = {
	0xd2801168, /*  0 mov x8, #139 */
	0xd4000001, /*  4 svc #0: to 12, with the registers of the first frame */
	0xd4200000, /*  8 brk */
	0x52800029, /* 12 mov w9, #1 */
	0xb9000269, /* 16 str w9, [x19]: begun */
	0xd63f0280, /* 20 blr x20 */
	0x93407c00, /* 24 sxtw x0, w0 */
	0xf9000a60, /* 28 str x0, [x19, #16]: the result */
	0x52800029, /* 32 mov w9, #1 */
	0xb9000a69, /* 36 str w9, [x19, #8]: done */
	0xd2801168, /* 40 mov x8, #139 */
	0xd4000001, /* 44 svc #0: home */
};

void arm_call_code(uint8_t *out)
{
	put_words(out, call_words, ARRAY_SIZE(call_words));
}

enum { MARKS = CALL_FRAMES - CALL_MARKS, BACK = MARKS - 1280, THERE = BACK - 1280 };

bool arm_call_frames(const struct arch_call_request *req, uint8_t *stack, struct regs *go)
{
	static const uint8_t clear[FP_SIZE];
	struct regs regs = *req->regs;

	if (req->fp_size < FP_SIZE || req->stack & 15)
		return false;
	memset(stack, 0, CALL_FRAMES);
	put_frame(stack + BACK, &regs, req->fp, req->mask);

	memset(regs.bytes, 0, 8 * ARM_SP);
	bytes_put(regs.bytes + ARM_X(0), 8, req->argument, false);
	bytes_put(regs.bytes + ARM_X(19), 8, req->stack + MARKS, false);
	bytes_put(regs.bytes + ARM_X(20), 8, req->function, false);
	bytes_put(regs.bytes + ARM_X(ARM_SP), 8, req->stack + BACK, false);
	bytes_put(regs.bytes + ARM_X(ARM_PC), 8, req->code + 12, false);
	bytes_put(regs.bytes + ARM_X(ARM_PSTATE), 8, 0, false);
	put_frame(stack + THERE, &regs, clear, ~CALL_OWN_FAULTS);

	*go = *req->regs;
	bytes_put(go->bytes + ARM_X(ARM_SP), 8, req->stack + THERE, false);
	bytes_put(go->bytes + ARM_X(ARM_PC), 8, req->code, false);
	arm_no_branch(go);
	return true;
}

void arm_call_abort(const struct arch_call_request *req, int64_t result, struct regs *regs)
{
	bytes_put(regs->bytes + ARM_X(0), 8, (uint64_t)result, false);
	bytes_put(regs->bytes + ARM_X(19), 8, req->stack + MARKS, false);
	bytes_put(regs->bytes + ARM_X(ARM_SP), 8, req->stack + BACK, false);
	bytes_put(regs->bytes + ARM_X(ARM_PC), 8, req->code + AFTER_CALL, false);
}
