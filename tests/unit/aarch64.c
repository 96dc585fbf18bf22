/* SPDX-License-Identifier: GPL-2.0-or-later */
/* arm64: code as it is written and moved, relocations, the dispatcher's way back. */
#include <elf.h>
#include <string.h>

#include "tap.h"
#include "words.h"

static const struct arch *arm;

static void test_jumps(void)
{
	static const struct {
		uint64_t at, target;
		uint32_t word; /* 0: out of reach */
	} rows[] = {
		{ 0x1000, 0x1000, 0x14000000 },
		{ 0x1000, 0x2000, 0x14000400 },
		{ 0x2000, 0x1ffc, 0x17ffffff },
		{ 0, 0x7fffffc, 0x15ffffff },
		{ 0x8000000, 0, 0x16000000 },
		{ 0, 0x8000000, 0 },
		{ 0x8000004, 0, 0 },
	};
	uint8_t out[16];
	uint64_t slot, first, last;

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		bool done = arm->put_jump(out, rows[i].at, rows[i].target);

		ok(done == (rows[i].word != 0) && (!done || word_at(out) == rows[i].word),
		   "b from %#lx to %#lx", (unsigned long)rows[i].at,
		   (unsigned long)rows[i].target);
	}
	/* adrp x16, 0x13000; ldr x16, [x16, #24]; br x16 */
	ok(arm->put_far_jump(out, 0x10ff8, 0x13018) && word_at(out) == 0xf0000010 &&
	   word_at(out + 4) == 0xf9400e10 && word_at(out + 8) == 0xd61f0200, "a jump through a slot");
	ok(!arm->put_far_jump(out, 0, 0x13014), "slots are aligned");
	arm->jump_window(out, 4, 0x10000000, &first, &last);
	ok(first == 0x8000000 && last == 0x17fffffc, "how far it leads");
	/* A PLT entry: adrp x16; ldr x17, [x16, #0x20]; add; br x17 */
	put_word(out, 0xf0000090);
	put_word(out + 4, 0xf9401211);
	put_word(out + 8, 0x91008210);
	put_word(out + 12, 0xd61f0220);
	ok(arm->stub_slot(out, 16, 0x1000, &slot) && slot == 0x14020, "a PLT entry's slot");
}

/* At 0x40000000 in front, moved 64 MiB on. */
static void test_moves(void)
{
	enum { FROM = 0x40000000, TO = 0x44000000 };
	static const struct {
		uint32_t word;
		const char *what;
		unsigned nr;
		uint32_t moved[3]; /* nr 0: cannot be moved */
	} rows[] = {
		{ 0xd503201f, "nop", 1, { 0xd503201f } },
		{ 0xa9bf7bfd, "stp", 1, { 0xa9bf7bfd } },
		{ 0x14000010, "b +64", 1, { 0x17000010 } },
		{ 0x94000010, "bl +64", 1, { 0x97000010 } },
		{ 0x54000080, "b.eq +16", 3, { 0x54000040, 0x14000002, 0x16fffffe + 4 } },
		{ 0xb4000080, "cbz +16", 3, { 0xb4000040, 0x14000002, 0x16fffffe + 4 } },
		{ 0x36180080, "tbz +16", 3, { 0x36180040, 0x14000002, 0x16fffffe + 4 } },
		{ 0x90000003, "adrp x3, this page", 1, { 0x90fe0003 } },
		{ 0x10000043, "adr x3, +8", 2, { 0x90fe0003, 0x91002063 } },
		{ 0x58000043, "ldr x3, +8", 2, { 0x90fe0003, 0xf9400463 } },
		{ 0x18000043, "ldr w3, +8", 2, { 0x90fe0003, 0xb9400863 } },
		{ 0x98000043, "ldrsw x3, +8", 2, { 0x90fe0003, 0xb9800863 } },
		{ 0x1c000043, "ldr s3, +8", 0, { 0 } },
	};
	uint8_t code[4], out[16];
	struct insn insn;

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		bool same = true;
		size_t size;

		put_word(code, rows[i].word);
		arm->decode(code, 4, FROM, &insn);
		size = arm->move_insn(code, &insn, TO, out);
		for (unsigned j = 0; j < rows[i].nr; j++)
			same &= word_at(out + 4 * j) == rows[i].moved[j];
		ok(size == 4 * rows[i].nr && same, "%s is moved: %x %x %x", rows[i].what,
		   word_at(out), word_at(out + 4), word_at(out + 8));
	}
}

