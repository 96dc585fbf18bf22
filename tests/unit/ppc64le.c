/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ppc64le: code as it is written and moved, relocations, the dispatcher's way back. */
#include <elf.h>
#include <string.h>

#include "tap.h"
#include "words.h"

enum { R0 = 0, R1 = 8, R3 = 24, R9 = 72, R12 = 96, NIP = 256, MSR = 264, ORIG = 272, CCR = 304,
       TRAP = 320, SO = 0x10000000 };

static const struct arch *ppc;

static void test_jumps(void)
{
	static const struct {
		uint64_t at, target;
		uint32_t word; /* 0: out of reach */
	} rows[] = {
		{ 0x1000, 0x1000, 0x48000000 },
		{ 0x1000, 0x2000, 0x48001000 },
		{ 0x2000, 0x1ffc, 0x4bfffffc },
		{ 0, 0x1fffffc, 0x49fffffc },
		{ 0x2000000, 0, 0x4a000000 },
		{ 0, 0x2000000, 0 },
	};
	/* li; sldi; oris; ld; mtctr; bctr */
	static const uint32_t through[] = { 0x39807fff, 0x798c07c6, 0x658ca123, 0xe98c8ff8,
					    0x7d8903a6, 0x4e800420 };
	uint8_t out[32];
	bool same = true;

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		bool done = ppc->put_jump(out, rows[i].at, rows[i].target);

		ok(done == (rows[i].word != 0) && (!done || word_at(out) == rows[i].word),
		   "b from %#lx to %#lx", (unsigned long)rows[i].at,
		   (unsigned long)rows[i].target);
	}
	/* The lowest half counts with its sign: the one above is one more. */
	same = ppc->put_far_jump(out, 0, UINT64_C(0x7fffa1228ff8));
	for (unsigned i = 0; i < ARRAY_SIZE(through); i++)
		same &= word_at(out + 4 * i) == through[i];
	ok(same, "a jump through a slot");
	ok(ppc->put_call_stub(out, 0, UINT64_C(0x7fffa1228ff8)) && word_at(out) == 0xf8410018 &&
	   word_at(out + 4) == through[0], "a call through a slot keeps r2");
	ok(!ppc->put_far_jump(out, 0, 0x13014), "slots are aligned");
	put_word(out, 0x60000000);
	ok(ppc->put_restore(out) && word_at(out) == 0xe8410018 && ppc->put_restore(out),
	   "r2 is restored where there is a nop");
	put_word(out, 0x7c0803a6);
	ok(!ppc->put_restore(out), "and nowhere else");
}

static void test_entries(void)
{
	static const struct { uint32_t first, second; size_t keep; } rows[] = {
		{ 0x3c4c0002, 0x38428100, 8 }, /* addis r2,r12; addi r2,r2 */
		{ 0x3c401002, 0x38428100, 8 }, /* lis r2; addi r2,r2 */
		{ 0x3c4c0002, 0x7c0802a6, 0 },
		{ 0x7c0802a6, 0xf8010010, 0 },
	};
	uint8_t code[8];

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		put_word(code, rows[i].first);
		put_word(code + 4, rows[i].second);
		ok(ppc->entry_keep(code, 8) == rows[i].keep, "%08x %08x: local entry at %zu",
		   rows[i].first, rows[i].second, rows[i].keep);
	}
	put_word(code, 0x48000010);
	ok(ppc->is_exchangeable(code), "b may be exchanged");
	put_word(code, 0x60000000);
	ok(ppc->is_exchangeable(code), "the preferred nop, too");
	put_word(code, 0x7c0802a6);
	ok(!ppc->is_exchangeable(code), "mflr may not");
}

/* At 0x40000000 in front, moved 16 MiB on. */
static void test_moves(void)
{
	enum { FROM = 0x40000000, TO = 0x41000000 };
	static const struct {
		uint32_t word;
		const char *what;
		unsigned nr;
		uint32_t moved[3]; /* nr 0: cannot be moved */
	} rows[] = {
		{ 0x60000000, "nop", 1, { 0x60000000 } },
		{ 0x7c0802a6, "mflr r0", 1, { 0x7c0802a6 } },
		{ 0x48000040, "b +64", 1, { 0x4b000040 } },
		{ 0x48000041, "bl +64", 1, { 0x4b000041 } },
		{ 0x41820010, "beq +16", 3, { 0x41820008, 0x48000008, 0x4b000008 } },
		{ 0x42000010, "bdnz +16", 3, { 0x42000008, 0x48000008, 0x4b000008 } },
		{ 0x429f0005, "bcl 20,31,+4", 0, { 0 } },
		{ 0x4c400004, "addpcis r2", 0, { 0 } },
		{ 0x06100000, "a prefix", 0, { 0 } },
	};
	uint8_t code[4], out[16];
	struct insn insn;

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		bool same = true;
		size_t size;

		put_word(code, rows[i].word);
		ppc->decode(code, 4, FROM, &insn);
		size = ppc->move_insn(code, &insn, TO, out);
		for (unsigned j = 0; j < rows[i].nr; j++)
			same &= word_at(out + 4 * j) == rows[i].moved[j];
		ok(size == 4 * rows[i].nr && same, "%s is moved", rows[i].what);
	}
}

