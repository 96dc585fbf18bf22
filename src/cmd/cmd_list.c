/* SPDX-License-Identifier: GPL-2.0-or-later */
/* list, status: what the records of processes say, and whether it is so */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cmd.h"
#include "lock.h"
#include "mem.h"
#include "record.h"
#include "report.h"

static void print_time(uint64_t seconds, char text[32])
{
	time_t t = (time_t)seconds;
	struct tm tm;

	localtime_r(&t, &tm);
	strftime(text, 32, "%Y-%m-%d %H:%M:%S", &tm);
}

static void print_funcs(const struct process *process, const struct record *record,
			const struct record_patch *patch)
{
	for (size_t i = 0; i < patch->nr_funcs; i++) {
		const struct record_func *func = &patch->funcs[i];
		const char *entry = report_entry(process, record, patch, func);

		printf("    %-40s %-16s %s%s\n", func->name, func->object, entry,
		       report_is_good(patch, entry) ? "" : "  <- not as recorded");
	}
}

static void print_patch(const struct process *process, const struct record *record,
			const struct record_patch *patch, bool details)
{
	char when[32];

	print_time(patch->applied_at, when);
	printf("%d (%s): %s  %s  since %s  %zu function%s%s%s\n", process->pid,
	       process->comm, patch->name, patch_state_name(patch->state), when,
	       patch->nr_funcs, patch->nr_funcs == 1 ? "" : "s",
	       *patch->description ? "  " : "", patch->description);
	if (report_is_interrupted(patch))
		printf("    not finished: stitch apply --resume %d goes on, stitch cancel "
		       "%d turns back\n", process->pid, process->pid);
	if (details)
		print_funcs(process, record, patch);
}

/* What the stitch that follows a transition says of it; NULL: nobody does. */
static json_t *ask_follower(const struct process *process)
{
	AUTO_FREE char *answer = NULL;
	struct err *err = lock_ask(process, "status", &answer);

	err_free(err);
	return answer ? json_loads(answer, 0, NULL) : NULL;
}

static void print_transition(const json_t *transition)
{
	const json_t *one;
	size_t i;

	printf("    followed: %lld of %lld threads %s\n",
	       (long long)json_integer_value(json_object_get(transition, "switched")),
	       (long long)json_integer_value(json_object_get(transition, "threads")),
	       json_string_value(json_object_get(transition, "target")));
	json_array_foreach(json_object_get(transition, "waiting"), i, one) {
		const char *in = json_string_value(json_object_get(one, "in"));

		printf("    waiting for %lld (%s): %s%s, %.1f s\n",
		       (long long)json_integer_value(json_object_get(one, "tid")),
		       json_string_value(json_object_get(one, "name")), in && *in ? "in " : "",
		       in && *in ? in : json_string_value(json_object_get(one, "reason")),
		       (double)json_integer_value(json_object_get(one, "for_ms")) / 1000);
	}
}

static void show_process(const struct options *options, const struct process *process,
			 const struct record *record, bool details, json_t *out)
{
	json_t *transition = details ? ask_follower(process) : NULL;
	json_t *root = report_process(process, record, details);

	json_object_set_new(root, "transition", transition ? transition : json_null());
	json_array_append_new(out, root);
	if (options->json)
		return;
	for (size_t i = 0; i < record->nr_patches; i++)
		if (report_shows(record->patches[i], details))
			print_patch(process, record, record->patches[i], details);
	if (transition)
		print_transition(transition);
	if (!record->nr_patches && details)
		printf("%d (%s): no patch\n", process->pid, process->comm);
}

static int view_one(const struct options *options, pid_t pid, bool details, bool quiet,
		    json_t *out)
{
	AUTO_PROCESS struct process *process = NULL;
	AUTO_RECORD struct record record = { 0 };
	struct err *err = process_open(pid, &process);
	int status;

	if (!err)
		err = record_read(process, &record);
	if (!err) {
		if (report_has(&record, details) || !quiet)
			show_process(options, process, &record, details, out);
		return details && !report_all_good(process, &record) ? EXIT_FAILED :
								       EXIT_DONE;
	}
	status = cmd_status_of(err);
	/* Listing all processes passes over those that cannot be looked at. */
	if (quiet && strcmp(err->reason, "bad-record")) {
		err_free(err);
		return EXIT_DONE;
	}
	if (options->json)
		json_array_append_new(out, json_pack("{si,so}", "pid", (int)pid, "error",
						     cmd_json_error(err)));
	else
		cmd_print_error(err);
	err_free(err);
	return status;
}

static bool not_me(pid_t pid, void *arg)
{
	(void)arg;
	return pid != getpid();
}

static int view(const struct options *options, bool details)
{
	AUTO_FREE pid_t *pids = NULL;
	struct options all = *options;
	json_t *out = json_array();
	bool quiet = !options->nr_words && !options->exe;
	int status = EXIT_DONE;
	size_t nr = 0;
	struct err *err;

	if (cmd_file_word(options))
		return cmd_fail(options, err_new(ERR_USAGE, "usage", "%s is not a PID",
						 cmd_file_word(options)));
	all.all |= quiet;
	err = cmd_select(&all, not_me, NULL, &pids, &nr);
	for (size_t i = 0; i < nr && !err; i++)
		status = cmd_worse(status, view_one(options, pids[i], details, quiet, out));
	if (err)
		status = cmd_fail(options, err);
	else if (options->json)
		cmd_print_json(json_pack("{sO}", "processes", out));
	json_decref(out);
	return status;
}

int cmd_list(const struct options *options)
{
	return view(options, false);
}

int cmd_status(const struct options *options)
{
	return view(options, true);
}
