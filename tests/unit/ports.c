/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The unwinding rules of the ports, over constructed states: link registers, back
 * chains, frame records, signed return addresses, signal frames, code without CFI.
 */
#include <dwarf.h>
#include <string.h>

#include "bytes.h"
#include "mem.h"
#include "tap.h"
#include "walk.h"

/* inner, middle, one without CFI, start and the trampoline, 0x100 bytes each. */
enum { CODE = 0x10000, SIZE = 0x800, INNER = 0, MIDDLE = 0x100, BARE = 0x200, START = 0x300,
       TRAMPOLINE = 0x400, FAR = 0x500, STACK = 0x700000, STACK_SIZE = 0x2000, EH = 0x90000 };

struct world {
	const struct arch *arch;
	uint8_t code[SIZE], stack[STACK_SIZE];
	struct buf eh;
	struct unwind_code object;
	struct regs regs;
	uint64_t end_sp; /* where the stack must end; 0: anywhere */
};

static struct world w;

static void put_word(uint64_t addr, uint64_t value)
{
	bytes_put(w.stack + (addr - STACK), 8, value, w.arch->big_endian);
}

static void set(unsigned col, uint64_t value)
{
	regs_set(w.arch, &w.regs, (size_t)w.arch->col_off[col], value);
}

static void put_code(unsigned at, const void *bytes, size_t size)
{
	memcpy(w.code + at, bytes, size);
}

static void put_insn(unsigned at, uint32_t insn)
{
	bytes_put(w.code + at, 4, insn, w.arch->big_endian);
}

/* ---- call frame information ------------------------------------------------- */

static void record(const void *body, size_t size)
{
	uint8_t len[4];

	bytes_put(len, 4, size, w.arch->big_endian);
	buf_add(&w.eh, len, 4);
	buf_add(&w.eh, body, size);
}

static void put_cie(unsigned ra, const void *insns, size_t size)
{
	uint8_t cie[64] = { 0, 0, 0, 0, 1, 0, 1, 0x78, (uint8_t)ra };

	memcpy(cie + 9, insns, size);
	record(cie, 9 + size);
}

static void put_fde(unsigned at, const void *insns, size_t size)
{
	uint8_t body[64] = { 0 };

	bytes_put(body, 4, w.eh.size + 4, w.arch->big_endian);
	bytes_put(body + 4, 8, CODE + at, w.arch->big_endian);
	bytes_put(body + 12, 8, 0x100, w.arch->big_endian);
	memcpy(body + 20, insns, size);
	record(body, 20 + size);
}

/* ---- the walk ------------------------------------------------------------------ */

static bool read_mem(void *arg, uint64_t addr, void *to, size_t size)
{
	(void)arg;
	if (addr < STACK || addr + size > STACK + STACK_SIZE || addr + size < addr)
		return false;
	memcpy(to, w.stack + (addr - STACK), size);
	return true;
}

static const uint8_t *code_bytes(const struct unwind_code *code, uint64_t addr, size_t size)
{
	(void)code;
	return addr >= CODE && addr + size <= CODE + SIZE ? w.code + (addr - CODE) : NULL;
}

static const struct unwind_code *find_code(void *arg, uint64_t addr, enum unwind_reason *why)
{
	(void)arg, (void)why;
	return addr >= CODE && addr < CODE + SIZE ? &w.object : NULL;
}

static bool is_end(void *arg, const struct unwind_frame *last)
{
	(void)arg;
	return last->pc >= CODE + START && last->pc < CODE + START + 0x100 &&
	       (!w.end_sp || last->sp == w.end_sp);
}

struct seen {
	unsigned nr;
	uint64_t pc[16];
};

static bool note(void *arg, const struct unwind_frame *frame)
{
	struct seen *seen = arg;

	if (seen->nr < ARRAY_SIZE(seen->pc))
		seen->pc[seen->nr++] = frame->pc - CODE;
	return true;
}

static enum unwind_reason walk(unsigned pc, uint64_t sp, struct seen *seen)
{
	struct unwinder u = { .arch = w.arch, .read = read_mem, .find_code = find_code,
			      .is_end = is_end };