static void test_fields(void)
{
	static const struct {
		uint32_t type, before;
		uint64_t value;
		uint32_t after; /* 0: does not fit */
	} rows[] = {
		{ R_PPC64_REL24, 0x48000001, (uint64_t)-8, 0x4bfffff9 },
		{ R_PPC64_REL24, 0x48000001, 0x2000000, 0 },
		{ R_PPC64_TOC16_HA, 0x3d220000, 0x18000, 0x3d220002 },
		{ R_PPC64_TOC16_HA, 0x3d220000, (uint64_t)-0x8001, 0x3d22ffff },
		{ R_PPC64_TOC16_HA, 0x3d220000, UINT64_C(1) << 31, 0 },
		{ R_PPC64_TOC16_LO, 0x39290000, 0x18004, 0x39298004 },
		{ R_PPC64_TOC16_LO_DS, 0xe9290002, 0x18004, 0xe9298006 },
		{ R_PPC64_TOC16_LO_DS, 0xe9290000, 0x18002, 0 },
		{ R_PPC64_TPREL16_LO, 0x394a0000, (uint64_t)-0x7000, 0x394a9000 },
	};
	uint8_t code[4];

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct reloc_type *type = arch_reloc(ppc, rows[i].type);
		bool done;

		put_word(code, rows[i].before);
		done = type && ppc->put_field(code, type, rows[i].value);
		ok(done == (rows[i].after != 0) && (!done || word_at(code) == rows[i].after),
		   "%s of %#lx", type ? type->name : "?", (unsigned long)rows[i].value);
	}
}

/* An interrupted call is begun again by the frame, with no tool. */
static void test_frame(void)
{
	enum { GP = 232, V_REGS = 880 };
	static uint8_t frame[2048], fp[REMOTE_FP_MAX];
	struct regs regs = { 0 }, call;
	struct arch_remote_request req = { .regs = &regs, .fp = fp, .fp_size = 1064,
					   .mask = 0x1234, .code = 0x5000, .frame = 0x7000 };
	uint64_t back;

	regs_set(ppc, &regs, NIP, 0x1004);
	regs_set(ppc, &regs, R3, 512);
	regs_set(ppc, &regs, ORIG, 77);
	regs_set(ppc, &regs, CCR, SO);
	regs_set(ppc, &regs, TRAP, 0xc00);
	ok(ppc->remote_frame(&req, frame, &call, &back) &&
	   bytes_get(frame + GP + NIP, 8, false) == 0x1000 &&
	   bytes_get(frame + GP + R3, 8, false) == 77, "a read() is begun again");
	ok(regs_get(ppc, &call, NIP) == 0x5000 && regs_get(ppc, &call, R1) == 0x7000 &&
	   !regs_get(ppc, &call, TRAP), "and none by the kernel");
	ok(bytes_get(frame + V_REGS, 8, false) == 0x7000 + 896 &&
	   bytes_get(frame + GP + MSR, 8, false) == 0x2800000, "its vectors count");
	regs_set(ppc, &regs, TRAP, 0);
	ok(ppc->remote_frame(&req, frame, &call, &back) &&
	   bytes_get(frame + GP + R3, 8, false) == 512, "a number is only a number");
	regs_set(ppc, &regs, MSR, UINT64_C(1) << 33);
	ok(!ppc->remote_frame(&req, frame, &call, &back), "not in a transaction");
	regs_set(ppc, &regs, R0, 238);
	regs_set(ppc, &regs, R3, 4);
	regs_set(ppc, &regs, TRAP, 0xc00);
	ok(regs_fix_eintr(ppc, &regs) && regs_get(ppc, &regs, R3) == 514,
	   "epoll_wait() by sc is begun again");
	regs_set(ppc, &regs, R3, (uint64_t)-4);
	regs_set(ppc, &regs, TRAP, 0x3000);
	ok(regs_fix_eintr(ppc, &regs) && regs_get(ppc, &regs, R3) == (uint64_t)-514,
	   "and by scv");
	/* What the kernel does with the word that it was given: its lowest bit stays. */
	ok(ppc->begins_again(&regs), "an interrupted call would be begun again");
	regs_set(ppc, &regs, R3, (uint64_t)-4);
	regs_set(ppc, &regs, TRAP, 0x3001);
	ok(!ppc->begins_again(&regs) && !regs_fix_eintr(ppc, &regs),
	   "not behind the kernel's first look for signals, and none is made to be");
}

static bool read_stack(void *arg, uint64_t addr, uint64_t *value)
{
	const uint64_t *stack = arg;

	*value = stack[(addr - (0x7000 - 320)) / 8];
	return true;
}

