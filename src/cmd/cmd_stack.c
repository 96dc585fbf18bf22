/* SPDX-License-Identifier: GPL-2.0-or-later */
/* stack: the stacks of all threads, one thread at a time, and whether they are whole */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"
#include "core.h"
#include "mem.h"
#include "names.h"
#include "record.h"
#include "stacks.h"
#include "tracer.h"

enum {
	STOP_MS = 200,
	TRIES = 5,
};

/* One process, live or of a core file, while its threads are printed. */
struct view {
	const struct options *options;
	struct process *process;
	struct record record;
	struct stacks stacks;
	struct names *names;
	json_t *out;
};

struct trace {
	pid_t tid;
	char name[17];
	struct unwind_frame *frames;
	size_t nr;
	enum unwind_reason reason;
	uint64_t stopped_us;
	bool beyond;
};

static bool add_frame(void *arg, const struct unwind_frame *frame)
{
	struct trace *trace = arg;

	*ARRAY_ADD(trace->frames, trace->nr) = *frame;
	return true;
}

/* A function that a patch replaced, by its new code. */
static const char *patched_symbol(const struct record *record, uint64_t pc, uint64_t *off)
{
	for (size_t i = 0; i < record->nr_patches; i++) {
		const struct record_patch *patch = record->patches[i];

		for (size_t j = 0; j < patch->nr_funcs; j++) {
			const struct record_func *func = &patch->funcs[j];

			for (size_t k = 0; k < func->nr_new_parts; k++) {
				*off = pc - func->new_parts[k].start;
				if (*off < func->new_parts[k].size)
					return func->name;
			}
		}
	}
	return NULL;
}

static struct name name_of(const struct view *view, const struct unwind_frame *frame)
{
	struct name name = { NULL, 0, NULL, 0 };

	if (frame->code && !stacks_is_patch(frame->code))
		return names_find(view->names, frame->code->owner, frame->pc, frame->lookup);
	name.symbol = patched_symbol(&view->record, frame->pc, &name.off);
	return name;
}

static json_t *json_frame(const struct view *view, const struct unwind_frame *f)
{
	struct name name = name_of(view, f);

	return json_pack("{so,ss*,so*,ss*,ss*,so*,sb,sb,ss*}",
		"pc", json_sprintf("%#" PRIx64, f->pc), "symbol", name.symbol,
		"offset", name.symbol ? json_integer((json_int_t)name.off) : NULL,
		"object", f->code ? f->code->name : NULL, "file", name.file,
		"line", name.file ? json_integer(name.line) : NULL, "signal", f->is_signal,
		"guess", f->is_guess, "reason",
		f->reason ? unwind_reason_name(f->reason) : NULL);
}

static json_t *json_thread(const struct view *view, const struct trace *trace)
{
	json_t *frames = json_array();

	for (size_t i = 0; i < trace->nr; i++)
		json_array_append_new(frames, json_frame(view, &trace->frames[i]));
	return json_pack("{si,ss,sb,ss,sI,so}", "tid", (int)trace->tid, "name", trace->name,
			 "complete", trace->reason == UNWIND_OK,
			 "verdict", unwind_reason_name(trace->reason),
			 "stopped_us", (json_int_t)trace->stopped_us, "frames", frames);
}

static void print_frame(const struct view *view, size_t i, const struct unwind_frame *f)
{
	struct name name = name_of(view, f);

	printf("  #%-3zu %#018" PRIx64 " ", i, f->pc);
	if (name.symbol)
		printf("%s+%#" PRIx64, name.symbol, name.off);
	else if (f->code && !stacks_is_patch(f->code))
		printf("%#" PRIx64, f->pc - f->code->bias);
	else
		printf("?");
	printf(" (%s)", f->code ? f->code->name : "unknown");
	if (name.file)
		printf(" at %s:%d", name.file, name.line);
	printf("%s%s", f->is_signal ? " <signal>" : "", f->is_guess ? " <guess>" : "");
	if (f->reason)
		printf(" <%s>", unwind_reason_name(f->reason));
	printf("\n");
}

static void print_thread(const struct view *view, const struct trace *trace)
{
	printf("thread %d (%s): ", (int)trace->tid, trace->name);
	if (trace->reason)
		printf("not reliable: %s [%s]\n", unwind_reason_text(trace->reason),
		       unwind_reason_name(trace->reason));
	else
		printf("complete\n");
	for (size_t i = 0; i < trace->nr; i++)
		print_frame(view, i, &trace->frames[i]);
}

/* Names are looked up when the thread runs again. */
static void finish(const struct view *view, struct trace *trace)
{
	if (view->options->json)
		json_array_append_new(view->out, json_thread(view, trace));
	else
		print_thread(view, trace);
	free(trace->frames);
}

static void let_go(struct threads *threads, struct thread *thread, uint64_t start,
		   struct trace *trace)
{
	thread_release(threads, thread);
	trace->stopped_us = (clock_ns() - start) / 1000;
}

/*
 * The thread stands still only while its registers and stack are read.  A stack
 * deeper than what is read at once is walked again while it stands.
 */
static struct err *stop_and_walk(struct view *view, struct threads *threads,
				 struct thread *thread, bool hold, struct trace *trace)
{
	uint64_t start = clock_ns();
	struct err *err = thread_stop(threads, thread, STOP_MS);
	bool beyond = false;

	if (err || thread->state != THREAD_STOPPED)
		return err;
	stacks_take(&view->stacks, &thread->regs);
	if (!hold)
		let_go(threads, thread, start, trace);
	trace->reason = stacks_walk_taken(&view->stacks, &thread->regs, add_frame, trace,
					  &beyond);
	if (hold)
		let_go(threads, thread, start, trace);
	trace->beyond = beyond;
	return NULL;
}

