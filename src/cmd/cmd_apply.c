/* SPDX-License-Identifier: GPL-2.0-or-later */
/* check, apply, revert, cancel, force */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "apply.h"
#include "cmd.h"
#include "mem.h"
#include "pids.h"
#include "threads.h"

enum { MAX_ROUNDS = 10 }; /* of looking for processes that were forked meanwhile */

/* Ctrl-C between two tries gives up and takes everything back. */
static volatile sig_atomic_t interrupted;

static void on_interrupt(int sig)
{
	(void)sig;
	interrupted = 1;
}

struct view {
	pid_t pid;
	bool on_terminal;
	bool shown;
};

static enum machine_order show_wait(void *arg, const struct progress *p)
{
	const struct blocker *b = p->blocker;
	struct view *view = arg;

	if (view->on_terminal && p->waited_ms >= 200) {
		fprintf(stderr, "\rprocess %d: %zu of %zu threads switched, %u.%u s",
			(int)view->pid, p->switched, p->total, p->waited_ms / 1000,
			p->waited_ms % 1000 / 100);
		if (b)
			fprintf(stderr, "; waiting for %d (%s): %s%s", (int)b->tid,
				b->thread_name, b->what ? "in " : "", b->what ? b->what :
				b->does_not_stop ? "does not stop" :
				unwind_reason_name(b->reason));
		fputs(" \033[K", stderr);
		view->shown = true;
	}
	return interrupted ? ORDER_CANCEL : ORDER_GO_ON;
}

static void end_progress(struct view *view)
{
	if (view->shown)
		fprintf(stderr, "\r\033[K");
}

/* What became of a process.  The last three are no failure where nobody named it. */
enum outcome {
	IS_DONE,
	HAS_FAILED,
	HAS_ENDED,   /* since it was found */
	HAD_IT,      /* the patch */
	HAD_NOTHING, /* that could be taken out */
	NR_OUTCOMES,
};

/* One process of a command that works on several. */
struct task {
	const struct options *options;
	const struct slp *slp;
	struct err *(*run)(const struct task *task, struct process *process,
			   const struct apply_options *how, struct apply_result *result);
	const char *done;  /* "applied" */
	const char *name;
	json_t *results;
	size_t nr[NR_OUTCOMES];
	struct err *nothing; /* of the first that had nothing to be taken out */
	size_t nr_hidden;    /* that may not be looked at */
};

static json_t *json_covered(const struct apply_result *r)
{
	if (!r->nr_covered)
		return json_null();
	return json_pack("{ss,ss,sI}", "patch", r->covered, "function", r->covered_func,
			 "functions", (json_int_t)r->nr_covered);
}

static const char *result_name(const struct task *task, enum outcome outcome,
			       const struct apply_result *r)
{
	static const char *const names[NR_OUTCOMES] = { NULL, "failed", "gone", "unchanged",
							"unchanged" };

	return outcome != IS_DONE ? names[outcome] : r->pending ? "started" : task->done;
}

static json_t *json_result(const struct task *task, pid_t pid, const struct err *err,
			   enum outcome outcome, const struct apply_result *r)
{
	return json_pack("{si,ss,sI,sI,sI,sI,sI,sI,sI,sI,sI,sI,sI,sI,sI,sb,sb,sb,sb,so,so}",
			 "pid", (int)pid, "result", result_name(task, outcome, r),
			 "functions", (json_int_t)r->nr_funcs,
			 "threads", (json_int_t)r->stats.threads,
			 "passes", (json_int_t)r->stats.passes,
			 "stops", (json_int_t)r->stats.stops,
			 "looks", (json_int_t)r->stats.looks,
			 "worst_pause_us", (json_int_t)(r->stats.worst_pause_ns / 1000),
			 "all_pauses_us", (json_int_t)(r->stats.total_pause_ns / 1000),
			 "restarted_calls", (json_int_t)r->stats.fixed_eintr,
			 "total_us", (json_int_t)(r->total_ns / 1000),
			 "memory", (json_int_t)r->memory,
			 "held", (json_int_t)r->held,
			 "children", (json_int_t)r->children,
			 "faulted_callbacks", (json_int_t)r->faulted_callbacks,
			 "retained", r->retained, "left", r->is_left, "pending", r->pending,
			 "unwinder_told", r->eh_registered, "covers", json_covered(r),
			 "error", cmd_json_error(outcome == HAS_FAILED ? err : NULL));
}

