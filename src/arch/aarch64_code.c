/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Code of arm64 as it is written and moved: jumps, displaced instructions, relocations.
 *
 * A direct jump is one word and reaches 128 MiB.  A word may be exchanged under running
 * threads only if it is, before and after, one of a few (Arm ARM, B2.2.5, Concurrent
 * modification and execution of instructions): b, bl, nop, brk, svc, hvc, smc, isb.
 * Stubs use x16, which linkers may change between a call and the function (AAPCS64 6.1.1).
 */
#include <elf.h>
#include <string.h>

#include "aarch64.h"

enum { X16 = 16, X17 = 17, PACIASP = (int)0xd503233f, PACIBSP = (int)0xd503237f,
       AUTIASP = (int)0xd50323bf, AUTIBSP = (int)0xd50323ff };

static const uint64_t jump_reach = UINT64_C(1) << 27;

static bool signs(uint32_t word)
{
	return word == (uint32_t)PACIASP || word == (uint32_t)PACIBSP;
}

/*
 * bti c, bti jc; and what signs the return address, which is a landing pad of its own (Arm
 * ARM, PACIASP): in a page that is guarded nothing else may stand where calls through
 * pointers land.
 */
size_t arm_entry_keep(const uint8_t *code, size_t size)
{
	uint32_t word = size >= 4 ? word_at(code) : 0;

	return word == (uint32_t)ARM_BTI_C || word == 0xd50324dfu || signs(word) ? 4 : 0;
}

/* The new function signs by itself: it is entered as a call does, with x30 as it was. */
bool arm_put_undo(uint8_t *out, const uint8_t *kept, uint64_t at, uint64_t target, size_t *size)
{
	uint32_t word = word_at(kept);

	*size = signs(word) ? 8 : 0;
	if (!*size)
		return true;
	put_word(out, word == (uint32_t)PACIASP ? AUTIASP : AUTIBSP);
	return arm_put_jump(out + 4, at + 4, target);
}

static bool put_branch(uint8_t *out, uint32_t opcode, uint64_t at, uint64_t target)
{
	int64_t by = (int64_t)(target - at);

	if (by & 3 || by < -(int64_t)jump_reach || by >= (int64_t)jump_reach)
		return false;
	put_word(out, opcode | ((uint32_t)(by >> 2) & 0x3ffffff));
	return true;
}

bool arm_put_jump(uint8_t *out, uint64_t at, uint64_t target)
{
	return put_branch(out, 0x14000000, at, target);
}

static bool put_adrp(uint8_t *out, unsigned reg, uint64_t at, uint64_t target)
{
	int64_t pages = (int64_t)(target >> 12) - (int64_t)(at >> 12);

	if (pages < -(1 << 20) || pages >= 1 << 20)
		return false;
	put_word(out, 0x90000000 | reg | ((uint32_t)pages & 3) << 29 |
	    ((uint32_t)(pages >> 2) & 0x7ffff) << 5);
	return true;
}

bool arm_put_address(uint8_t *out, unsigned reg, uint64_t at, uint64_t target)
{
	put_word(out + 4, 0x91000000 | reg | reg << 5 | (uint32_t)(target & 0xfff) << 10);
	return put_adrp(out, reg, at, target);
}

/* ldr x, [from, target's offset in its page] */
static bool put_load(uint8_t *out, unsigned reg, unsigned from, uint64_t target)
{
	put_word(out, 0xf9400000 | reg | from << 5 | (uint32_t)(target & 0xfff) >> 3 << 10);
	return !(target & 7);
}

bool arm_put_far_jump(uint8_t *out, uint64_t at, uint64_t slot)
{
	put_word(out + 8, 0xd61f0000 | X16 << 5); /* br x16 */
	return put_adrp(out, X16, at, slot) && put_load(out + 4, X16, X16, slot);
}

