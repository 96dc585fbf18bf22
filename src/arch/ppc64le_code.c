/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Code of ppc64le as it is written and moved: jumps, displaced instructions, relocations.
 *
 * A function that uses its object's TOC has two entries (ELFv2 ABI, 2.3.2.1): the global
 * one makes r2 from r12, which holds its address, and the local one behind that takes r2
 * as it is.  Jumps are put at the local one, where both ways meet.  Gates enter the new
 * function at its global entry with r12 set, so that r2 becomes the TOC pointer of the
 * object that is patched, whatever it was: code of that object wants no other, and callers
 * from outside restore theirs.  r0, r12 and ctr are free there (2.2.2, 2.3.2.2).
 *
 * Only b, bl and the preferred nop may be exchanged for each other while others run through
 * them (Power ISA, book II, 1.8.2, concurrent modification and execution of instructions).
 */
#include <elf.h>
#include <string.h>

#include "ppc64le.h"

enum { R2 = 2, R12 = 12, LD_R2 = (int)0xe8410018, STD_R2 = (int)0xf8410018,
       MTCTR_R12 = 0x7d8903a6, BCTR = 0x4e800420 };

static const uint64_t reach = UINT64_C(1) << 25;

static bool put_branch(uint8_t *out, uint32_t bits, uint64_t at, uint64_t target)
{
	int64_t by = (int64_t)(target - at);

	put_word(out, 0x48000000 | bits | ((uint32_t)by & 0x3fffffc));
	return !(by & 3) && by >= -(int64_t)reach && by < (int64_t)reach;
}

bool ppc_put_jump(uint8_t *out, uint64_t at, uint64_t target)
{
	return put_branch(out, 0, at, target);
}

/* The upper halves of an address whose lowest half is added with its sign, or is not. */
static void put_upper(uint8_t *out, unsigned reg, uint64_t address)
{
	put_word(out, 0x38000000 | reg << 21 | ((uint32_t)(address >> 32) & 0xffff));
	put_word(out + 4, 0x780007c6 | reg << 21 | reg << 16);
	put_word(out + 8, 0x64000000 | reg << 21 | reg << 16 | ((uint32_t)(address >> 16) & 0xffff));
}

void ppc_put_address(uint8_t *out, unsigned reg, uint64_t address)
{
	put_upper(out, reg, address);
	put_word(out + 12, 0x60000000 | reg << 21 | reg << 16 | ((uint32_t)address & 0xffff));
}

/* li, sldi, oris; ld r12 from the slot; mtctr r12; bctr */
static bool put_through(uint8_t *out, uint64_t slot)
{
	uint64_t rounded = slot + 0x8000;

	put_upper(out, R12, rounded);
	put_word(out + 12, 0xe8000000 | R12 << 21 | R12 << 16 | ((uint32_t)slot & 0xfffc));
	put_word(out + 16, MTCTR_R12);
	put_word(out + 20, BCTR);
	return !(slot & 7) && slot < UINT64_C(1) << 47;
}

bool ppc_put_far_jump(uint8_t *out, uint64_t at, uint64_t slot)
{
	(void)at;
	put_word(out + 24, PPC_TRAP_INSN);
	return put_through(out, slot);
}

/* As a linker's stub: the caller restores r2 behind its call (2.3.6, 3.6.4.2). */
bool ppc_put_call_stub(uint8_t *out, uint64_t at, uint64_t slot)
{
	(void)at;
	put_word(out, (uint32_t)STD_R2);
	return put_through(out + 4, slot);
}

/* The nop that compilers leave behind a call that may go elsewhere: ld r2,24(r1). */
bool ppc_put_restore(uint8_t *code)
{
	if (word_at(code) != (uint32_t)PPC_NOP && word_at(code) != (uint32_t)LD_R2)
		return false;
	put_word(code, (uint32_t)LD_R2);
	return true;
}

/* addis r2,r12 or lis r2; addi r2,r2: what the global entry has and the local has not. */
size_t ppc_entry_keep(const uint8_t *code, size_t size)
{
	uint32_t first = size >= 8 ? word_at(code) >> 16 : 0;

	return (first == 0x3c4c || first == 0x3c40) && word_at(code + 4) >> 16 == 0x3842 ? 8 :
											   0;
}

