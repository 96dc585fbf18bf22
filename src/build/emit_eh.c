/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "emit_job.h"

#include <elf.h>
#include <string.h>

#include "bytes.h"
#include "ehframe.h"
#include "mem.h"

struct eh_job {
	size_t u;
	const struct unit_part *part;
	uint32_t to;               /* section in out */
	size_t cie_from, cie_to;   /* the CIE copied last */
	bool has_cie;
};

static const struct unit_ref *ref_at(const struct unit_part *part, uint64_t off)
{
	for (size_t i = 0; i < part->nr_refs; i++)
		if (part->refs[i].off == off)
			return &part->refs[i];
	return NULL;
}

/* Copies bytes [from, from + size) with their relocations; returns where. */
static struct err *copy_record(struct emit_job *job, const struct eh_job *eh, size_t from,
			       size_t size, size_t *to)
{
	struct err *err;

	*to = buf_add(&job->out.sections[eh->to].data, eh->part->section->data + from, size);
	for (size_t i = 0; i < eh->part->nr_refs; i++) {
		const struct unit_ref *ref = &eh->part->refs[i];
		struct slp_out_reloc rel = { 0 };

		if (ref->off < from || ref->off >= from + size)
			continue;
		if ((err = emit_translate(job, eh->u, eh->part, ref, &rel)))
			return err_wrap(err, ".eh_frame");
		rel.off = ref->off - from + *to;
		*ARRAY_ADD(job->out.sections[eh->to].relocs,
			   job->out.sections[eh->to].nr_relocs) = rel;
	}
	return NULL;
}

static struct err *copy_fde(struct emit_job *job, struct eh_job *eh, const struct eh_fde *fde)
{
	bool be = job->out.arch->big_endian;
	struct err *err;
	size_t at;

	if (!eh->has_cie || eh->cie_from != fde->cie_off) {
		size_t size = 4 + bytes_get(eh->part->section->data + fde->cie_off, 4, be);

		if ((err = copy_record(job, eh, fde->cie_off, size, &eh->cie_to)))
			return err;
		eh->cie_from = fde->cie_off;
		eh->has_cie = true;
	}
	if ((err = copy_record(job, eh, fde->off, fde->size, &at)))
		return err;
	/* The CIE pointer is the distance back from its own place. */
	bytes_put(job->out.sections[eh->to].data.data + at + 4, 4, at + 4 - eh->cie_to, be);
	return NULL;
}

static struct err *copy_eh_of(struct emit_job *job, size_t u, uint32_t section, uint32_t to)
{
	const struct unit *unit = emit_unit_b(job, u);
	struct eh_job eh = { .u = u, .part = &unit->parts[section], .to = to };
	const struct section *sec = eh.part->section;
	struct eh_section records = { .data = sec->data, .size = sec->size,
				      .big_endian = unit->image->arch->big_endian };
	bool is_fde, done = false;
	struct eh_fde fde;
	size_t off = 0;
	struct err *err;

	while (!done) {
		const struct unit_ref *pc;

		if ((err = eh_next(&records, &off, &fde, &is_fde, &done)))
			return err;
		pc = is_fde ? ref_at(eh.part, fde.pc_off) : NULL;
		if (pc && pc->section && job->placed[u].section[pc->section] &&
		    unit->parts[pc->section].kind == PART_CODE &&
		    (err = copy_fde(job, &eh, &fde)))
			return err;
	}
	return NULL;
}

struct err *emit_copy_eh(struct emit_job *job)
{
	AUTO_FREE uint32_t *to = mem_alloc(job->emit->nr_objects * sizeof(*to));
	struct err *err = NULL;

	for (size_t i = 0; i < job->emit->nr_objects; i++)
		to[i] = slp_out_section(&job->out, ".eh_frame", SHT_PROGBITS, SHF_ALLOC, 8, i);
	for (size_t u = 0; u < job->emit->nr_units; u++)
		for (uint32_t n = 1; n < emit_unit_b(job, u)->image->nr_sections && !err; n++)
			if (emit_unit_b(job, u)->parts[n].kind == PART_EH &&
			    emit_unit_b(job, u)->parts[n].section->data)
				err = copy_eh_of(job, u, n, to[job->emit->units[u].object]);
	return err;
}

