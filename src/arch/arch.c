/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "arch.h"

#include <elf.h>
#include <errno.h>

#include "bytes.h"

static const struct arch *const ports[] = {
#ifndef STITCH_WITHOUT_ZYDIS
	&arch_x86_64,
#endif
	&arch_aarch64, &arch_s390x, &arch_ppc64le,
};

const struct arch *arch_find(uint16_t machine)
{
	for (unsigned i = 0; i < ARRAY_SIZE(ports); i++)
		if (ports[i]->machine == machine)
			return ports[i];
	return NULL;
}

bool arch_can_patch(const struct arch *arch)
{
	return arch->put_jump != NULL;
}

struct err *arch_need_patch(const struct arch *arch)
{
	if (arch_can_patch(arch))
		return NULL;
	return err_new(ERR_UNSUPPORTED, "not-ported",
		       "code of %s can be looked at, but not patched yet", arch->name);
}

const struct arch *arch_nth(unsigned n)
{
	return n < ARRAY_SIZE(ports) ? ports[n] : NULL;
}

const struct arch *arch_host(void)
{
	return arch_find(ARCH_HOST_MACHINE);
}

bool arch_is_restart(int64_t result)
{
	enum { RESTARTSYS = 512, RESTARTNOINTR = 513, RESTARTNOHAND = 514,
	       RESTART_RESTARTBLOCK = 516 };

	return result == -RESTARTSYS || result == -RESTARTNOINTR || result == -RESTARTNOHAND ||
	       result == -RESTART_RESTARTBLOCK;
}

struct arch_call arch_call_of(const struct insn *insn, unsigned col)
{
	if (insn->flow != FLOW_CALL)
		return (struct arch_call){ .kind = CALL_UNKNOWN };
	return (struct arch_call){ .kind = insn->is_direct ? CALL_ADDR : CALL_COL,
				   .addr = insn->target, .col = col };
}

const struct reloc_type *arch_reloc(const struct arch *arch, uint32_t type)
{
	for (unsigned i = 0; i < arch->nr_relocs; i++)
		if (arch->relocs[i].type == type)
			return &arch->relocs[i];
	return NULL;
}

uint64_t regs_get(const struct arch *arch, const struct regs *regs, size_t off)
{
	return bytes_get8(regs->bytes + off, arch->big_endian);
}

void regs_set(const struct arch *arch, struct regs *regs, size_t off, uint64_t v)
{
	bytes_put(regs->bytes + off, 8, v, arch->big_endian);
}

uint64_t regs_pc(const struct arch *arch, const struct regs *regs)
{
	return regs_get(arch, regs, arch->pc_off);
}

uint64_t regs_sp(const struct arch *arch, const struct regs *regs)
{
	return regs_get(arch, regs, arch->sp_off);
}

static bool get_result(const struct arch *arch, const struct regs *regs, long *nr,
		       int64_t *result)
{
	if (arch->get_result)
		return arch->get_result(regs, nr, result);
	*nr = (long)regs_get(arch, regs, arch->sysno_off);
	*result = (int64_t)regs_get(arch, regs, arch->sysret_off);
	return *nr >= 0;
}

int64_t regs_call_result(const struct arch *arch, const struct regs *regs)
{
	int64_t result;
	long nr;

	get_result(arch, regs, &nr, &result);
	return result;
}

bool regs_fix_eintr(const struct arch *arch, struct regs *regs)
{
	enum { ERESTARTNOHAND = 514 }; /* not in any header of user space */
	int64_t ret;
	long call;

	if (!get_result(arch, regs, &call, &ret) || ret != -EINTR)
		return false;
	for (unsigned i = 0; i < arch->nr_eintr_calls; i++) {
		if (arch->eintr_calls[i] != call)
			continue;
		if (arch->set_result)
			arch->set_result(regs, -ERESTARTNOHAND);
		else
			regs_set(arch, regs, arch->sysret_off, (uint64_t)-ERESTARTNOHAND);
		return true;
	}
	return false;
}

const struct arch_dispatch_row *arch_dispatch_row_at(const struct arch *arch, bool is_stub,
						     uint64_t off)
{
	const struct arch_dispatch_frame *frame = arch->dispatch_frame;
	const struct arch_dispatch_row *rows = is_stub ? frame->stub_rows : frame->rows;
	unsigned nr = is_stub ? frame->nr_stub_rows : frame->nr_rows;

	while (nr > 1 && rows[nr - 1].off > off)
		nr--;
	return &rows[nr - 1];
}

bool arch_dispatch_undo(const struct arch *arch, struct regs *regs, bool is_stub, uint64_t off,
			struct arch_undone *undone,
			bool (*read)(void *arg, uint64_t addr, uint64_t *word), void *arg)
{
	const struct arch_dispatch_row *row = arch_dispatch_row_at(arch, is_stub, off);
	uint64_t sp = regs_sp(arch, regs) + row->depth, word;
	uint64_t cfa = sp + (uint64_t)arch_entry_cfa(arch);

	if (!arch->dispatch_undo(regs, is_stub, off, undone, read, arg))
		return false;
	for (unsigned i = 0; i < row->nr_saved; i++) {
		uint8_t col = arch->dispatch_frame->saved[i].col;

		if (!read(arg, cfa + (uint64_t)arch->dispatch_frame->saved[i].off, &word))
			return false;
		regs_set(arch, regs, (size_t)arch->col_off[col], word);
	}
	regs_set(arch, regs, arch->sp_off, sp);
	return true;
}

enum reloc_formula arch_reloc_slot(enum reloc_formula formula)
{
	switch (formula) {
	case RELOC_GOT_PAGE:
	case RELOC_GOT_ABS:
	case RELOC_GOT_BASE:
		return RELOC_GOT_PC;
	case RELOC_GOT_TP_PAGE:
	case RELOC_GOT_TP_ABS:
	case RELOC_GOT_TP_BASE:
		return RELOC_GOT_TP;
	case RELOC_TLS_GD_BASE:
		return RELOC_TLS_GD;
	case RELOC_TLS_LD_BASE:
		return RELOC_TLS_LD;
	default:
		return formula;
	}
}
