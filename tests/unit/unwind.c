/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The walk over constructed stacks, and CFI over constructed tables. */
#include <dwarf.h>

#include "bytes.h"
#include "mem.h"
#include "tap.h"
#include "walk.h"

static const struct arch *const x86 = &arch_x86_64;

/* Code at 0x1000..0x2000: three functions of 0x100 bytes and a start function. */
enum { CODE = 0x1000, STACK = 0x70000, STACK_SIZE = 0x1000, EH = 0x9000 };

struct world {
	uint8_t code[0x1000];
	uint8_t stack[STACK_SIZE];
	struct buf eh;
	struct unwind_code object;
	bool end_is_good;
	uint64_t shadow, limit; /* of the shadow stack, of the stack's mapping; 0: none */
};

static struct world w;
static struct regs regs; /* pc and sp are set by walk() */

static void record(const void *body, size_t size)
{
	uint8_t len[4];

	bytes_put(len, 4, size, false);
	buf_add(&w.eh, len, 4);
	buf_add(&w.eh, body, size);
}

/* CIE: CFA = rsp + 8, return address at CFA - 8; absolute pointers. */
static void put_cie(void)
{
	static const uint8_t cie[] = { 0, 0, 0, 0, 1, 0, 1, 0x78, 16,
				       DW_CFA_def_cfa, 7, 8, DW_CFA_offset | 16, 1,
				       0, 0 };

	record(cie, sizeof(cie));
}

static void put_fde(uint64_t pc, uint64_t size, const void *insns, size_t insns_size)
{
	uint8_t body[64] = { 0 };
	size_t at = w.eh.size + 4;

	bytes_put(body, 4, at, false); /* back to the CIE, at 0 */
	bytes_put(body + 4, 8, pc, false);
	bytes_put(body + 12, 8, size, false);
	memcpy(body + 20, insns, insns_size);
	record(body, 20 + insns_size);
}

static bool read_mem(void *arg, uint64_t addr, void *to, size_t size)
{
	(void)arg;
	if (addr < STACK || addr + size > STACK + STACK_SIZE)
		return false;
	memcpy(to, w.stack + (addr - STACK), size);
	return true;
}

static const uint8_t *code_bytes(const struct unwind_code *code, uint64_t addr, size_t size)
{
	(void)code;
	return addr >= CODE && addr + size <= CODE + sizeof(w.code) ?
	       w.code + (addr - CODE) : NULL;
}

static const struct unwind_code *find_code(void *arg, uint64_t addr, enum unwind_reason *why)
{
	(void)arg, (void)why;
	return addr >= CODE && addr < CODE + sizeof(w.code) ? &w.object : NULL;
}

static bool is_end(void *arg, const struct unwind_frame *last)
{
	(void)arg, (void)last;
	return w.end_is_good;
}

/*
 * inner at 0x1000 (leaf), middle at 0x1100 (16 bytes of frame from 0x1108 on),
 * start at 0x1300 with an undefined return address; 0x1200 has no CFI.
 */
static void build_world(void)
{
	static const uint8_t none[1] = { DW_CFA_nop };
	static const uint8_t middle[] = { DW_CFA_advance_loc | 8, DW_CFA_def_cfa_offset, 24 };
	static const uint8_t start[] = { DW_CFA_undefined, 16 };

	buf_done(&w.eh);
	memset(&w, 0, sizeof(w));
	memset(&regs, 0, sizeof(regs));
	put_cie();
	put_fde(0x1000, 0x100, none, sizeof(none));
	put_fde(0x1100, 0x100, middle, sizeof(middle));
	put_fde(0x1300, 0x100, start, sizeof(start));
	w.object = (struct unwind_code){ .name = "test", .start = CODE,
		.end = CODE + sizeof(w.code), .bytes = code_bytes,
		.eh = { .data = w.eh.data, .size = w.eh.size, .vaddr = EH } };
	w.end_is_good = true;
	/* calls, of nobody knows whom: through a register */
	w.code[0x153] = w.code[0x353] = w.code[0x253] = 0xff;
	w.code[0x154] = w.code[0x354] = w.code[0x254] = 0xd0;
}

static void put_stack(uint64_t addr, uint64_t value)
{
	bytes_put(w.stack + (addr - STACK), 8, value, false);
}

struct seen {
	unsigned nr;
	uint64_t pc[32];
};