	regs_set(w.arch, &w.regs, w.arch->pc_off, CODE + pc);
	regs_set(w.arch, &w.regs, w.arch->sp_off, sp);
	w.object.eh.data = w.eh.data;
	w.object.eh.size = w.eh.size;
	*seen = (struct seen){ 0 };
	return unwind_walk(&u, &w.regs, note, seen);
}

/* The frames' pcs, in order, from CODE on. */
static void expect(const char *what, enum unwind_reason reason, unsigned pc, uint64_t sp,
		   unsigned nr, unsigned a, unsigned b, unsigned c)
{
	const unsigned want[] = { a, b, c };
	struct seen seen;
	enum unwind_reason got = walk(pc, sp, &seen);
	bool same = got == reason && (reason || seen.nr == nr + 1);

	for (unsigned i = 0; i < nr && i < ARRAY_SIZE(want) && same && !reason; i++)
		same = seen.pc[i + 1] == want[i];
	ok(same, "%s: %s: %s, %u frames", w.arch->name, what, unwind_reason_name(got), seen.nr);
}

/* ---- the worlds ----------------------------------------------------------------- */

static void begin(const struct arch *arch)
{
	buf_done(&w.eh);
	memset(&w, 0, sizeof(w));
	w.arch = arch;
	w.object = (struct unwind_code){ .name = "test", .start = CODE, .end = CODE + SIZE,
		.bytes = code_bytes, .may_lack_cfi = true,
		.eh = { .vaddr = EH, .big_endian = arch->big_endian } };
}

static void arm_call(unsigned ra, unsigned target)
{
	put_insn(ra - 4, 0x94000000 | ((target - (ra - 4)) / 4 & 0x3ffffff));
}

/* inner leaves x30 alone; middle keeps {x29, x30} at its CFA - 32 from 8 bytes on. */
static void arm_world(void)
{
	static const uint8_t cie[] = { DW_CFA_def_cfa, 31, 0 };
	static const uint8_t inner[] = { DW_CFA_nop };
	static const uint8_t middle[] = { DW_CFA_advance_loc | 8, DW_CFA_def_cfa_offset, 32,
		DW_CFA_offset | 29, 4, DW_CFA_offset | 30, 3 };
	static const uint8_t start[] = { DW_CFA_undefined, 30 };

	begin(&arch_aarch64);
	put_cie(30, cie, sizeof(cie));
	put_fde(INNER, inner, sizeof(inner));
	put_fde(MIDDLE, middle, sizeof(middle));
	put_fde(START, start, sizeof(start));
	put_insn(MIDDLE, 0xa9be7bfd);     /* stp x29,x30,[sp,#-32]! */
	put_insn(MIDDLE + 4, 0x910003fd); /* mov x29,sp */
	arm_call(MIDDLE + 0x54, INNER);
	arm_call(START + 0x20, MIDDLE);
	put_word(STACK + 0x100, 0x7fff0);
	put_word(STACK + 0x108, CODE + START + 0x20);
	set(29, STACK + 0x100);
	set(30, CODE + MIDDLE + 0x54);
}

