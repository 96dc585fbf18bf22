/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Any bytes as an ELF file: its symbols, relocations, CFI and units. */
#include <stdlib.h>

#include "cfi.h"
#include "ehframe.h"
#include "fuzz.h"
#include "image.h"
#include "match.h"
#include "mem.h"
#include "unit.h"

static void use_relocs(const struct image *image)
{
	const struct reloc *dynamic;
	struct reloc *relocs;
	size_t nr;

	err_free(image_dynamic_relocs(image, &dynamic, &nr));
	for (uint32_t i = 0; i < image->nr_sections && i < 64; i++) {
		err_free(image_relocs_of(image, i, &relocs, &nr));
		free(relocs);
	}
}

static void count_row(void *arg, uint64_t start, uint64_t end, const struct cfi_row *row)
{
	*(unsigned *)arg += start < end && row->nr_rules <= CFI_MAX_RULES;
}

static void use_cfi(const struct image *image)
{
	const struct section *sec = image_find_section(image, ".eh_frame");
	const struct section *hdr = image_find_section(image, ".eh_frame_hdr");
	struct eh_section eh = { .big_endian = image->arch->big_endian };
	bool is_fde, done = false, found;
	struct eh_fde fde;
	unsigned rows = 0;
	size_t off = 0;

	if (!sec || !sec->data)
		return;
	eh.data = sec->data;
	eh.size = sec->size;
	eh.vaddr = sec->vaddr;
	if (hdr && hdr->data) {
		eh.hdr = hdr->data;
		eh.hdr_size = hdr->size;
		eh.hdr_vaddr = hdr->vaddr;
	}
	for (unsigned n = 0; n < 1000 && !done; n++) {
		struct err *err = eh_next(&eh, &off, &fde, &is_fde, &done);

		if (err) {
			err_free(err);
			return;
		}
		if (!is_fde)
			continue;
		err_free(cfi_rows(image->arch, &eh, &fde, count_row, &rows));
		err_free(eh_find(&eh, fde.pc_begin, &fde, &found));
	}
}

static void use_unit(struct image *image)
{
	struct unit *unit = NULL;

	if (image->type == ET_REL) {
		struct err *err = unit_load(image, &unit);

		if (err)
			err_free(err); /* the image went with it */
		else
			unit_free(unit);
		return;
	}
	image_free(image);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct image *image = NULL;
	struct match_range *ranges = NULL;
	size_t nr;
	struct err *err = image_from_bytes(mem_dup(data, size), size, &image);
	uint64_t value;

	if (err) {
		err_free(err);
		return 0;
	}
	use_relocs(image);
	use_cfi(image);
	image_find_export(image, "f", "V");
	image_find_hashed(image, "__libc_start_main", &value);
	image_find_hashed(image, "vfork", &value);
	image_soname(image);
	err = match_functions(image, &ranges, &nr);
	if (!err)
		free(ranges);
	err_free(err);
	use_unit(image);
	return 0;
}
