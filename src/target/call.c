/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "call.h"

#include <elf.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "bytes.h"
#include "event.h"
#include "mem.h"
#include "tracer.h"

enum {
	TRIES = 200,
	LOOK_MS = 1000,
	FAULTED = -EFAULT,
};

static uint64_t frames_at(const struct call *call)
{
	return call->stack + call->stack_size - CALL_FRAMES;
}

static uint64_t marks_at(const struct call *call)
{
	return call->stack + call->stack_size - CALL_MARKS;
}

struct err *call_clear(const struct process *process, const struct call *call)
{
	static const uint8_t zeroes[CALL_MARKS];
	struct err *err = NULL;

	if (call->restore)
		err = process_write(process, call->restore, zeroes, 16);
	return err ? err : process_write(process, marks_at(call), zeroes, CALL_MARKS);
}

static struct err *read_marks(const struct process *process, const struct call *call,
			      enum call_state *state, int64_t *result)
{
	bool be = process->arch->big_endian;
	uint8_t marks[CALL_MARKS];
	struct err *err = process_read(process, marks_at(call), marks, CALL_MARKS);

	if (err)
		return err;
	*state = bytes_get(marks + CALL_DONE, 4, be) ? CALL_IS_DONE :
		 bytes_get(marks + CALL_BEGUN, 4, be) ? CALL_RUNS : CALL_NOT_BEGUN;
	*result = (int64_t)bytes_get(marks + CALL_RESULT, 8, be);
	return NULL;
}

static bool is_at_call(const struct arch *arch, const struct call *call,
		       const struct regs *regs)
{
	return regs_pc(arch, regs) - call->code < arch->call_code_size ||
	       regs_sp(arch, regs) - call->stack < call->stack_size;
}

struct sent {
	const struct process *process;
	const struct call *call;
	bool found;
};

/* Of a tool that died between the sending and the beginning. */
static struct err *look_for_sent(void *arg)
{
	struct sent *sent = arg;
	AUTO_THREADS struct threads threads;
	struct err *err;

	threads_init(&threads, sent->process);
	if ((err = threads_seize(&threads)) || (err = threads_stop_all(&threads, LOOK_MS)))
		return err;
	for (size_t i = 0; i < threads.nr; i++)
		sent->found |= threads.thread[i]->state == THREAD_STOPPED &&
			       is_at_call(sent->process->arch, sent->call,
					  &threads.thread[i]->regs);
	return NULL;
}

static struct err *reread_done(const struct process *process, const struct call *call,
			       enum call_state *state, int64_t *result)
{
	enum call_state now;
	struct err *err = read_marks(process, call, &now, result);

	if (!err && now == CALL_IS_DONE)
		*state = now;
	return err;
}

struct err *call_look(struct process *process, const struct call *call,
		      enum call_state *state, int64_t *result)
{
	struct sent sent = { process, call, false };
	struct err *err = read_marks(process, call, state, result);

	if (err || *state == CALL_IS_DONE || (err = tracer_run(look_for_sent, &sent)))
		return err;
	/* A child of fork has a call's beginning and not the thread that is in it. */
	*state = sent.found ? CALL_RUNS : CALL_NOT_BEGUN;
	/* It may have come to its end between the two looks. */
	return sent.found ? NULL : reread_done(process, call, state, result);
}

/* A shadow stack would have to be given back, too, and nobody outside can do that. */
static struct err *check_shadow(const struct borrowed *b)
{
	unsigned set = b->process->arch->unwind->shadow_regset;
	uint64_t word = 0;
	struct iovec iov = { &word, sizeof(word) };

	if (!set || syscall(SYS_ptrace, PTRACE_GETREGSET, b->thread->tid, set, &iov) || !word)
		return NULL;
	return err_new(ERR_UNSUPPORTED, "shadow-stack", "process %d has shadow stacks: no "
		       "function can be called in it, so no patch with callbacks be applied",
		       b->process->pid);
}

static bool holds_lock(const struct borrowed *b, const struct call *call)
{
	uint8_t word[8];

	return call->lock && process_try_read(b->process, call->lock, word, 8) &&
	       bytes_get(word, 8, b->process->arch->big_endian) == (uint64_t)b->thread->tid;
}

static struct err *send_there(struct borrowed *b, const struct call *call,
			      struct arch_call_request *req)
{
	const struct arch *arch = b->process->arch;
	AUTO_FREE uint8_t *frames = mem_alloc(CALL_FRAMES);
	struct regs go;
	struct err *err;

	if ((err = borrow_mask(b, &req->mask)))
		return err;
	if (!arch->call_frames(req, frames, &go))
		return err_new(ERR_UNSUPPORTED, "vector-state", "thread %d: its vector "
			       "registers are kept in a way that is not known",
			       (int)b->thread->tid);
	if ((err = process_write(b->process, frames_at(call), frames, CALL_FRAMES)) ||
	    (err = event_step("call-send")) ||
	    (err = thread_set_regs(arch, b->thread->tid, &go)) ||
	    /* No signal is to come before the first frame, which has another mask. */
	    (err = borrow_set_mask(b, ~UINT64_C(0))))
		return err;
	return event_step("call-sent");
}