static void test_arm(void)
{
	static const uint8_t kept_nowhere[] = { DW_CFA_nop };
	static const uint8_t signed_ra[] = { DW_CFA_advance_loc | 8, DW_CFA_def_cfa_offset, 32,
		DW_CFA_offset | 29, 4, DW_CFA_offset | 30, 3, DW_CFA_GNU_window_save };

	arm_world();
	expect("a leaf, its caller and the start", UNWIND_OK, INNER + 8, STACK + 0x100, 2,
	       MIDDLE + 0x54, START + 0x20, 0);
	set(30, CODE + START + 0x20);
	expect("in the prologue, before the frame is made", UNWIND_OK, MIDDLE + 4,
	       STACK + 0x100, 1, START + 0x20, 0, 0);
	arm_world();
	w.end_sp = STACK;
	expect("an end elsewhere", UNWIND_BAD_END, INNER + 8, STACK + 0x100, 0, 0, 0, 0);
	arm_world();
	set(29, STACK + 0x180);
	expect("x29 is not where the frame record is", UNWIND_DISAGREES, INNER + 8,
	       STACK + 0x100, 0, 0, 0, 0);
	arm_world();
	put_word(STACK + 0x108, CODE + START + 0x24);
	expect("a return address behind no call", UNWIND_NOT_A_CALL, INNER + 8,
	       STACK + 0x100, 0, 0, 0, 0);
	arm_world();
	arm_call(START + 0x20, FAR);
	put_fde(FAR, kept_nowhere, sizeof(kept_nowhere));
	put_insn(FAR, 0xd65f03c0); /* ret */
	for (unsigned at = 4; at < 0x100; at += 4)
		put_insn(FAR + at, 0xd503201f);
	expect("a call of another function", UNWIND_NOT_CALLEE, INNER + 8, STACK + 0x100, 0, 0,
	       0, 0);
	arm_world();
	put_fde(FAR, kept_nowhere, sizeof(kept_nowhere));
	put_word(STACK + 0x108, CODE + FAR + 0x20);
	arm_call(FAR + 0x20, MIDDLE);
	expect("a caller whose return address is nowhere", UNWIND_ODD_FRAME, INNER + 8,
	       STACK + 0x100, 0, 0, 0, 0);

	/* Signed: stripped where CFI says so, unknown code where it does not. */
	arm_world();
	put_word(STACK + 0x108, (CODE + START + 0x20) | UINT64_C(0x002b) << 48);
	expect("a signed return address that CFI knows nothing of", UNWIND_NO_CODE, INNER + 8,
	       STACK + 0x100, 0, 0, 0, 0);
	buf_done(&w.eh);
	{
		static const uint8_t cie[] = { DW_CFA_def_cfa, 31, 0 };
		static const uint8_t start[] = { DW_CFA_undefined, 30 };

		put_cie(30, cie, sizeof(cie));
		put_fde(INNER, kept_nowhere, sizeof(kept_nowhere));
		put_fde(MIDDLE, signed_ra, sizeof(signed_ra));
		put_fde(START, start, sizeof(start));
	}
	expect("a signed return address", UNWIND_OK, INNER + 8, STACK + 0x100, 2,
	       MIDDLE + 0x54, START + 0x20, 0);
}

static void test_arm_bare(void)
{
	/* adrp x16; ldr x17,[x16,#8]; add x16,x16,#8; br x17 */
	static const uint32_t stub[] = { 0x90000090, 0xf9400611, 0x91002210, 0xd61f0220 };
	static const uint32_t plt0[] = { 0xa9bf7bf0, 0x90000090, 0xf9400611, 0x91002210,
					 0xd61f0220 };
	/* stp x29,x30,[sp,#-32]!; mov x29,sp; str x19,[sp,#16]; bl inner;
	 * ldr x19,[sp,#16]; ldp x29,x30,[sp],#32; ret */
	static const uint32_t crt[] = { 0xa9be7bfd, 0x910003fd, 0xf9000bf3, 0x94000000,
					0xf9400bf3, 0xa8c27bfd, 0xd65f03c0 };

	for (unsigned i = 0; i < ARRAY_SIZE(stub); i++) {
		arm_world();
		for (unsigned j = 0; j < ARRAY_SIZE(stub); j++)
			put_insn(BARE + 0x40 + 4 * j, stub[j]);
		expect("a stub of the PLT", UNWIND_OK, BARE + 0x40 + 4 * i, STACK + 0x100, 2,
		       MIDDLE + 0x54, START + 0x20, 0);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(plt0); i++) {
		arm_world();
		for (unsigned j = 0; j < ARRAY_SIZE(plt0); j++)
			put_insn(BARE + 0x40 + 4 * j, plt0[j]);
		put_word(STACK + 0xf8, CODE + MIDDLE + 0x54);
		expect("the first stub, that pushes", UNWIND_OK, BARE + 0x40 + 4 * i,
		       STACK + (i ? 0xf0 : 0x100), 2, MIDDLE + 0x54, START + 0x20, 0);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(crt); i++) {
		bool has_frame = i >= 1 && i <= 5;

		arm_world();
		for (unsigned j = 0; j < ARRAY_SIZE(crt); j++)
			put_insn(BARE + 0x40 + 4 * j, crt[j]);
		arm_call(START + 0x20, BARE + 0x40);
		arm_call(BARE + 0x50, INNER);
		set(30, has_frame && i != 1 && i != 2 && i != 3 ? CODE + BARE + 0x50 :
			CODE + START + 0x20);
		put_word(STACK + 0x100, 0x7fff0);
		expect("start-up code", UNWIND_OK, BARE + 0x40 + 4 * i,
		       STACK + (has_frame ? 0x100 : 0x120), 1, START + 0x20, 0, 0);
	}
	/* seen from its callee, too */
	arm_world();
	for (unsigned j = 0; j < ARRAY_SIZE(crt); j++)
		put_insn(BARE + 0x40 + 4 * j, crt[j]);
	arm_call(START + 0x20, BARE + 0x40);
	arm_call(BARE + 0x50, INNER);
	set(30, CODE + BARE + 0x50);
	expect("start-up code in the middle", UNWIND_OK, INNER + 8, STACK + 0x100, 2,
	       BARE + 0x50, START + 0x20, 0);
}