void arm_jump_window(const uint8_t *old, unsigned nr_free, uint64_t at, uint64_t *first,
		     uint64_t *last)
{
	(void)old;
	(void)nr_free; /* a word is never in two */
	*first = at > jump_reach ? at - jump_reach : 0;
	*last = at + jump_reach - 4;
}

bool arm_is_exchangeable(const uint8_t *code)
{
	uint32_t word = word_at(code);

	return is(word, 0x7c000000, 0x14000000) || word == (uint32_t)ARM_NOP ||
	       is(word, 0xffe0001c, 0xd4000000) || is(word, 0xffe0001f, 0xd4200000) ||
	       is(word, 0xfffff0ff, 0xd50330df);
}

/* Round the jump if the condition does not hold: b.cond over two words. */
static size_t move_branch(uint32_t word, uint64_t target, uint64_t to, uint8_t *out)
{
	bool is_test = is(word, 0x7e000000, 0x36000000);
	uint32_t field = is_test ? 0x3fffu << 5 : 0x7ffffu << 5;

	put_word(out, (word & ~field) | 2 << 5);
	return arm_put_jump(out + 4, to + 4, to + 12) &&
	       arm_put_jump(out + 8, to + 8, target) ? 12 : 0;
}

/* ldr of a general register from a literal: opc 0 w, 1 x, 2 sw. */
static size_t move_literal(uint32_t word, uint64_t mem, uint64_t to, uint8_t *out)
{
	unsigned opc = word >> 30, reg = word & 31, scale = opc == 1 ? 3 : 2;
	static const uint32_t load[] = { 0xb9400000, 0xf9400000, 0xb9800000 };

	if (word >> 26 & 1 || opc == 3 || mem & ((1u << scale) - 1) || reg == 31)
		return 0;
	put_word(out + 4, load[opc] | reg | reg << 5 | (uint32_t)(mem & 0xfff) >> scale << 10);
	return put_adrp(out, reg, to, mem) ? 8 : 0;
}

size_t arm_move_insn(const uint8_t *code, const struct insn *insn, uint64_t to, uint8_t *out)
{
	uint32_t word = word_at(code);

	if (insn->is_direct && insn->flow == FLOW_BRANCH)
		return move_branch(word, insn->target, to, out);
	if (insn->is_direct)
		return put_branch(out, word & 0xfc000000, to, insn->target) ? 4 : 0;
	if (is(word, 0x9f000000, 0x90000000))
		return put_adrp(out, word & 31, to, insn->mem) ? 4 : 0;
	if (is(word, 0x9f000000, 0x10000000))
		return (word & 31) != 31 && arm_put_address(out, word & 31, to, insn->mem) ?
		       8 : 0;
	if (is(word, 0x3b000000, 0x18000000))
		return move_literal(word, insn->mem, to, out);
	memcpy(out, code, 4);
	return 4;
}

/* adrp x16, page; ldr x17, [x16, #off]; add x16, ...; br x17 */
bool arm_stub_slot(const uint8_t *code, size_t size, uint64_t addr, uint64_t *slot)
{
	size_t skip = size >= 4 && word_at(code) == (uint32_t)ARM_BTI_C ? 4 : 0;
	struct insn insn;

	if (size < skip + 16 || !is(word_at(code + skip), 0x9f00001f, 0x90000000 | X16) ||
	    !is(word_at(code + skip + 4), 0xffc003ff, 0xf9400000 | X16 << 5 | X17) ||
	    !arm_decode(code + skip, 4, addr + skip, &insn))
		return false;
	*slot = insn.mem + (word_at(code + skip + 4) >> 10 & 0xfff) * 8;
	return true;
}

/* Mapping symbols: $x, $d, and either with a dot and more (AAELF64, 5.5.4). */
bool arm_is_mark(const char *name)
{
	return name[0] == '$' && (name[1] == 'x' || name[1] == 'd') &&
	       (!name[2] || name[2] == '.');
}

/* ---- relocations (AAELF64, 5.7) --------------------------------------------------------- */

