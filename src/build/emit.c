/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "emit.h"

#include <elf.h>
#include <inttypes.h>
#include <stdlib.h>

#include "emit_job.h"
#include "mem.h"

#define REFUSE(reason, ...) err_new(ERR_UNSUPPORTED, reason, __VA_ARGS__)

void emit_note(struct emit *emit, const char *kind, const char *fmt, ...)
{
	struct emit_note *note = ARRAY_ADD(emit->notes, emit->nr_notes);
	va_list ap;

	va_start(ap, fmt);
	note->kind = mem_strdup(kind);
	note->text = mem_vfmt(fmt, ap);
	va_end(ap);
}

void emit_done(struct emit *emit)
{
	for (size_t i = 0; i < emit->nr_notes; i++) {
		free(emit->notes[i].kind);
		free(emit->notes[i].text);
	}
	free(emit->notes);
	emit->notes = NULL;
	emit->nr_notes = 0;
}

static struct err *check_alignment(const struct emit_job *job)
{
	for (size_t i = 0; i < job->out.nr_sections; i++)
		if (job->out.sections[i].align > SLP_MAX_ALIGN)
			return REFUSE("large-alignment", "section %s is to be aligned to %" PRIu64
				      " bytes; what a patch adds can be aligned to %d",
				      job->out.sections[i].name,
				      (uint64_t)job->out.sections[i].align, SLP_MAX_ALIGN);
	return NULL;
}

static struct err *fill(struct emit_job *job)
{
	struct err *err;

	for (size_t u = 0; u < job->emit->nr_units; u++)
		for (uint32_t n = 1; n < emit_unit_b(job, u)->image->nr_sections; n++)
			if (emit_unit_b(job, u)->parts[n].kind == PART_CODE &&
			    emit_unit_b(job, u)->parts[n].section->size &&
			    emit_is_carried(emit_state(job, u, n)))
				emit_carry(job, u, n);
	for (size_t u = 0; u < job->emit->nr_units; u++)
		if ((err = emit_livepatch(job, u)))
			return err_wrap(err, "%s", job->emit->units[u].name);
	if ((err = emit_translate_all(job)))
		return err;
	for (size_t u = 0; u < job->emit->nr_units; u++) {
		if ((err = emit_functions(job, u)))
			return err_wrap(err, "%s", job->emit->units[u].name);
		emit_warn_of_init(job, u);
	}
	/* Last: exception tables and personalities may pull more in. */
	if ((err = emit_copy_eh(job)) || (err = emit_translate_all(job)))
		return err;
	if ((err = check_alignment(job)))
		return err;
	for (size_t i = 0; i < job->emit->nr_objects; i++)
		if (!json_array_size(job->objects[i].funcs) && !job->objects[i].callbacks)
			return err_new(ERR_UNSUPPORTED, "nothing-to-patch", "no function of %s "
				       "changes: there is nothing to patch",
				       job->emit->objects[i].name);
	emit_meta(job);
	return NULL;
}

static void job_init(struct emit_job *job, struct emit *emit)
{
	*job = (struct emit_job){ .emit = emit };
	job->out.arch = emit->objects[0].match->to->arch;
	job->objects = mem_alloc(emit->nr_objects * sizeof(*job->objects));
	for (size_t i = 0; i < emit->nr_objects; i++)
		job->objects[i].funcs = json_array();
	job->refs = json_array();
	job->placed = mem_alloc(emit->nr_units * sizeof(*job->placed));
	for (size_t u = 0; u < emit->nr_units; u++) {
		const struct image *image = emit_unit_b(job, u)->image;

		job->placed[u].section = mem_alloc(image->nr_sections * sizeof(uint32_t));
		job->placed[u].done = mem_alloc(image->nr_sections * sizeof(bool));
		job->placed[u].symbol = mem_alloc(image->symtab.nr * sizeof(uint32_t));
	}
}

static void job_done(struct emit_job *job)
{
	for (size_t u = 0; u < job->emit->nr_units; u++) {
		free(job->placed[u].section);
		free(job->placed[u].done);
		free(job->placed[u].symbol);
	}
	for (size_t i = 0; i < job->nr_known; i++)
		free(job->known[i].key);
	free(job->known);
	free(job->placed);
	for (size_t i = 0; i < job->emit->nr_objects; i++) {
		json_decref(job->objects[i].funcs);
		json_decref(job->objects[i].callbacks);
	}
	free(job->objects);
	json_decref(job->refs);
	json_decref(job->states);
	slp_out_done(&job->out);
}

struct err *emit_patch(struct emit *emit, const char *path)
{
	struct emit_job job;
	struct err *err;

	job_init(&job, emit);
	err = fill(&job);
	if (!err)
		err = slp_write(&job.out, path);
	job_done(&job);
	return err;
}
