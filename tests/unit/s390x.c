/* SPDX-License-Identifier: GPL-2.0-or-later */
/* s390x: code as it is written and moved, relocations, the dispatcher's way back. */
#include <elf.h>
#include <string.h>

#include "arch.h"
#include "bytes.h"
#include "tap.h"

static const struct arch *s390;

/* The bytes are those of a hexadecimal text. */
static bool are(const uint8_t *bytes, size_t size, const char *hex)
{
	AUTO_FREE char *now = bytes_to_hex(bytes, size);

	return !strcmp(now, hex);
}

static size_t from_hex(const char *hex, uint8_t *out)
{
	size_t size = strlen(hex) / 2;

	for (size_t i = 0; i < size; i++) {
		unsigned byte;

		sscanf(hex + 2 * i, "%2x", &byte);
		out[i] = (uint8_t)byte;
	}
	return size;
}

static void test_jumps(void)
{
	static const struct {
		uint64_t at, target;
		const char *bytes; /* NULL: out of reach */
	} rows[] = {
		{ 0x1000, 0x1000, "c0f400000000" },
		{ 0x1000, 0x2000, "c0f400000800" },
		{ 0x2000, 0x1ffe, "c0f4ffffffff" },
		{ 0, 0xfffffffe, "c0f47fffffff" },
		{ 0, UINT64_C(1) << 32, NULL },
		{ UINT64_C(1) << 32, 0, "c0f480000000" },
		{ 0x1000, 0x1001, NULL },
	};
	uint8_t out[16];
	uint64_t slot, first, last;

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		bool done = s390->put_jump(out, rows[i].at, rows[i].target);

		ok(done == !!rows[i].bytes && (!done || are(out, 6, rows[i].bytes)),
		   "jg from %#lx to %#lx", (unsigned long)rows[i].at,
		   (unsigned long)rows[i].target);
	}
	ok(s390->put_far_jump(out, 0x10000, 0x13018) && are(out, 8, "c4180000180c07f1"),
	   "lgrl %%r1; br %%r1");
	ok(!s390->put_far_jump(out, 0, 0x13014), "slots are aligned");
	s390->jump_window(out, 6, UINT64_C(1) << 33, &first, &last);
	ok(first == UINT64_C(1) << 32 && last == (UINT64_C(3) << 32) - 2, "how far it leads");
	s390->jump_window(out, 4, UINT64_C(1) << 33, &first, &last);
	ok(first > last, "a part of it leads nowhere");
	from_hex("c01000000800e3101000000407f1", out);
	ok(s390->stub_slot(out, 14, 0x1000, &slot) && slot == 0x2000, "a PLT entry's slot");
}

/* At 0x40000000 in front, moved 64 MiB on. */
static void test_moves(void)
{
	enum { FROM = 0x40000000, TO = 0x44000000 };
	static const struct { const char *code, *what, *moved; } rows[] = {
		{ "ebeff0700024", "stmg", "ebeff0700024" },
		{ "b9040012", "lgr", "b9040012" },
		{ "1812", "lr", "1812" },
		{ "07fe", "br %r14", "07fe" },
		{ "c02000000010", "larl +32", "c020fe000010" },
		{ "c41800000010", "lgrl +32", "c418fe000010" },
		{ "c62000000010", "exrl +32", "c620fe000010" },
		{ "c0f400000010", "jg +32", "c0f4fe000010" },
		{ "c08400000010", "jge +32", "c084fe000010" },
		{ "a7f40010", "j +32", "c0f4fe000010" },
		{ "a7840010", "je +32", "c084fe000010" },
		{ "a7270010", "brctg +32", "a7270005c0f400000006c0f4fe00000b" },
		{ "ec280010007c", "cgije +32", "ec280006007cc0f400000006c0f4fe00000a" },
		{ "ec2300108064", "cgrje +32", "ec2300068064c0f400000006c0f4fe00000a" },
		{ "cc2600000010", "brcth +32", "cc26fe000010" },
		{ "c0e500000010", "brasl", NULL },
		{ "a7150004", "bras %r1", NULL },
		{ "0d10", "basr %r1,0", NULL },
		{ "0def", "basr", NULL },
	};
	uint8_t code[8], out[32];
	struct insn insn;

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		size_t size = from_hex(rows[i].code, code), moved;

		s390->decode(code, size, FROM, &insn);
		moved = s390->move_insn(code, &insn, TO, out);
		ok(insn.size == size && (rows[i].moved ?
		   are(out, moved, rows[i].moved) : !moved), "%s is moved", rows[i].what);
	}
}