static bool note(void *arg, const struct unwind_frame *frame)
{
	struct seen *seen = arg;

	if (seen->nr < ARRAY_SIZE(seen->pc))
		seen->pc[seen->nr++] = frame->pc;
	return true;
}

static uint64_t stack_end(void *arg, uint64_t sp)
{
	(void)arg, (void)sp;
	return w.limit;
}

static enum unwind_reason walk(uint64_t pc, uint64_t sp, struct seen *seen)
{
	struct unwinder u = { .arch = x86, .read = read_mem, .find_code = find_code,
			      .is_end = is_end, .shadow = w.shadow,
			      .stack_end = w.limit ? stack_end : NULL };

	regs_set(x86, &regs, x86->pc_off, pc);
	regs_set(x86, &regs, x86->sp_off, sp);
	*seen = (struct seen){ 0 };
	return unwind_walk(&u, &regs, note, seen);
}

/* inner, called by middle, called by start. */
static void good_stack(void)
{
	build_world();
	put_stack(STACK + 0x100, 0x1155);
	put_stack(STACK + 0x118, 0x1355);
}

static void test_good(void)
{
	struct seen seen;

	good_stack();
	ok(walk(0x1010, STACK + 0x100, &seen) == UNWIND_OK && seen.nr == 3 &&
	   seen.pc[1] == 0x1155 && seen.pc[2] == 0x1355, "a whole trace");
	put_stack(STACK + 0x108, 0x1355);
	ok(walk(0x1104, STACK + 0x108, &seen) == UNWIND_OK && seen.nr == 2,
	   "in the prologue, before the frame is made");
}

static void test_refused(void)
{
	static const struct {
		const char *what;
		uint64_t at, value;
		enum unwind_reason reason;
	} rows[] = {
		{ "a return address that follows no call", 0x118, 0x1356, UNWIND_NOT_A_CALL },
		{ "a return address of 0", 0x118, 0, UNWIND_NO_CODE },
		{ "the start of a function", 0x118, 0x1100, UNWIND_NOT_A_CALL },
		{ "code without CFI in the middle", 0x118, 0x1255, UNWIND_NO_CFI },
		{ "a stack address", 0x118, STACK + 0x200, UNWIND_NO_CODE },
		{ "unknown code", 0x100, 0x990000, UNWIND_NO_CODE },
	};
	struct seen seen;

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		good_stack();
		put_stack(STACK + rows[i].at, rows[i].value);
		enum unwind_reason got = walk(0x1010, STACK + 0x100, &seen);

		ok(got == rows[i].reason, "refused: %s (%s)", rows[i].what,
		   unwind_reason_name(got));
	}
	good_stack();
	w.end_is_good = false;
	ok(walk(0x1010, STACK + 0x100, &seen) == UNWIND_BAD_END, "refused: an end elsewhere");
	good_stack();
	w.object.refuse = UNWIND_TRANSITION;
	ok(walk(0x1010, STACK + 0x100, &seen) == UNWIND_TRANSITION, "refused: in transition");
	good_stack();
	w.object.refuse = UNWIND_ISLAND;
	ok(walk(0x1010, STACK + 0x100, &seen) == UNWIND_ISLAND, "refused: in an island");
	good_stack();
	ok(walk(0x1010, STACK + STACK_SIZE, &seen) == UNWIND_NO_MEMORY,
	   "refused: a stack that cannot be read");
}

/* A direct call in front of the return address: it must lead to the callee. */
static void test_call_target(void)
{
	static const struct {
		const char *what;
		uint64_t target;
		bool jumps;   /* the target jumps on to inner */
		bool thunk;   /* it returns to where a register says */
		enum unwind_reason reason;
	} rows[] = {
		{ "the callee itself", 0x1000, false, false, UNWIND_OK },
		{ "into the callee", 0x1020, false, false, UNWIND_OK },
		{ "another function", 0x1300, false, false, UNWIND_NOT_CALLEE },
		{ "another function that jumps there", 0x1300, true, false, UNWIND_OK },
		{ "a thunk of an indirect call", 0x1300, false, true, UNWIND_OK },
		{ "code without CFI", 0x1200, false, false, UNWIND_OK },
	};
	struct seen seen;

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		good_stack();
		w.code[0x150] = 0xe8;
		memset(w.code + 0x300, 0x90, 0xff); /* nops and a return */
		w.code[0x350] = 0xe8;               /* of start: over middle's entry */
		bytes_put(w.code + 0x351, 4, 0x1100 - 0x1355, false);
		w.code[0x3ff] = 0xc3;
		bytes_put(w.code + 0x151, 4, rows[i].target - 0x1155, false);
		if (rows[i].jumps) {
			w.code[0x300] = 0xe9;
			bytes_put(w.code + 0x301, 4, 0x1000 - 0x1305, false);
		}
		if (rows[i].thunk) /* mov %rax,(%rsp); ret */
			memcpy(w.code + 0x310, "\x48\x89\x04\x24\xc3", 5);
		enum unwind_reason got = walk(0x1010, STACK + 0x100, &seen);

		ok(got == rows[i].reason, "a call to %s: %s", rows[i].what,
		   unwind_reason_name(got));
	}
}