static bool is_fault(int sig)
{
	return sig == SIGSEGV || sig == SIGBUS || sig == SIGFPE || sig == SIGILL ||
	       sig == SIGTRAP || sig == SIGSYS;
}

/* errno, where the function had come as far as to say where it is. */
static void restore_int(const struct process *process, const struct call *call)
{
	bool be = process->arch->big_endian;
	uint8_t words[16], value[4];
	uint64_t at;

	if (!call->restore || !process_try_read(process, call->restore, words, 16))
		return;
	at = bytes_get(words, 8, be);
	bytes_put(value, 4, bytes_get(words + 8, 8, be), be);
	if (at)
		err_free(process_write(process, at, value, 4));
}

/* The function did what a program dies of: it is over, the program goes on. */
static struct err *break_off(struct borrowed *b, const struct call *call,
			     const struct arch_call_request *req, bool *faulted)
{
	const struct arch *arch = b->process->arch;
	struct regs regs;
	struct err *err = thread_get_regs(arch, b->thread->tid, &regs);

	/* What comes when it is back already is its own. */
	if (err || !is_at_call(arch, call, &regs))
		return err;
	if (!is_fault(b->thread->signal)) {
		b->thread->signal = 0;
		return NULL;
	}
	event("callback faulted signal=%d pc=%#" PRIx64, b->thread->signal,
	      regs_pc(arch, &regs));
	b->thread->signal = 0;
	*faulted = true;
	restore_int(b->process, call);
	arch->call_abort(req, FAULTED, &regs);
	return thread_set_regs(arch, b->thread->tid, &regs);
}

/* It has its own registers again, or has ended. */
static struct err *is_back(struct borrowed *b, const struct call *call, bool *back,
			   int64_t *result)
{
	enum call_state state;
	struct regs regs;
	struct err *err;

	*back = false;
	if ((err = read_marks(b->process, call, &state, result)) || state != CALL_IS_DONE)
		return err;
	if ((err = thread_get_regs(b->process->arch, b->thread->tid, &regs)))
		return err;
	*back = !is_at_call(b->process->arch, call, &regs);
	return NULL;
}

static struct err *follow(struct borrowed *b, const struct call *call,
			  const struct arch_call_request *req, unsigned timeout_ms,
			  int64_t *result, bool *faulted)
{
	uint64_t deadline = clock_ms() + timeout_ms;
	bool back = false;
	struct err *err = NULL;

	while (!err && !back) {
		uint64_t now = clock_ms();

		err = borrow_run(b, now < deadline ? (unsigned)(deadline - now) : 0);
		if (err && !strcmp(err->reason, "signal")) {
			err_freep(&err);
			err = break_off(b, call, req, faulted);
		} else if (err && !strcmp(err->reason, "system")) {
			err_free(err);
			b->thread->state = THREAD_SEIZED;
			return err_new(ERR_NOT_NOW, "call-runs", "process %d: a callback has "
				       "not returned in %u ms; it goes on, and so will a "
				       "later command", b->process->pid, timeout_ms);
		}
		if (!err)
			err = is_back(b, call, &back, result);
	}
	return err;
}

struct try {
	struct process *process;
	const struct call *call;
	unsigned timeout_ms;
	int64_t *result;
	bool *faulted;
};

static struct err *try_call(void *arg)
{
	const struct try *try = arg;
	const struct call *call = try->call;
	struct arch_call_request req = { .code = call->code, .stack = frames_at(call),
					 .function = call->function,
					 .argument = call->argument };
	AUTO_FREE uint8_t *fp = NULL;
	struct borrowed b;
	struct err *err;

	if ((err = process_refresh(try->process)))
		return err;
	err = borrow_begin(try->process, 0, &b);
	if (!err && holds_lock(&b, call))
		err = err_new(ERR_NOT_NOW, "no-thread", "thread %d holds the lock of shadow "
			      "variables", (int)b.thread->tid);
	if (!err && !(err = check_shadow(&b)) &&
	    !(err = borrow_fp(&b, fp = mem_alloc(borrow_fp_max(&b)), &req.fp_size))) {
		req.regs = &b.saved;
		req.fp = fp;
		err = send_there(&b, call, &req);
		if (!err)
			err = follow(&b, call, &req, try->timeout_ms, try->result,
				     try->faulted);
	}
	borrow_end(&b);
	return err;
}

struct err *call_function(struct process *process, const struct call *call,
			  unsigned timeout_ms, int64_t *result, bool *faulted)
{
	struct try one = { process, call, timeout_ms, result, faulted };
	struct err *err = NULL;

	*faulted = false;
	if (!process->arch->call_code_size)
		return err_new(ERR_UNSUPPORTED, "not-ported", "callbacks cannot be called on "
			       "%s yet", process->arch->name);
	for (int try = 0; try < TRIES; try++) {
		err_free(err);
		err = borrow_do(process, try_call, &one);
		if (!err || process->standing || strcmp(err->reason, "no-thread"))
			return err;
		usleep(1000);
	}
	return err;
}
