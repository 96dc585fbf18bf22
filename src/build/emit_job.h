/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A patch while it is being made of compared units: what is carried so far, what it refers
 * to, what will be said of it.  Inside emit*.c.
 */
#ifndef STITCH_BUILD_EMIT_JOB_H
#define STITCH_BUILD_EMIT_JOB_H

#include <jansson.h>

#include "emit.h"

/* What a unit's sections and symbols have become in the patch. */
struct emit_placed {
	uint32_t *section;   /* by section of b: number in out + 1; 0: not carried */
	uint32_t *symbol;    /* by symbol of b: number in out; 0: none */
	bool *done;          /* by section: its references are translated */
};

struct emit_known {
	char *key;
	uint32_t symbol;
};

/* What an object of the patch has. */
struct emit_contents {
	json_t *funcs;
	json_t *callbacks;        /* NULL: none */
	uint32_t strings;         /* section with its strings, + 1 */
};

struct emit_job {
	struct emit *emit;
	struct slp_out out;
	struct emit_placed *placed;    /* by unit */
	struct emit_known *known;
	size_t nr_known;
	struct emit_contents *objects;   /* as emit's */
	json_t *refs;
	json_t *states;           /* NULL: none */
	uint32_t states_symbol;
	bool keep_memory;
	bool progress;            /* something was carried in this round */
};

static inline const struct unit *emit_unit_b(const struct emit_job *job, size_t u)
{
	return job->emit->units[u].compare.b;
}

static inline const struct match *emit_match(const struct emit_job *job, size_t u)
{
	return job->emit->objects[job->emit->units[u].object].match;
}

static inline struct emit_contents *emit_contents_of(const struct emit_job *job, size_t u)
{
	return &job->objects[job->emit->units[u].object];
}

static inline bool emit_is_carried(enum part_state state)
{
	return state == STATE_CHANGED || state == STATE_NEW;
}

static inline enum part_state emit_state(const struct emit_job *job, size_t u, uint32_t section)
{
	return job->emit->units[u].compare.state[section];
}

/* What a section of a unit's becomes in the patch: its number there + 1. */
uint32_t emit_carry(struct emit_job *job, size_t u, uint32_t section);
/* The patch's symbol for one of a unit's; the section that it is in is carried. */
uint32_t emit_symbol(struct emit_job *job, size_t u, uint32_t number);
/* One string at that place of a unit's section of such; they are not carried whole. */
uint32_t emit_string_symbol(struct emit_job *job, size_t u, const struct section *sec,
			    uint64_t at);
/*
 * The patch's symbol for what the running program has: the old version of something that
 * a unit defines (0: there is none), or a name that it does not define.
 */
struct err *emit_ref_twin(struct emit_job *job, size_t u, const struct symbol *sym,
			  uint32_t *symbol) __attribute__((warn_unused_result));
struct err *emit_ref_undefined(struct emit_job *job, size_t u, const struct symbol *sym,
			       uint32_t *symbol) __attribute__((warn_unused_result));
/* What a reference in a part of a unit's becomes in the patch.  Errors: emit_patch()'s. */
struct err *emit_translate(struct emit_job *job, size_t u, const struct unit_part *part,
			   const struct unit_ref *ref, struct slp_out_reloc *out)
	__attribute__((warn_unused_result));
/* All references of what is carried, and of what they pull in. */
struct err *emit_translate_all(struct emit_job *job) __attribute__((warn_unused_result));
/* The unwind information of the code that is carried. */
struct err *emit_copy_eh(struct emit_job *job) __attribute__((warn_unused_result));
/* The functions of a unit that the patch replaces. */
struct err *emit_functions(struct emit_job *job, size_t u) __attribute__((warn_unused_result));
/* Functions that only initialisation calls have run already. */
void emit_warn_of_init(struct emit_job *job, size_t u);
/* Callbacks and states: what livepatch.h's macros leave in a unit. */
struct err *emit_livepatch(struct emit_job *job, size_t u) __attribute__((warn_unused_result));
/* The patch's description of itself, when all else is there. */
void emit_meta(struct emit_job *job);

#endif