static void print_result(const struct task *task, const struct process *process,
			 const struct apply_result *r)
{
	printf("%d (%s): %s %s: %zu function%s, %zu thread%s, worst pause %.2f ms",
	       process->pid, process->comm, r->pending ? "started" : task->done,
	       *r->name ? r->name : task->name,
	       r->nr_funcs, r->nr_funcs == 1 ? "" : "s", r->stats.threads,
	       r->stats.threads == 1 ? "" : "s", (double)r->stats.worst_pause_ns / 1e6);
	if (r->total_ns)
		printf(", %.1f ms in all", (double)r->total_ns / 1e6);
	if (r->held)
		printf(", all threads held %u time%s", r->held, r->held == 1 ? "" : "s");
	if (r->children)
		printf(", %zu forked process%s", r->children, r->children == 1 ? "" : "es");
	if (r->pending)
		printf("; not every thread yet: stitch apply --resume %d", process->pid);
	if (r->faulted_callbacks)
		printf(", %u callback%s faulted and %s broken off", r->faulted_callbacks,
		       r->faulted_callbacks == 1 ? "" : "s",
		       r->faulted_callbacks == 1 ? "was" : "were");
	printf("%s\n", r->retained ? "; its memory stays in the process" : "");
	if (r->is_left)
		printf("  note: some thread may still be in its code, so its memory is there yet: "
		       "stitch apply --resume %d finishes it\n", process->pid);
	if (r->nr_covered)
		printf("  note: patch %s replaces %s%s, too: its change there stays only if this "
		       "patch was built on top of it; if not, make one patch of both\n",
		       r->covered, r->covered_func, r->nr_covered > 1 ? " and others" : "");
}

/* Another tool follows the transition and was told. */
static void print_told(const struct task *task, const struct process *process)
{
	printf("%d (%s): %s: the stitch that follows the transition was told\n",
	       process->pid, process->comm, task->done);
}

static enum outcome judge(const struct err *err, bool is_named)
{
	if (!err)
		return IS_DONE;
	if (is_named)
		return HAS_FAILED;
	if (cmd_has_ended(err))
		return HAS_ENDED;
	if (!strcmp(err->reason, "already-applied"))
		return HAD_IT;
	return strcmp(err->reason, "no-such-patch") && strcmp(err->reason, "no-transition") ?
	       HAS_FAILED : HAD_NOTHING;
}

static void say(const struct task *task, const struct process *process,
		const struct apply_result *result, const struct err *err, enum outcome outcome)
{
	if (outcome == HAD_IT)
		printf("%d (%s): has %s already\n", process->pid, process->comm, task->name);
	else if (outcome == HAS_FAILED)
		cmd_print_error(err);
	else if (outcome == IS_DONE && !*result->name && !task->name)
		print_told(task, process);
	else if (outcome == IS_DONE)
		print_result(task, process, result);
}

static int run_one(struct task *task, pid_t pid, bool is_named)
{
	AUTO_PROCESS struct process *process = NULL;
	struct view view = { .pid = pid,
		.on_terminal = isatty(STDERR_FILENO) && !task->options->json };
	struct apply_options how = { .timeout_ms = task->options->timeout_ms,
				     .no_wait = task->options->no_wait,
				     .wait = show_wait, .wait_arg = &view };
	struct apply_result result = { 0 };
	struct err *err = process_open(pid, &process);
	enum outcome outcome;
	int status;

	if (!err)
		err = task->run(task, process, &how, &result);
	end_progress(&view);
	outcome = judge(err, is_named);
	status = outcome == HAS_FAILED ? cmd_status_of(err) : EXIT_DONE;
	task->nr[outcome]++;
	if (task->options->json)
		json_array_append_new(task->results,
				      json_result(task, pid, err, outcome, &result));
	else
		say(task, process, &result, err, outcome);
	if (outcome == HAD_NOTHING && !task->nothing)
		task->nothing = err;
	else
		err_free(err);
	return status;
}