/* A stack of return addresses into a leaf that grows without end. */
static void test_ends(void)
{
	struct seen seen;

	build_world();
	w.code[0x53] = 0xff;
	w.code[0x54] = 0xd0;
	for (uint64_t at = 0; at < STACK_SIZE; at += 8)
		put_stack(STACK + at, 0x1055);
	ok(walk(0x1010, STACK, &seen) == UNWIND_NO_MEMORY, "a false stack ends at its mapping");
}

static void set_eh(void)
{
	w.object.eh.data = w.eh.data;
	w.object.eh.size = w.eh.size;
}

static void test_odd(void)
{
	static const uint8_t in_register[] = { DW_CFA_def_cfa, 5, 0, DW_CFA_register, 16, 1 };
	struct seen seen;

	good_stack();
	put_fde(0x1400, 0x100, in_register, sizeof(in_register));
	set_eh();
	regs_set(x86, &regs, (size_t)x86->col_off[5], STACK + 0x108);
	regs_set(x86, &regs, (size_t)x86->col_off[1], 0x1155);
	ok(walk(0x1410, STACK + 0x100, &seen) == UNWIND_ODD_FRAME,
	   "refused: the return address is in a register (longjmp)");
}

/* It has taken its return address off the stack, which its child uses. */
static void test_vfork(void)
{
	static const uint8_t taken[] = { DW_CFA_def_cfa_offset, 0, DW_CFA_register, 16, 5 };
	struct seen seen;

	good_stack();
	put_stack(STACK + 0x100, 0x1234);
	put_fde(0x1400, 0x100, taken, sizeof(taken));
	set_eh();
	regs_set(x86, &regs, (size_t)x86->col_off[5], 0x1155);
	ok(walk(0x1410, STACK + 0x108, &seen) == UNWIND_OK && seen.nr == 3 &&
	   seen.pc[1] == 0x1155, "the return address is in a register (vfork)");
	regs_set(x86, &regs, (size_t)x86->col_off[5], 0x1156);
	ok(walk(0x1410, STACK + 0x108, &seen) == UNWIND_NOT_A_CALL,
	   "refused: another value is in that register");
	/* As behind a call: its caller's frame, not its own. */
	put_stack(STACK + 0x100, 0x1410);
	memcpy(w.code + 0x40e, "\xff\xd0", 2);
	regs_set(x86, &regs, (size_t)x86->col_off[5], 0x1155);
	ok(walk(0x1010, STACK + 0x100, &seen) == UNWIND_ODD_FRAME,
	   "refused: it is nobody's caller while that is so");
}

/* The shadow stack has the same return addresses, or the trace is refused. */
static void test_shadow(void)
{
	struct seen seen;

	good_stack();
	w.shadow = STACK + 0x800;
	put_stack(STACK + 0x800, 0x1155);
	put_stack(STACK + 0x808, 0x1355);
	ok(walk(0x1010, STACK + 0x100, &seen) == UNWIND_OK, "a shadow stack that agrees");
	put_stack(STACK + 0x808, 0x1255);
	ok(walk(0x1010, STACK + 0x100, &seen) == UNWIND_SHADOW,
	   "refused: the shadow stack does not agree");
	w.shadow = STACK + STACK_SIZE;
	ok(walk(0x1010, STACK + 0x100, &seen) == UNWIND_SHADOW,
	   "refused: the shadow stack cannot be read");
}

static void test_limit(void)
{
	struct seen seen;

	good_stack();
	w.limit = STACK + 0x120;
	ok(walk(0x1010, STACK + 0x100, &seen) == UNWIND_OK, "up to the end of the mapping");
	w.limit = STACK + 0x110;
	ok(walk(0x1010, STACK + 0x100, &seen) == UNWIND_LEFT_STACK,
	   "refused: beyond the stack's mapping");
}

