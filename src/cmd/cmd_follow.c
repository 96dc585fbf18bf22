/* SPDX-License-Identifier: GPL-2.0-or-later */
/* apply --follow: a patch for objects that are loaded and unloaded while it stays */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cmd.h"
#include "late.h"
#include "mem.h"
#include "slp.h"

static volatile sig_atomic_t interrupted;

static void on_interrupt(int sig)
{
	(void)sig;
	interrupted = 1;
}

static bool is_over(void *arg)
{
	(void)arg;
	return interrupted;
}

/* Ctrl-C while threads are waited for turns that transition back. */
static enum machine_order obey(void *arg, const struct progress *progress)
{
	(void)arg;
	(void)progress;
	return interrupted ? ORDER_CANCEL : ORDER_GO_ON;
}

struct followed {
	const struct options *options;
	const struct process *process;
	const struct slp *slp;
};

static void tell_json(const struct followed *f, enum late_event what,
		      const struct apply_result *result, const struct err *err)
{
	static const char *const names[] = {
		[LATE_WAITS] = "waits", [LATE_APPLIED] = "applied",
		[LATE_REVERTED] = "reverted", [LATE_REFUSED] = "refused",
	};
	json_t *line = json_pack("{si,ss,ss,sI,so}", "pid", f->process->pid, "patch",
				 f->slp->name, "event", names[what], "functions",
				 result ? (json_int_t)result->nr_funcs : 0, "error",
				 cmd_json_error(err));

	json_dumpf(line, stdout, JSON_COMPACT);
	putchar('\n');
	json_decref(line);
}

static void tell(void *arg, enum late_event what, const struct apply_result *result,
		 const struct err *err)
{
	const struct followed *f = arg;

	if (f->options->json)
		tell_json(f, what, result, err);
	else if (what == LATE_REFUSED)
		cmd_print_error(err);
	else if (what == LATE_WAITS)
		printf("%d (%s): waiting for %s\n", f->process->pid, f->process->comm,
		       f->slp->objects[0].name);
	else
		printf("%d (%s): %s %s: %zu function%s%s\n", f->process->pid,
		       f->process->comm, what == LATE_APPLIED ? "applied" : "reverted",
		       f->slp->name, result->nr_funcs, result->nr_funcs == 1 ? "" : "s",
		       what == LATE_APPLIED ? "" : ": its object goes");
	fflush(stdout);
}

static int follow_one(const struct options *options, const struct slp *slp, pid_t pid)
{
	AUTO_PROCESS struct process *process = NULL;
	struct err *err = process_open(pid, &process);
	struct followed followed = { options, process, slp };
	struct late_view view = { .arg = &followed, .tell = tell, .is_over = is_over };
	struct apply_options how = { .timeout_ms = options->timeout_ms, .wait = obey };

	if (!err)
		err = late_follow(process, slp, &how, &view);
	return cmd_fail(options, err);
}

static void stop_all(const pid_t *children, size_t nr)
{
	for (size_t i = 0; i < nr; i++)
		kill(children[i], SIGTERM);
}

/* One of us for each process: each waits for threads of its own. */
static int follow_several(const struct options *options, const struct slp *slp,
			  const pid_t *pids, size_t nr)
{
	AUTO_FREE pid_t *children = mem_alloc(nr * sizeof(*children));
	int worst = EXIT_DONE, status;

	for (size_t i = 0; i < nr; i++) {
		pid_t child;

		fflush(stdout);
		child = fork();
		if (!child)
			exit(follow_one(options, slp, pids[i]));
		if (child < 0)
			return cmd_fail(options, err_sys(errno, "fork"));
		children[i] = child;
	}
	for (;;) {
		pid_t child = wait(&status);

		if (child < 0 && errno == EINTR)
			stop_all(children, nr);
		else if (child < 0)
			return worst;
		else
			worst = cmd_worse(worst, WIFEXITED(status) ? WEXITSTATUS(status) :
					  EXIT_FAILED);
	}
}

static bool is_any(pid_t pid, void *arg)
{
	(void)arg;
	return pid != getpid();
}

int cmd_follow(const struct options *options)
{
	const char *file = cmd_file_word(options);
	AUTO_FREE pid_t *pids = NULL;
	AUTO_SLP struct slp *slp = NULL;
	size_t nr = 0;
	struct err *err = NULL;

	if (!file)
		err = err_new(ERR_USAGE, "usage", "which patch file? Give one");
	else if (options->all || options->no_wait || options->resume)
		err = err_new(ERR_USAGE, "usage", "--follow wants processes, and goes with "
			      "neither --all nor --no-wait nor --resume");
	if (!err)
		err = slp_open(file, &slp);
	if (!err)
		err = cmd_select(options, is_any, NULL, &pids, &nr);
	if (err)
		return cmd_fail(options, err);
	cmd_catch_signals(on_interrupt);
	return nr == 1 ? follow_one(options, slp, pids[0]) :
	       follow_several(options, slp, pids, nr);
}
