/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The dispatcher of x86-64.
 *
 * It stands between a caller and a function, and callers rely on more than the psABI
 * (GCC's -fipa-ra), so it gives back every register and flag.  It needs nothing of the C
 * library: the thread is told by the base of FS, which rdfsbase reads without touching
 * memory, so that a thread whose base is still 0, or somebody else's, comes through.
 * Nothing is kept in memory but the stack below the stack pointer; the address to go to
 * waits in the red zone for the last jump (psABI 3.2.2: signal handlers leave those 128
 * bytes alone), which no call or return precedes: a shadow stack sees nothing.
 */
#include <string.h>

#include "bytes.h"
#include "x86_64.h"

enum {
	MULTIPLIER = 0x1e3779b1, /* odd, its bits well mixed (Knuth, 6.4) */
	AT_MULTIPLIER = 22, AT_SHIFT = 29, AT_TABLE = 37, AT_MASK = 59, AT_INITIAL = 68,
};

static const uint8_t dispatcher[X86_DISPATCH_SIZE] = {
	0x51, 0x52, 0x56,                         /*  0 push rcx rdx rsi      */
	0x48, 0x89, 0xc2,                         /*  3 mov %rax,%rdx: the pair */
	0x9f,                                     /*  6 lahf                  */
	0x0f, 0x90, 0xc0,                         /*  7 seto %al              */
	0x50,                                     /* 10 push %rax: the flags  */
	0xf3, 0x48, 0x0f, 0xae, 0xc1,             /* 11 rdfsbase %rcx         */
	0x48, 0xff, 0xc1,                         /* 16 inc %rcx: the key     */
	0x48, 0x69, 0xc1, 0, 0, 0, 0,             /* 19 imul $M,%rcx,%rax     */
	0x48, 0xc1, 0xe8, 0,                      /* 26 shr $64-bits,%rax     */
	0x48, 0xc1, 0xe0, 0x04,                   /* 30 shl $4,%rax           */
	0x48, 0x8d, 0x35, 0, 0, 0, 0,             /* 34 lea table(%rip),%rsi  */
	0x48, 0x39, 0x0c, 0x06,                   /* 41 cmp %rcx,(%rsi,%rax)  */
	0x74, 0x1b,                               /* 45 je 74                 */
	0x48, 0x83, 0x3c, 0x06, 0x00,             /* 47 cmpq $0,(%rsi,%rax)   */
	0x74, 0x0b,                               /* 52 je 65                 */
	0x48, 0x83, 0xc0, 0x10,                   /* 54 add $16,%rax          */
	0x25, 0, 0, 0, 0,                         /* 58 and $mask,%eax        */
	0xeb, 0xe8,                               /* 63 jmp 41                */
	0x0f, 0xb6, 0x05, 0, 0, 0, 0,             /* 65 movzbl initial(%rip),%eax */
	0xeb, 0x34,                               /* 72 jmp 126               */
	0x48, 0x8b, 0x4c, 0x06, 0x08,             /* 74 mov 8(%rsi,%rax),%rcx: S, mark, state */
	0x84, 0xed,                               /* 79 test %ch,%ch          */
	0x75, 0x24,                               /* 81 jne 119: it has decided              */
	0xf6, 0xc1, 0x02,                         /* 83 test $0x2,%cl         */
	0x74, 0x21,                               /* 86 je 121: by its state               */
	0x48, 0x8d, 0x74, 0x06, 0x09,             /* 88 lea 9(%rsi,%rax),%rsi */
	0x48, 0x89, 0xe0,                         /* 93 mov %rsp,%rax         */
	0x48, 0xc1, 0xe0, 0x0d,                   /* 96 shl $0xd,%rax         */
	0x88, 0xc8,                               /* 100 mov %cl,%al           */
	0x48, 0x39, 0xc8,                         /* 102 cmp %rcx,%rax         */
	0x72, 0x0e,                               /* 105 jb 121: deeper               */
	0x75, 0x03,                               /* 107 jne 112: elsewhere              */
	0x80, 0xf1, 0x01,                         /* 109 xor $1,%cl: it has left         */
	0x80, 0xf1, 0x06,                         /* 112 xor $6,%cl: 4 + the version         */
	0x88, 0x0e,                               /* 115 mov %cl,(%rsi)        */
	0xeb, 0x02,                               /* 117 jmp 121               */
	0x88, 0xe9,                               /* 119 mov %ch,%cl           */
	0x89, 0xc8,                               /* 121 mov %ecx,%eax         */
	0x83, 0xe0, 0x01,                         /* 123 and $0x1,%eax         */
	0x48, 0x8b, 0x04, 0xc2,                   /* 126 mov (%rdx,%rax,8),%rax */
	0x48, 0x89, 0x44, 0x24, 0xf8,             /* 130 mov %rax,-0x8(%rsp)   */
	0x58,                                     /* 135 pop %rax              */
	0x04, 0x7f,                               /* 136 add $0x7f,%al         */
	0x9e,                                     /* 138 sahf                  */
	0x5e,                                     /* 139 pop %rsi              */
	0x5a,                                     /* 140 pop %rdx              */
	0x59,                                     /* 141 pop %rcx              */
	0x58,                                     /* 142 pop %rax              */
	0xff, 0x64, 0x24, 0xd0,                   /* 143 jmp *-0x30(%rsp)      */
};

/* A displacement of 32 bits whose instruction ends with it. */
static bool put_disp(uint8_t *out, uint64_t at, uint64_t target)
{
	int64_t disp = (int64_t)(target - (at + 4));

	bytes_put(out, 4, (uint64_t)disp, false);
	return disp == (int32_t)disp;
}

bool x86_put_dispatcher(uint8_t *out, const struct arch_dispatch *d)
{
	memcpy(out, dispatcher, sizeof(dispatcher));
	bytes_put(out + AT_MULTIPLIER, 4, MULTIPLIER, false);
	out[AT_SHIFT] = (uint8_t)(64 - d->bits);
	bytes_put(out + AT_MASK, 4, (UINT64_C(16) << d->bits) - 1, false);
	return put_disp(out + AT_TABLE, d->at + AT_TABLE, d->table) &&
	       put_disp(out + AT_INITIAL, d->at + AT_INITIAL, d->initial);
}

bool x86_put_dispatch_stub(uint8_t *out, uint64_t at, uint64_t pair,
			   const struct arch_dispatch *d)
{
	static const uint8_t stub[X86_DISPATCH_STUB] = {
		0x50,                             /*  0 push %rax             */
		0x48, 0x8d, 0x05, 0, 0, 0, 0,     /*  1 lea pair(%rip),%rax   */
		0xe9, 0, 0, 0, 0,                 /*  8 jmp dispatcher        */
		0xcc, 0xcc, 0xcc,
	};

	memcpy(out, stub, sizeof(stub));
	return put_disp(out + 4, at + 4, pair) && put_disp(out + 9, at + 9, d->at);
}

uint64_t x86_dispatch_hash(uint64_t key, unsigned bits)
{
	return key * MULTIPLIER >> (64 - bits);
}

/*
 * What is on the stack at an offset of the dispatcher: the stub's push, the three here, the
 * flags.  From its first look at the table on (at 41) it may already have passed by the
 * place where the thread's entry would come to stand.
 */
static unsigned nr_pushed(uint64_t off)
{
	return off < 3 ? 1 + (unsigned)off : off < 11 ? 4 : 5;
}

bool x86_dispatch_undo(struct regs *regs, bool is_stub, uint64_t off,
		       struct arch_undone *undone,
		       bool (*read)(void *arg, uint64_t addr, uint64_t *word), void *arg)
{
	static const uint16_t pushed[] = { RAX, RCX, RDX, RSI };
	unsigned nr = is_stub ? off != 0 : nr_pushed(off);
	uint64_t entry = bytes_get(regs->bytes + RSP, 8, false) + 8 * nr;
	uint64_t word;

	if (!is_stub && off > AT_TABLE - 3)
		return false;
	undone->pair = is_stub ? 0 : bytes_get(regs->bytes + (off <= 3 ? RAX : RDX), 8, false);
	for (unsigned i = 0; i < nr && i < ARRAY_SIZE(pushed); i++) {
		if (!read(arg, entry - 8 * (i + 1), &word))
			return false;
		bytes_put(regs->bytes + pushed[i], 8, word, false);
	}
	bytes_put(regs->bytes + RSP, 8, entry, false);
	return true;
}