/* What the kernel leaves for the trampoline at 0x1400: pc and sp of the interrupted. */
static void put_signal(uint64_t at, uint64_t pc, uint64_t sp)
{
	put_stack(at + 40 + 16 * 8, pc);
	put_stack(at + 40 + 15 * 8, sp);
}

/* A handler on a stack of its own, and two that lead back and forth for ever. */
static void test_signal_stacks(void)
{
	struct seen seen;

	good_stack();
	memcpy(w.code + 0x400, x86->unwind->trampoline, x86->unwind->trampoline_size);
	put_stack(STACK + 0x800, 0x1400);
	put_signal(STACK + 0x808, 0x1004, STACK + 0x100);
	ok(walk(0x1020, STACK + 0x800, &seen) == UNWIND_OK && seen.nr == 5 &&
	   seen.pc[1] == 0x1400 && seen.pc[2] == 0x1004 && seen.pc[3] == 0x1155,
	   "a handler on another stack");
	put_stack(STACK + 0x100, 0x1400);
	put_signal(STACK + 0x108, 0x1004, STACK + 0x800);
	ok(walk(0x1020, STACK + 0x800, &seen) == UNWIND_ENTERED_TWICE,
	   "refused: a stack that was left is entered again");
	good_stack();
	put_stack(STACK + 0x800, 0x1402);
	ok(walk(0x1020, STACK + 0x800, &seen) != UNWIND_OK,
	   "refused: a handler that returns behind the trampoline's beginning");
}

/* A CFA in a register that calls do not keep: known only if the callee leaves it. */
static void test_clobbered(void)
{
	static const uint8_t in_rax[] = { DW_CFA_def_cfa, 0, 16 };
	static const uint8_t none[] = { DW_CFA_nop };
	struct seen seen;

	for (unsigned writes = 0; writes < 2; writes++) {
		good_stack();
		put_fde(0x1400, 0x100, in_rax, sizeof(in_rax));
		put_fde(0x1500, 0x10, none, sizeof(none));
		set_eh();
		memset(w.code + 0x500, 0x90, 15);
		w.code[0x50f] = 0xc3;
		if (writes)
			memcpy(w.code + 0x504, "\x31\xc0", 2); /* xor %eax,%eax */
		w.code[0x453] = 0xff;
		w.code[0x454] = 0xd3; /* call *%rbx */
		regs_set(x86, &regs, (size_t)x86->col_off[3], 0x1500);
		regs_set(x86, &regs, (size_t)x86->col_off[0], STACK + 0x108);
		put_stack(STACK + 0xf8, 0x1455);
		put_stack(STACK + 0x110, 0x1355);
		enum unwind_reason got = walk(0x1502, STACK + 0xf8, &seen);

		ok(got == (writes ? UNWIND_NO_REGISTER : UNWIND_OK),
		   "a CFA in rax under a callee that %s it: %s", writes ? "writes" : "leaves",
		   unwind_reason_name(got));
	}
}

/* The caller's register tells where it called: another function is refused. */
static void test_call_operand(void)
{
	struct seen seen;

	good_stack();
	memset(w.code + 0x300, 0x90, 0x100);
	w.code[0x354] = 0xd3;
	w.code[0x353] = 0xff; /* start calls *%rbx, which middle leaves alone */
	w.code[0x3ff] = 0xc3;
	regs_set(x86, &regs, (size_t)x86->col_off[3], 0x1100);
	ok(walk(0x1010, STACK + 0x100, &seen) == UNWIND_OK, "a call by a register that is kept");
	regs_set(x86, &regs, (size_t)x86->col_off[3], 0x1300);
	ok(walk(0x1010, STACK + 0x100, &seen) == UNWIND_NOT_CALLEE,
	   "refused: the register says another function");
}

static void put_code(unsigned at, const char *bytes, size_t size)
{
	memcpy(w.code + at, bytes, size);
}

