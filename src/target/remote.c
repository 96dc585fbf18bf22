/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "remote.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bytes.h"
#include "event.h"
#include "mem.h"
#include "tracer.h"

enum {
	CALL_MS = 5000,
	CODE_MAX = 64,
	FRAME_MAX = 2048,
	PATIENCE_MS = 10000, /* at least: what was begun has to be taken back, too */
	PAUSE_MS = 50,
	PLACES = 5,        /* that the process may take before our eyes */
	ROUNDS = 5,        /* until the kernel is met where it begins a call again */
};

static long ptrace_do(long request, pid_t tid, uint64_t data)
{
	return syscall(SYS_ptrace, request, tid, NULL, (void *)(uintptr_t)data);
}

enum cell { CELL_USED, CELL_FREE, CELL_LEFT_BEHIND };

/* Zeroes are free; our code without us was left behind by a tool that died. */
static enum cell look_at_cell(const struct process *process, uint64_t at)
{
	const struct arch *arch = process->arch;
	/* What is behind the code is the slot's, and differs. */
	size_t same = arch->remote.pc_slot ? arch->remote.pc_slot : arch->remote.code_size;
	uint8_t bytes[CODE_MAX], code[CODE_MAX], any = 0;

	if (!process_try_read(process, at, bytes, sizeof(bytes)))
		return CELL_USED;
	arch->remote_code(code);
	for (size_t i = 0; i < CODE_MAX; i++)
		any |= bytes[i];
	return !any ? CELL_FREE : memcmp(bytes, code, same) ? CELL_USED :
	       CELL_LEFT_BEHIND;
}

/*
 * A cell in the end of the last page of an executable segment: mapped,
 * executable, and past the last byte that the file has for it.
 */
static uint64_t find_cell_in(const struct process *process, const struct object *object,
			     enum cell wanted)
{
	for (size_t i = 0; i < object->nr_code && !object->is_vdso; i++) {
		uint64_t end = object->code[i].end;
		uint64_t at = ((end + 4095) & ~UINT64_C(4095)) - CODE_MAX;
		const struct map *map = maps_find(&process->maps, at);

		if (!map || !map->exec || map->shared)
			continue;
		for (; at >= end + 16; at -= CODE_MAX)
			if (look_at_cell(process, at) == wanted)
				return at;
	}
	return 0;
}

static uint64_t find_cell(const struct process *process, enum cell wanted)
{
	uint64_t at = 0;

	for (size_t i = 0; i < process->nr_objects && !at; i++)
		at = find_cell_in(process, process->objects[i], wanted);
	return at;
}

/*
 * A thread that a dead tool had borrowed may still be on its way through the
 * cell, and its way leads through the slot.  All are looked at once.
 */
static struct err *check_nobody_in(void *arg)
{
	const struct remote *remote = arg;
	const struct process *process = remote->b.process;
	AUTO_THREADS struct threads threads;
	struct err *err;

	threads_init(&threads, process);
	if ((err = threads_seize(&threads)) ||
	    (err = threads_stop_all(&threads, CALL_MS)))
		return err;
	for (size_t i = 0; i < threads.nr; i++)
		if (threads.thread[i]->state == THREAD_STOPPED &&
		    regs_pc(process->arch, &threads.thread[i]->regs) - remote->code <
			    CODE_MAX)
			return err_new(ERR_NOT_NOW, "no-thread", "thread %d is still on its "
				       "way back from a system call made for a tool that "
				       "died", (int)threads.thread[i]->tid);
	return NULL;
}

/* Before a thread is borrowed: looking at all may be needed. */
static struct err *choose_cell(struct remote *remote)
{
	struct process *process = remote->b.process;

	remote->code = find_cell(process, CELL_FREE);
	if (remote->code)
		return NULL;
	remote->code = find_cell(process, CELL_LEFT_BEHIND);
	/* Whoever follows the process has the others, too: without one that stands it can. */
	if (remote->code && process->standing)
		return err_new(ERR_NOT_NOW, "no-thread", "process %d: what was left behind by a "
			       "tool that died has to be cleared away first", process->pid);
	if (remote->code)
		return tracer_run(check_nobody_in, remote);
	return err_new(ERR_UNSUPPORTED, "no-slack",
		       "process %d: no executable page has %d unused bytes at its end",
		       process->pid, CODE_MAX);
}

static struct err *place_code(struct remote *remote)
{
	const struct arch *arch = remote->b.process->arch;
	uint8_t code[CODE_MAX];
	struct err *err = event_step("remote-code");

	if (err)
		return err;
	arch->remote_code(code);
	err = process_write(remote->b.process, remote->code, code, arch->remote.code_size);
	remote->placed = !err;
	return err;
}

struct err *remote_begin(struct process *process, struct remote *remote)
{
	const struct arch *arch = process->arch;
	size_t room = arch->remote.red_zone + arch->remote.frame_size;
	struct err *err;

	*remote = (struct remote){ .b.process = process };
	threads_init(&remote->b.threads, process);
	remote->b.threads.ptrace_options = PTRACE_O_TRACESYSGOOD;
	if ((err = process_refresh(process)) || (err = choose_cell(remote)) ||
	    (err = borrow_begin(process, room, &remote->b)) || (err = place_code(remote)))
		remote_end(remote);
	return err;
}

