/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who is on the way into a function while a transition runs: in no version of it, if it is put
 * back where it has read already where to go.
 */
#include "check.h"
#include "tap.h"

enum { SITE = 0x10000, GATE = 0x20000 };

static bool read_nothing(void *arg, uint64_t addr, void *to, size_t size)
{
	(void)arg;
	(void)addr;
	(void)to;
	(void)size;
	return false;
}

static struct verdict verdict_at(const struct arch *arch, uint64_t pc)
{
	static const struct process_source source = { .read = read_nothing };
	struct process process = { .source = &source, .arch = arch };
	struct record_func func = { .site = SITE, .gate = GATE };
	struct record_patch patch = { .funcs = &func, .nr_funcs = 1 };
	struct record record = { 0 };
	struct stacks stacks;
	struct check check = { .stacks = &stacks, .passing = &patch };
	struct thread thread = { 0 };
	struct verdict v;

	err_free(stacks_init(&stacks, &process, &record));
	regs_set(arch, &thread.regs, arch->pc_off, pc);
	v = check_thread(&check, &thread);
	stacks_done(&stacks);
	return v;
}

static void test_gate(const struct arch *arch, unsigned insn)
{
	uint64_t end = GATE + arch->stub_size;
	struct verdict v = verdict_at(arch, SITE);

	ok(!v.rewinds && regs_pc(arch, &v.regs) == SITE, "%s: at the entry", arch->name);
	for (uint64_t pc = GATE; pc < end; pc += insn) {
		v = verdict_at(arch, pc);
		ok(v.rewinds == (pc != GATE) && regs_pc(arch, &v.regs) == SITE,
		   "%s: at the gate + %u, %s", arch->name, (unsigned)(pc - GATE),
		   pc == GATE ? "goes on" : "put back to the entry");
	}
	v = verdict_at(arch, end);
	ok(!v.rewinds && regs_pc(arch, &v.regs) == end, "%s: behind the gate", arch->name);
}

int main(void)
{
	test_gate(&arch_x86_64, 8); /* one jump, padded */
	test_gate(&arch_aarch64, 4);
	test_gate(&arch_s390x, 6);
	test_gate(&arch_ppc64le, 4);
	return tap_done();
}
