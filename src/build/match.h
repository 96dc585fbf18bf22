/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where a reference build's code and data are in the binary that runs.
 *
 * The reference has symbols; the running binary is stripped.  If both have the
 * same build ID, or the same layout and the same code, an address in one is the
 * same address in the other.  Else they are matched function by function, as
 * .eh_frame delimits them: equal instructions, operands that are addresses set
 * aside; those operands then say where the callee or variable of one is in the
 * other.  What no matched instruction refers to is not known, and a
 * contradiction makes an address unknown, too.
 */
#ifndef STITCH_BUILD_MATCH_H
#define STITCH_BUILD_MATCH_H

#include "image.h"

enum match_how { MATCH_BUILD_ID, MATCH_LAYOUT, MATCH_FUNCTIONS };

struct match {
	enum match_how how;
	const struct image *from, *to; /* reference, running */
	size_t nr_funcs, nr_matched;   /* MATCH_FUNCTIONS: of the reference */
	struct match_pair *pairs;      /* private: a hash table */
	size_t nr_pairs, room;
};

/* Error: no-match (nothing in common), bad-cfi. */
struct err *match_images(const struct image *from, const struct image *to,
			 struct match *match) __attribute__((warn_unused_result));
void match_done(struct match *match);
/* The vaddr in the running binary; false if it is not known. */
bool match_vaddr(const struct match *match, uint64_t from, uint64_t *to);
/* Equal instructions at both places, addresses set aside. */
bool match_same_code(const struct match *match, uint64_t from, uint64_t to, uint64_t size);
const char *match_how_text(enum match_how how);

/* All functions' ranges of a linked image, by .eh_frame. The caller frees. */
struct match_range {
	uint64_t vaddr, size;
};
struct err *match_functions(const struct image *image, struct match_range **ranges,
			    size_t *nr) __attribute__((warn_unused_result));

#endif
