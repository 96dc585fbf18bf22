/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>

#include "arch.h"
#include "bytes.h"
#include "probe.h"
#include "tap.h"

static const struct arch *const x86 = &arch_x86_64;

static void test_decode(void)
{
	static const struct {
		const char *what;
		uint8_t code[12];
		uint8_t size;
		enum insn_flow flow;
		bool is_direct, is_pcrel;
		uint64_t address; /* target or memory, decoded at 0x1000 */
	} rows[] = {
		{ "ret", { 0xc3 }, 1, FLOW_RETURN, 0, 0, 0 },
		{ "call", { 0xe8, 0x10, 0, 0, 0 }, 5, FLOW_CALL, 1, 0, 0x1015 },
		{ "jmp short back", { 0xeb, 0xfe }, 2, FLOW_JUMP, 1, 0, 0x1000 },
		{ "jne near", { 0x0f, 0x85, 0, 1, 0, 0 }, 6, FLOW_BRANCH, 1, 0, 0x1106 },
		{ "call *rax", { 0xff, 0xd0 }, 2, FLOW_CALL, 0, 0, 0 },
		{ "jmp *8(%rip)", { 0xff, 0x25, 8, 0, 0, 0 }, 6, FLOW_JUMP, 0, 1, 0x100e },
		{ "cmpl $5,0x10(%rip)", { 0x83, 0x3d, 0x10, 0, 0, 0, 5 }, 7, FLOW_NEXT, 0, 1,
		  0x1017 },
		{ "ud2", { 0x0f, 0x0b }, 2, FLOW_STOP, 0, 0, 0 },
		{ "endbr64", { 0xf3, 0x0f, 0x1e, 0xfa }, 4, FLOW_NEXT, 0, 0, 0 },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		struct insn insn;
		bool good = x86->decode(rows[i].code, 12, 0x1000, &insn);

		ok(good && insn.size == rows[i].size && insn.flow == rows[i].flow &&
		   insn.is_direct == rows[i].is_direct && insn.is_pcrel == rows[i].is_pcrel &&
		   (!insn.is_direct || insn.target == rows[i].address) &&
		   (!insn.is_pcrel || insn.mem == rows[i].address), "decode %s", rows[i].what);
	}
}