static struct err *send_there(struct remote *remote, long nr, const uint64_t args[6])
{
	const struct process *process = remote->b.process;
	const struct arch *arch = process->arch;
	uint8_t frame[FRAME_MAX], slot[8], fp[REMOTE_FP_MAX];
	struct arch_remote_request req = {
		.regs = &remote->b.saved, .fp = fp, .code = remote->code,
		.frame = regs_sp(arch, &remote->b.saved) - arch->remote.red_zone -
			 arch->remote.frame_size };
	struct regs call;
	uint64_t pc_back;
	struct err *err;

	if (arch->remote.by_sigreturn &&
	    ((err = borrow_fp(&remote->b, fp, &req.fp_size)) ||
	     (!remote->is_deaf && (err = borrow_mask(&remote->b, &remote->mask)))))
		return err;
	req.mask = remote->mask;
	if (!arch->remote_frame(&req, frame, &call, &pc_back))
		return err_new(ERR_NOT_NOW, "no-thread", "thread %d cannot be borrowed as it "
			       "stands", (int)remote->b.thread->tid);
	bytes_put(slot, 8, pc_back, arch->big_endian);
	regs_set(arch, &call, arch->sysnr_off, (uint64_t)nr);
	for (int i = 0; i < 6; i++)
		regs_set(arch, &call, arch->sysarg_off[i], args[i]);
	if (arch->remote.mmap_block && nr == arch->nr_mmap) {
		for (int i = 0; i < 6; i++)
			bytes_put(frame + arch->remote.mmap_block + 8 * i, 8, args[i],
				  arch->big_endian);
		regs_set(arch, &call, arch->sysarg_off[0], req.frame + arch->remote.mmap_block);
	}
	if ((arch->remote.pc_slot &&
	     (err = process_write(process, remote->code + arch->remote.pc_slot, slot, 8))) ||
	    (err = process_write(process, req.frame, frame, arch->remote.frame_size)) ||
	    (err = event_step("remote-send")))
		return err;
	err = thread_set_regs(arch, remote->b.thread->tid, &call);
	if (err)
		return err;
	remote->busy = true;
	/* Behind the registers, and taken away before they are: at every moment it would get
	 * its own mask if we were not there any more. */
	if (arch->remote.by_sigreturn && !(err = borrow_set_mask(&remote->b, ~UINT64_C(0))))
		remote->is_deaf = true;
	return err;
}

/*
 * Anything but a system call stop (a signal, a group stop) finds the thread before the
 * call: it gets its own registers back and is let go to do what it has to.
 */
static struct err *run_to_call_stop(struct remote *remote)
{
	return borrow_run(&remote->b, CALL_MS);
}

struct err *remote_call(struct remote *remote, long nr, const uint64_t args[6],
			int64_t *result)
{
	const struct arch *arch = remote->b.process->arch;
	struct regs regs;
	struct err *err;

	if ((err = send_there(remote, nr, args)) ||
	    (err = run_to_call_stop(remote)) ||          /* at its entry */
	    (err = event_step("remote-entered")) ||
	    (err = run_to_call_stop(remote)) ||          /* at its exit */
	    (err = thread_get_regs(arch, remote->b.thread->tid, &regs)))
		return err;
	*result = regs_call_result(arch, &regs);
	return event_step("remote-returned");
}

/* From a system call's exit into the delivery of signals; false: it does not stop there. */
static bool stop_behind(struct thread *thread)
{
	bool reported = false;
	int status;

	ptrace_do(PTRACE_INTERRUPT, thread->tid, 0);
	ptrace_do(PTRACE_CONT, thread->tid, 0);
	err_free(thread_wait(thread->tid, clock_ms() + CALL_MS, &status, &reported));
	if (!reported)
		return false;
	if (!WIFSTOPPED(status))
		thread->state = THREAD_GONE;
	else if (!(status >> 16))
		thread->signal = WSTOPSIG(status);
	return true;
}

/* Through a call that there is not, to be met at its end once more. */
static bool go_round(struct remote *remote)
{
	static const uint64_t none[6];
	struct err *err = send_there(remote, -1, none);

	if (err || (err = run_to_call_stop(remote)) || (err = run_to_call_stop(remote))) {
		err_free(err);
		return false;
	}
	return stop_behind(remote->b.thread);
}

static bool begins_again(const struct remote *remote)
{
	const struct arch *arch = remote->b.process->arch;
	struct regs now;
	struct err *err;

	if (!arch->begins_again)
		return true;
	err = thread_get_regs(arch, remote->b.thread->tid, &now);
	err_free(err);
	return !err && arch->begins_again(&now);
}

/*
 * From a system call's exit back to where the thread was.  Only a thread that
 * the kernel has on its way through signal delivery gets its interrupted call
 * begun again, so it is stopped there once more before its registers are put
 * back; in all the time before, it would find its own way back.  And so it does if
 * the kernel would not.
 */