/* A handler on the stack: the trampoline, its frame, and the interrupted leaf. */
static void test_signal(const uint8_t *trampoline, unsigned lr_col, int64_t pc_at,
			int64_t lr_at, int64_t sp_at, int64_t fp_at)
{
	uint64_t frame = STACK + 0x200, sp = STACK + 0x1000;

	put_code(TRAMPOLINE, trampoline, w.arch->unwind->trampoline_size);
	put_word(frame + (uint64_t)pc_at, CODE + INNER); /* at the first instruction */
	put_word(frame + (uint64_t)lr_at, CODE + MIDDLE + 0x54);
	put_word(frame + (uint64_t)sp_at, sp);
	put_word(frame + (uint64_t)fp_at, sp);
	/* middle's frame, where the interrupted code has it */
	memcpy(w.stack + 0x1000, w.stack + 0x100, 0x180);
	for (uint64_t at = 0x1000; at < 0x1180; at += 8) {
		uint64_t word = bytes_get(w.stack + at, 8, w.arch->big_endian);

		if (word >= STACK + 0x100 && word < STACK + 0x300)
			put_word(STACK + at, word + 0xf00);
	}
	set(lr_col, CODE + TRAMPOLINE);
	expect("a handler in a leaf of its own", UNWIND_OK, INNER + 4, frame, 4, TRAMPOLINE,
	       INNER, MIDDLE + 0x54);
}

static void s390_call(unsigned ra, unsigned target)
{
	w.code[ra - 6] = 0xc0;
	w.code[ra - 5] = 0xe5; /* brasl %r14 */
	bytes_put(w.code + ra - 4, 4, (uint64_t)((int64_t)target - (int64_t)(ra - 6)) / 2, true);
}

/* middle keeps r14 and r15 in its caller's save area, and has 160 bytes of frame. */
static void s390_world(bool back_chain)
{
	static const uint8_t cie[] = { DW_CFA_def_cfa, 15, 160, 1 };
	static const uint8_t inner[] = { DW_CFA_nop };
	static const uint8_t middle[] = { DW_CFA_advance_loc | 12, DW_CFA_def_cfa_offset, 192, 2,
		DW_CFA_offset | 14, 6, DW_CFA_offset | 15, 5 };
	static const uint8_t start[] = { DW_CFA_undefined, 14 };
	static const uint8_t stg[] = { 0xe3, 0xe0, 0xf0, 0x00, 0x00, 0x24 }; /* stg %r14,0(%r15) */

	begin(&arch_s390x);
	memset(w.code, 0x07, sizeof(w.code)); /* bcr 0: a no-op */
	put_cie(14, cie, sizeof(cie));
	put_fde(INNER, inner, sizeof(inner));
	put_fde(MIDDLE, middle, sizeof(middle));
	put_fde(START, start, sizeof(start));
	if (back_chain)
		put_code(MIDDLE + 6, stg, sizeof(stg));
	s390_call(MIDDLE + 0x54, INNER);
	s390_call(START + 0x20, MIDDLE);
	put_word(STACK + 0x100, STACK + 0x1a0);             /* back chain */
	put_word(STACK + 0x1a0 + 112, CODE + START + 0x20); /* r14 */
	put_word(STACK + 0x1a0 + 120, STACK + 0x1a0);       /* r15 */
	put_word(STACK + 0x1a0, 0);
	set(14, CODE + MIDDLE + 0x54);
}