static void test_exchange(void)
{
	static const struct {
		uint32_t word;
		bool may;
	} rows[] = {
		{ 0x14000000, true }, { 0x94000001, true }, { 0xd503201f, true },
		{ 0xd4200000, true }, { 0xd4000001, true }, { 0xd4000002, true },
		{ 0xd4000003, true }, { 0xd5033fdf, true },
		{ 0xa9bf7bfd, false }, { 0xd503233f, false }, { 0xd503245f, false },
		{ 0x52800000, false }, { 0xd65f03c0, false }, { 0x54000000, false },
	};
	uint8_t code[4];

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		put_word(code, rows[i].word);
		ok(arm->is_exchangeable(code) == rows[i].may, "%08x may%s be exchanged",
		   rows[i].word, rows[i].may ? "" : " not");
	}
	put_word(code, 0xd503245f);
	ok(arm->entry_keep(code, 4) == 4, "bti c keeps its place");
	for (unsigned key = 0; key < 2; key++) {
		uint8_t out[16] = { 0 };
		size_t size;

		put_word(code, key ? 0xd503237f : 0xd503233f);
		ok(arm->entry_keep(code, 4) == 4 &&
		   arm->put_undo(out, code, 0x1000, 0x2000, &size) && size == 8 &&
		   word_at(out) == (key ? 0xd50323ff : 0xd50323bf) &&
		   word_at(out + 4) == 0x140003ff,
		   "pacia/bsp, too, and is undone in front of the new function");
	}
	put_word(code, 0xd503245f);
	{
		uint8_t out[16];
		size_t size = 1;

		ok(arm->put_undo(out, code, 0, UINT64_C(1) << 40, &size) && !size,
		   "bti c has done nothing");
		put_word(code, 0xd503233f);
		ok(!arm->put_undo(out, code, 0, UINT64_C(1) << 40, &size), "out of reach");
	}
	ok(arm->is_mark("$x") && arm->is_mark("$d.12") && !arm->is_mark("$xy") &&
	   !arm->is_mark("x"), "mapping symbols");
}

static void test_fields(void)
{
	static const struct {
		uint32_t type, before;
		uint64_t value;
		uint32_t after; /* 0: does not fit */
	} rows[] = {
		{ R_AARCH64_CALL26, 0x94000000, (uint64_t)-8, 0x97fffffe },
		{ R_AARCH64_JUMP26, 0x14000000, 0x8000000, 0 },
		{ R_AARCH64_CONDBR19, 0x54000001, 0x1000, 0x54008001 },
		{ R_AARCH64_TSTBR14, 0x36000000, 0x8000, 0 },
		{ R_AARCH64_ADR_PREL_PG_HI21, 0x90000005, 0x3000, 0xf0000005 },
		{ R_AARCH64_ADR_PREL_PG_HI21, 0x90000000, UINT64_C(1) << 32, 0 },
		{ R_AARCH64_ADD_ABS_LO12_NC, 0x91000021, 0x12345678, 0x9119e021 },
		{ R_AARCH64_LDST64_ABS_LO12_NC, 0xf9400021, 0x678, 0xf9433c21 },
		{ R_AARCH64_LDST64_ABS_LO12_NC, 0xf9400021, 0x67c, 0 },
		{ R_AARCH64_LDST8_ABS_LO12_NC, 0x39400021, 0x679, 0x3959e421 },
		{ R_AARCH64_TLSLE_ADD_TPREL_HI12, 0x91400000, 0x2010, 0x91400800 },
		/* ldr x1, [x0]; add x0, x0, 0; blr x1: the first loads x0, the others go */
		{ R_AARCH64_TLSDESC_LD64_LO12, 0xf9400001, 0x4018, 0xf9400c00 },
		{ R_AARCH64_TLSDESC_LD64_LO12, 0xf9400001, 0x4014, 0 },
		{ R_AARCH64_TLSDESC_ADD_LO12, 0x91000000, 0x4018, 0xd503201f },
		{ R_AARCH64_TLSDESC_CALL, 0xd63f0020, 0x4018, 0xd503201f },
		{ R_AARCH64_MOVW_UABS_G1_NC, 0xf2a00001, 0x12345678, 0xf2a24681 },
	};
	uint8_t code[4];

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct reloc_type *type = arch_reloc(arm, rows[i].type);
		bool done;

		put_word(code, rows[i].before);
		done = type && arm->put_field(code, type, rows[i].value);
		ok(done == (rows[i].after != 0) && (!done || word_at(code) == rows[i].after),
		   "%s: %08x", type ? type->name : "?", word_at(code));
	}
}