static bool put_back(struct remote *remote)
{
	struct thread *thread = remote->b.thread;
	struct err *err = NULL;

	if (!thread->signal && !stop_behind(thread))
		return false;
	for (int try = 0; thread->state != THREAD_GONE && !begins_again(remote); try++)
		if (try == ROUNDS || thread->signal || !go_round(remote))
			return false;
	if (thread->state == THREAD_GONE)
		return true;
	if (remote->is_deaf)
		err = borrow_set_mask(&remote->b, remote->mask);
	if (!err)
		err = thread_set_regs(remote->b.process->arch, thread->tid, &remote->b.saved);
	err_free(err);
	return !err;
}

void remote_end(struct remote *remote)
{
	static const uint8_t zeroes[CODE_MAX];

	if (remote->busy && remote->b.thread->state == THREAD_STOPPED)
		remote->busy = !put_back(remote);
	/* Nobody is in it any more: the page is as it was. */
	if (remote->placed && !remote->busy)
		err_free(process_write(remote->b.process, remote->code, zeroes, CODE_MAX));
	remote->placed = remote->busy = false;
	borrow_end(&remote->b);
}

static struct err *check_result(const struct process *process, const struct remote_plan *plan)
{
	int errnum = plan->result < 0 && plan->result > -4096 ? (int)-plan->result : 0;

	if (!errnum || plan->may_fail)
		return NULL;
	if (errnum == EEXIST && plan->nr == process->arch->nr_mmap)
		return err_new(ERR_NOT_NOW, "room-taken", "process %d mapped memory of its own "
			       "where the patch was to go", process->pid);
	if (errnum == ENOMEM && plan->nr == process->arch->nr_mmap)
		return err_new(ERR_UNSUPPORTED, "memory-limit", "process %d may have no more "
			       "memory: see prlimit --pid %d (AS, DATA), vm.max_map_count and "
			       "vm.overcommit_memory", process->pid, process->pid);
	return err_sys(errnum, "process %d: %s", process->pid, plan->what);
}

struct run {
	struct process *process;
	struct remote_plan *plan;
	size_t nr;
};

static struct err *run_from(void *arg)
{
	const struct run *run = arg;
	struct remote remote;
	struct err *err = remote_begin(run->process, &remote);

	for (size_t i = 0; i < run->nr && !err; i++) {
		struct remote_plan *plan = &run->plan[i];

		if (plan->done)
			continue;
		err = remote_call(&remote, plan->nr, plan->args, &plan->result);
		plan->done = !err;
		if (!err)
			err = check_result(run->process, plan);
	}
	remote_end(&remote);
	return err;
}

static bool may_pass(const struct err *err)
{
	return err->kind == ERR_NOT_NOW && strcmp(err->reason, "traced") &&
	       strcmp(err->reason, "room-taken");
}

static const char *why_none(pid_t pid)
{
	char state = thread_proc_state(pid);

	return state == 'T' ? ": it is stopped, and SIGCONT lets it go on" :
	       state == 'D' ? ": it waits in the kernel, or is frozen (state D)" : "";
}

struct err *remote_run(struct process *process, struct remote_plan *plan, size_t nr)
{
	unsigned patience = process->patience_ms > PATIENCE_MS ? process->patience_ms :
								PATIENCE_MS;
	struct run run = { process, plan, nr };
	uint64_t end = clock_ms() + patience;
	unsigned pause = 1;

	do {
		struct err *err = borrow_do(process, run_from, &run);

		/* One that stands stays as it is. */
		if (!err || process->standing || !may_pass(err))
			return err;
		err_free(err);
		usleep(1000 * pause);
		pause += pause < PAUSE_MS;
	} while (clock_ms() < end);
	return err_new(ERR_NOT_NOW, "no-thread",
		       "process %d: no thread could be borrowed in %u s%s; a longer --timeout "
		       "waits longer", process->pid, patience / 1000, why_none(process->pid));
}

struct err *remote_map(struct process *process, const struct remote_mapping *list, size_t nr)
{
	AUTO_FREE struct remote_plan *plan = mem_alloc(nr * sizeof(*plan));
	struct err *err;

	for (size_t i = 0; i < nr; i++)
		plan[i] = (struct remote_plan){
			.nr = process->arch->nr_mmap, .what = "mapping memory",
			.args = { list[i].range.start, list[i].range.size,
				  (uint64_t)list[i].prot, MAP_PRIVATE | MAP_ANONYMOUS |
				  MAP_FIXED_NOREPLACE | list[i].flags, (uint64_t)-1, 0 } };
	if ((err = remote_run(process, plan, nr)))
		return err;
	for (size_t i = 0; i < nr; i++)
		if ((uint64_t)plan[i].result != list[i].range.start)
			return err_new(ERR_FAILED, "no-room", "process %d: the kernel "
				       "mapped memory elsewhere", process->pid);
	return NULL;
}

bool remote_look_elsewhere(struct process *process, struct err **err, int *tries)
{
	if (!*err || strcmp((*err)->reason, "room-taken") || ++*tries > PLACES)
		return false;
	err_freep(err);
	*err = process_refresh(process);
	return !*err;
}