static void test_s390(void)
{
	static const uint8_t in_fpr[] = { DW_CFA_register, 14, 16 };
	/* larl %r1,.; lg %r1,0(%r1); br %r1 */
	static const uint8_t stub[] = { 0xc0, 0x10, 0, 0, 0, 8, 0xe3, 0x10, 0x10, 0, 0, 4,
					0x07, 0xf1 };
	/* lmg %r14,%r15,272(%r15); br %r14 */
	static const uint8_t epilogue[] = { 0xeb, 0xef, 0xf1, 0x10, 0x00, 0x04, 0x07, 0xfe };

	s390_world(false);
	expect("a leaf, its caller and the start", UNWIND_OK, INNER + 8, STACK + 0x100, 2,
	       MIDDLE + 0x54, START + 0x20, 0);
	put_word(STACK + 0x100, 0x1234);
	expect("a program without back chains", UNWIND_OK, INNER + 8, STACK + 0x100, 2,
	       MIDDLE + 0x54, START + 0x20, 0);
	s390_world(true);
	expect("a back chain that agrees", UNWIND_OK, INNER + 8, STACK + 0x100, 2,
	       MIDDLE + 0x54, START + 0x20, 0);
	put_word(STACK + 0x100, STACK + 0x1b0);
	expect("a back chain that does not", UNWIND_DISAGREES, INNER + 8, STACK + 0x100, 0, 0,
	       0, 0);
	/* A leaf that keeps r14 in f0. */
	s390_world(false);
	put_fde(FAR, in_fpr, sizeof(in_fpr));
	set(14, 0xdead);
	set(16, CODE + MIDDLE + 0x54);
	s390_call(MIDDLE + 0x54, FAR);
	expect("r14 kept in a floating-point register", UNWIND_OK, FAR + 8, STACK + 0x100, 2,
	       MIDDLE + 0x54, START + 0x20, 0);
	for (unsigned at = 0; at < sizeof(stub); at += at == 12 ? 2 : 6) {
		s390_world(false);
		put_code(BARE + 0x40, stub, sizeof(stub));
		s390_call(MIDDLE + 0x54, BARE + 0x40);
		expect("a stub of the PLT", UNWIND_OK, BARE + 0x40 + at, STACK + 0x100, 2,
		       MIDDLE + 0x54, START + 0x20, 0);
	}
	/* Code without CFI in front of its epilogue: both registers come from memory. */
	s390_world(false);
	put_code(BARE + 0x40, epilogue, sizeof(epilogue));
	s390_call(START + 0x20, BARE + 0x20);
	expect("an epilogue without CFI", UNWIND_OK, BARE + 0x40, STACK + 0x100, 1,
	       START + 0x20, 0, 0);
	s390_world(false);
	put_word(STACK + 0x1a0 + 112, CODE + START + 0x22);
	expect("a return address behind no call", UNWIND_NOT_A_CALL, INNER + 8, STACK + 0x100,
	       0, 0, 0, 0);
	s390_world(false);
	test_signal(w.arch->unwind->trampoline, 14, 344, 352 + 8 * 14, 352 + 8 * 15,
		    352 + 8 * 11);
	/* One without siginfo: all is nearer. */
	s390_world(false);
	test_signal(w.arch->unwind->short_trampoline, 14, 184, 192 + 8 * 14, 192 + 8 * 15,
		    192 + 8 * 11);
}

static void ppc_call(unsigned ra, unsigned target)
{
	put_insn(ra - 4, 0x48000001 | ((target - (ra - 4)) & 0x3fffffc));
}

/* middle keeps LR at its CFA + 16 and has 32 bytes of frame from 12 bytes on. */
static void ppc_world(void)
{
	static const uint8_t cie[] = { DW_CFA_def_cfa, 1, 0 };
	static const uint8_t inner[] = { DW_CFA_nop };
	static const uint8_t middle[] = { DW_CFA_advance_loc | 12, DW_CFA_def_cfa_offset, 32,
		DW_CFA_offset_extended_sf, 65, 0x7e };
	static const uint8_t start[] = { DW_CFA_advance_loc | 8, DW_CFA_def_cfa_offset, 32 };

	begin(&arch_ppc64le);
	put_cie(65, cie, sizeof(cie));
	put_fde(INNER, inner, sizeof(inner));
	put_fde(MIDDLE, middle, sizeof(middle));
	put_fde(START, start, sizeof(start));
	put_insn(MIDDLE, 0x7c0802a6);     /* mflr r0 */
	put_insn(MIDDLE + 4, 0xf8010010); /* std r0,16(r1) */
	put_insn(MIDDLE + 8, 0xf821ffe1); /* stdu r1,-32(r1) */
	ppc_call(MIDDLE + 0x54, INNER);
	ppc_call(START + 0x20, MIDDLE);
	put_word(STACK + 0x100, STACK + 0x120);             /* back chain */
	put_word(STACK + 0x130, CODE + START + 0x20);       /* LR */
	put_word(STACK + 0x120, 0);
	set(65, CODE + MIDDLE + 0x54);
}