static void test_descriptor(void)
{
	uint8_t code[ARCH_DESC_MAX];
	uint32_t loads[] = { 0xf9400400, 0xf9400401 };

	for (unsigned i = 0; i < 2; i++) {
		put_word(code, loads[i]);
		put_word(code + 4, 0xd65f03c0);
		put_word(code + 8, 0);
		ok(arm->desc_is_static(code) == !i, "%08x; ret", loads[i]);
		put_word(code, 0xd503245f);
		put_word(code + 4, loads[i]);
		put_word(code + 8, 0xd65f03c0);
		ok(arm->desc_is_static(code) == !i, "bti c; %08x; ret", loads[i]);
	}
}

static bool read_stack(void *arg, uint64_t addr, uint64_t *value)
{
	const uint64_t *stack = arg;

	*value = stack[(addr - 0x7000) / 8];
	return true;
}

static void test_undo(void)
{
	uint64_t stack[4] = { 100, 101, 102, 0 };
	struct arch_undone undone = { 0 };
	struct regs regs = { 0 };

	for (unsigned off = 0; off <= 156; off += 4) {
		bool done;

		for (unsigned n = 0; n < 3; n++)
			regs_set(arm, &regs, 8 * n, off < 8 ? 100 + n : 7);
		regs_set(arm, &regs, 8 * 16, 0x5000);
		regs_set(arm, &regs, arm->sp_off, off ? 0x7000 : 0x7020);
		done = arch_dispatch_undo(arm, &regs, false, off, &undone, read_stack, stack);
		if (off > 144) {
			ok(!done, "at %u it is on its way out", off);
			continue;
		}
		ok(done && undone.has_looked == (off >= 32) && undone.pair == 0x5000 &&
		   regs_get(arm, &regs, 0) == 100 &&
		   regs_get(arm, &regs, 8) == 101 && regs_get(arm, &regs, 16) == 102 &&
		   regs_sp(arm, &regs) == 0x7020, "undone at %u", off);
	}
}

/* A thread that stands where a branch has led it goes elsewhere as if none had (BTI). */
static void test_no_branch(void)
{
	enum { PSTATE = 8 * 33, BTYPE_C = 0x800, BTYPE_J = 0x400 };
	static const uint8_t fp[528];
	static uint8_t frame[16384];
	struct regs regs = { 0 }, there, called;
	struct arch_remote_request remote = { .regs = &regs, .fp = fp, .fp_size = sizeof(fp) };
	struct arch_call_request call = { .regs = &regs, .fp = fp, .fp_size = sizeof(fp) };
	struct arch_undone undone = { 0 };
	uint64_t back;

	regs_set(arm, &regs, PSTATE, 0x60001000 | BTYPE_C);
	ok(arm->remote_frame(&remote, frame, &there, &back) &&
	   regs_get(arm, &there, PSTATE) == 0x60001000, "a system call of ours");
	ok(arm->call_frames(&call, frame, &called) &&
	   regs_get(arm, &called, PSTATE) == 0x60001000, "a callback");
	regs_set(arm, &regs, PSTATE, BTYPE_J);
	ok(arch_dispatch_undo(arm, &regs, true, 0, &undone, read_stack, NULL) &&
	   !regs_get(arm, &regs, PSTATE), "the entry again");
}

int main(void)
{
	arm = arch_find(EM_AARCH64);
	test_jumps();
	test_moves();
	test_exchange();
	test_fields();
	test_descriptor();
	test_undo();
	test_no_branch();
	return tap_done();
}