bool ppc_is_exchangeable(const uint8_t *code)
{
	uint32_t word = word_at(code);

	return is(word, 0xfc000000, 0x48000000) || word == (uint32_t)PPC_NOP;
}

void ppc_jump_window(const uint8_t *old, unsigned nr_free, uint64_t at, uint64_t *first,
		     uint64_t *last)
{
	(void)old;
	(void)nr_free; /* a word is never in two */
	*first = at > reach ? at - reach : 0;
	*last = at + reach - 4;
}

/* bc with 16 bits: over a jump on if it is not taken. */
static size_t move_branch(uint32_t word, uint64_t target, uint64_t to, uint8_t *out)
{
	put_word(out, (word & ~0xfffcu) | 8);
	return ppc_put_jump(out + 4, to + 4, to + 12) &&
	       ppc_put_jump(out + 8, to + 8, target) ? 12 : 0;
}

size_t ppc_move_insn(const uint8_t *code, const struct insn *insn, uint64_t to, uint8_t *out)
{
	uint32_t word = word_at(code);
	bool links = word & 1, is_absolute = word & 2;

	/* addpcis takes the address, a prefix counts from it, bcl keeps it. */
	if (is(word, 0xfc00003e, 0x4c000004) || word >> 26 == 1 ||
	    (insn->is_direct && links && word >> 26 != 18))
		return 0;
	if (insn->is_direct && !is_absolute)
		return word >> 26 == 16 ? move_branch(word, insn->target, to, out) :
		       put_branch(out, links, to, insn->target) ? 4 : 0;
	memcpy(out, code, 4);
	return 4;
}

/* Stubs load from what r2 points to, which their code does not say. */
bool ppc_stub_slot(const uint8_t *code, size_t size, uint64_t addr, uint64_t *slot)
{
	(void)code, (void)size, (void)addr, (void)slot;
	return false;
}

/* ---- relocations (ELFv2 ABI, 3.5.3) ------------------------------------------------------- */

enum { FIELD_BYTES, FIELD_B24, FIELD_B14, FIELD_16, FIELD_LO, FIELD_HI, FIELD_HA, FIELD_DS,
       FIELD_LO_DS };