static void test_follows_call(void)
{
	static const struct {
		const char *what;
		uint8_t code[8];
		unsigned size;
		bool is_call;
	} rows[] = {
		{ "call rel32", { 0x90, 0xe8, 1, 2, 3, 4 }, 6, true },
		{ "call *%rax", { 0x90, 0x90, 0xff, 0xd0 }, 4, true },
		{ "call *%r12", { 0x90, 0x41, 0xff, 0xd4 }, 4, true },
		{ "call *0x10(%rax)", { 0x90, 0xff, 0x50, 0x10 }, 4, true },
		{ "call *0x1000(%rip)", { 0xff, 0x15, 0, 0x10, 0, 0 }, 6, true },
		{ "call *8(%rsp,%rax,8)", { 0xff, 0x54, 0xc4, 8 }, 4, true },
		{ "jmp *%rax", { 0x90, 0x90, 0xff, 0xe0 }, 4, false },
		{ "nothing", { 0x90, 0x90, 0x90, 0x90 }, 4, false },
		{ "too short", { 0xd0 }, 1, false },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
		ok(x86->follows_call(rows[i].code, rows[i].size) == rows[i].is_call,
		   "follows call: %s", rows[i].what);
}

static void test_jumps(void)
{
	uint8_t out[8];
	struct insn insn;

	ok(x86->put_jump(out, 0x1000, 0x2000) && x86->decode(out, 8, 0x1000, &insn) &&
	   insn.flow == FLOW_JUMP && insn.target == 0x2000, "jump forwards");
	ok(x86->put_jump(out, 0x555500001000, 0x555480002000) &&
	   x86->decode(out, 8, 0x555500001000, &insn) && insn.target == 0x555480002000,
	   "jump back, just in reach");
	ok(!x86->put_jump(out, 0x555500001000, 0x7f0000000000), "out of reach");
	ok(x86->put_far_jump(out, 0x1000, 0x9000) && x86->decode(out, 8, 0x1000, &insn) &&
	   insn.is_pcrel && insn.mem == 0x9000 && !insn.is_direct, "far jump");
}

static void test_move(void)
{
	static const struct {
		const char *what;
		uint8_t code[12];
		size_t size;      /* where it went; 0: refused */
		uint64_t address; /* 0: none */
	} rows[] = {
		{ "push", { 0x55 }, 1, 0 },
		{ "jne short becomes near", { 0x75, 0x10 }, 6, 0x1012 },
		{ "jmp short becomes near", { 0xeb, 0x10 }, 5, 0x1012 },
		{ "call", { 0xe8, 0, 1, 0, 0 }, 5, 0x1105 },
		{ "mov 0x20(%rip),%rax", { 0x48, 0x8b, 0x05, 0x20, 0, 0, 0 }, 7, 0x1027 },
		{ "cmpl $5,0x10(%rip)", { 0x83, 0x3d, 0x10, 0, 0, 0, 5 }, 7, 0x1017 },
		{ "jrcxz", { 0xe3, 0x10 }, 0, 0 },
		{ "loop", { 0xe2, 0x10 }, 0, 0 },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		struct insn insn, moved;
		uint8_t out[ARCH_INSN_MAX];
		size_t size;
		bool good;

		x86->decode(rows[i].code, 12, 0x1000, &insn);
		size = x86->move_insn(rows[i].code, &insn, 0x700000, out);
		good = size == rows[i].size;
		if (good && rows[i].address) {
			x86->decode(out, size, 0x700000, &moved);
			good = (moved.is_direct ? moved.target : moved.mem) ==
			       rows[i].address && moved.flow == insn.flow;
		}
		ok(good, "move %s", rows[i].what);
	}
}

/* What is pushed first is where it comes back to; then a jump to where it went. */
static void test_move_call(void)
{
	static const struct {
		const char *what;
		uint8_t code[12], jump[4];
		size_t size;      /* of the jump; 0: refused */
		uint64_t address; /* of a direct one, or of its operand */
	} rows[] = {
		{ "call", { 0xe8, 0, 1, 0, 0 }, { 0xe9 }, 5, 0x1105 },
		{ "call *%rdi", { 0xff, 0xd7 }, { 0xff, 0xe7 }, 2, 0 },
		{ "call *%r12", { 0x41, 0xff, 0xd4 }, { 0x41, 0xff, 0xe4 }, 3, 0 },
		{ "call *0x20(%rip)", { 0xff, 0x15, 0x20, 0, 0, 0 }, { 0xff, 0x25 }, 6, 0x1026 },
		{ "call *8(%rax)", { 0xff, 0x50, 8 }, { 0xff, 0x60, 8 }, 3, 0 },
		{ "call *(%rax,%rbx,8)", { 0xff, 0x14, 0xd8 }, { 0xff, 0x24, 0xd8 }, 3, 0 },
		{ "call *8(%r12)", { 0x41, 0xff, 0x54, 0x24, 8 },
		  { 0x41, 0xff, 0x64, 0x24 }, 5, 0 },
		{ "call *8(%rsp)", { 0xff, 0x54, 0x24, 8 }, { 0 }, 0, 0 },
		{ "call *%rsp", { 0xff, 0xd4 }, { 0 }, 0, 0 },
		{ "lcall *(%rax)", { 0xff, 0x18 }, { 0 }, 0, 0 },
		{ "call *%fs:8", { 0x64, 0xff, 0x14, 0x25, 8, 0, 0, 0 }, { 0 }, 0, 0 },
	};
	static const uint8_t pushed[] = { 0x68, 0x44, 0x33, 0x22, 0x11, 0xc7, 0x44, 0x24, 4,
					  0x66, 0x55, 0, 0 };

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		struct insn insn, jump;
		uint8_t out[ARCH_MOVED_MAX];
		size_t size, head = rows[i].size < 4 ? rows[i].size : 4;
		bool good;

		x86->decode(rows[i].code, 12, 0x1000, &insn);
		size = x86->move_call(rows[i].code, &insn, 0x700000, 0x556611223344, out);
		good = size == (rows[i].size ? sizeof(pushed) + rows[i].size : 0);
		if (good && size) {
			const uint8_t *at = out + sizeof(pushed);

			head = insn.is_direct ? 1 : insn.is_pcrel ? 2 : head;
			x86->decode(at, rows[i].size, 0x700000 + sizeof(pushed), &jump);
			good = !memcmp(out, pushed, sizeof(pushed)) && jump.flow == FLOW_JUMP &&
			       !memcmp(at, rows[i].jump, head) && jump.size == rows[i].size &&
			       (!rows[i].address || rows[i].address ==
				(jump.is_direct ? jump.target : jump.mem));
		}
		ok(good, "move %s, which returns to the original", rows[i].what);
	}
}