static void test_undo(void)
{
	static const unsigned offs[] = { 0, 4, 8, 12, 28, 56, 60, 100, 108, 120, 148, 172, 176, 180, 196 };
	uint64_t stack[3] = { 100, 101, 102 };
	struct regs regs = { 0 };

	for (unsigned i = 0; i < ARRAY_SIZE(offs); i++) {
		struct arch_undone undone = { 0 };
		unsigned off = offs[i];
		bool done;

		for (unsigned n = 0; n < 3; n++)
			regs_set(ppc, &regs, R9 + 8 * n, off < 12 ? 100 + n : 7);
		regs_set(ppc, &regs, R12, 0x5000);
		regs_set(ppc, &regs, R1, 0x7000);
		done = arch_dispatch_undo(ppc, &regs, false, off, &undone, read_stack, stack);
		if (off > 176) {
			ok(!done, "at %u it is on its way out", off);
			continue;
		}
		ok(done && undone.has_looked == (off >= 56) && undone.pair == 0x5000 &&
		   regs_get(ppc, &regs, R9) == 100 && regs_get(ppc, &regs, R9 + 8) == 101 &&
		   regs_get(ppc, &regs, R9 + 16) == 102, "undone at %u", off);
	}
}

/* What reaches a variable from r2, and what another link of the same code changes of it. */
static void test_addresses(void)
{
	static const struct {
		uint32_t word;
		int reg, changes;
		bool is_page, is_sum;
		uint64_t low;
		uint32_t cleared;
		const char *what;
	} rows[] = {
		{ 0x3d42fffe, 2, 10, true, true, -UINT64_C(0x20000), 0x3d420000, "addis r10,r2,-2" },
		{ 0x394a9250, 10, 10, false, true, -UINT64_C(0x6db0), 0x394a0000, "addi r10,r10" },
		{ 0x812281a0, 2, 9, false, false, -UINT64_C(0x7e60), 0x81220000, "lwz r9,(r2)" },
		{ 0x912281a0, 2, -1, false, false, -UINT64_C(0x7e60), 0x91220000, "stw r9,(r2)" },
		{ 0xe9228029, 2, 9, false, false, -UINT64_C(0x7fd8), 0xe9220001, "ldu r9,(r2)" },
		{ 0xf4028019, 2, -1, false, false, -UINT64_C(0x7ff0), 0xf4020009, "lxv vs0,(r2)" },
		{ 0x3c4c0002, 12, 2, true, true, 0x20000, 0x3c4c0000, "addis r2,r12,2" },
		{ 0x3c401002, -1, 2, true, false, 0, 0, "lis r2" },
		{ 0x3c601002, -1, 3, false, false, 0, 0, "lis r3" },
		{ 0x38600005, -1, 3, false, false, 0, 0, "li r3" },
		{ 0x38210090, -1, 1, false, false, 0, 0, "addi r1,r1" },
		{ 0xe8410018, -1, -1, false, false, 0, 0, "ld r2,24(r1)" },
		{ 0x7c671b78, -1, 7, false, false, 0, 0, "mr r7,r3" },
		{ 0x7c6a1aaa, -1, 3, false, false, 0, 0, "lwax r3,r10,r3" },
		{ 0x7d3f4a14, -1, 9, false, false, 0, 0, "add r9,r31,r9" },
		{ 0x7d2a492e, -1, -1, false, false, 0, 0, "stwx r9,r10,r9" },
		{ 0x7c3f1800, -1, -1, false, false, 0, 0, "cmpd r31,r3" },
		{ 0x7c0803a6, -1, -1, false, false, 0, 0, "mtlr r0" },
		{ 0x54631838, -1, 3, false, false, 0, 0, "rlwinm r3,r3" },
		{ 0x60420000, -1, -1, false, false, 0, 0, "ori r2,r2,0" },
		{ 0x60000000, -1, -1, false, false, 0, 0, "nop" },
	};
	uint8_t code[4];
	struct insn insn;

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		put_word(code, rows[i].word);
		ok(ppc->decode(code, 4, 0x1000, &insn) && insn.page_reg == rows[i].reg &&
		   insn.changes == rows[i].changes && insn.is_page == rows[i].is_page &&
		   insn.is_sum == rows[i].is_sum && (rows[i].reg < 0 || insn.low == rows[i].low),
		   "%s", rows[i].what);
		if (rows[i].reg < 0)
			continue;
		ppc->clear_address(code, &insn);
		ok(word_at(code) == rows[i].cleared, "%s, cleared", rows[i].what);
	}
	put_word(code, 0x4bffffb1);
	ppc->decode(code, 4, 0x1000, &insn);
	ppc->clear_address(code, &insn);
	ok(word_at(code) == 0x48000001, "bl, cleared");
	put_word(code, 0x41820010);
	ppc->decode(code, 4, 0x1000, &insn);
	ppc->clear_address(code, &insn);
	ok(word_at(code) == 0x41820000, "beq, cleared");
}

int main(void)
{
	ppc = arch_find(EM_PPC64);
	test_jumps();
	test_entries();
	test_addresses();
	test_moves();
	test_fields();
	test_frame();
	test_undo();
	return tap_done();
}
