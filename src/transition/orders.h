/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * While threads are waited for: what is said of it, and what others want.
 */
#ifndef STITCH_TRANSITION_ORDERS_H
#define STITCH_TRANSITION_ORDERS_H

#include "machine.h"

/* Who has been waited for longest; NULL: nobody. */
const struct blocker *orders_longest_blocker(const struct machine *m);
/* Answers the questions of other tools, then asks the caller. */
enum machine_order orders_ask(struct machine *m);
/* The error that an order makes; NULL: go on. */
struct err *orders_obey(const struct machine *m, enum machine_order order)
	__attribute__((warn_unused_result));
/* The time is over. */
struct err *orders_refuse(const struct machine *m) __attribute__((warn_unused_result));

#endif