static void print_sum(const struct task *task)
{
	size_t unchanged = task->nr[HAD_IT] + task->nr[HAD_NOTHING];

	printf("%zu of %zu processes %s", task->nr[IS_DONE],
	       task->nr[IS_DONE] + task->nr[HAS_FAILED] + unchanged, task->done);
	printf(unchanged ? ", %zu unchanged\n" : "\n", unchanged);
}

static void print_hidden(const struct task *task)
{
	if (task->nr_hidden)
		fprintf(stderr, "stitch: note: %zu process%s may not be looked at by this user\n",
			task->nr_hidden, task->nr_hidden == 1 ? "" : "es");
}

/* Each of pids that has not had its turn, the first nr_named by the user's word; *any. */
static int give_turns(struct task *task, const pid_t *pids, size_t nr, size_t nr_named,
		      struct pids *turns, bool *any)
{
	int status = EXIT_DONE;

	*any = false;
	for (size_t i = 0; i < nr && !interrupted; i++) {
		if (!pids_add(turns, pids[i]))
			continue;
		status = cmd_worse(status, run_one(task, pids[i], i < nr_named));
		*any = true;
	}
	return status;
}

/*
 * One process after the other.  Where they are found, and not named, it is looked again when
 * all have had their turn: one that was forked by then from one that had not has nothing of it.
 */
static int run_all(struct task *task, bool (*wanted)(pid_t pid, void *arg), void *arg)
{
	const struct options *options = task->options;
	AUTO_PIDS struct pids turns = { 0 };
	int status = EXIT_DONE;
	bool any = true;

	task->results = json_array();
	cmd_catch_signals(on_interrupt);
	for (unsigned round = 0; round < MAX_ROUNDS && any; round++) {
		AUTO_FREE pid_t *pids = NULL;
		size_t nr = 0;
		struct err *err;

		task->nr_hidden = 0;
		err = cmd_select(options, wanted, arg, &pids, &nr);
		if (err && !round) {
			print_hidden(task);
			json_decref(task->results);
			return cmd_fail(options, err);
		}
		err_free(err);
		status = cmd_worse(status, give_turns(task, pids, nr, cmd_nr_pids(options),
						      &turns, &any));
		any &= options->all || options->exe;
	}
	if (options->json)
		cmd_print_json(json_pack("{so}", "processes", task->results));
	else
		json_decref(task->results);
	if (!options->json && turns.nr > 1)
		print_sum(task);
	print_hidden(task);
	/* Of all that were found none had anything to be done to. */
	if (task->nothing && !task->nr[IS_DONE] && !task->nr[HAS_FAILED]) {
		if (!options->json)
			cmd_print_error(task->nothing);
		status = cmd_worse(status, cmd_status_of(task->nothing));
	}
	err_free(task->nothing);
	return status;
}

static bool has_object_of(pid_t pid, void *arg)
{
	struct task *task = arg;
	const struct slp *slp = task->slp;
	struct process *process = NULL;
	bool fits = true;
	struct err *err = process_open(pid, &process);

	task->nr_hidden += err && !strcmp(err->reason, "not-permitted") &&
			   !thread_has_ended(pid);
	for (size_t i = 0; !err && i < slp->nr_objects; i++)
		fits &= process_find_build_id_hex(process, slp->objects[i].build_id) != NULL;
	fits &= !err && slp->nr_objects && pid != getpid();
	err_free(err);
	process_close(process);
	return fits;
}

static struct err *do_apply(const struct task *task, struct process *process,
			    const struct apply_options *how, struct apply_result *result)
{
	return apply_patch(process, task->slp, how, result);
}