static void test_fields(void)
{
	static const struct {
		uint32_t type;
		uint64_t value;
		const char *after; /* NULL: does not fit */
	} rows[] = {
		{ R_390_PC32DBL, (uint64_t)-8, "fffffffc" },
		{ R_390_PC32DBL, 3, NULL },
		{ R_390_PLT32DBL, 0x12345678, "091a2b3c" },
		{ R_390_PLT32DBL, UINT64_C(1) << 32, NULL },
		{ R_390_GOTENT, 0x100, "00000080" },
		{ R_390_PC16DBL, 0x10000, NULL },
		{ R_390_PC16DBL, 0xfffe, "7fff" },
	};
	uint8_t code[4];

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct reloc_type *type = arch_reloc(s390, rows[i].type);
		bool done = type && s390->put_field(code, type, rows[i].value);

		ok(done == !!rows[i].after && (!done || are(code, type->size, rows[i].after)),
		   "%s of %#lx", type ? type->name : "?", (unsigned long)rows[i].value);
	}
}

/* An interrupted call is begun again by the frame, with no tool. */
static void test_frame(void)
{
	enum { PSW = 8, R1 = 24, R2 = 32, R15 = 136, ORIG = 208, CALL = 352, MC = 336 };
	static uint8_t frame[2048], fp[REMOTE_FP_MAX];
	struct regs regs = { 0 }, call;
	struct arch_remote_request req = { .regs = &regs, .fp = fp, .fp_size = 520,
					   .mask = 0x1234, .code = 0x5000, .frame = 0x7000 };
	uint64_t back;

	regs_set(s390, &regs, PSW, 0x1002);
	regs_set(s390, &regs, R2, (uint64_t)-512);
	regs_set(s390, &regs, ORIG, 77);
	bytes_put(regs.bytes + CALL, 4, 2 << 16 | 3, true);
	ok(s390->remote_frame(&req, frame, &call, &back) &&
	   bytes_get(frame + MC + PSW, 8, true) == 0x1000 &&
	   bytes_get(frame + MC + R2, 8, true) == 77, "a read() is begun again");
	ok(regs_get(s390, &call, PSW) == 0x5000 && regs_get(s390, &call, R15) == 0x7000 &&
	   !bytes_get(call.bytes + CALL, 4, true), "and none by the kernel");
	ok(bytes_get(frame + 680, 8, true) == 0x1234, "its signal mask");
	bytes_put(regs.bytes + CALL, 4, 0, true);
	ok(s390->remote_frame(&req, frame, &call, &back) &&
	   bytes_get(frame + MC + R2, 8, true) == (uint64_t)-512, "a number is only a number");
	regs_set(s390, &regs, R2, (uint64_t)-4);
	ok(!regs_fix_eintr(s390, &regs), "in no call nothing is repaired");
	bytes_put(regs.bytes + CALL, 4, 2 << 16 | 251, true);
	ok(regs_fix_eintr(s390, &regs) && regs_get(s390, &regs, R2) == (uint64_t)-514,
	   "epoll_wait() is begun again");
}

static bool read_stack(void *arg, uint64_t addr, uint64_t *value)
{
	const uint64_t *stack = arg;

	*value = stack[(addr - 0x7000) / 8];
	return true;
}

static void test_undo(void)
{
	enum { R1 = 24, R2 = 32, R15 = 136 };
	static const unsigned offs[] = { 0, 6, 12, 16, 26, 52, 62, 68, 106, 222, 228, 234, 238,
					 240, 252 };
	uint64_t stack[4] = { 100, 101, 102, 0 };
	struct arch_undone undone = { 0 };
	struct regs regs = { 0 };

	for (unsigned i = 0; i < ARRAY_SIZE(offs); i++) {
		unsigned off = offs[i];
		bool done;

		for (unsigned n = 0; n < 3; n++)
			regs_set(s390, &regs, R2 + 8 * n, off < 12 ? 100 + n : 7);
		regs_set(s390, &regs, R1, 0x5000);
		regs_set(s390, &regs, R15, off ? 0x7000 : 0x7020);
		done = arch_dispatch_undo(s390, &regs, false, off, &undone, read_stack, stack);
		if (off > 222 && off < 240) {
			ok(!done, "at %u it is on its way out", off);
			continue;
		}
		ok(done && undone.has_looked == (off >= 62) && undone.pair == 0x5000 &&
		   regs_get(s390, &regs, R2) == 100 &&
		   regs_get(s390, &regs, R2 + 8) == 101 &&
		   regs_get(s390, &regs, R2 + 16) == 102 &&
		   regs_sp(s390, &regs) == 0x7020, "undone at %u", off);
	}
}

int main(void)
{
	s390 = arch_find(EM_S390);
	test_jumps();
	test_moves();
	test_fields();
	test_frame();
	test_undo();
	return tap_done();
}
