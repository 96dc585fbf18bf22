/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The entry of a function: what may be done to it while threads run through it.
 *
 * An entry changes by one store of an aligned word (arch.code_word bytes), and only
 * inside one instruction: the first one of the function, or the jump that another patch
 * put there.  No thread can stand in the middle of it, and a processor that runs the code
 * meanwhile fetches the instruction as it was or as it will be (AMD64 manual, volume 2,
 * 7.6.1, asynchronous modification; on Intel's the practice of instruction punning,
 * Chamith et al., PLDI 2017).  So nothing is stopped, and a tool that dies leaves nothing
 * behind that would wait for it.
 *
 * A jump is longer than many first instructions.  Of its bytes those that do not change
 * decide where it can lead; a landing is made there.
 */
#ifndef STITCH_REDIRECT_ENTRY_H
#define STITCH_REDIRECT_ENTRY_H

#include "process.h"
#include "record.h"
#include "slp.h"

struct entry {
	const struct arch *arch;
	const struct object *object;
	const struct slp_func *func;
	const struct record_func *top; /* what is in effect there now; NULL: the original */
	const uint8_t *code;  /* the function's bytes in the file */
	size_t keep;
	uint64_t site;        /* address */
	size_t displaced;     /* bytes of whole instructions under the jump */
	size_t first;         /* bytes of the first instruction of them */
	bool is_loop;         /* a jump of its own leads to its entry */
	bool is_entered;      /* a jump leads among the displaced, behind the first */
};

/*
 * Checks that a function of the running object is the one that the patch was made for
 * and can be redirected.  Errors: old-bytes-differ, function-too-short,
 * entered-in-middle, foreign-jump, cannot-decode.
 */
struct err *entry_check(const struct process *process, const struct record *record,
			const struct object *object, const struct slp_func *func,
			struct entry *entry) __attribute__((warn_unused_result));

/* Where a jump can lead that is put there now, under running threads. */
void entry_window(const struct entry *entry, uint64_t *first, uint64_t *last);
/* And later, when every thread has been seen outside the original's first bytes. */
void entry_settled_window(const struct entry *entry, uint64_t *first, uint64_t *last);

/*
 * The displaced instructions at their new place, then back into the old code.  A call that
 * is the last of them returns into the old code by itself: an exception table tells a
 * handler by the return address, and there is none of the copy.
 */
struct err *entry_displace(const struct process *process, const struct entry *entry,
			   uint64_t to, uint8_t *out, size_t room)
	__attribute__((warn_unused_result));

/*
 * Makes the jump_size bytes at site be bytes, with one store.  Those outside its word
 * have to be so already (cannot-arm).
 */
struct err *entry_store(const struct process *process, uint64_t site, const uint8_t *bytes)
	__attribute__((warn_unused_result));

#endif
