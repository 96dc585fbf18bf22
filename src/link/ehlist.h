/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where libgcc's list of registered .eh_frame sections is: read off the instructions of the
 * function that puts an entry at its head, __register_frame_info(), whose second argument is
 * the entry.  Every path through it is followed; what they say must agree.
 */
#ifndef STITCH_LINK_EHLIST_H
#define STITCH_LINK_EHLIST_H

#include "arch.h"

struct ehlist {
	const struct arch *arch;
	/* A word of the process, where code finds its variables through a table. */
	bool (*read)(void *arg, uint64_t addr, uint64_t *word);
	void *arg;
	/* What was found. */
	uint64_t head;      /* address of the list's first pointer */
	uint64_t flag;      /* of the flag that the list was used; 0: this libgcc has none */
	unsigned flag_size;
	unsigned next_off;  /* of the next pointer in an entry */
};

/* code is the function's, addr its address in the process. False: it does something else. */
bool ehlist_learn(struct ehlist *list, const uint8_t *code, size_t size, uint64_t addr);

#endif