static struct err *trace_thread(struct view *view, struct threads *threads, pid_t tid)
{
	struct trace trace = { .tid = tid };
	struct err *err = NULL;

	for (int hold = 0; hold < 2; hold++) {
		bool added = false;

		if ((err = threads_add(threads, tid, &added)) || !added)
			break;
		trace.nr = 0;
		err = stop_and_walk(view, threads, threads->thread[threads->nr - 1], hold,
				    &trace);
		if (err || !trace.beyond)
			break;
	}
	if (err || !trace.nr) {
		free(trace.frames);
		return err;
	}
	thread_name(view->process->pid, tid, trace.name);
	finish(view, &trace);
	return NULL;
}

static struct err *trace_threads(void *arg)
{
	struct view *view = arg;
	AUTO_THREADS struct threads threads = { 0 };
	AUTO_FREE pid_t *tids = NULL;
	size_t nr = 0;
	struct err *err = threads_list(view->process->pid, &tids, &nr);

	if (err)
		return err;
	threads_init(&threads, view->process);
	for (size_t i = 0; i < nr; i++) {
		err = trace_thread(view, &threads, tids[i]);
		if (!err)
			continue;
		/* One thread that cannot be stopped must not hide the others. */
		if (err->kind != ERR_NOT_NOW || !strcmp(err->reason, "traced"))
			return err;
		cmd_print_error(err);
		err_free(err);
	}
	return NULL;
}

/* Another stitch may unmap one of the patches between the two steps: then it is looked again. */
static struct err *read_patches(struct view *view)
{
	for (unsigned try = 1;; try++) {
		struct err *err = record_read(view->process, &view->record);

		if (!err)
			err = stacks_init(&view->stacks, view->process, &view->record);
		if (!err || try == TRIES || strcmp(err->reason, "no-memory"))
			return err;
		err_free(err);
		record_done(&view->record);
	}
}

static struct err *trace_process(const struct options *options, pid_t pid, json_t *out)
{
	AUTO_PROCESS struct process *process = NULL;
	struct view view = { .options = options, .out = out };
	struct err *err;

	if ((err = process_open_lazily(pid, &process)))
		return err;
	view.process = process;
	view.names = names_new(process);
	if (!(err = read_patches(&view)))
		err = tracer_run(trace_threads, &view);
	stacks_done(&view.stacks);
	names_free(view.names);
	record_done(&view.record);
	return err;
}

static struct err *trace_core(const struct options *options, json_t *out, pid_t *pid)
{
	AUTO_CORE struct core *core = NULL;
	struct view view = { .options = options, .out = out };
	struct err *err = core_open(options->core, &core);

	if (err)
		return err;
	*pid = core->process->pid;
	view.process = core->process;
	view.names = names_new(core->process);
	if (!(err = record_read(core->process, &view.record)))
		err = stacks_init(&view.stacks, core->process, &view.record);
	for (size_t i = 0; i < core->nr_threads && !err; i++) {
		struct trace trace = { .tid = core->threads[i].tid };

		snprintf(trace.name, sizeof(trace.name), "%s", core->process->comm);
		stacks_take(&view.stacks, &core->threads[i].regs);
		trace.reason = stacks_walk_taken(&view.stacks, &core->threads[i].regs,
						 add_frame, &trace, &trace.beyond);
		finish(&view, &trace);
	}
	stacks_done(&view.stacks);
	names_free(view.names);
	record_done(&view.record);
	return err;
}

static void add_process(json_t *out, pid_t pid, json_t *threads, const struct err *err)
{
	json_array_append_new(out, json_pack("{si,so,so}", "pid", (int)pid, "threads", threads,
					     "error", cmd_json_error(err)));
}

static bool never(pid_t pid, void *arg)
{
	(void)pid, (void)arg;
	return false;
}

/* One that cannot be traced does not hide the others. */
static int trace_one(const struct options *options, pid_t pid, bool is_named, json_t *out)
{
	json_t *threads = json_array();
	struct err *err = trace_process(options, pid, threads);
	bool is_left_out = !is_named && cmd_has_ended(err);
	int status = is_left_out ? EXIT_DONE : cmd_status_of(err);

	if (is_left_out)
		json_decref(threads);
	else
		add_process(out, pid, threads, err);
	if (err && !is_left_out && !options->json)
		cmd_print_error(err);
	err_free(err);
	return status;
}

static int trace_all(const struct options *options, json_t *out)
{
	AUTO_FREE pid_t *pids = NULL;
	int status = EXIT_DONE;
	size_t nr = 0, nr_named = cmd_nr_pids(options);
	struct err *err = cmd_select(options, never, NULL, &pids, &nr);

	if (err)
		return cmd_fail(options, err);
	cmd_stay_awake();
	for (size_t i = 0; i < nr; i++)
		status = cmd_worse(status, trace_one(options, pids[i], i < nr_named, out));
	if (options->json)
		cmd_print_json(json_pack("{sO}", "processes", out));
	return status;
}

static int trace_file(const struct options *options, json_t *out)
{
	json_t *threads = json_array();
	pid_t pid = 0;
	struct err *err = trace_core(options, threads, &pid);

	add_process(out, pid, threads, err);
	if (!err && options->json)
		cmd_print_json(json_pack("{sO}", "processes", out));
	return cmd_fail(options, err);
}

int cmd_stack(const struct options *options)
{
	json_t *out = json_array();
	int status = options->core ? trace_file(options, out) : trace_all(options, out);

	json_decref(out);
	return status;
}
