/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What call frame information says at one instruction: a row.
 *
 * The instructions are those of DWARF 5, section 6.4.2, with the GNU ones that
 * occur.  An instruction that is not known is an error, never skipped: the row
 * would be wrong without it.
 */
#ifndef STITCH_UNWIND_CFI_H
#define STITCH_UNWIND_CFI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arch.h"
#include "ehframe.h"
#include "err.h"

enum cfi_how {
	CFI_SAME,       /* not mentioned: the register still has its value */
	CFI_UNDEFINED,
	CFI_OFFSET,     /* saved at CFA + off */
	CFI_VAL_OFFSET, /* is CFA + off */
	CFI_REGISTER,   /* is in register off */
	CFI_EXPR,       /* saved at the address that the expression gives */
	CFI_VAL_EXPR,   /* is what the expression gives */
};

struct cfi_expr {
	const uint8_t *ops; /* in the section's bytes */
	size_t size;
};

struct cfi_rule {
	uint8_t col;
	uint8_t how;        /* enum cfi_how */
	uint16_t zero;
	uint32_t expr_size;
	union {
		int64_t off;
		const uint8_t *expr;
	};
};

/* One template: the same for every place whose rules are the same. */
struct cfi_row {
	uint8_t cfa_col;    /* unless cfa_expr is there */
	uint8_t ra_col;
	bool is_signal;
	bool ra_signed;     /* negate_ra_state is on (AADWARF64, 4.4) */
	bool ra_undefined;  /* there is no caller */
	bool is_plain;      /* every rule is CFI_OFFSET, and the CFA no expression */
	bool has_sp;        /* there is a rule for the stack pointer */
	uint16_t nr_rules;  /* CFI_SAME is left out */
	int64_t cfa_off;
	struct cfi_expr cfa_expr;
	uint64_t columns[ARCH_MASK]; /* that have a rule */
	struct cfi_rule rules[];
};

/* A rule for each column: some signal trampolines have them for floating point registers, too. */
enum { CFI_MAX_RULES = ARCH_COLS_MAX, CFI_MAX_ROWS = 1 << 16 };

/* Room for a row while it is made. */
union cfi_room {
	struct cfi_row row;
	uint8_t bytes[sizeof(struct cfi_row) + CFI_MAX_RULES * sizeof(struct cfi_rule)];
};

static inline size_t cfi_row_size(const struct cfi_row *row)
{
	return sizeof(*row) + row->nr_rules * sizeof(row->rules[0]);
}

/* Takes a row that holds from vaddr start up to end; row is the caller's. */
typedef void cfi_emit(void *arg, uint64_t start, uint64_t end, const struct cfi_row *row);

/*
 * Gives every row of a function, in order.  "bad-cfi" for what is not known, or
 * more than CFI_MAX_ROWS of them; rows that were given before are good.
 */
struct err *cfi_rows(const struct arch *arch, const struct eh_section *eh,
		     const struct eh_fde *fde, cfi_emit *emit, void *arg)
	__attribute__((warn_unused_result));
/* The rule of a column, NULL if it has none: CFI_SAME. */
const struct cfi_rule *cfi_rule_of(const struct cfi_row *row, unsigned col);

/* Reads 8 bytes of the target; false if they cannot be read. */
typedef bool cfi_read(void *arg, uint64_t addr, uint64_t *value);

static inline bool cfi_known(const uint64_t *known, unsigned col)
{
	return known[col / 64] >> (col % 64) & 1;
}

struct cfi_machine {
	const uint64_t *cols;  /* register values by DWARF column */
	const uint64_t *known; /* a bit for each */
	unsigned nr_cols;
	bool big_endian;
	cfi_read *read;
	void *arg;
};

/*
 * Evaluates an expression (DWARF 5, 2.5.1).  has_cfa: cfa is pushed first, as
 * for a register's rule.  False if it cannot be: an unknown operation, a
 * register without a value, memory that cannot be read, too many steps.
 */
bool cfi_eval(const struct cfi_expr *expr, const struct cfi_machine *m, bool has_cfa,
	      uint64_t cfa, uint64_t *value);

#endif
