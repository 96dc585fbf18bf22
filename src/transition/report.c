/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "report.h"

#include <inttypes.h>
#include <string.h>

#include "orphans.h"
#include "redirect.h"

bool report_is_interrupted(const struct record_patch *patch)
{
	return (patch->state != PATCH_APPLIED && patch->state != PATCH_RETAINED) ||
	       patch->dispatch;
}

/* A jump to the gate counts as what the gate's slot says. */
static const char *gate_of(const struct process *process, const struct record_func *func)
{
	uint64_t target = 0;

	err_free(process_read_word(process, func->slot, &target));
	return target == func->new_addr ? "new" : target == func->displaced ? "old" :
	       "by thread";
}

const char *report_entry(const struct process *process, const struct record *record,
			      const struct record_patch *patch,
			      const struct record_func *func)
{
	enum redirect_entry look = ENTRY_OTHER;
	const struct record_func *top = record_top(record, func->site, NULL);
	struct err *err;

	if (top && top != func && patch->state == PATCH_APPLIED)
		return "covered"; /* a newer patch has the function */
	if (!orphans_has_object(process, func))
		return "unloaded"; /* by the process itself, and its code with it */
	err = redirect_look(process, func, &look);
	err_free(err);
	switch (look) {
	case ENTRY_NEW: return "new";
	case ENTRY_OLD: return "old";
	case ENTRY_GATE: return gate_of(process, func);
	default: return "unexpected";
	}
}

/* An applied function runs its new code, or a newer patch's. */
bool report_is_good(const struct record_patch *patch, const char *entry)
{
	if (patch->state == PATCH_APPLIED)
		return !strcmp(entry, "new") || !strcmp(entry, "covered") ||
		       !strcmp(entry, "unloaded");
	/* While a transition runs, each thread has its own version. */
	if (patch->state == PATCH_ENABLING || patch->state == PATCH_DISABLING)
		return strcmp(entry, "unexpected") != 0;
	return patch->state == PATCH_RETAINED;
}

static json_t *json_func(const struct process *process, const struct record *record,
			 const struct record_patch *patch, const struct record_func *func)
{
	const char *entry = report_entry(process, record, patch, func);

	return json_pack("{ss,ss,ss,so,so,ss,sb}", "name", func->name,
			 "object", func->object, "build_id", func->build_id,
			 "site", json_sprintf("%#" PRIx64, func->site),
			 "new", json_sprintf("%#" PRIx64, func->new_addr),
			 "entry", entry, "ok", report_is_good(patch, entry));
}

static json_t *json_patch(const struct process *process, const struct record *record,
			  const struct record_patch *patch)
{
	json_t *funcs = json_array();

	for (size_t i = 0; i < patch->nr_funcs; i++)
		json_array_append_new(funcs, json_func(process, record, patch,
						       &patch->funcs[i]));
	return json_pack("{ss,ss,ss,ss,sI,sI,so}", "name", patch->name,
			 "digest", patch->digest, "description", patch->description,
			 "state", patch_state_name(patch->state),
			 "applied_at", (json_int_t)patch->applied_at,
			 "memory", (json_int_t)record_memory(patch), "functions", funcs);
}

bool report_all_good(const struct process *process, const struct record *record)
{
	for (size_t i = 0; i < record->nr_patches; i++) {
		const struct record_patch *patch = record->patches[i];

		for (size_t j = 0; j < patch->nr_funcs; j++)
			if (!report_is_good(patch, report_entry(process, record, patch,
							      &patch->funcs[j])))
				return false;
	}
	return true;
}

bool report_shows(const struct record_patch *patch, bool reverted)
{
	return reverted || patch->state != PATCH_RETAINED;
}

bool report_has(const struct record *record, bool reverted)
{
	for (size_t i = 0; i < record->nr_patches; i++)
		if (report_shows(record->patches[i], reverted))
			return true;
	return false;
}

json_t *report_process(const struct process *process, const struct record *record,
		       bool reverted)
{
	json_t *patches = json_array();

	for (size_t i = 0; i < record->nr_patches; i++)
		if (report_shows(record->patches[i], reverted))
			json_array_append_new(patches, json_patch(process, record,
								  record->patches[i]));
	return json_pack("{si,ss,so}", "pid", process->pid, "comm", process->comm,
			 "patches", patches);
}
