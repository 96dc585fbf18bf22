/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The record: what was done to a process, kept in the process itself.
 *
 * It is one private, read-only, anonymous mapping of RECORD_SIZE bytes that
 * begins with RECORD_MAGIC; the tool writes it from outside.  Two slots hold
 * JSON text (docs/record.md) with its SHA-256; a word in the header names the
 * valid one.  An update fills the other slot and then changes that one word, so
 * a reader, and a tool that comes after one that was killed, see either the
 * old record or the new one.  Every change of the process is in the record
 * before it is made.
 */
#ifndef STITCH_TARGET_RECORD_H
#define STITCH_TARGET_RECORD_H

#include "process.h"

enum {
	RECORD_SIZE = 1 << 20,
	RECORD_VERSION = 6,
	RECORD_OLD_BYTES = 16,
	RECORD_CALLBACKS = 4,
};

/* A run of addresses. */
struct range {
	uint64_t start, size;
};

struct record_func {
	char *name;
	char *object;         /* name of the object it is in, for people */
	char *build_id;       /* of that object, hex */
	uint64_t site;        /* where the jump stands: entry + kept bytes */
	uint8_t old_bytes[RECORD_OLD_BYTES]; /* at site, before any patch */
	uint64_t new_addr;
	uint64_t gate;        /* where the entry's jump leads; jumps through slot */
	uint64_t slot;        /* 8 bytes: a dispatcher's stub, or a version of the function */
	bool nop;             /* of a replacing patch: the original instead of an older
			       * patch's version; gate, slot and copy are that one's */
	bool held;            /* no single store arms it: all threads are held for that */
	bool loops;           /* a jump of the original leads to its own entry */
	bool direct;          /* once settled, the entry leads straight to new_addr */
	uint64_t displaced;   /* copy of the displaced instructions, then back */
	struct range *old_parts; /* the original function, .cold too */
	size_t nr_old_parts;
	struct range *new_parts;
	size_t nr_new_parts;
};

/* One object of a patch with callbacks; which are owed follows from the two marks. */
struct record_object {
	char *name;
	uint64_t self;        /* its struct klp_object, what callbacks are given */
	uint64_t callbacks[RECORD_CALLBACKS]; /* addresses, 0: none; in the order of slp.h */
	bool pre_patched;     /* pre_patch has run, so post_unpatch is owed */
	bool post_patched;    /* post_patch has run, so pre_unpatch is owed */
};

struct record_state {
	uint64_t id, version;
};

/* What a patch has beside one of the objects that it is of. */
struct record_part {
	struct range arena;   /* code, rodata and data: one run of mappings */
	struct range code, rodata, data; /* r-x, r--, rw- */
	struct range islands; /* in code: gates and displaced copies */
	uint64_t eh_frame, eh_frame_size;
	uint64_t eh_object;   /* what libgcc's list points to; 0: not in it */
};

/* In the order of a patch's life; see the table in transition/apply.h. */
enum patch_state {
	PATCH_LOADING,   /* its memory may be there; no entry leads to it */
	PATCH_ENABLING,  /* threads are led by their state, and switched to patched */
	PATCH_APPLIED,
	PATCH_DISABLING, /* the same, and switched to unpatched */
	PATCH_RESTORING, /* all are unpatched; entries may still lead to it */
	PATCH_UNLOADING, /* nothing leads to it; its memory may be gone */
	PATCH_RETAINED,  /* reverted; its memory stays: pointers may be left */
};

struct record_patch {
	char *name;
	char *digest;         /* SHA-256 of the patch file, hex */
	char *description;
	uint64_t applied_at;  /* seconds since 1970 */
	enum patch_state state;
	bool replace;         /* older patches go when it is applied */
	bool keep_memory;     /* addresses of new code or data may be stored anywhere */
	bool had_memory;      /* that was there, of the same patch, before it was applied again */
	bool forced;          /* threads were switched unchecked: it stays for ever */
	struct record_part *parts; /* at least one */
	size_t nr_parts;
	struct range *landings; /* r-x: gates that have to be elsewhere */
	size_t nr_landings;
	struct range dispatcher; /* in a part's code: room for the dispatcher and its stubs */
	uint64_t dispatch;    /* that one's data (redirect/dispatch.h); 0: it leads nobody */
	unsigned dispatch_bits;
	struct record_func *funcs;
	size_t nr_funcs;
	/* Of patches that need them, else 0 (include/stitch/livepatch.h). */
	uint64_t self;        /* its struct klp_patch */
	uint64_t call_code, call_stack; /* for calls of its functions (target/call.h) */
	struct record_object *objects;
	size_t nr_objects;
	struct record_state *states;
	size_t nr_states;
	/* A callback that may have been begun: object * RECORD_CALLBACKS + which, + 1. */
	uint64_t calling;
};

struct record {
	uint64_t runtime;     /* what its patches share (struct klp_runtime_); 0: nothing */
	uint64_t addr;        /* 0: the process has none */
	uint64_t active;      /* the header's word: sequence * 2 + slot */
	struct record_patch **patches; /* oldest first */
	size_t nr_patches;
};

/*
 * Finds and reads the record; addr is 0 if there is none.  Errors: bad-record
 * (damaged), record-too-new: nothing may be touched then.
 */
struct err *record_read(const struct process *process, struct record *record)
	__attribute__((warn_unused_result));
/* Turns the bytes of a record mapping's slots into a record: record_read's
 * second half, for the fuzzer. */
struct err *record_parse(const char *text, size_t size, struct record *record)
	__attribute__((warn_unused_result));
void record_done(struct record *record);
#define AUTO_RECORD __attribute__((cleanup(record_done)))

/* Maps an empty record if there is none: stops one thread for a moment. */
struct err *record_create(struct process *process, struct record *record)
	__attribute__((warn_unused_result));
/* Writes the record as it is now and makes it the valid one. */
struct err *record_write(const struct process *process, struct record *record)
	__attribute__((warn_unused_result));
/*
 * The two halves of record_write(), for when the second must be one store:
 * prepare writes the inactive slot, commit makes it the valid one.
 */
struct err *record_prepare(const struct process *process, const struct record *record)
	__attribute__((warn_unused_result));
struct err *record_commit(const struct process *process, struct record *record)
	__attribute__((warn_unused_result));

/* The bytes of memory that its parts take. */
uint64_t record_memory(const struct record_patch *patch);
/* libgcc has been told, or may have been, of one of its parts. */
bool record_has_eh(const struct record_patch *patch);
void record_func_done(struct record_func *func);
struct record_patch *record_add(struct record *record);
void record_remove(struct record *record, struct record_patch *patch);
/* The newest of that name: others were reverted, and their memory stays. */
struct record_patch *record_find(const struct record *record, const char *name);
/* The newest patch in effect that has a function at site, before limit if given. */
const struct record_func *record_top(const struct record *record, uint64_t site,
				     const struct record_patch *limit);
/* A landing page of some patch is at addr. */
bool record_landing_at(const struct record *record, uint64_t addr);
/* Those of its landing pages through which another patch leads callers are that one's now. */
void record_hand_on_landings(struct record *record, struct record_patch *patch);
const char *patch_state_name(enum patch_state state);

#endif
