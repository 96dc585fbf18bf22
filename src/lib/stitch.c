/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "stitch.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "apply.h"
#include "process.h"
#include "record.h"
#include "report.h"
#include "slp.h"

static enum stitch_status finish(struct err *err, const struct apply_result *from,
				 struct stitch_result *result)
{
	static const enum stitch_status by_kind[] = {
		[ERR_FAILED] = STITCH_FAILED, [ERR_USAGE] = STITCH_USAGE,
		[ERR_NOT_NOW] = STITCH_NOT_NOW, [ERR_UNSUPPORTED] = STITCH_UNSUPPORTED,
		[ERR_GONE] = STITCH_FAILED, [ERR_CHANGED] = STITCH_CHANGED,
	};

	*result = (struct stitch_result){
		.status = err ? by_kind[err->kind] : STITCH_DONE,
		.reason = err ? err->reason : "",
		.functions = (unsigned)from->nr_funcs,
		.threads = (unsigned)from->stats.threads,
		.tries = from->stats.passes,
		.pause_ns = from->stats.worst_pause_ns,
		.memory = from->memory,
	};
	snprintf(result->message, sizeof(result->message), "%s", err ? err->msg : "");
	err_free(err);
	return result->status;
}

static struct err *open_target(pid_t pid, struct process **process)
{
	if (sodium_init() < 0)
		return err_new(ERR_FAILED, "system", "libsodium cannot be used");
	return process_open(pid, process);
}

typedef struct err *apply_call(struct process *process, const struct slp *slp,
			       const struct apply_options *options,
			       struct apply_result *result);

static enum stitch_status with_patch(apply_call *call, pid_t pid, const char *patch_file,
				     unsigned timeout_ms, struct stitch_result *result)
{
	AUTO_PROCESS struct process *process = NULL;
	AUTO_SLP struct slp *slp = NULL;
	struct apply_options options = { .timeout_ms = timeout_ms };
	struct apply_result done = { 0 };
	struct err *err = open_target(pid, &process);

	if (!err)
		err = slp_open(patch_file, &slp);
	if (!err)
		err = call(process, slp, &options, &done);
	return finish(err, &done, result);
}

enum stitch_status stitch_apply(pid_t pid, const char *patch_file, unsigned timeout_ms,
				struct stitch_result *result)
{
	return with_patch(apply_patch, pid, patch_file, timeout_ms, result);
}

enum stitch_status stitch_check(pid_t pid, const char *patch_file, unsigned timeout_ms,
				struct stitch_result *result)
{
	return with_patch(apply_check, pid, patch_file, timeout_ms, result);
}

enum stitch_status stitch_revert(pid_t pid, const char *name, unsigned timeout_ms,
				 struct stitch_result *result)
{
	AUTO_PROCESS struct process *process = NULL;
	struct apply_options options = { .timeout_ms = timeout_ms };
	struct apply_result done = { 0 };
	struct err *err = open_target(pid, &process);

	if (!err)
		err = apply_revert(process, name, &options, &done);
	return finish(err, &done, result);
}

enum stitch_status stitch_list(pid_t pid, char **json, struct stitch_result *result)
{
	AUTO_PROCESS struct process *process = NULL;
	AUTO_RECORD struct record record = { 0 };
	struct apply_result none = { 0 };
	struct err *err = open_target(pid, &process);

	*json = NULL;
	if (!err)
		err = record_read(process, &record);
	if (!err) {
		json_t *root = report_process(process, &record, false);

		*json = json_dumps(root, JSON_COMPACT);
		json_decref(root);
	}
	return finish(err, &none, result);
}