static void test_ppc(void)
{
	/* std r2,24(r1); addis r12,r2,0; ld r12,8(r12); mtctr r12; bctr */
	static const uint32_t stub[] = { 0xf8410018, 0x3d820000, 0xe98c0008, 0x7d8903a6,
					 0x4e800420 };
	/* addi r1,r1,32; ld r0,16(r1); mtlr r0; blr */
	static const uint32_t epilogue[] = { 0x38210020, 0xe8010010, 0x7c0803a6, 0x4e800020 };

	ppc_world();
	expect("a leaf, its caller and the zero back chain", UNWIND_OK, INNER + 8,
	       STACK + 0x100, 2, MIDDLE + 0x54, START + 0x20, 0);
	put_word(STACK + 0x120, STACK + 0x200);
	put_word(STACK + 0x150, 0x990000);
	expect("a back chain that goes on into unknown code", UNWIND_ODD_FRAME, INNER + 8,
	       STACK + 0x100, 0, 0, 0, 0);
	ppc_world();
	put_word(STACK + 0x100, STACK + 0x128);
	expect("a back chain that does not agree", UNWIND_DISAGREES, INNER + 8, STACK + 0x100,
	       0, 0, 0, 0);
	ppc_world();
	set(65, CODE + START + 0x20);
	set(0, CODE + START + 0x20);
	expect("in the prologue, LR not kept yet", UNWIND_OK, MIDDLE + 8, STACK + 0x120, 1,
	       START + 0x20, 0, 0);
	for (unsigned i = 0; i < ARRAY_SIZE(stub); i++) {
		ppc_world();
		for (unsigned j = 0; j < ARRAY_SIZE(stub); j++)
			put_insn(BARE + 0x40 + 4 * j, stub[j]);
		ppc_call(MIDDLE + 0x54, BARE + 0x40);
		expect("a stub for a call", UNWIND_OK, BARE + 0x40 + 4 * i, STACK + 0x100, 2,
		       MIDDLE + 0x54, START + 0x20, 0);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(epilogue); i++) {
		ppc_world();
		for (unsigned j = 0; j < ARRAY_SIZE(epilogue); j++)
			put_insn(BARE + 0x40 + 4 * j, epilogue[j]);
		ppc_call(START + 0x20, BARE + 0x20);
		set(0, CODE + START + 0x20);
		set(65, i == 3 ? CODE + START + 0x20 : 0xdead);
		expect("an epilogue without CFI", UNWIND_OK, BARE + 0x40 + 4 * i,
		       STACK + (i ? 0x120 : 0x100), 1, START + 0x20, 0, 0);
	}
	ppc_world();
	test_signal(w.arch->unwind->trampoline, 65, 360 + 256, 360 + 288,
		    360 + 8, 360 + 8 * 31);
}

/* ---- instructions ----------------------------------------------------------------- */