static struct err *do_check(const struct task *task, struct process *process,
			    const struct apply_options *how, struct apply_result *result)
{
	return apply_check(process, task->slp, how, result);
}

/* Of the patch to be reverted, NULL: the newest. */
static const char *name_of(const struct options *options)
{
	return options->name ? options->name : cmd_file_word(options);
}

static struct err *do_revert(const struct task *task, struct process *process,
			     const struct apply_options *how, struct apply_result *result)
{
	return apply_revert(process, name_of(task->options), how, result);
}

static int with_patch(const struct options *options, struct task *task)
{
	const char *file = cmd_file_word(options);
	AUTO_SLP struct slp *slp = NULL;
	struct err *err;

	if (!file)
		return cmd_fail(options, err_new(ERR_USAGE, "usage",
						 "which patch file? Give one"));
	if ((err = slp_open(file, &slp)))
		return cmd_fail(options, err);
	task->options = options;
	task->slp = slp;
	task->name = slp->name;
	return run_all(task, has_object_of, task);
}

typedef bool patch_test(const struct process *process, const struct record *record,
			const struct record_patch *patch, void *arg);

/* Of a process's record: has it one patch that is wanted? */
static bool has_patch(pid_t pid, patch_test *wanted, void *arg)
{
	struct process *process = NULL;
	struct record record = { 0 };
	struct err *err = process_open(pid, &process);
	bool has = false;

	if (!err)
		err = record_read(process, &record);
	for (size_t i = 0; !err && i < record.nr_patches; i++)
		has |= wanted(process, &record, record.patches[i], arg);
	err_free(err);
	record_done(&record);
	process_close(process);
	return has;
}

static bool is_revertible(const struct process *process, const struct record *record,
			  const struct record_patch *patch, void *name)
{
	(void)process, (void)record;
	return patch->state != PATCH_RETAINED && (!name || !strcmp(patch->name, name));
}

static bool can_revert(pid_t pid, void *name)
{
	return has_patch(pid, is_revertible, name);
}

static bool is_unfinished(const struct process *process, const struct record *record,
			  const struct record_patch *patch, void *arg)
{
	(void)arg;
	return apply_is_unfinished(process, record, patch);
}

static bool has_unfinished(pid_t pid, void *arg)
{
	return has_patch(pid, is_unfinished, arg);
}

static struct err *do_resume(const struct task *task, struct process *process,
			     const struct apply_options *how, struct apply_result *result)
{
	(void)task;
	return apply_resume(process, how, result);
}

static struct err *do_cancel(const struct task *task, struct process *process,
			     const struct apply_options *how, struct apply_result *result)
{
	(void)task;
	return apply_cancel(process, how, result);
}

static struct err *do_force(const struct task *task, struct process *process,
			    const struct apply_options *how, struct apply_result *result)
{
	(void)task;
	return apply_force(process, how, result);
}

int cmd_apply(const struct options *options)
{
	struct task task = { .run = do_apply, .done = "applied" };

	if (options->follow)
		return cmd_follow(options);
	if (options->resume) {
		task = (struct task){ .options = options, .run = do_resume, .done = "finished" };
		return run_all(&task, has_unfinished, NULL);
	}
	return with_patch(options, &task);
}

int cmd_cancel(const struct options *options)
{
	struct task task = { .options = options, .run = do_cancel, .done = "reversed" };

	return run_all(&task, has_unfinished, NULL);
}

int cmd_force(const struct options *options)
{
	struct task task = { .options = options, .run = do_force, .done = "forced" };

	return run_all(&task, has_unfinished, NULL);
}

int cmd_check(const struct options *options)
{
	struct task task = { .run = do_check, .done = "can take" };

	return with_patch(options, &task);
}

int cmd_revert(const struct options *options)
{
	struct task task = { .options = options, .run = do_revert, .done = "reverted",
			     .name = "" };

	return run_all(&task, can_revert, (void *)(uintptr_t)name_of(options));
}
