/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Threads that are asleep in the kernel are seen and switched where they are, without being
 * stopped (target/glance.h, redirect/dispatch.h).  Each of these says true if there is
 * nothing to stop the thread for now: what was to be done is done, or it is in what goes out
 * of use and an event tells when it has left.
 */
#ifndef STITCH_TRANSITION_PEEK_H
#define STITCH_TRANSITION_PEEK_H

#include "machine.h"

/* For struct visit; an error goes to m->failed. */
bool peek_learn(struct machine *m, struct thread *thread);
bool peek_switch(struct machine *m, struct thread *thread);
bool peek_outside(struct machine *m, struct thread *thread);

#endif
