/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A checked view of one ELF file, 64 bits, of any port.
 *
 * Everything it hands out lies inside the file's bytes or inside the image's
 * own arrays and lives until image_free().  An image of a file that is not
 * well-formed is refused whole ("bad-elf"); a part that is merely absent is
 * empty.
 */
#ifndef STITCH_ELF_IMAGE_H
#define STITCH_ELF_IMAGE_H

#include <gelf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arch.h"
#include "bytes.h"
#include "err.h"

struct segment {
	uint32_t type, flags;
	uint64_t off, vaddr, file_size, mem_size, align;
};

struct section {
	const char *name;
	uint32_t type, link, info;
	uint64_t flags, vaddr, off, size, align, entry_size;
	const uint8_t *data; /* NULL for SHT_NOBITS and for empty sections */
};

struct symbol {
	const char *name;
	const char *version; /* dynamic symbols with one, else NULL */
	uint64_t value, size;
	uint32_t section;    /* SHN_UNDEF, SHN_ABS, ... or a section's number */
	uint8_t type, bind, visibility, other;
	bool version_hidden; /* found only by a reference that names the version */
};

struct reloc {
	uint64_t off;        /* in its section (ET_REL), else a vaddr */
	uint32_t type, symbol;
	int64_t addend;
};

struct symtab {
	struct symbol *symbols;
	size_t nr;
};

struct image {
	const uint8_t *data;
	size_t size;
	const struct arch *arch;
	uint16_t type;
	uint64_t entry;
	struct segment *segments;
	size_t nr_segments;
	struct section *sections;
	size_t nr_sections;
	struct symtab symtab, dynsym;
	uint8_t build_id[64];
	size_t build_id_size;
	bool has_symbols;    /* symtab and dynsym have been read */
	/* private */
	struct reloc *relocs; /* the dynamic ones, once they have been asked for */
	size_t nr_relocs;
	Elf *elf;
	void *mapped, *owned;
};

/* Maps the file read-only. */
struct err *image_open(const char *path, struct image **image)
	__attribute__((warn_unused_result));
/*
 * The same without its symbols: reading them costs more than all the rest, and who
 * walks stacks needs hardly any.  image_load_symbols() brings them; it may be
 * called again.
 */
struct err *image_open_part(const char *path, struct image **image)
	__attribute__((warn_unused_result));
struct err *image_load_symbols(struct image *image) __attribute__((warn_unused_result));
/* Takes the bytes over (they came from mem_alloc), also when it fails. */
struct err *image_from_bytes(void *data, size_t size, struct image **image)
	__attribute__((warn_unused_result));
void image_free(struct image *image);
void image_freep(struct image **image);
#define AUTO_IMAGE __attribute__((cleanup(image_freep)))

/* The file's bytes at a vaddr of a PT_LOAD; NULL if not all of size are there. */
const uint8_t *image_at(const struct image *image, uint64_t vaddr, size_t size);
/* The PT_LOAD that holds vaddr in memory, NULL if none does. */
const struct segment *image_segment(const struct image *image, uint64_t vaddr);
const struct segment *image_find_segment(const struct image *image, uint32_t type);
const struct section *image_find_section(const struct image *image, const char *name);
/* Of a linked image: the section that holds vaddr, NULL if none. */
const struct section *image_section_at(const struct image *image, uint64_t vaddr);

/* The relocations that apply to a section (ET_REL). The caller frees *relocs. */
struct err *image_relocs_of(const struct image *image, uint32_t section,
			    struct reloc **relocs, size_t *nr)
	__attribute__((warn_unused_result));
/* All dynamic relocations (linked images), and the symbols that they name; the image's. */
struct err *image_dynamic_relocs(const struct image *image, const struct reloc **relocs,
				 size_t *nr) __attribute__((warn_unused_result));

/*
 * The definition of a dynamic symbol as the dynamic linker finds it: a wanted
 * version must match, without one a hidden version is passed over.
 */
const struct symbol *image_find_export(const struct image *image, const char *name,
				       const char *version);
/*
 * The value of a dynamic symbol that the file defines, by its hash table
 * (SHT_GNU_HASH), whether symbols have been read or not.  False: there is none, or
 * no such table.
 */
bool image_find_hashed(const struct image *image, const char *name, uint64_t *value);
bool image_has_hash(const struct image *image);
struct elf_note {
	uint32_t type;
	const char *name;    /* of name_size bytes, its final 0 among them */
	size_t name_size;
	const uint8_t *desc;
	size_t size;
};

/* The next of a run of notes (gABI, Note Section); false at the end, or if it is cut. */
bool image_next_note(struct cursor *c, struct elf_note *note);
/* What the dynamic section says under a tag; false: nothing. */
bool image_dynamic(const struct image *image, int64_t tag, uint64_t *value);
/* The file name in DT_SONAME, or NULL. */
const char *image_soname(const struct image *image);
char *image_build_id_hex(const struct image *image);
bool image_has_build_id(const struct image *image, const void *id, size_t size);

#endif