/* Stubs and start-up code without CFI, at each of their instructions. */
static void test_bare(void)
{
	static const struct {
		const char *what, *code;
		size_t size;
		struct { unsigned at; int sp; } places[8]; /* sp: from the return address */
	} rows[] = {
		{ "a lazy PLT entry", "\xff\x25\0\0\0\0\x68\1\0\0\0\xe9\0\0\0\0", 16,
		  { { 0, 0 }, { 6, 0 }, { 11, -8 } } },
		{ "the first PLT entry", "\xff\x35\0\0\0\0\xff\x25\0\0\0\0", 12,
		  { { 0, -8 }, { 6, -16 } } },
		/* sub $8,%rsp; mov %rbx,%rax; test; je 1f; call *%rax; 1: add $8,%rsp; ret */
		{ ".init", "\x48\x83\xec\x08\x48\x89\xd8\x48\x85\xc0\x74\x02\xff\xd0"
		  "\x48\x83\xc4\x08\xc3", 19,
		  { { 0, 0 }, { 4, -8 }, { 7, -8 }, { 10, -8 }, { 14, -8 }, { 18, 0 } } },
		/* cmpl; jne 1f; push %rbp; mov %rsp,%rbp; call *%rbx; pop %rbp; ret; 1: ret */
		{ "the destructors' function", "\x83\xf8\x00\x75\x08\x55\x48\x89\xe5\xff"
		  "\xd3\x5d\xc3\xc3", 14,
		  { { 0, 0 }, { 3, 0 }, { 5, 0 }, { 6, -8 }, { 9, -8 }, { 11, -8 }, { 12, 0 } } },
	};
	struct seen seen;

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
		for (unsigned j = 0; !j || rows[i].places[j].at; j++) {
			good_stack();
			w.object.may_lack_cfi = true;
			put_code(0x240, rows[i].code, rows[i].size);
			put_stack(STACK + 0x100, 0x1155);
			enum unwind_reason got = walk(
				0x1240 + rows[i].places[j].at,
				(uint64_t)(STACK + 0x100 + rows[i].places[j].sp), &seen);

			ok(got == UNWIND_OK && seen.nr == 3, "%s at %u: %s", rows[i].what,
			   rows[i].places[j].at, unwind_reason_name(got));
		}
	good_stack();
	w.object.may_lack_cfi = true;
	put_code(0x240, "\x48\x83\xe4\xc0\xc3", 5); /* and $-64,%rsp; ret */
	ok(walk(0x1240, STACK + 0x100, &seen) == UNWIND_NO_CFI,
	   "refused: code that aligns the stack");
	good_stack();
	w.object.may_lack_cfi = true;
	put_code(0x240, "\x74\x01\x58\xc3", 4); /* je 1f; pop %rax; 1: ret */
	ok(walk(0x1240, STACK + 0x100, &seen) == UNWIND_NO_CFI,
	   "refused: ways that end differently");
}

/*
 * The cache keeps sites by pc: neither 0, which an empty or refused site could be
 * taken for, nor an address whose upper bits are lost may find one.
 */
static void test_cache_keys(void)
{
	struct unwinder u = { .arch = x86, .read = read_mem, .find_code = find_code,
			      .is_end = is_end, .cache = unwind_cache_new() };
	struct seen seen = { 0 };

	for (unsigned i = 0; i < 2; i++) {
		good_stack();
		regs_set(x86, &regs, x86->pc_off, 0x1010);
		regs_set(x86, &regs, x86->sp_off, STACK + 0x100);
		ok(unwind_walk(&u, &regs, note, &seen) == UNWIND_OK, "a good walk fills the cache");
		put_stack(STACK + 0x118, UINT64_C(0x8000000000001355));
		ok(unwind_walk(&u, &regs, note, &seen) == UNWIND_NO_CODE,
		   "refused: the same address with its highest bit set");
		regs_set(x86, &regs, x86->pc_off, 0);
		ok(unwind_walk(&u, &regs, note, &seen) == UNWIND_NO_CODE, "refused: a pc of 0");
		regs_set(x86, &regs, x86->pc_off, UINT64_C(0x8000000000001010));
		ok(unwind_walk(&u, &regs, note, &seen) == UNWIND_NO_CODE,
		   "refused: a pc with its highest bit set");
	}
	unwind_cache_free(u.cache);
}

/* The plain walk goes on behind what is not to be trusted, and says so. */
static void test_plain(void)
{
	struct unwinder u = { .arch = x86, .read = read_mem, .find_code = find_code,
			      .is_end = is_end };
	struct seen seen = { 0 };

	good_stack();
	w.code[0x154] = 0; /* no call in front of middle's pc any more */
	regs_set(x86, &regs, x86->pc_off, 0x1010);
	regs_set(x86, &regs, x86->sp_off, STACK + 0x100);
	ok(unwind_walk(&u, &regs, note, &seen) == UNWIND_NOT_A_CALL && seen.nr == 2,
	   "the reliable walk ends");
	seen.nr = 0;
	ok(unwind_walk_plain(&u, &regs, note, &seen) == UNWIND_NOT_A_CALL && seen.nr == 3 &&
	   seen.pc[2] == 0x1355, "the plain walk goes on, with the same verdict");
}

