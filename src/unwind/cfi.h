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
	enum cfi_how how;
	int64_t off;
	struct cfi_expr expr;
};

struct cfi_row {
	bool cfa_is_expr;
	unsigned cfa_reg;
	int64_t cfa_off;
	struct cfi_expr cfa_expr;
	bool is_signal;
	bool ra_signed;  /* DW_CFA_AARCH64_negate_ra_state is on */
	unsigned ra_col;
	uint64_t fde_start, fde_end; /* vaddrs: the function, as CFI knows it */
	unsigned nr_rules;
	struct {
		uint16_t col;
		struct cfi_rule rule;
	} rules[32];
};

/* The row at vaddr, which fde must cover. */
struct err *cfi_row_at(const struct arch *arch, const struct eh_section *eh,
		       const struct eh_fde *fde, uint64_t vaddr, struct cfi_row *row)
	__attribute__((warn_unused_result));
/* The rule of a column; CFI_SAME if the row has none. */
const struct cfi_rule *cfi_rule_of(const struct cfi_row *row, unsigned col);

/* Reads 8 bytes of the target; false if they cannot be read. */
typedef bool cfi_read(void *arg, uint64_t addr, uint64_t *value);

struct cfi_machine {
	const uint64_t *cols;  /* register values by DWARF column */
	const bool *known;
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
