/* SPDX-License-Identifier: GPL-2.0-or-later */
/* stack: the exact stacks of all threads, one thread at a time */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"
#include "mem.h"
#include "record.h"
#include "stacks.h"

enum { STOP_MS = 200 };

struct frame_text {
	uint64_t pc, off;
	const char *symbol, *object;
	bool is_signal;
};

struct trace {
	const struct record *record;
	struct frame_text *frames;
	size_t nr;
};

/* The name of a function that a patch replaced, by its new code. */
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

static bool add_frame(void *arg, const struct unwind_frame *frame)
{
	struct trace *trace = arg;
	struct frame_text *text = ARRAY_ADD(trace->frames, trace->nr);

	text->pc = frame->pc;
	text->object = frame->code ? frame->code->name : NULL;
	text->is_signal = frame->is_signal;
	text->symbol = stacks_symbol(frame, &text->off);
	if (!text->symbol)
		text->symbol = patched_symbol(trace->record, frame->pc, &text->off);
	return true;
}

static json_t *json_thread(const struct thread *thread, const char *name,
			   const struct trace *trace, enum unwind_reason reason)
{
	json_t *frames = json_array();

	for (size_t i = 0; i < trace->nr; i++) {
		const struct frame_text *f = &trace->frames[i];

		json_array_append_new(frames, json_pack("{so,ss*,so*,ss*,sb}",
			"pc", json_sprintf("%#" PRIx64, f->pc), "symbol", f->symbol,
			"offset", f->symbol ? json_integer((json_int_t)f->off) : NULL,
			"object", f->object, "signal", f->is_signal));
	}
	return json_pack("{si,ss,sb,ss,so}", "tid", (int)thread->tid, "name", name,
			 "complete", reason == UNWIND_OK,
			 "verdict", unwind_reason_name(reason), "frames", frames);
}

static void print_thread(const struct thread *thread, const char *name,
			 const struct trace *trace, enum unwind_reason reason)
{
	printf("thread %d (%s): %s\n", (int)thread->tid, name,
	       reason == UNWIND_OK ? "complete" : unwind_reason_text(reason));
	for (size_t i = 0; i < trace->nr; i++) {
		const struct frame_text *f = &trace->frames[i];

		printf("  #%-3zu %#018" PRIx64 " ", i, f->pc);
		if (f->symbol)
			printf("%s+%#" PRIx64, f->symbol, f->off);
		else
			printf("?");
		printf(" (%s)%s\n", f->object ? f->object : "unknown",
		       f->is_signal ? " <signal>" : "");
	}
}

static struct err *trace_thread(const struct options *options, struct threads *threads,
				struct stacks *stacks, const struct record *record,
				pid_t tid, json_t *out)
{
	struct trace trace = { .record = record };
	enum unwind_reason reason;
	struct thread *thread;
	bool added = false;
	char name[17];
	struct err *err = threads_add(threads, tid, &added);

	if (err || !added)
		return err;
	thread = threads->thread[threads->nr - 1];
	if ((err = thread_stop(threads, thread, STOP_MS)))
		return err;
	if (thread->state != THREAD_STOPPED)
		return NULL;
	reason = stacks_walk(stacks, &thread->regs, add_frame, &trace);
	thread_release(threads, thread);
	thread_name(threads->process->pid, tid, name);
	if (options->json)
		json_array_append_new(out, json_thread(thread, name, &trace, reason));
	else
		print_thread(thread, name, &trace, reason);
	free(trace.frames);
	return NULL;
}

static struct err *trace_process(const struct options *options, pid_t pid, json_t *out)
{
	AUTO_PROCESS struct process *process = NULL;
	AUTO_RECORD struct record record = { 0 };
	AUTO_THREADS struct threads threads = { 0 };
	AUTO_STACKS struct stacks stacks = { 0 };
	AUTO_FREE pid_t *tids = NULL;
	size_t nr = 0;
	struct err *err;

	if ((err = process_open_lazily(pid, &process)) ||
	    (err = record_read(process, &record)) ||
	    (err = stacks_init(&stacks, process, &record)) ||
	    (err = threads_list(pid, &tids, &nr)))
		return err;
	threads_init(&threads, process);
	for (size_t i = 0; i < nr; i++) {
		err = trace_thread(options, &threads, &stacks, &record, tids[i], out);
		if (!err)
			continue;
		/* One thread that cannot be stopped must not hide the others. */
		if (err->kind != ERR_NOT_NOW || !strcmp(err->reason, "traced"))
			return err;
		fprintf(stderr, "stitch: %s [%s]\n", err->msg, err->reason);
		err_free(err);
	}
	return NULL;
}

static bool never(pid_t pid, void *arg)
{
	(void)pid, (void)arg;
	return false;
}

int cmd_stack(const struct options *options)
{
	AUTO_FREE pid_t *pids = NULL;
	json_t *out = json_array();
	size_t nr = 0;
	struct err *err = cmd_select(options, never, NULL, &pids, &nr);

	for (size_t i = 0; i < nr && !err; i++) {
		json_t *threads = json_array();

		err = trace_process(options, pids[i], threads);
		json_array_append_new(out, json_pack("{si,so}", "pid", (int)pids[i],
						     "threads", threads));
	}
	if (!err && options->json)
		cmd_print_json(json_pack("{sO}", "processes", out));
	json_decref(out);
	return cmd_fail(options, err);
}