enum { FIELD_BYTES, FIELD_B26, FIELD_B19, FIELD_B14, FIELD_ADR, FIELD_ADRP, FIELD_ADD12,
       FIELD_ADD12_HI, FIELD_LD8, FIELD_LD16, FIELD_LD32, FIELD_LD64, FIELD_LD128,
       FIELD_MOVW0, FIELD_MOVW1, FIELD_MOVW2, FIELD_MOVW3, FIELD_DESC_LD, FIELD_NOP };

#define DATA(t, f, size, sign) { t, #t, f, size, sign, FIELD_BYTES }
#define INSN(t, f, field) { t, #t, f, 4, true, field }
const struct reloc_type arm_relocs[ARM_NR_RELOCS] = {
	DATA(R_AARCH64_NONE, RELOC_NONE, 0, false),
	DATA(R_AARCH64_ABS64, RELOC_ABS, 8, false),
	DATA(R_AARCH64_ABS32, RELOC_ABS, 4, false),
	DATA(R_AARCH64_ABS16, RELOC_ABS, 2, false),
	DATA(R_AARCH64_PREL64, RELOC_PC, 8, true),
	DATA(R_AARCH64_PREL32, RELOC_PC, 4, true),
	DATA(R_AARCH64_PREL16, RELOC_PC, 2, true),
	INSN(R_AARCH64_CALL26, RELOC_CALL, FIELD_B26),
	INSN(R_AARCH64_JUMP26, RELOC_CALL, FIELD_B26),
	INSN(R_AARCH64_CONDBR19, RELOC_PC, FIELD_B19),
	INSN(R_AARCH64_LD_PREL_LO19, RELOC_PC, FIELD_B19),
	INSN(R_AARCH64_TSTBR14, RELOC_PC, FIELD_B14),
	INSN(R_AARCH64_ADR_PREL_LO21, RELOC_PC, FIELD_ADR),
	INSN(R_AARCH64_ADR_PREL_PG_HI21, RELOC_PAGE, FIELD_ADRP),
	INSN(R_AARCH64_ADR_PREL_PG_HI21_NC, RELOC_PAGE, FIELD_ADRP),
	INSN(R_AARCH64_ADD_ABS_LO12_NC, RELOC_ABS, FIELD_ADD12),
	INSN(R_AARCH64_LDST8_ABS_LO12_NC, RELOC_ABS, FIELD_LD8),
	INSN(R_AARCH64_LDST16_ABS_LO12_NC, RELOC_ABS, FIELD_LD16),
	INSN(R_AARCH64_LDST32_ABS_LO12_NC, RELOC_ABS, FIELD_LD32),
	INSN(R_AARCH64_LDST64_ABS_LO12_NC, RELOC_ABS, FIELD_LD64),
	INSN(R_AARCH64_LDST128_ABS_LO12_NC, RELOC_ABS, FIELD_LD128),
	INSN(R_AARCH64_ADR_GOT_PAGE, RELOC_GOT_PAGE, FIELD_ADRP),
	INSN(R_AARCH64_LD64_GOT_LO12_NC, RELOC_GOT_ABS, FIELD_LD64),
	INSN(R_AARCH64_MOVW_UABS_G0_NC, RELOC_ABS, FIELD_MOVW0),
	INSN(R_AARCH64_MOVW_UABS_G1_NC, RELOC_ABS, FIELD_MOVW1),
	INSN(R_AARCH64_MOVW_UABS_G2_NC, RELOC_ABS, FIELD_MOVW2),
	INSN(R_AARCH64_MOVW_UABS_G3, RELOC_ABS, FIELD_MOVW3),
	INSN(R_AARCH64_TLSIE_ADR_GOTTPREL_PAGE21, RELOC_GOT_TP_PAGE, FIELD_ADRP),
	INSN(R_AARCH64_TLSIE_LD64_GOTTPREL_LO12_NC, RELOC_GOT_TP_ABS, FIELD_LD64),
	/* A descriptor's sequence (AAELF64, 5.7.11.6) becomes that of the initial-exec model:
	 * adrp x0; ldr x0, the slot; nop; nop. */
	INSN(R_AARCH64_TLSDESC_ADR_PAGE21, RELOC_GOT_TP_PAGE, FIELD_ADRP),
	INSN(R_AARCH64_TLSDESC_LD64_LO12, RELOC_GOT_TP_ABS, FIELD_DESC_LD),
	INSN(R_AARCH64_TLSDESC_ADD_LO12, RELOC_GOT_TP_ABS, FIELD_NOP),
	INSN(R_AARCH64_TLSDESC_CALL, RELOC_GOT_TP_ABS, FIELD_NOP),
	INSN(R_AARCH64_TLSLE_ADD_TPREL_HI12, RELOC_TP, FIELD_ADD12_HI),
	INSN(R_AARCH64_TLSLE_ADD_TPREL_LO12, RELOC_TP, FIELD_ADD12),
	INSN(R_AARCH64_TLSLE_ADD_TPREL_LO12_NC, RELOC_TP, FIELD_ADD12),
};