static void test_eintr(void)
{
	static const struct {
		const char *what;
		long call, result;
		bool fixed;
	} rows[] = {
		{ "epoll_wait", 232, -EINTR, true },
		{ "semop", 65, -EINTR, true },
		{ "close is never begun anew", 3, -EINTR, false },
		{ "another error", 232, -EBADF, false },
		{ "not in a call", -1, -EINTR, false },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		struct regs regs = { .shadow = 0 };

		regs_set(x86, &regs, x86->sysno_off, (uint64_t)rows[i].call);
		regs_set(x86, &regs, x86->sysret_off, (uint64_t)rows[i].result);
		ok(regs_fix_eintr(x86, &regs) == rows[i].fixed &&
		   ((int64_t)regs_get(x86, &regs, x86->sysret_off) == -514) == rows[i].fixed,
		   "EINTR: %s", rows[i].what);
	}
}

static void test_remote(void)
{
	uint8_t code[64], frame[512];
	struct regs regs = { .shadow = 0 }, call;
	uint64_t back;
	struct insn insn;
	size_t off = 0;

	x86->remote_code(code);
	while (off < x86->remote.pc_slot - 2 && x86->decode(code + off, 64 - off, off, &insn))
		off += insn.size;
	ok(off == x86->remote.pc_slot - 2 && insn.is_pcrel && insn.mem == x86->remote.pc_slot,
	   "the way back ends in a jump through its slot");
	regs_set(x86, &regs, x86->pc_off, 0x4000);
	regs_set(x86, &regs, x86->sp_off, 0x8000);
	regs_set(x86, &regs, x86->sysno_off, 232);
	regs_set(x86, &regs, x86->sysret_off, (uint64_t)-514);
	x86->remote_frame(&(struct arch_remote_request){ .regs = &regs, .code = 0x9000 },
			  frame, &call, &back);
	ok(back == 0x4000 - 2, "an interrupted call is begun anew when nobody comes back");
	ok(bytes_get(frame + 8, 8, false) == 232, "with its number");
	ok(regs_pc(x86, &call) == 0x9000 && regs_sp(x86, &call) == 0x8000 - 128 - 80 &&
	   (int64_t)regs_get(x86, &call, x86->sysno_off) == -1, "the call's registers");
}

static size_t sum(const struct arch_regset *sets)
{
	return sets[0].size + sets[1].size + sets[2].size;
}

static void test_ports(void)
{
	for (unsigned i = 0; arch_nth(i); i++) {
		const struct arch *arch = arch_nth(i);

		ok(arch_find(arch->machine) == arch && arch->regs_size <= ARCH_REGS_MAX &&
		   arch->nr_cols <= ARCH_COLS_MAX && arch->jump_size <= ARCH_JUMP_MAX &&
		   arch->regs_size + sum(arch->more_regs) <= ARCH_REGS_MAX &&
		   (!arch->remote.by_sigreturn || sum(arch->fp_sets) <= REMOTE_FP_MAX) &&
		   (!arch->remote.pc_slot ||
		    arch->remote.pc_slot + 8 <= arch->remote.code_size) &&
		   arch->stub_size <= ARCH_STUB_MAX &&
		   arch->ra_col < arch->nr_cols && arch->sp_col < arch->nr_cols,
		   "%s: sizes", arch->name);
		for (unsigned j = 0; j < arch->nr_relocs; j++)
			ok(arch_reloc(arch, arch->relocs[j].type) == &arch->relocs[j],
			   "%s: %s is once in the table", arch->name, arch->relocs[j].name);
	}
}

/* What a machine can do is tried where its kernel does not say it. */
static void test_probe(void)
{
	static const uint8_t returns[] = { 0xc3 }, illegal[] = { 0x0f, 0x0b },
			     faults[] = { 0x31, 0xc0, 0x8b, 0x00, 0xc3 };

	ok(probe_runs(returns, sizeof(returns)), "probe: what returns runs");
	ok(!probe_runs(illegal, sizeof(illegal)), "probe: ud2 does not");
	ok(!probe_runs(faults, sizeof(faults)), "probe: nor does what faults");
}

int main(void)
{
	test_probe();
	test_decode();
	test_follows_call();
	test_jumps();
	test_move();
	test_move_call();
	test_eintr();
	test_remote();
	test_ports();
	return tap_done();
}