#define DATA(t, f, size, sign) { R_PPC64_##t, "R_PPC64_" #t, f, size, sign, FIELD_BYTES }
#define HALF(t, f, field) { R_PPC64_##t, "R_PPC64_" #t, f, 2, true, FIELD_##field }
#define WORD(t, f, field) { R_PPC64_##t, "R_PPC64_" #t, f, 4, true, FIELD_##field }
const struct reloc_type ppc_relocs[PPC_NR_RELOCS] = {
	DATA(NONE, RELOC_NONE, 0, false),
	DATA(ADDR64, RELOC_ABS, 8, false),
	DATA(UADDR64, RELOC_ABS, 8, false),
	DATA(ADDR32, RELOC_ABS, 4, false),
	DATA(UADDR32, RELOC_ABS, 4, false),
	DATA(REL64, RELOC_PC, 8, true),
	DATA(REL32, RELOC_PC, 4, true),
	WORD(REL24, RELOC_CALL, B24),
	WORD(REL14, RELOC_PC, B14),
	/* In compiled code only the TOC pointer is made so. */
	HALF(REL16_HA, RELOC_BASE_PC, HA),
	HALF(REL16_LO, RELOC_BASE_PC, LO),
	HALF(TOC16, RELOC_BASE, 16),
	HALF(TOC16_LO, RELOC_BASE, LO),
	HALF(TOC16_HI, RELOC_BASE, HI),
	HALF(TOC16_HA, RELOC_BASE, HA),
	HALF(TOC16_DS, RELOC_BASE, DS),
	HALF(TOC16_LO_DS, RELOC_BASE, LO_DS),
	HALF(GOT16, RELOC_GOT_BASE, 16),
	HALF(GOT16_LO, RELOC_GOT_BASE, LO),
	HALF(GOT16_HI, RELOC_GOT_BASE, HI),
	HALF(GOT16_HA, RELOC_GOT_BASE, HA),
	HALF(GOT16_DS, RELOC_GOT_BASE, DS),
	HALF(GOT16_LO_DS, RELOC_GOT_BASE, LO_DS),
	HALF(GOT_TPREL16_DS, RELOC_GOT_TP_BASE, DS),
	HALF(GOT_TPREL16_LO_DS, RELOC_GOT_TP_BASE, LO_DS),
	HALF(GOT_TPREL16_HI, RELOC_GOT_TP_BASE, HI),
	HALF(GOT_TPREL16_HA, RELOC_GOT_TP_BASE, HA),
	HALF(GOT_TLSGD16, RELOC_TLS_GD_BASE, 16),
	HALF(GOT_TLSGD16_LO, RELOC_TLS_GD_BASE, LO),
	HALF(GOT_TLSGD16_HI, RELOC_TLS_GD_BASE, HI),
	HALF(GOT_TLSGD16_HA, RELOC_TLS_GD_BASE, HA),
	HALF(GOT_TLSLD16, RELOC_TLS_LD_BASE, 16),
	HALF(GOT_TLSLD16_LO, RELOC_TLS_LD_BASE, LO),
	HALF(GOT_TLSLD16_HI, RELOC_TLS_LD_BASE, HI),
	HALF(GOT_TLSLD16_HA, RELOC_TLS_LD_BASE, HA),
	HALF(TPREL16, RELOC_TP, 16),
	HALF(TPREL16_LO, RELOC_TP, LO),
	HALF(TPREL16_HA, RELOC_TP, HA),
	HALF(TPREL16_DS, RELOC_TP, DS),
	HALF(TPREL16_LO_DS, RELOC_TP, LO_DS),
	HALF(DTPREL16, RELOC_DTP, 16),
	HALF(DTPREL16_LO, RELOC_DTP, LO),
	HALF(DTPREL16_HA, RELOC_DTP, HA),
	HALF(DTPREL16_DS, RELOC_DTP, DS),
	HALF(DTPREL16_LO_DS, RELOC_DTP, LO_DS),
	DATA(TLS, RELOC_NONE, 0, false),
	DATA(TLSGD, RELOC_NONE, 0, false),
	DATA(TLSLD, RELOC_NONE, 0, false),
	DATA(TOCSAVE, RELOC_NONE, 0, false),
	DATA(ADDR16, RELOC_ABS, 2, false),
};

static bool fits_signed(int64_t v, unsigned bits)
{
	return v >= -(INT64_C(1) << (bits - 1)) && v < INT64_C(1) << (bits - 1);
}

/* 16 bits; of a DS field the lowest two belong to the instruction. */
static bool put_half(uint8_t *at, uint64_t half, bool is_ds)
{
	uint64_t keep = is_ds ? bytes_get(at, 2, false) & 3 : 0;

	bytes_put(at, 2, (is_ds ? half & 0xfffc : half & 0xffff) | keep, false);
	return !is_ds || !(half & 3);
}

static bool put_bits(uint8_t *at, uint64_t value, unsigned bits)
{
	uint32_t mask = ((1u << bits) - 1) & ~3u;

	put_word(at, (word_at(at) & ~mask) | ((uint32_t)value & mask));
	return !(value & 3) && fits_signed((int64_t)value, bits);
}

bool ppc_put_field(uint8_t *at, const struct reloc_type *type, uint64_t value)
{
	int64_t v = (int64_t)value;

	switch (type->field) {
	case FIELD_B24: return put_bits(at, value, 26);
	case FIELD_B14: return put_bits(at, value, 16);
	case FIELD_16: return put_half(at, value, false) && fits_signed(v, 16);
	case FIELD_DS: return put_half(at, value, true) && fits_signed(v, 16);
	case FIELD_LO: return put_half(at, value, false);
	case FIELD_LO_DS: return put_half(at, value, true);
	case FIELD_HI: return put_half(at, value >> 16, false) && fits_signed(v, 32);
	default: return put_half(at, (value + 0x8000) >> 16, false) &&
			fits_signed(v + 0x8000, 32);
	}
}
