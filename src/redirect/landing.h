/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Landings: gates at the places that a punned jump can lead to.
 *
 * Each is a jump through a slot beside it, in a page that is mapped where the window of
 * the jump and the free address space of the process have one in common.
 */
#ifndef STITCH_REDIRECT_LANDING_H
#define STITCH_REDIRECT_LANDING_H

#include "process.h"
#include "record.h"

enum { LANDING_SIZE = ARCH_STUB_MAX + 8 }; /* a far jump, a gap, 8 bytes */

struct landing {
	uint64_t gate, slot;
	uint8_t bytes[LANDING_SIZE]; /* to stand at gate */
};

struct landings {
	struct range *taken;   /* what will be mapped before they are */
	size_t nr_taken;
	struct range *pages;
	size_t nr_pages;
	struct landing *landing;
	size_t nr;
};

void landings_done(struct landings *landings);
#define AUTO_LANDINGS __attribute__((cleanup(landings_done)))
void landings_avoid(struct landings *landings, struct range range);

/*
 * Finds a place whose gate is in [first, last]; its slot is to hold target at first.
 * Error: no-landing.
 */
struct err *landings_add(struct landings *landings, const struct process *process,
			 uint64_t first, uint64_t last, uint64_t target,
			 const struct landing **landing) __attribute__((warn_unused_result));

#endif
