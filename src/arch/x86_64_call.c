/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Calls of functions in the target on x86-64, with two signal frames and no signal.
 *
 * rt_sigreturn(2) loads every register, the vector state and the signal mask at once from
 * memory.  The thread is sent to it twice: with a frame that begins the call (an empty
 * vector state, all signals blocked but those of its own faults), and, when the function
 * has returned, with one that has the thread as it stood.  So one change of its registers
 * (pc and sp) sends it all the way there and back, with no tool.
 *
 * The frames' layout: struct ucontext and struct sigcontext of the kernel
 * (arch/x86/include/uapi/asm/sigcontext.h), the vector state as XSAVE has it, with the
 * words in it that tell the kernel so (arch/x86/kernel/fpu/signal.c).
 */
#include <string.h>
#ifdef __x86_64__
#include <cpuid.h>
#endif

#include "bytes.h"
#include "x86_64.h"

enum {
	/* struct ucontext */
	UC_FLAGS = 0, UC_STACK_FLAGS = 24, UC_GREGS = 40, UC_FPSTATE = 224, UC_MASK = 296,
	UC_SIZE = 304,
	UC_FP_XSTATE = 1, UC_SIGCONTEXT_SS = 2, UC_STRICT_RESTORE_SS = 4,
	UC_NO_ALTSTACK = 4, /* neither of the two that there are: the thread's stays as it is */
	/* struct _fpx_sw_bytes, at the end of the legacy area */
	SW_BYTES = 464, XSTATE_BV = 512,
	XFEATURE_TILE_DATA = 18,
	AFTER_CALL = 17, /* in the code: where the function returns to */
};

static const uint8_t call_bytes[X86_CALL_SIZE] = {
	0xb8, 0x0f, 0, 0, 0, 0x0f, 0x05,             /*  0 rt_sigreturn         */
	0xcc,                                        /*  7                      */
	0xc7, 0x03, 1, 0, 0, 0,                      /*  8 movl $1,(%rbx): begun */
	0x41, 0xff, 0xd4,                            /* 14 call *%r12           */
	0x48, 0x63, 0xc0, 0x48, 0x89, 0x43, 0x10,    /* 17 cltq; mov %rax,16(%rbx) */
	0xc7, 0x43, 0x08, 1, 0, 0, 0,                /* 24 movl $1,8(%rbx): done */
	0xb8, 0x0f, 0, 0, 0, 0x0f, 0x05,             /* 31 rt_sigreturn         */
	0xcc, 0xcc,                                  /* 38                      */
};

void x86_call_code(uint8_t *out)
{
	memcpy(out, call_bytes, sizeof(call_bytes));
}

/* Where NT_PRSTATUS has the registers of struct sigcontext, in its order. */
static const uint16_t gregs[] = {
	R8, R9, R10, R11, R12, R13, R14, R15, RDI, RSI, RBP, RBX, RDX, RAX, RCX, RSP, RIP,
	EFLAGS,
};
enum { SEGMENTS = 18 };  /* cs gs fs ss, 16 bits each: of user mode */

static void put_greg(uint8_t *uc, unsigned reg, uint64_t value)
{
	for (unsigned i = 0; i < ARRAY_SIZE(gregs); i++)
		if (gregs[i] == reg)
			bytes_put(uc + UC_GREGS + 8 * i, 8, value, false);
}

static void put_context(uint8_t *uc, const struct regs *regs, uint64_t mask)
{
	uint64_t cs = bytes_get(regs->bytes + CS, 8, false) & 0xffff;
	uint64_t ss = bytes_get(regs->bytes + SS, 8, false) & 0xffff;

	memset(uc, 0, UC_SIZE);
	bytes_put(uc + UC_FLAGS, 8, UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS, false);
	bytes_put(uc + UC_STACK_FLAGS, 4, UC_NO_ALTSTACK, false);
	for (unsigned i = 0; i < ARRAY_SIZE(gregs); i++)
		memcpy(uc + UC_GREGS + 8 * i, regs->bytes + gregs[i], 8);
	bytes_put(uc + UC_GREGS + 8 * SEGMENTS, 8, cs | ss << 48, false);
	bytes_put(uc + UC_MASK, 8, mask, false);
}

/* Where the state of a feature ends; 0: nowhere in the memory of user mode. */
static size_t feature_end(unsigned feature)
{
#ifdef __x86_64__
	unsigned eax, ebx, ecx, edx;

	__cpuid_count(0xd, feature, eax, ebx, ecx, edx);
	return ecx & 1 ? 0 : ebx + eax;
#else
	(void)feature;
	return 0; /* such a process is not here to be asked */
#endif
}

/*
 * The kernel takes a state up to the size that the process may use; the register set is as
 * large as anybody's, with room for what few ask for (AMX).
 */
