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
	AT_MULTIPLIER = 22, AT_SHIFT = 29, AT_TABLE = 36, AT_LOOK = 44, AT_MASK = 62,
	AT_INITIAL = 70, AT_FLAGS = 144,
	CFA = 8, /* of who called, from rsp at the stub */
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
	0x48, 0xbe, 0, 0, 0, 0, 0, 0, 0, 0,       /* 34 movabs $table,%rsi    */
	0x48, 0x39, 0x0c, 0x06,                   /* 44 cmp %rcx,(%rsi,%rax)  */
	0x74, 0x21,                               /* 48 je 83                 */
	0x48, 0x83, 0x3c, 0x06, 0x00,             /* 50 cmpq $0,(%rsi,%rax)   */
	0x74, 0x0b,                               /* 55 je 68                 */
	0x48, 0x83, 0xc0, 0x10,                   /* 57 add $16,%rax          */
	0x25, 0, 0, 0, 0,                         /* 61 and $mask,%eax        */
	0xeb, 0xe8,                               /* 66 jmp 44                */
	0x48, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0,       /* 68 movabs $initial,%rax  */
	0x0f, 0xb6, 0x00,                         /* 78 movzbl (%rax),%eax    */
	0xeb, 0x34,                               /* 81 jmp 135               */
	0x48, 0x8b, 0x4c, 0x06, 0x08,             /* 83 mov 8(%rsi,%rax),%rcx: S, mark, state */
	0x84, 0xed,                               /* 88 test %ch,%ch          */
	0x75, 0x24,                               /* 90 jne 128: it has decided */
	0xf6, 0xc1, 0x02,                         /* 92 test $0x2,%cl         */
	0x74, 0x21,                               /* 95 je 130: by its state  */
	0x48, 0x8d, 0x74, 0x06, 0x09,             /* 97 lea 9(%rsi,%rax),%rsi */
	0x48, 0x89, 0xe0,                         /* 102 mov %rsp,%rax        */
	0x48, 0xc1, 0xe0, 0x0d,                   /* 105 shl $0xd,%rax        */
	0x88, 0xc8,                               /* 109 mov %cl,%al          */
	0x48, 0x39, 0xc8,                         /* 111 cmp %rcx,%rax        */
	0x72, 0x0e,                               /* 114 jb 130: deeper       */
	0x75, 0x03,                               /* 116 jne 121: elsewhere   */
	0x80, 0xf1, 0x01,                         /* 118 xor $1,%cl: it has left */
	0x80, 0xf1, 0x06,                         /* 121 xor $6,%cl: 4 + the version */
	0x88, 0x0e,                               /* 124 mov %cl,(%rsi)       */
	0xeb, 0x02,                               /* 126 jmp 130              */
	0x88, 0xe9,                               /* 128 mov %ch,%cl          */
	0x89, 0xc8,                               /* 130 mov %ecx,%eax        */
	0x83, 0xe0, 0x01,                         /* 132 and $0x1,%eax        */
	0x48, 0x8b, 0x04, 0xc2,                   /* 135 mov (%rdx,%rax,8),%rax */
	0x48, 0x89, 0x44, 0x24, 0xf8,             /* 139 mov %rax,-0x8(%rsp)  */
	0x58,                                     /* 144 pop %rax             */
	0x04, 0x7f,                               /* 145 add $0x7f,%al        */
	0x9e,                                     /* 147 sahf                 */
	0x5e,                                     /* 148 pop %rsi             */
	0x5a,                                     /* 149 pop %rdx             */
	0x59,                                     /* 150 pop %rcx             */
	0x58,                                     /* 151 pop %rax             */
	0xff, 0x64, 0x24, 0xd0,                   /* 152 jmp *-0x30(%rsp)     */
};

/* What it and a stub push, in that order, and when; the flags come last. */
static const struct arch_dispatch_row dispatcher_rows[] = {
	{ 0, 8, 1 }, { 1, 16, 2 }, { 2, 24, 3 }, { 3, 32, 4 }, { 11, 40, 4 },
	{ 145, 32, 4 }, { 149, 24, 3 }, { 150, 16, 2 }, { 151, 8, 1 }, { 152, 0, 0 },
};
static const struct arch_dispatch_row stub_rows[] = { { 0, 0, 0 }, { 1, 8, 1 } };

const struct arch_dispatch_frame x86_dispatch_frame = {
	.saved = { { COL_RAX, -CFA - 8 }, { COL_RCX, -CFA - 16 }, { COL_RDX, -CFA - 24 },
		   { COL_RSI, -CFA - 32 } },
	.rows = dispatcher_rows, .nr_rows = ARRAY_SIZE(dispatcher_rows),
	.stub_rows = stub_rows, .nr_stub_rows = ARRAY_SIZE(stub_rows),
};

bool x86_put_dispatcher(uint8_t *out, const struct arch_dispatch *d)
{
	memcpy(out, dispatcher, sizeof(dispatcher));
	bytes_put(out + AT_MULTIPLIER, 4, MULTIPLIER, false);
	out[AT_SHIFT] = (uint8_t)(64 - d->bits);
	bytes_put(out + AT_MASK, 4, (UINT64_C(16) << d->bits) - 1, false);
	bytes_put(out + AT_TABLE, 8, d->table, false);
	bytes_put(out + AT_INITIAL, 8, d->initial, false);
	return true;
}

bool x86_put_dispatch_stub(uint8_t *out, uint64_t at, uint64_t pair,
			   const struct arch_dispatch *d)
{
	static const uint8_t stub[X86_DISPATCH_STUB - X86_JUMP_SIZE] = {
		0x50,                                   /*  0 push %rax          */
		0x48, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0,     /*  1 movabs $pair,%rax  */
	};

	memcpy(out, stub, sizeof(stub));
	bytes_put(out + 3, 8, pair, false);
	return x86_put_jump(out + sizeof(stub), at + sizeof(stub), d->at);
}

uint64_t x86_dispatch_hash(uint64_t key, unsigned bits)
{
	return key * MULTIPLIER >> (64 - bits);
}

/* As lahf and seto have put them into a word: bits 8 to 15, and the overflow flag in bit 0. */
static void give_back_flags(struct regs *regs, uint64_t word)
{
	enum { LOW = 0xd5, OVERFLOW = 0x800 };
	uint64_t flags = bytes_get(regs->bytes + EFLAGS, 8, false);

	flags = (flags & ~(uint64_t)(LOW | OVERFLOW)) | (word >> 8 & LOW) |
		(word & 1 ? OVERFLOW : 0);
	bytes_put(regs->bytes + EFLAGS, 8, flags, false);
}

bool x86_dispatch_undo(struct regs *regs, bool is_stub, uint64_t off,
		       struct arch_undone *undone,
		       bool (*read)(void *arg, uint64_t addr, uint64_t *word), void *arg)
{
	uint64_t flags;

	if (!is_stub && off > AT_FLAGS)
		return false; /* it is on its way out, and what it goes by is gone */
	undone->has_looked = !is_stub && off >= AT_LOOK;
	undone->pair = is_stub ? 0 : bytes_get(regs->bytes + (off <= 3 ? RAX : RDX), 8, false);
	if (!undone->has_looked)
		return true;
	/* They are what was pushed last. */
	if (!read(arg, bytes_get(regs->bytes + RSP, 8, false), &flags))
		return false;
	give_back_flags(regs, flags);
	return true;
}
