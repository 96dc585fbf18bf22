/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Linking a patch into a running process, as the dynamic linker would and
 * without it: the result is bytes and addresses; nothing is written here.
 *
 * Beside each object that the patch is of it has an arena, one run of mappings within
 * reach of that object:
 *
 *   code     r-x   new code of the object's, stubs for far calls, islands; in the first
 *                  arena room for the dispatcher
 *   rodata   r--   the page of slots, constants, GOT, .eh_frame
 *   data     rw-   new variables
 *
 * Read-only data with relocations (.data.rel.ro) is relocated here, so it need
 * never be writable in the target.
 */
#ifndef STITCH_LINK_LINK_H
#define STITCH_LINK_LINK_H

#include "process.h"
#include "record.h"
#include "resolve.h"
#include "slp.h"

enum {
	LINK_ISLAND_SIZE = 128, /* a gate, and a function's displaced instructions: */
	LINK_ISLAND_COPY = ARCH_STUB_MAX,  /* where those begin in it */
	LINK_CALL_STACK = 65536 + 16384, /* of callbacks, with what is kept meanwhile */
	LINK_FRAME_ROOM = 128, /* of .eh_frame for what is made for a function */
	LINK_SELF_RUNTIME = 0, LINK_SELF_PREV = 8, /* in self: words for who writes them */
	LINK_OBJECT_SIZE = 32, LINK_OBJECT_ERRNO = 16, /* address of errno, what it was */
};

struct link_group {
	uint64_t addr;
	uint64_t size;      /* whole pages */
	struct buf bytes;   /* at most size */
};

/* What is beside one object. */
struct linked_part {
	struct range arena;
	struct link_group code, rodata, data;
	uint64_t islands;   /* address; LINK_ISLAND_SIZE bytes a function of the object's */
	size_t islands_size;
	uint64_t slots;     /* address; 8 bytes a function, all in one page */
	uint64_t eh_frame;
	size_t eh_frame_size; /* with the zero record at its end */
	size_t eh_frame_room; /* more records can be added until it has that size */
	uint64_t eh_object; /* room for what libgcc's list wants, in data */
	uint64_t *section_addr; /* by number in the patch file; 0: not loaded, or elsewhere */
	/* ---- only in the first: what the patch has once */
	struct range dispatcher; /* in code: room for one of that many stubs */
	/* Where the patch needs it, else 0; the layouts are include/stitch/livepatch.h's. */
	uint64_t self;      /* struct klp_patch, in data: runtime and prev are not filled in */
	uint64_t objects;   /* struct klp_object for each of the patch's, in data */
	uint64_t call_code; /* CALL_CODE_SIZE bytes in code for calls in the target */
	uint64_t call_stack; /* LINK_CALL_STACK bytes of data, its beginning */
};

struct linked {
	struct linked_part *parts; /* one for each object of the patch, in its order */
	size_t nr_parts;
};

/* Where a dispatcher's stubs begin in its code. */
static inline size_t link_stubs_at(const struct arch *arch)
{
	return (arch->dispatch_size + 15) & ~(size_t)15;
}

/*
 * objects: which object of the process each object of the patch is; the dispatcher gets
 * room for nr_stubs functions.  Each part is where before has it, if it is not NULL and the
 * part is as large; else where there is room.
 * Errors: bad-patch, no-room, relocation-unknown, out-of-reach, tls-new, and resolve.h's.
 */
struct err *link_patch(const struct process *process, const struct slp *slp,
		       const struct object *const *objects, size_t nr_stubs,
		       const struct record_patch *before, struct linked *linked)
	__attribute__((warn_unused_result));
void linked_done(struct linked *linked);
#define AUTO_LINKED __attribute__((cleanup(linked_done)))

/* The address of a symbol that the patch defines. */
uint64_t linked_symbol(const struct linked *linked, const struct slp *slp, uint32_t symbol);
/* All parts are where a patch of the process has them, and so is their code, to the byte. */
bool linked_is_there(const struct process *process, const struct linked *linked,
		     const struct record_patch *patch);
/* The bytes of the target's that all arenas take. */
uint64_t linked_memory(const struct linked *linked);

#endif
