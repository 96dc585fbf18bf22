/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "borrow.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bytes.h"
#include "glance.h"
#include "mem.h"
#include "proc.h"
#include "tracer.h"

enum {
	STOP_MS = 50,        /* a thread that takes longer is passed over */
	MAX_CANDIDATES = 16,
	RSEQ_CS = 8,         /* struct rseq: the critical section that it is in */
};

#ifndef PTRACE_O_SUSPEND_SECCOMP
#define PTRACE_O_SUSPEND_SECCOMP (1 << 21)
#endif
static long ptrace_do(long request, pid_t tid, uint64_t data)
{
	return syscall(SYS_ptrace, request, tid, NULL, (void *)(uintptr_t)data);
}

/*
 * A restartable sequence that is left by our hand would not be begun again
 * (kernel/rseq.c: it looks at where the thread is when it goes on).
 */
static bool is_in_rseq(const struct borrowed *b, const struct thread *thread)
{
	struct __ptrace_rseq_configuration rseq = { 0 };
	uint64_t section = 0;

	if (syscall(SYS_ptrace, PTRACE_GET_RSEQ_CONFIGURATION, thread->tid, sizeof(rseq),
		    &rseq) <= 0 || !rseq.rseq_abi_pointer)
		return false;
	return !process_try_read(b->process, rseq.rseq_abi_pointer + RSEQ_CS, &section, 8) ||
	       section;
}

static bool has_live_vectors(const struct borrowed *b, const struct thread *thread)
{
	const struct arch *arch = b->process->arch;
	uint8_t head[64];
	struct iovec iov = { head, arch->live_vectors.size };

	return arch->live_vectors.size &&
	       !syscall(SYS_ptrace, PTRACE_GETREGSET, thread->tid, arch->live_vectors.type,
			&iov) &&
	       bytes_get(head + arch->live_vectors.off, 2, arch->big_endian) &
	       arch->live_vectors.bit;
}

/* Room on its stack, in its own user mode, with nothing waiting to happen. */
static bool can_borrow(const struct borrowed *b, const struct thread *thread)
{
	uint64_t sp = regs_sp(b->process->arch, &thread->regs);
	const struct map *map = maps_find(&b->process->maps, sp - 1);

	if (thread->state != THREAD_STOPPED || thread->signal || thread->in_group_stop ||
	    is_in_rseq(b, thread) || has_live_vectors(b, thread))
		return false;
	return map && map->write && map->read && sp - b->room >= map->start;
}

/* A thread's own seccomp mode; threads of one process may differ. */
static bool has_seccomp(pid_t tid)
{
	return proc_status_number(tid, "Seccomp") > 0;
}

static struct err *suspend_seccomp(struct borrowed *b)
{
	pid_t tid = b->thread->tid;

	if (!has_seccomp(tid))
		return NULL;
	if (ptrace_do(PTRACE_SETOPTIONS, tid,
		      PTRACE_O_TRACESYSGOOD | PTRACE_O_SUSPEND_SECCOMP))
		return err_new(ERR_UNSUPPORTED, "seccomp",
			       "process %d filters its system calls and the kernel "
			       "does not let that be suspended (CAP_SYS_ADMIN, "
			       "CONFIG_CHECKPOINT_RESTORE)", b->process->pid);
	b->suspended_seccomp = true;
	return NULL;
}

/* Seizes and stops one thread; keeps it if it can be borrowed. */
static struct err *try_thread(struct borrowed *b, pid_t tid)
{
	struct threads *threads = &b->threads;
	struct thread *thread;
	bool added = false;
	struct err *err = threads_add(threads, tid, &added);

	if (err || !added)
		return err;
	thread = threads->thread[threads->nr - 1];
	/* Asked once it is seized: from then on its ID is nobody else's. */
	if (thread_is_of(b->process->pid, tid))
		err_free(thread_stop(threads, thread, STOP_MS));
	if (!can_borrow(b, thread)) {
		thread_release(threads, thread);
		return NULL;
	}
	b->thread = thread;
	b->saved = thread->regs;
	glance_learn(b->process, tid, thread->tp);
	return NULL;
}

/*
 * Whom it costs least to borrow: one that has run least, for it will hardly be missed;
 * the first thread, which most programs do their work in, last of those alike.
 */
struct candidate {
	pid_t tid;
	bool is_stuck;     /* it cannot be interrupted: it is not likely to stop */
	bool has_seccomp;
	uint64_t switches; /* how often it has gone to sleep */
};

static int by_cost(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;

	if (x->is_stuck != y->is_stuck)
		return x->is_stuck ? 1 : -1;
	if (x->has_seccomp != y->has_seccomp)
		return x->has_seccomp ? 1 : -1;
	if (x->switches != y->switches)
		return x->switches < y->switches ? -1 : 1;
	return x->tid < y->tid ? 1 : -1;
}

/* Of many threads it is enough to know some: each is a file to be read. */
static struct candidate *list_candidates(const pid_t *tids, size_t *nr)
{
	static const char *const fields[] = { "Seccomp", "voluntary_ctxt_switches" };
	size_t step = *nr / MAX_CANDIDATES + 1, nr_listed = 0;
	struct candidate *list = mem_alloc(*nr * sizeof(*list));

	for (size_t i = 0; i < *nr; i += step) {
		uint64_t values[2];

		proc_status(tids[i], fields, 2, 10, values);
		list[nr_listed++] = (struct candidate){
			.tid = tids[i], .is_stuck = thread_proc_state(tids[i]) == 'D',
			.has_seccomp = (int64_t)values[0] > 0, .switches = values[1] };
	}
	*nr = nr_listed;
	qsort(list, *nr, sizeof(*list), by_cost);
	return list;
}

