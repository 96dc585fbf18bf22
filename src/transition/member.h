/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the machine knows of each thread, and what it does with one: stop it, check it,
 * switch it, wait for it.
 */
#ifndef STITCH_TRANSITION_MEMBER_H
#define STITCH_TRANSITION_MEMBER_H

#include "machine.h"
#include "straggler.h"

/* A thread that takes longer to stop, and does not run, is left for later. */
enum { MEMBER_STOP_MS = 50 };

/* thread->data. */
struct member {
	bool known;            /* it has its place in the table, or shares one */
	enum thread_patch_state inherits; /* of its creator, whose thread pointer is */
	uint64_t creator;
	bool is_blocked;
	struct blocker blocker;
	struct straggler straggler;
	uint64_t leaves_at;    /* as of its last verdict (struct verdict) */
	bool is_wanted;        /* asked to stop, to be visited */
	uint64_t asked_ms;
	unsigned wave;         /* the last one that saw it outside */
};

/* Made at the first question. */
struct member *member_of(struct thread *thread);
void member_free(struct thread *thread);
bool member_is_gone(const struct thread *thread);

/* The thread stands: its thread pointer is known from now on. */
void member_learn(struct machine *m, struct thread *thread);
/* Of threads_follow(). */
void member_born(void *arg, struct thread *parent, struct thread *child);
/* Lets a thread go on that stands, and notes how long it stood. */
void member_let_run(struct machine *m, struct thread *thread);
/* Notes why it is waited for; and that it is not any more. */
void member_block(struct machine *m, struct thread *thread, const struct verdict *v);
void member_unblock(struct thread *thread);
/* The same of one that was asked to stop and does not. */
void member_block_silent(struct machine *m, struct thread *thread);
/* The same, and an event tells when it has left what it is in. */
void member_wait_for(struct machine *m, struct thread *thread, const struct verdict *v);
/* It stands: may it go on in the new state? If not, that is noted, and an event awaited. */
bool member_is_clear(struct machine *m, struct thread *thread);
/* Stops it; *stands is false if it does not, and that is noted. */
struct err *member_stop(struct machine *m, struct thread *thread, bool *stands)
	__attribute__((warn_unused_result));
bool member_is_at_target(const struct machine *m, const struct thread *thread);
/* Nobody has its thread pointer, and so its state, but itself. */
bool member_is_alone(const struct machine *m, const struct thread *thread);

/* Switches those with a thread pointer, if check, only when all of them are clear. */
struct err *members_switch(struct machine *m, uint64_t tp, bool check)
	__attribute__((warn_unused_result));
/* The threads that one with that pointer has just made are known; *all. */
struct err *members_learn_newborn(struct machine *m, uint64_t tp, bool *all)
	__attribute__((warn_unused_result));
bool members_are_known(const struct machine *m);
void members_forget_gone(struct machine *m);

#endif
