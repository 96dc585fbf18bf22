/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One tool at a time for each process: a name in the abstract socket namespace, which the
 * kernel frees when its holder dies, however that happens.  Through the same socket other
 * tools of the same user ask the holder: how far it is, to turn back, to force.
 */
#ifndef STITCH_TRANSITION_LOCK_H
#define STITCH_TRANSITION_LOCK_H

#include "process.h"

enum { LOCK_TEXT = 64 << 10 }; /* the longest answer, with its NUL */

struct lock {
	int fd;
};

#define LOCK_NONE { -1 }
#define AUTO_LOCK __attribute__((cleanup(lock_release)))

/*
 * One that follows the process (late.h) steps aside for the holder.  Error: locked
 * (another stitch is at work on the process, and not done in two seconds).
 */
struct err *lock_take(const struct process *process, struct lock *lock)
	__attribute__((warn_unused_result));
/* The follower's own. Error: followed. */
struct err *lock_take_follower(const struct process *process, struct lock *lock)
	__attribute__((warn_unused_result));
/* Somebody is at work on the process. */
bool lock_is_taken(const struct process *process);
void lock_release(struct lock *lock);

/*
 * The holder's side: the next question, if there is one (at most 63 characters); fd is
 * where the answer goes.  lock_answer() ends it.
 */
bool lock_question(const struct lock *lock, char question[64], int *fd);
void lock_answer(int fd, const char *answer);

/*
 * The other side: *answer, which the caller frees, is NULL if nobody holds the lock.
 * Error: locked (the holder does not answer).
 */
struct err *lock_ask(const struct process *process, const char *question, char **answer)
	__attribute__((warn_unused_result));

#endif