/* Whoever follows the process has one that stands. */
static struct err *borrow_standing(struct borrowed *b)
{
	struct thread *thread = b->process->standing;

	if (!can_borrow(b, thread))
		return err_new(ERR_NOT_NOW, "no-thread", "thread %d cannot be borrowed where "
			       "it stands", (int)thread->tid);
	b->thread = thread;
	b->saved = thread->regs;
	return suspend_seccomp(b);
}

static struct err *borrow_any(struct borrowed *b)
{
	AUTO_FREE pid_t *tids = NULL;
	AUTO_FREE struct candidate *list = NULL;
	size_t nr = 0;
	struct err *err = threads_list(b->process->pid, &tids, &nr);

	if (!err)
		list = list_candidates(tids, &nr);
	for (size_t i = 0; i < nr && !err && !b->thread; i++)
		err = try_thread(b, list[i].tid);
	return err;
}

struct err *borrow_begin(struct process *process, size_t room, struct borrowed *b)
{
	struct err *err = NULL;

	*b = (struct borrowed){ .process = process, .room = room };
	if (process->standing)
		return borrow_standing(b);
	threads_init(&b->threads, process);
	b->threads.ptrace_options = PTRACE_O_TRACESYSGOOD;
	window_open(&b->window);
	/* The one that was borrowed before: one thread is disturbed, and none looked for. */
	if (process->lender)
		err = try_thread(b, process->lender);
	if (!err && !b->thread)
		err = borrow_any(b);
	process->lender = b->thread ? b->thread->tid : 0;
	if (b->thread)
		return suspend_seccomp(b);
	if (err)
		return err;
	return err_new(ERR_NOT_NOW, "no-thread",
		       "process %d has no thread that could be borrowed now",
		       b->process->pid);
}

size_t borrow_fp_max(const struct borrowed *b)
{
	const struct arch_regset *sets = b->process->arch->fp_sets;
	size_t size = 0;

	for (unsigned i = 0; i < ARCH_SETS; i++)
		size += sets[i].size;
	return size;
}

struct err *borrow_fp(const struct borrowed *b, uint8_t *fp, size_t *size)
{
	const struct arch_regset *sets = b->process->arch->fp_sets;

	*size = 0;
	for (unsigned i = 0; i < ARCH_SETS && sets[i].size; i++) {
		struct iovec iov = { fp + *size, sets[i].size };
		bool more = i + 1 < ARCH_SETS && sets[i + 1].size;

		memset(fp + *size, 0, sets[i].size);
		/* The first is there always; the machine may not have the others. */
		if (syscall(SYS_ptrace, PTRACE_GETREGSET, b->thread->tid, sets[i].type, &iov)) {
			if (!i || (errno != ENODEV && errno != EINVAL))
				return err_sys(errno, "thread %d: reading its vector registers",
					       (int)b->thread->tid);
			iov.iov_len = sets[i].size;
		}
		*size += more ? sets[i].size : iov.iov_len;
	}
	return NULL;
}

struct err *borrow_mask(const struct borrowed *b, uint64_t *mask)
{
	if (syscall(SYS_ptrace, PTRACE_GETSIGMASK, b->thread->tid, 8, mask))
		return err_sys(errno, "thread %d: its signal mask", (int)b->thread->tid);
	return NULL;
}

struct err *borrow_set_mask(const struct borrowed *b, uint64_t mask)
{
	if (syscall(SYS_ptrace, PTRACE_SETSIGMASK, b->thread->tid, 8, &mask))
		return err_sys(errno, "thread %d: its signal mask", (int)b->thread->tid);
	return NULL;
}

void borrow_end(struct borrowed *b)
{
	if (b->process && b->process->standing) {
		if (b->suspended_seccomp)
			ptrace_do(PTRACE_SETOPTIONS, b->process->standing->tid, BORROW_OPTIONS);
		b->thread = NULL;
		return;
	}
	threads_leave(&b->threads);
	window_close(&b->window);
	b->thread = NULL;
}

struct err *borrow_do(struct process *process, struct err *(*job)(void *arg), void *arg)
{
	return process->standing ? job(arg) : tracer_run(job, arg);
}

struct err *borrow_run(struct borrowed *b, unsigned timeout_ms)
{
	struct thread *thread = b->thread;
	bool reported;
	int status;
	struct err *err;

	if (ptrace_do(PTRACE_SYSCALL, thread->tid, 0))
		return err_sys(errno, "thread %d: resuming", (int)thread->tid);
	err = thread_wait(thread->tid, clock_ms() + timeout_ms, &status, &reported);
	if (err)
		return err;
	if (!reported)
		return err_new(ERR_FAILED, "system", "thread %d does not return from what "
			       "was asked of it: it is in state %c", (int)thread->tid,
			       thread_proc_state(thread->tid));
	if (!WIFSTOPPED(status)) {
		thread->state = THREAD_GONE;
		return err_new(ERR_GONE, "gone", "thread %d has ended", (int)thread->tid);
	}
	if (status >> 16 == 0 && WSTOPSIG(status) == (SIGTRAP | 0x80))
		return NULL;
	thread->signal = status >> 16 ? 0 : WSTOPSIG(status);
	return err_new(ERR_NOT_NOW, "signal", "thread %d had a signal to take",
		       (int)thread->tid);
}