static void test_flow(void)
{
	static const struct {
		const struct arch *arch;
		const char *what;
		uint8_t bytes[6];
		enum insn_flow flow;
		uint64_t target; /* 0: not direct; at 0x1000 */
	} rows[] = {
		{ &arch_aarch64, "bl", { 4, 0, 0, 0x94 }, FLOW_CALL, 0x1010 },
		{ &arch_aarch64, "b back", { 0xff, 0xff, 0xff, 0x17 }, FLOW_JUMP, 0xffc },
		{ &arch_aarch64, "b.ne", { 0x41, 0, 0, 0x54 }, FLOW_BRANCH, 0x1008 },
		{ &arch_aarch64, "cbz", { 0x40, 0, 0, 0xb4 }, FLOW_BRANCH, 0x1008 },
		{ &arch_aarch64, "tbnz", { 0x40, 0, 0, 0x37 }, FLOW_BRANCH, 0x1008 },
		{ &arch_aarch64, "blr x1", { 0x20, 0, 0x3f, 0xd6 }, FLOW_CALL, 0 },
		{ &arch_aarch64, "br x17", { 0x20, 2, 0x1f, 0xd6 }, FLOW_JUMP, 0 },
		{ &arch_aarch64, "ret", { 0xc0, 3, 0x5f, 0xd6 }, FLOW_RETURN, 0 },
		{ &arch_aarch64, "retaa", { 0xff, 0xb, 0x5f, 0xd6 }, FLOW_RETURN, 0 },
		{ &arch_aarch64, "blraaz x1", { 0x3f, 8, 0x3f, 0xd6 }, FLOW_CALL, 0 },
		{ &arch_aarch64, "brk", { 0, 0, 0x20, 0xd4 }, FLOW_STOP, 0 },
		{ &arch_aarch64, "nop", { 0x1f, 0x20, 3, 0xd5 }, FLOW_NEXT, 0 },
		{ &arch_s390x, "brasl", { 0xc0, 0xe5, 0, 0, 0, 8 }, FLOW_CALL, 0x1010 },
		{ &arch_s390x, "jg back", { 0xc0, 0xf4, 0xff, 0xff, 0xff, 0xfe }, FLOW_JUMP, 0xffc },
		{ &arch_s390x, "jne", { 0xa7, 0x74, 0, 4 }, FLOW_BRANCH, 0x1008 },
		{ &arch_s390x, "basr r14,r1", { 0x0d, 0xe1 }, FLOW_CALL, 0 },
		{ &arch_s390x, "br r14", { 0x07, 0xfe }, FLOW_RETURN, 0 },
		{ &arch_s390x, "br r1", { 0x07, 0xf1 }, FLOW_JUMP, 0 },
		{ &arch_s390x, "bnor", { 0x07, 0x07 }, FLOW_NEXT, 0 },
		{ &arch_s390x, "cgrjne", { 0xec, 0x12, 0, 4, 0x70, 0x64 }, FLOW_BRANCH, 0x1008 },
		{ &arch_s390x, "trap", { 0xa7, 0xf4, 0, 1 }, FLOW_STOP, 0x1002 },
		{ &arch_ppc64le, "bl", { 0x11, 0, 0, 0x48 }, FLOW_CALL, 0x1010 },
		{ &arch_ppc64le, "b back", { 0xfc, 0xff, 0xff, 0x4b }, FLOW_JUMP, 0xffc },
		{ &arch_ppc64le, "bne", { 8, 0, 0x82, 0x40 }, FLOW_BRANCH, 0x1008 },
		{ &arch_ppc64le, "blr", { 0x20, 0, 0x80, 0x4e }, FLOW_RETURN, 0 },
		{ &arch_ppc64le, "beqlr", { 0x20, 0, 0x82, 0x4d }, FLOW_BRANCH, 0 },
		{ &arch_ppc64le, "bctr", { 0x20, 4, 0x80, 0x4e }, FLOW_JUMP, 0 },
		{ &arch_ppc64le, "bctrl", { 0x21, 4, 0x80, 0x4e }, FLOW_CALL, 0 },
		{ &arch_ppc64le, "trap", { 8, 0, 0xe0, 0x7f }, FLOW_STOP, 0 },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		struct insn insn;
		bool good = rows[i].arch->decode(rows[i].bytes, sizeof(rows[i].bytes), 0x1000,
						 &insn);

		ok(good && insn.flow == rows[i].flow && insn.is_direct == !!rows[i].target &&
		   (!rows[i].target || insn.target == rows[i].target), "%s: %s",
		   rows[i].arch->name, rows[i].what);
	}
}

static void test_arm_signal(void)
{
	arm_world();
	test_signal(w.arch->unwind->trampoline, 30, 568, 312 + 8 * 30, 560, 312 + 8 * 29);
}

int main(void)
{
	test_arm();
	test_arm_bare();
	test_arm_signal();
	test_s390();
	test_ppc();
	test_flow();
	buf_done(&w.eh);
	return tap_done();
}
