/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Threads of s390x that are made to do something for us and to get back by themselves: by
 * signal frames and rt_sigreturn(2), which alone loads all registers.
 *
 * struct rt_sigframe of arch/s390/kernel/signal.c: 160 bytes for the function, siginfo,
 * ucontext with uc_mcontext (psw, r0 to r15, a0 to a15: as NT_PRSTATUS has them; fpc and
 * f0 to f15), the mask, and the vector registers' other halves.
 */
#include <string.h>

#include "bytes.h"
#include "s390x.h"

enum {
	FRAME_STACK_FLAGS = 320, FRAME_REGS = 336, FRAME_FPREGS = 544, FRAME_MASK = 680,
	FRAME_VXRS = 808, VXRS_SIZE = 384, /* low halves of v0 to v15; v16 to v31 */
	NO_ALTSTACK = 4,   /* no flag that there is: the thread's stays as it is */
	FP_SIZE = S390_FPREGS_SIZE + VXRS_SIZE,
	R_MARKS = 7, R_FUNCTION = 8, R_SP = 15,
	AFTER_BEGINNING = 4, AFTER_CALL = 12, /* in the call's code */
};

static uint64_t get(const struct regs *regs, size_t off)
{
	return bytes_get(regs->bytes + off, 8, true);
}

static void set(struct regs *regs, size_t off, uint64_t value)
{
	bytes_put(regs->bytes + off, 8, value, true);
}

bool s390_get_result(const struct regs *regs, long *nr, int64_t *result)
{
	uint64_t word = bytes_get(regs->bytes + S390_SYSCALL, 4, true);

	*nr = (long)(word & 0xffff);
	*result = (int64_t)get(regs, S390_R(2));
	return word != 0;
}

void s390_set_result(struct regs *regs, int64_t result)
{
	set(regs, S390_R(2), (uint64_t)result);
}

/*
 * What the kernel would do with a call that was interrupted, done in advance: it is begun
 * again (arch_do_signal_or_restart; a sleep from its beginning).
 */
static void resolve_restart(struct regs *regs)
{
	uint64_t word = bytes_get(regs->bytes + S390_SYSCALL, 4, true);

	if (!word || !arch_is_restart((int64_t)get(regs, S390_R(2))))
		return;
	set(regs, S390_R(2), get(regs, S390_ORIG_R2));
	set(regs, S390_PSW_ADDR, get(regs, S390_PSW_ADDR) - (word >> 16));
}

static void put_frame(uint8_t *frame, const struct regs *regs, const uint8_t *fp, uint64_t mask)
{
	memset(frame, 0, S390_REMOTE_FRAME);
	bytes_put(frame + FRAME_STACK_FLAGS, 4, NO_ALTSTACK, true);
	memcpy(frame + FRAME_REGS, regs->bytes, S390_ORIG_R2);
	memcpy(frame + FRAME_FPREGS, fp, S390_FPREGS_SIZE);
	bytes_put(frame + FRAME_MASK, 8, mask, true);
	memcpy(frame + FRAME_VXRS, fp + S390_FPREGS_SIZE, VXRS_SIZE);
}

static void send(const struct regs *from, uint64_t frame, uint64_t code, struct regs *go)
{
	*go = *from;
	set(go, S390_R(R_SP), frame);
	set(go, S390_PSW_ADDR, code);
	bytes_put(go->bytes + S390_SYSCALL, 4, 0, true);
}

/* svc 0, whose number is in r1; svc 173: rt_sigreturn; what is no instruction */
static const uint8_t remote_bytes[S390_REMOTE_CODE] = { 0x0a, 0x00, 0x0a, 0xad };

void s390_remote_code(uint8_t *out)
{
	memcpy(out, remote_bytes, sizeof(remote_bytes));
}

bool s390_remote_frame(const struct arch_remote_request *req, uint8_t *frame,
		       struct regs *call, uint64_t *pc_back)
{
	struct regs regs = *req->regs;

	*pc_back = 0;
	if (req->fp_size < FP_SIZE || req->frame & 7)
		return false;
	resolve_restart(&regs);
	put_frame(frame, &regs, req->fp, req->mask);
	send(req->regs, req->frame, req->code, call);
	return true;
}

static const uint8_t call_bytes[S390_CALL_CODE] = {
	0x0a, 0xad, 0, 0,                   /*  0 svc 173: to 4, with the first frame's */
	0xe5, 0x4c, 0x70, 0x00, 0, 1,       /*  4 mvhi 0(%r7),1: begun */
	0x0d, 0xe8,                         /* 10 basr %r14,%r8 */
	0xb9, 0x14, 0x00, 0x22,             /* 12 lgfr %r2,%r2 */
	0xe3, 0x20, 0x70, 0x10, 0x00, 0x24, /* 16 stg %r2,16(%r7): the result */
	0xe5, 0x4c, 0x70, 0x08, 0, 1,       /* 22 mvhi 8(%r7),1: done */
	0x0a, 0xad,                         /* 28 svc 173: home */
};

void s390_call_code(uint8_t *out)
{
	memcpy(out, call_bytes, sizeof(call_bytes));
}

enum { MARKS = CALL_FRAMES - CALL_MARKS, BACK = MARKS - 1344, THERE = BACK - 1344 };

bool s390_call_frames(const struct arch_call_request *req, uint8_t *stack, struct regs *go)
{
	static const uint8_t clear[FP_SIZE];
	struct regs regs = *req->regs;

	if (req->fp_size < FP_SIZE || req->stack & 7)
		return false;
	memset(stack, 0, CALL_FRAMES);
	resolve_restart(&regs);
	put_frame(stack + BACK, &regs, req->fp, req->mask);

	for (unsigned reg = 0; reg < R_SP; reg++)
		set(&regs, S390_R(reg), 0);
	set(&regs, S390_R(2), req->argument);
	set(&regs, S390_R(R_MARKS), req->stack + MARKS);
	set(&regs, S390_R(R_FUNCTION), req->function);
	set(&regs, S390_R(R_SP), req->stack + BACK);
	set(&regs, S390_PSW_ADDR, req->code + AFTER_BEGINNING);
	put_frame(stack + THERE, &regs, clear, ~CALL_OWN_FAULTS);
	send(req->regs, req->stack + THERE, req->code, go);
	return true;
}

void s390_call_abort(const struct arch_call_request *req, int64_t result, struct regs *regs)
{
	set(regs, S390_R(2), (uint64_t)result);
	set(regs, S390_R(R_MARKS), req->stack + MARKS);
	set(regs, S390_R(R_SP), req->stack + BACK);
	set(regs, S390_PSW_ADDR, req->code + AFTER_CALL);
	bytes_put(regs->bytes + S390_SYSCALL, 4, 0, true);
}
