/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Code of s390x as it is written and moved: jumps, displaced instructions, relocations.
 *
 * A jump is brcl 15: 6 bytes, 4 GiB either way, counted in halfwords from the instruction.
 * Whether one store of 6 bytes is fetched whole by another processor depends on the
 * machine (facility 85; the kernel changes only the mask of a prepared brcl where it is
 * not there, arch/s390/kernel/ftrace.c), so entries change while all threads are held.
 * Stubs use r1, which linkers use between a call and the function (PLT entries, ELF ABI
 * s390x supplement 3.4).
 */
#include <elf.h>
#include <string.h>

#include "bytes.h"
#include "s390x.h"

enum { JG = 0xc0f4, LARL = 0xc000, LGRL = 0xc408, R1 = 1 };

static bool put_relative(uint8_t *out, unsigned opcode, uint64_t at, uint64_t target)
{
	int64_t by = (int64_t)(target - at);

	bytes_put(out, 2, opcode, true);
	bytes_put(out + 2, 4, (uint64_t)(by >> 1), true);
	return !(by & 1) && by >= -(INT64_C(1) << 32) && by < INT64_C(1) << 32;
}

bool s390_put_jump(uint8_t *out, uint64_t at, uint64_t target)
{
	return put_relative(out, JG, at, target);
}

bool s390_put_address(uint8_t *out, unsigned reg, uint64_t at, uint64_t target)
{
	return put_relative(out, LARL | reg << 4, at, target);
}

/* lgrl %r1,slot; br %r1 */
bool s390_put_far_jump(uint8_t *out, uint64_t at, uint64_t slot)
{
	bytes_put(out + 6, 2, 0x07f0 | R1, true);
	return !(slot & 7) && put_relative(out, LGRL | R1 << 4, at, slot);
}

size_t s390_entry_keep(const uint8_t *code, size_t size)
{
	(void)code;
	(void)size;
	return 0; /* nothing has to stand where a call goes */
}

bool s390_is_exchangeable(const uint8_t *code)
{
	(void)code;
	return false;
}

/* The displacement's last bytes are its low ones: a part of it leads nowhere of use. */
void s390_jump_window(const uint8_t *old, unsigned nr_free, uint64_t at, uint64_t *first,
		      uint64_t *last)
{
	static const uint64_t reach = UINT64_C(1) << 32;

	(void)old;
	*first = at > reach ? at - reach : 0;
	*last = nr_free == 6 ? at + reach - 2 : 0;
	if (nr_free != 6)
		*first = 1;
}

static void put_halves(uint8_t *out, unsigned halves)
{
	bytes_put(out + 2, 2, halves, true);
}

/* A branch with 16 bits: over a jump on if it is not taken. */
static size_t move_short(const uint8_t *code, const struct insn *insn, uint64_t to,
			 uint8_t *out)
{
	size_t size = insn->size;

	memcpy(out, code, size);
	put_halves(out, (unsigned)(size + 6) / 2);
	return s390_put_jump(out + size, to + size, to + size + 12) &&
	       s390_put_jump(out + size + 6, to + size + 6, insn->target) ? size + 12 : 0;
}

/* bras, basr and bassm put the address behind them into a register: of the old place. */
static bool keeps_pc(const uint8_t *code)
{
	unsigned op = code[1] & 15;

	return code[0] == 0x05 || code[0] == 0x0c || code[0] == 0x0d || code[0] == 0x4d ||
	       code[0] == 0x45 || (code[0] == 0xa7 && op == 5) ||
	       (code[0] == 0xc0 && op == 5) || code[0] == 0xc5 || code[0] == 0xc7 ||
	       code[0] == 0x44; /* ex: what it runs is elsewhere, and may be one of them */
}

size_t s390_move_insn(const uint8_t *code, const struct insn *insn, uint64_t to, uint8_t *out)
{
	bool is_long = insn->field_size == 4;

	if (keeps_pc(code))
		return 0;
	if (insn->is_direct && code[0] == 0xa7 && (code[1] & 15) == 4) /* brc: brcl */
		return put_relative(out, 0xc004 | (code[1] & 0xf0u), to, insn->target) ? 6 : 0;
	if (insn->is_direct && !is_long)
		return move_short(code, insn, to, out);
	if (insn->is_direct || insn->is_pcrel)
		return put_relative(out, (unsigned)bytes_get(code, 2, true), to,
				    insn->is_direct ? insn->target : insn->mem) ? 6 : 0;
	memcpy(out, code, insn->size);
	return insn->size;
}

