/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The patch file (.slp): a relocatable ELF object whose section .stitch.meta
 * says in JSON what it changes.  docs/patch-format.md describes every field.
 */
#ifndef STITCH_PATCHFILE_SLP_H
#define STITCH_PATCHFILE_SLP_H

#include <jansson.h>

#include "image.h"

enum {
	SLP_FORMAT = 3,      /* 1: one object, no callbacks, no states; 2: with those */
	SLP_HASH_SIZE = 32,  /* SHA-256 */
	SLP_MAX_ALIGN = 4096, /* of a section: what is mapped is aligned so */
	SLP_MAX_FUNCS = 512, /* in one patch: the slots of an object share one page */
};

struct slp_part {
	uint64_t vaddr, size;
};

struct slp_func {
	char *name;
	unsigned sympos;      /* 1.. among symbols of that name; 0: unique */
	uint64_t vaddr, size; /* of the old function in its object */
	uint8_t old_hash[SLP_HASH_SIZE]; /* of its size bytes */
	struct slp_part *parts; /* more ranges of it: .cold */
	size_t nr_parts;
	uint32_t symbol;      /* of the new function */
	uint32_t *part_symbols; /* more parts of the new function */
	size_t nr_part_symbols;
	char *reason;         /* why it is in the patch; for people */
};

/* Functions of the patch that are called in the target (kernel, struct klp_callbacks). */
enum slp_callback {
	CALLBACK_PRE_PATCH,
	CALLBACK_POST_PATCH,
	CALLBACK_PRE_UNPATCH,
	CALLBACK_POST_UNPATCH,
	NR_CALLBACKS,
};

/* What of the process the patch changes for good (kernel, struct klp_state). */
struct slp_state {
	uint64_t id;          /* not 0 */
	uint64_t version;
};

struct slp_object {
	char *name;
	char *build_id;       /* hex */
	uint32_t callbacks[NR_CALLBACKS]; /* symbols; 0: none */
	struct slp_func *funcs;
	size_t nr_funcs;
};

enum slp_ref_kind {
	SLP_REF_ADDRESS, /* vaddr in an object of the patch */
	SLP_REF_IMPORT,  /* a dynamic symbol, found as the object would find it */
	SLP_REF_TLS,     /* a thread-local variable of an object of the patch */
	SLP_REF_IFUNC,   /* what the ifunc resolver at vaddr chose at start-up */
	SLP_REF_PATCH,   /* what the patch knows of itself (include/stitch/livepatch.h) */
};

struct slp_ref {
	uint32_t symbol;      /* undefined in the symbol table */
	enum slp_ref_kind kind;
	unsigned object;
	uint64_t vaddr;       /* TLS: offset in the object's TLS segment */
	char *name, *version; /* version: of an import, or NULL */
	bool weak;            /* an import that may be missing: then 0 */
};

struct slp_note {
	char *kind, *text;
};

struct slp {
	struct image *image;
	char *name, *description;
	char digest[2 * SLP_HASH_SIZE + 1];
	bool replace;         /* it takes the place of all patches before it */
	bool keep_memory;     /* addresses of its functions or data may be stored somewhere */
	struct slp_object *objects;
	size_t nr_objects;
	uint32_t *section_object; /* by section: the object that it is linked beside */
	struct slp_ref *refs;
	size_t nr_refs;
	struct slp_state *states;
	size_t nr_states;
	uint32_t states_symbol; /* of the array in the patch; 0: none */
	struct slp_note *notes; /* what the builder saw and left alone */
	size_t nr_notes;
};

/* Errors: bad-patch, patch-too-new, bad-elf, unknown-architecture. */
struct err *slp_open(const char *path, struct slp **slp)
	__attribute__((warn_unused_result));
/* The same from bytes made by mem_alloc, which it takes over. */
struct err *slp_from_bytes(void *data, size_t size, struct slp **slp)
	__attribute__((warn_unused_result));
void slp_free(struct slp *slp);
void slp_freep(struct slp **slp);
#define AUTO_SLP __attribute__((cleanup(slp_freep)))

const struct slp_ref *slp_find_ref(const struct slp *slp, uint32_t symbol);
size_t slp_nr_funcs(const struct slp *slp);
bool slp_has_callbacks(const struct slp *slp);
/* It uses more of the target than its own memory: callbacks, states, shadow variables. */
bool slp_needs_runtime(const struct slp *slp);
/* "pre_patch" */
const char *slp_callback_name(enum slp_callback which);

/* ---- writing ---------------------------------------------------------- */

struct slp_out_reloc {
	uint64_t off;
	uint32_t type, symbol;
	int64_t addend;
};

struct slp_out_section {
	char *name;
	uint32_t type;
	uint64_t flags, align;
	size_t object;        /* that it is linked beside */
	struct buf data;      /* of SHT_NOBITS: only its size counts */
	struct slp_out_reloc *relocs;
	size_t nr_relocs;
};

struct slp_out_symbol {
	char *name;
	uint8_t type;
	uint32_t section;     /* index + 1 into sections; 0: undefined */
	uint64_t value, size;
};

struct slp_out {
	const struct arch *arch;
	struct slp_out_section *sections;
	size_t nr_sections;
	struct slp_out_symbol *symbols; /* names need not be unique */
	size_t nr_symbols;
	json_t *meta;
};

uint32_t slp_out_symbol(struct slp_out *out, const char *name, uint8_t type,
			uint32_t section, uint64_t value, uint64_t size);
uint32_t slp_out_section(struct slp_out *out, const char *name, uint32_t type,
			 uint64_t flags, uint64_t align, size_t object);
/*
 * Writes the file anew or not at all (a temporary file, renamed).  meta's
 * symbol numbers are those that slp_out_symbol() gave.
 */
struct err *slp_write(const struct slp_out *out, const char *path)
	__attribute__((warn_unused_result));
void slp_out_done(struct slp_out *out);

#endif