static bool read_word(void *arg, uint64_t addr, uint64_t *value)
{
	return read_mem(arg, addr, value, 8);
}

static void test_expressions(void)
{
	static const struct {
		const char *what;
		uint8_t ops[12];
		size_t size;
		bool good;
		uint64_t value;
	} rows[] = {
		{ "lit", { DW_OP_lit5 }, 1, true, 5 },
		{ "plus", { DW_OP_lit5, DW_OP_lit7, DW_OP_plus }, 3, true, 12 },
		{ "breg7+8", { DW_OP_breg7, 8 }, 2, true, STACK + 8 },
		/* the CFA of a lazy PLT entry */
		{ "plt", { DW_OP_breg7, 8, DW_OP_lit15, DW_OP_lit11, DW_OP_ge, DW_OP_lit3,
			   DW_OP_shl, DW_OP_plus }, 8, true, STACK + 8 + 8 },
		{ "deref", { DW_OP_breg7, 0, DW_OP_deref }, 3, true, 0x1234 },
		{ "deref_size", { DW_OP_breg7, 0, DW_OP_deref_size, 1 }, 4, true, 0x34 },
		{ "div", { DW_OP_lit9, DW_OP_neg, DW_OP_lit2, DW_OP_div }, 4, true, (uint64_t)-4 },
		{ "mod", { DW_OP_lit9, DW_OP_lit4, DW_OP_mod }, 3, true, 1 },
		{ "by zero", { DW_OP_lit9, DW_OP_lit0, DW_OP_div }, 3, false, 0 },
		{ "empty stack", { DW_OP_plus }, 1, false, 0 },
		{ "unknown op", { 0xff }, 1, false, 0 },
		{ "endless", { DW_OP_skip, 0xfd, 0xff }, 3, false, 0 },
		{ "cut short", { DW_OP_const8u, 1, 2 }, 3, false, 0 },
		{ "unknown register", { DW_OP_breg3, 0 }, 2, false, 0 },
	};
	uint64_t cols[32] = { 0 };
	uint64_t known[ARCH_MASK] = { 0 };
	struct cfi_machine m = { cols, known, 32, false, read_word, NULL };

	build_world();
	put_stack(STACK, 0x1234);
	cols[7] = STACK;
	known[0] = 1u << 7;
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		struct cfi_expr expr = { rows[i].ops, rows[i].size };
		uint64_t value = 0;
		bool good;

		good = cfi_eval(&expr, &m, false, 0, &value);
		ok(good == rows[i].good && (!good || value == rows[i].value),
		   "expression: %s", rows[i].what);
	}
}

static void count_rules(void *arg, uint64_t start, uint64_t end, const struct cfi_row *row)
{
	(void)start, (void)end;
	*(unsigned *)arg = row->nr_rules;
}

/* ppc64's signal trampoline: every general and every floating point register. */
static void test_many_rules(void)
{
	uint8_t insns[3 * 70];
	struct eh_section eh = { 0 };
	struct eh_fde fde = { .pc_begin = CODE, .pc_size = 16, .insns = insns,
			      .cie = { .ra_col = 65, .code_align = 4, .data_align = -8 } };
	unsigned nr = 0;
	struct err *err;

	for (uint8_t col = 0; col < 66; col++) {
		insns[fde.insns_size++] = DW_CFA_offset_extended;
		insns[fde.insns_size++] = col;
		insns[fde.insns_size++] = 1;
	}
	err = cfi_rows(&arch_ppc64le, &eh, &fde, count_rules, &nr);
	ok(!err && nr == 66, "a rule for each of 66 columns: %u", nr);
	err_free(err);
}

int main(void)
{
	test_good();
	test_many_rules();
	test_refused();
	test_call_target();
	test_ends();
	test_odd();
	test_vfork();
	test_shadow();
	test_limit();
	test_signal_stacks();
	test_clobbered();
	test_call_operand();
	test_bare();
	test_plain();
	test_cache_keys();
	test_expressions();
	buf_done(&w.eh);
	return tap_done();
}