/* larl %r1,slot; lg %r1,0(%r1); br %r1 */
bool s390_stub_slot(const uint8_t *code, size_t size, uint64_t addr, uint64_t *slot)
{
	static const uint8_t rest[] = { 0xe3, 0x10, 0x10, 0x00, 0x00, 0x04, 0x07, 0xf1 };
	struct insn insn;

	if (size < 14 || code[0] != 0xc0 || code[1] != 0x10 ||
	    memcmp(code + 6, rest, sizeof(rest)) != 0 || !s390_decode(code, 6, addr, &insn))
		return false;
	*slot = insn.mem;
	return true;
}

/* ---- relocations (ELF ABI s390x supplement, 1.6.1, table 14) ------------------------------ */

enum { FIELD_BYTES, FIELD_DBL16, FIELD_DBL32 };

#define DATA(t, f, size, sign) { t, #t, f, size, sign, FIELD_BYTES }
#define INSN(t, f, size, field) { t, #t, f, size, true, field }
const struct reloc_type s390_relocs[S390_NR_RELOCS] = {
	DATA(R_390_NONE, RELOC_NONE, 0, false),
	DATA(R_390_8, RELOC_ABS, 1, false),
	DATA(R_390_16, RELOC_ABS, 2, false),
	DATA(R_390_32, RELOC_ABS, 4, false),
	DATA(R_390_64, RELOC_ABS, 8, false),
	DATA(R_390_PC16, RELOC_PC, 2, true),
	DATA(R_390_PC32, RELOC_PC, 4, true),
	DATA(R_390_PC64, RELOC_PC, 8, true),
	INSN(R_390_PC16DBL, RELOC_PC, 2, FIELD_DBL16),
	INSN(R_390_PC32DBL, RELOC_PC, 4, FIELD_DBL32),
	INSN(R_390_PLT16DBL, RELOC_CALL, 2, FIELD_DBL16),
	INSN(R_390_PLT32DBL, RELOC_CALL, 4, FIELD_DBL32),
	INSN(R_390_GOTENT, RELOC_GOT_PC, 4, FIELD_DBL32),
	INSN(R_390_GOTPCDBL, RELOC_BASE_PC, 4, FIELD_DBL32),
	DATA(R_390_GOTPC, RELOC_BASE_PC, 8, true),
	DATA(R_390_GOT64, RELOC_GOT_BASE, 8, true),
	DATA(R_390_GOT32, RELOC_GOT_BASE, 4, true),
	DATA(R_390_GOTOFF64, RELOC_BASE, 8, true),
	DATA(R_390_TLS_LOAD, RELOC_NONE, 0, false),
	DATA(R_390_TLS_GDCALL, RELOC_NONE, 0, false),
	DATA(R_390_TLS_LDCALL, RELOC_NONE, 0, false),
	DATA(R_390_TLS_GD64, RELOC_TLS_GD_BASE, 8, true),
	DATA(R_390_TLS_LDM64, RELOC_TLS_LD_BASE, 8, true),
	DATA(R_390_TLS_GOTIE64, RELOC_GOT_TP_BASE, 8, true),
	INSN(R_390_TLS_IEENT, RELOC_GOT_TP, 4, FIELD_DBL32),
	DATA(R_390_TLS_LE64, RELOC_TP, 8, true),
	DATA(R_390_TLS_LDO64, RELOC_DTP, 8, true),
	DATA(R_390_GOT16, RELOC_GOT_BASE, 2, true),
	DATA(R_390_GOTOFF32, RELOC_BASE, 4, true),
	DATA(R_390_GOTOFF16, RELOC_BASE, 2, true),
	DATA(R_390_PLT32, RELOC_CALL, 4, true),
	DATA(R_390_PLT64, RELOC_CALL, 8, true),
};

/* Displacements are in halfwords. */
bool s390_put_field(uint8_t *at, const struct reloc_type *type, uint64_t value)
{
	int64_t v = (int64_t)value;
	unsigned bits = type->size * 8u;

	bytes_put(at, type->size, (uint64_t)(v >> 1), true);
	return !(v & 1) && v >= -(INT64_C(1) << bits) && v < INT64_C(1) << bits;
}