static size_t state_size(const uint8_t *fp, size_t fp_size)
{
	uint64_t features = bytes_get(fp + SW_BYTES, 8, false);
	uint64_t used = bytes_get(fp + XSTATE_BV, 8, false);
	size_t size = 576;

	for (unsigned i = 2; i < 63; i++)
		if (features >> i & 1 && (i != XFEATURE_TILE_DATA || used >> i & 1) &&
		    feature_end(i) > size)
			size = feature_end(i);
	return size < fp_size ? size : fp_size;
}

static void put_state(uint8_t *to, const uint8_t *fp, size_t size)
{
	uint64_t features = bytes_get(fp + SW_BYTES, 8, false);
	uint64_t used = bytes_get(fp + XSTATE_BV, 8, false);

	if (!(used >> XFEATURE_TILE_DATA & 1))
		features &= ~(UINT64_C(1) << XFEATURE_TILE_DATA);
	memcpy(to, fp, size);
	memset(to + SW_BYTES, 0, 48);
	bytes_put(to + SW_BYTES, 4, 0x46505853, false);      /* FP_XSTATE_MAGIC1 */
	bytes_put(to + SW_BYTES + 4, 4, size + 4, false);
	bytes_put(to + SW_BYTES + 8, 8, features, false);
	bytes_put(to + SW_BYTES + 16, 4, size, false);
	bytes_put(to + size, 4, 0x46505845, false);          /* FP_XSTATE_MAGIC2 */
}

bool x86_call_frames(const struct arch_call_request *req, uint8_t *stack, struct regs *go)
{
	size_t marks = CALL_FRAMES - CALL_MARKS, size, fp, back, there;
	struct regs regs = *req->regs;
	uint64_t rax = bytes_get(regs.bytes + RAX, 8, false);
	uint64_t rip = bytes_get(regs.bytes + RIP, 8, false);

	if (req->fp_size < 576 || req->stack & 63)
		return false;
	size = state_size(req->fp, req->fp_size);
	if (size + 2048 > marks)
		return false;
	fp = (marks - size - 4) & ~(size_t)63;
	back = fp - 512;
	there = back - 1024;
	memset(stack, 0, CALL_FRAMES);

	x86_resolve_restart(&rax, &rip, bytes_get(regs.bytes + ORIG_RAX, 8, false));
	/* rt_sigreturn forgets what restart_syscall would go on with: begun anew. */
	if (rip != bytes_get(regs.bytes + RIP, 8, false))
		rax = bytes_get(regs.bytes + ORIG_RAX, 8, false);
	bytes_put(regs.bytes + RAX, 8, rax, false);
	bytes_put(regs.bytes + RIP, 8, rip, false);
	put_context(stack + back, &regs, req->mask);
	bytes_put(stack + back, 8, UC_FP_XSTATE | UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS,
		  false);
	bytes_put(stack + back + UC_FPSTATE, 8, req->stack + fp, false);
	put_state(stack + fp, req->fp, size);

	put_context(stack + there, &regs, ~CALL_OWN_FAULTS);
	put_greg(stack + there, RSP, req->stack + back);
	put_greg(stack + there, RIP, req->code + 8);
	put_greg(stack + there, RBX, req->stack + marks);
	put_greg(stack + there, R12, req->function);
	put_greg(stack + there, RDI, req->argument);
	put_greg(stack + there, RBP, 0);
	put_greg(stack + there, EFLAGS, 0x202);

	*go = *req->regs;
	bytes_put(go->bytes + RSP, 8, req->stack + there, false);
	bytes_put(go->bytes + RIP, 8, req->code, false);
	bytes_put(go->bytes + ORIG_RAX, 8, UINT64_MAX, false);
	bytes_put(go->bytes + EFLAGS, 8,
		  bytes_get(go->bytes + EFLAGS, 8, false) & ~UINT64_C(0x500), false);
	return true;
}

/* A function that is broken off: the thread goes on where it would have returned to. */
void x86_call_abort(const struct arch_call_request *req, int64_t result, struct regs *regs)
{
	size_t marks = CALL_FRAMES - CALL_MARKS;
	size_t size = state_size(req->fp, req->fp_size);
	size_t back = ((marks - size - 4) & ~(size_t)63) - 512;

	bytes_put(regs->bytes + RSP, 8, req->stack + back, false);
	bytes_put(regs->bytes + RIP, 8, req->code + AFTER_CALL, false);
	bytes_put(regs->bytes + RBX, 8, req->stack + marks, false);
	bytes_put(regs->bytes + RAX, 8, (uint64_t)result, false);
	bytes_put(regs->bytes + ORIG_RAX, 8, UINT64_MAX, false);
	bytes_put(regs->bytes + EFLAGS, 8,
		  bytes_get(regs->bytes + EFLAGS, 8, false) & ~UINT64_C(0x40500), false);
}