static bool put_signed(uint8_t *at, uint32_t word, uint64_t value, unsigned low, unsigned bits,
		       unsigned shift)
{
	int64_t v = (int64_t)value;
	uint32_t mask = ((1u << bits) - 1) << low;

	put_word(at, (word & ~mask) | ((uint32_t)(v >> shift) << low & mask));
	return !(v & ((1 << shift) - 1)) && v >= -(INT64_C(1) << (bits + shift - 1)) &&
	       v < INT64_C(1) << (bits + shift - 1);
}

static bool put_adr(uint8_t *at, uint32_t word, int64_t v)
{
	put_word(at, (word & ~(3u << 29 | 0x7ffffu << 5)) | ((uint32_t)v & 3) << 29 |
	    ((uint32_t)(v >> 2) & 0x7ffff) << 5);
	return v >= -(1 << 20) && v < 1 << 20;
}

static bool put_low12(uint8_t *at, uint32_t word, uint64_t value, unsigned scale)
{
	put_word(at, (word & ~(0xfffu << 10)) | (uint32_t)(value & 0xfff) >> scale << 10);
	return !(value & ((1u << scale) - 1));
}

bool arm_put_field(uint8_t *at, const struct reloc_type *type, uint64_t value)
{
	uint32_t word = word_at(at);

	switch (type->field) {
	case FIELD_B26: return put_signed(at, word, value, 0, 26, 2);
	case FIELD_B19: return put_signed(at, word, value, 5, 19, 2);
	case FIELD_B14: return put_signed(at, word, value, 5, 14, 2);
	case FIELD_ADR: return put_adr(at, word, (int64_t)value);
	case FIELD_ADRP: return put_adr(at, word, (int64_t)value >> 12);
	case FIELD_ADD12: return put_low12(at, word, value, 0);
	case FIELD_ADD12_HI: return put_low12(at, word, value >> 12, 0) && !(value >> 24);
	case FIELD_DESC_LD: return put_low12(at, word & ~31u, value, 3);
	case FIELD_NOP:
		put_word(at, (uint32_t)ARM_NOP);
		return true;
	case FIELD_MOVW0: case FIELD_MOVW1: case FIELD_MOVW2: case FIELD_MOVW3:
		put_word(at, (word & ~(0xffffu << 5)) |
		    (uint32_t)(value >> 16 * (type->field - FIELD_MOVW0) & 0xffff) << 5);
		return true;
	default: return put_low12(at, word, value, type->field - FIELD_LD8);
	}
}

/* glibc's _dl_tlsdesc_return(): ldr x0, [x0, #8]; ret, perhaps behind a landing pad. */
bool arm_desc_is_static(const uint8_t *code)
{
	if (word_at(code) == (uint32_t)ARM_BTI_C || word_at(code) == (uint32_t)ARM_NOP)
		code += 4;
	return word_at(code) == 0xf9400400 && word_at(code + 4) == 0xd65f03c0;
}
