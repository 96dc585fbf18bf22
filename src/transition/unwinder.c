/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "unwinder.h"

#include <stdlib.h>

#include "event.h"
#include "mem.h"

static void forbid_libgcc(struct job *job)
{
	const struct object *libgcc = job->eh.libgcc;

	check_forget(&job->machine.check);
	if (libgcc)
		check_forbid(&job->machine.check,
			     (struct range){ libgcc->start, libgcc->end - libgcc->start },
			     "libgcc");
}

/* The unwinder's list and what goes into it. */
struct eh_change {
	struct job *job;
	bool *is_in;  /* by part: it has it already */
	bool all_in;
};

/* What takes long, before threads stand for it.  is_in is the caller's to free. */
static struct eh_change begin_eh(struct job *job)
{
	struct eh_change change = { job, mem_alloc(job->patch->nr_parts), true };

	for (size_t i = 0; i < job->patch->nr_parts; i++) {
		uint64_t object = job->patch->parts[i].eh_object;

		change.is_in[i] = !object || ehreg_is_in(&job->eh, object);
		change.all_in &= change.is_in[i];
	}
	return change;
}

static struct err *add_eh(void *arg)
{
	const struct eh_change *change = arg;
	const struct record_patch *patch = change->job->patch;
	struct err *err = NULL;

	for (size_t i = 0; i < patch->nr_parts && !err; i++)
		if (patch->parts[i].eh_object)
			err = ehreg_add(&change->job->eh, patch->parts[i].eh_object,
					change->is_in[i]);
	return err;
}

struct err *unwinder_tell(struct job *job)
{
	struct err *err = event_step("arm-eh");
	struct eh_change change;

	if (err || !record_has_eh(job->patch))
		return err;
	if (!job->eh.wanted) {
		/* A tool before this one may have done it, or not. */
		if ((err = ehreg_find(&job->eh, job->process)))
			return err;
		job->eh.wanted = job->eh.libgcc != NULL;
	}
	if (!job->eh.wanted)
		return NULL;
	change = begin_eh(job);
	/* No thread is in the way where nobody uses the list, or has to be written any more. */
	if (change.all_in || ehreg_is_unused(&job->eh)) {
		err = add_eh(&change);
	} else {
		forbid_libgcc(job);
		err = machine_hold(&job->machine, job->options->timeout_ms, add_eh, &change);
	}
	free(change.is_in);
	job->eh.wanted = false;
	return err;
}

static struct err *remove_eh(void *arg)
{
	struct job *job = arg;
	struct err *err = NULL;

	for (size_t i = 0; i < job->patch->nr_parts && !err; i++) {
		struct record_part *part = &job->patch->parts[i];
		bool gone = false;

		if (part->eh_object)
			err = ehreg_remove(&job->eh, part->eh_object, &gone);
		if (!err && gone)
			part->eh_object = 0;
	}
	return err;
}

struct err *unwinder_untell(struct job *job)
{
	struct err *err = event_step("disarm-eh");

	if (err || !record_has_eh(job->patch))
		return err;
	if ((err = ehreg_find(&job->eh, job->process)))
		return err;
	if (!job->eh.libgcc)
		return NULL;
	forbid_libgcc(job);
	return machine_hold(&job->machine, job->options->timeout_ms, remove_eh, job);
}

struct err *unwinder_check_alone(const struct job *job)
{
	if (!record_has_eh(job->patch) || !job->eh.wanted || ehreg_is_unused(&job->eh))
		return NULL;
	return err_new(ERR_NOT_NOW, "unwinder-in-use", "process %d: its unwinder can only be "
		       "told of the patch with all threads held", job->process->pid);
}

struct err *unwinder_tell_alone(struct job *job)
{
	struct err *err = event_step("arm-eh");
	struct eh_change change;

	if (err || !record_has_eh(job->patch) || !job->eh.wanted)
		return err;
	change = begin_eh(job);
	err = add_eh(&change);
	free(change.is_in);
	job->eh.wanted = false;
	return err;
}
