/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "callbacks.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "bytes.h"
#include "call.h"
#include "event.h"
#include "runtime.h"

enum { CALLBACK_MS = 10000, POLL_US = 5000 };

static bool is_due(const struct record_object *object, enum slp_callback which)
{
	switch (which) {
	case CALLBACK_PRE_PATCH: return !object->pre_patched;
	case CALLBACK_POST_PATCH: return object->pre_patched && !object->post_patched;
	case CALLBACK_PRE_UNPATCH: return object->post_patched;
	default: return object->pre_patched;
	}
}

static void mark(struct record_object *object, enum slp_callback which)
{
	switch (which) {
	case CALLBACK_PRE_PATCH: object->pre_patched = true; break;
	case CALLBACK_POST_PATCH: object->post_patched = true; break;
	case CALLBACK_PRE_UNPATCH: object->post_patched = false; break;
	default: object->pre_patched = object->post_patched = false; break;
	}
}

bool callbacks_are_open(const struct record_patch *patch)
{
	for (size_t i = 0; i < patch->nr_objects && patch->state == PATCH_APPLIED; i++)
		if (is_due(&patch->objects[i], CALLBACK_POST_PATCH))
			return true;
	return patch->calling != 0;
}

void callbacks_forget(struct record_patch *patch)
{
	for (size_t i = 0; i < patch->nr_objects; i++)
		patch->objects[i].pre_patched = patch->objects[i].post_patched = false;
}

static struct call call_of(const struct job *job, size_t n, unsigned which)
{
	const struct record_patch *patch = job->patch;

	return (struct call){
		.code = patch->call_code, .stack = patch->call_stack,
		.stack_size = LINK_CALL_STACK, .function = patch->objects[n].callbacks[which],
		.argument = patch->objects[n].self,
		.restore = patch->objects[n].self + LINK_OBJECT_ERRNO,
		.lock = runtime_lock(&job->record) };
}

/* It has returned: one store of the record says so. */
static struct err *finish(struct job *job, size_t n, enum slp_callback which, int64_t result)
{
	struct record_object *object = &job->patch->objects[n];
	struct err *err;

	event("callback returned patch=%s object=%s name=%s result=%" PRId64, job->patch->name,
	      object->name, slp_callback_name(which), result);
	job->patch->calling = 0;
	if (which != CALLBACK_PRE_PATCH || !result)
		mark(object, which);
	if ((err = record_write(job->process, &job->record)))
		return err;
	if (which != CALLBACK_PRE_PATCH || !result)
		return NULL;
	return REFUSE("callback-refused", "process %d: pre_patch of %s for %s returned %"
		      PRId64 "%s%s: the patch was not applied", job->process->pid,
		      job->patch->name, object->name, result, result < 0 ? ", " : "",
		      result < 0 ? strerror((int)-result) : "");
}

/* An error leaves it to callbacks_settle() to see how far it came. */
static struct err *run_one(struct job *job, size_t n, enum slp_callback which)
{
	struct call call = call_of(job, n, which);
	unsigned ms = job->options->timeout_ms > CALLBACK_MS ? job->options->timeout_ms :
							      CALLBACK_MS;
	bool faulted;
	int64_t result;
	struct err *err;

	event("callback patch=%s object=%s name=%s", job->patch->name,
	      job->patch->objects[n].name, slp_callback_name(which));
	if ((err = call_clear(job->process, &call)))
		return err;
	job->patch->calling = RECORD_CALLBACKS * n + which + 1;
	if ((err = record_write(job->process, &job->record)) ||
	    (err = event_step("callback")) ||
	    (err = call_function(job->process, &call, ms, &result, &faulted)) ||
	    (err = event_step("callback-done")))
		return err;
	job->result->faulted_callbacks += faulted;
	return finish(job, n, which, result);
}

struct err *callbacks_settle(struct job *job)
{
	uint64_t until = clock_ms() + CALLBACK_MS;
	size_t n = (job->patch->calling - 1) / RECORD_CALLBACKS;
	unsigned which = (job->patch->calling - 1) % RECORD_CALLBACKS;
	enum call_state state = CALL_RUNS;
	struct call call;
	int64_t result;
	struct err *err;

	if (!job->patch->calling)
		return NULL;
	steps_let_go(job);
	call = call_of(job, n, which);
	while (state == CALL_RUNS) {
		if ((err = call_look(job->process, &call, &state, &result)))
			return err;
		if (state == CALL_RUNS && clock_ms() > until)
			return err_new(ERR_NOT_NOW, "call-runs", "process %d: the callback %s "
				       "of patch %s has not returned", job->process->pid,
				       slp_callback_name(which), job->patch->name);
		if (state == CALL_RUNS)
			usleep(POLL_US);
	}
	event("callback found patch=%s object=%s name=%s done=%d", job->patch->name,
	      job->patch->objects[n].name, slp_callback_name(which), state == CALL_IS_DONE);
	if (state == CALL_IS_DONE) {
		/* A pre_patch that said no is heard by whoever asked for it, or by nobody. */
		err = finish(job, n, which, result);
		if (err && err->kind == ERR_UNSUPPORTED)
			err_freep(&err);
		return err;
	}
	job->patch->calling = 0;
	return record_write(job->process, &job->record);
}

/* Of a patch that was not even mapped none is. */
static bool any_due(const struct record_patch *patch, enum slp_callback which)
{
	for (size_t i = 0; i < patch->nr_objects; i++)
		if (is_due(&patch->objects[i], which))
			return true;
	return false;
}

struct err *callbacks_run(struct job *job, enum slp_callback which)
{
	bool changed = false;
	struct err *err = NULL;

	if ((err = callbacks_settle(job)) || !any_due(job->patch, which))
		return err;
	steps_let_go(job);
	if ((err = runtime_set_transition(job, true)))
		return err;
	for (size_t i = 0; i < job->patch->nr_objects && !err; i++) {
		struct record_object *object = &job->patch->objects[i];

		if (!is_due(object, which))
			continue;
		if (object->callbacks[which]) {
			err = run_one(job, i, which);
		} else {
			mark(object, which);
			changed = true;
		}
	}
	if (!err && changed)
		err = record_write(job->process, &job->record);
	if (!err)
		err = runtime_set_transition(job, false);
	return err;
}
