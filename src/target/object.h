/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A file whose code a process has mapped, or its vDSO.
 *
 * It is opened through what is mapped (maps_file), never through its mere
 * name, so that a file that was deleted or replaced on disk, or that lies in
 * another mount namespace, is still the right one.
 */
#ifndef STITCH_TARGET_OBJECT_H
#define STITCH_TARGET_OBJECT_H

#include "err.h"
#include "image.h"
#include "maps.h"
#include "walk.h"

struct process;

struct object {
	char *path;           /* as the kernel shows it; for people */
	char *name;           /* the last part of path, without " (deleted)" */
	uint64_t start, end;  /* addresses: from its first to its last mapping */
	uint64_t bias;
	unsigned dev_major, dev_minor;
	uint64_t inode;
	struct image *image;
	bool is_vdso, is_program;
	/* functions that change stacks, by name; found when first asked for */
	bool has_switches;
	struct { uint64_t vaddr; enum unwind_switch what; } *switches;
	size_t nr_switches;
	struct unwind_code *code; /* one for each executable segment */
	size_t nr_code;
	/* Words of GOT slots etc. are read from the target when asked for. */
};

/*
 * Objects come without their symbols (image_open_part): this brings one's.  The
 * tables stay empty if they cannot be read.
 */
void object_load_symbols(const struct object *object);

/* Is it the name, or the beginning of one, of a dynamic symbol, defined or used? */
bool object_names(const struct object *object, const char *name, bool is_beginning);

struct err *object_open(const struct process *process, const struct map *map,
			struct object **object) __attribute__((warn_unused_result));
void object_free(struct object *object);
/* The file itself, for a library that wants to read it; -1 if it cannot be had. */
int object_open_file(const struct process *process, const struct object *object);

#endif
