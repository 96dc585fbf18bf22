/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "threads.h"

#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <linux/kcmp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "event.h"
#include "mem.h"
#include "proc.h"

enum {
	RELEASE_MS = 5000,
	SEIZE_MS = 5000,
	TRACED_MS = 2000,    /* how long another tracer is waited for, */
	TRACED_US = 500,     /* how often it is looked, */
	FREE_SEEN = 3,       /* and how often none is seen where it is one's permission */
	STUCK_MS = 20,       /* others are not held longer for one that cannot be interrupted */
	MAX_REPORTS = 256,   /* that are taken at once */
};

#ifndef PTRACE_EVENT_STOP
#define PTRACE_EVENT_STOP 128
#endif

uint64_t clock_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

uint64_t clock_ms(void)
{
	return clock_ns() / 1000000;
}

void window_open(struct window *window)
{
	struct sched_param now, fifo = { .sched_priority = 1 };

	window->policy = sched_getscheduler(0);
	window->raised = false;
	if (window->policy < 0 || sched_getparam(0, &now))
		return;
	window->priority = now.sched_priority;
	if ((window->policy & ~SCHED_RESET_ON_FORK) == SCHED_FIFO)
		return; /* somebody chose better */
	window->raised = !sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &fifo);
}

void window_close(struct window *window)
{
	struct sched_param old = { .sched_priority = window->priority };

	if (window->raised)
		sched_setscheduler(0, window->policy, &old);
	window->raised = false;
}

static long ptrace_do(long request, pid_t tid, void *addr, void *data)
{
	return syscall(SYS_ptrace, request, tid, addr, data);
}

/* The sets behind NT_PRSTATUS: got, or those that can be given back set. */
static struct err *more_regs(const struct arch *arch, pid_t tid, struct regs *regs, bool set)
{
	long request = set ? PTRACE_SETREGSET : PTRACE_GETREGSET;
	uint8_t *at = regs->bytes + arch->regs_size;

	for (unsigned i = 0; i < ARCH_SETS && arch->more_regs[i].size; i++) {
		const struct arch_regset *more = &arch->more_regs[i];
		struct iovec iov = { at, more->size };

		at += more->size;
		if ((!set || more->is_set) &&
		    ptrace_do(request, tid, (void *)(uintptr_t)more->type, &iov))
			return err_sys(errno, "thread %d: registers", (int)tid);
	}
	return NULL;
}

struct err *thread_get_regs(const struct arch *arch, pid_t tid, struct regs *regs)
{
	struct iovec iov = { regs->bytes, arch->regs_size };

	if (ptrace_do(PTRACE_GETREGSET, tid, (void *)NT_PRSTATUS, &iov))
		return err_sys(errno, "thread %d: registers", (int)tid);
	if (iov.iov_len != arch->regs_size)
		return err_new(ERR_UNSUPPORTED, "32-bit",
			       "thread %d runs in another mode than %s", (int)tid,
			       arch->name);
	regs->shadow = 0;
	regs->is_partial = false;
	return more_regs(arch, tid, regs, false);
}

/* The kernel has no such set for a thread without a shadow stack. */
static void get_shadow(struct threads *threads, struct thread *thread)
{
	unsigned type = threads->process->arch->unwind->shadow_regset;
	uint64_t top = 0;
	struct iovec iov = { &top, sizeof(top) };

	if (!type || threads->no_shadow)
		return;
	if (ptrace_do(PTRACE_GETREGSET, thread->tid, (void *)(uintptr_t)type, &iov))
		threads->no_shadow = true;
	else
		thread->regs.shadow = top;
}

struct err *thread_set_regs(const struct arch *arch, pid_t tid, const struct regs *regs)
{
	struct regs copy = *regs;
	struct iovec iov = { copy.bytes, arch->regs_size };

	if (ptrace_do(PTRACE_SETREGSET, tid, (void *)NT_PRSTATUS, &iov))
		return err_sys(errno, "thread %d: setting registers", (int)tid);
	return more_regs(arch, tid, &copy, true);
}

void thread_name(pid_t pid, pid_t tid, char name[17])
{
	AUTO_FREE char *file = mem_fmt("task/%d/comm", (int)tid);

	if (!proc_text(pid, file, name, 17))
		strcpy(name, "?");
	name[strcspn(name, "\n")] = 0;
}

char thread_proc_state(pid_t tid)
{
	char word[8];

	return proc_stat(tid, 3, word, sizeof(word)) ? word[0] : '?';
}

bool thread_has_ended(pid_t tid)
{
	char state = thread_proc_state(tid);

	return state == 'Z' || state == 'X' || state == '?';
}

bool thread_is_of(pid_t pid, pid_t tid)
{
	return !syscall(SYS_tgkill, pid, tid, 0) || errno == EPERM;
}

/* A thread of the kernel that only looks like one of the process (io_uring). */
static bool is_kernel_worker(pid_t tid)
{
	enum { PF_IO_WORKER = 0x10, PF_USER_WORKER = 0x4000 };
	char word[24];

	return proc_stat(tid, 9, word, sizeof(word)) &&
	       (strtoul(word, NULL, 10) & (PF_IO_WORKER | PF_USER_WORKER));
}

static struct thread *find_thread(const struct threads *threads, pid_t tid)
{
	for (size_t i = 0; i < threads->nr; i++)
		if (threads->thread[i]->tid == tid)
			return threads->thread[i];
	return NULL;
}

static struct err *refuse_seize(const struct threads *threads, pid_t tid, int error)
{
	long tracer;

	if (error != EPERM && error != EBUSY)
		return err_sys(error, "thread %d: seizing", (int)tid);
	tracer = proc_status_number(tid, "TracerPid");
	if (tracer > 0)
		return err_new(ERR_NOT_NOW, "traced",
			       "thread %d of process %d is traced by process %ld; try "
			       "again when that has ended", (int)tid,
			       threads->process->pid, tracer);
	return err_new(ERR_UNSUPPORTED, "not-permitted",
		       "thread %d may not be traced: run as root or with "
		       "CAP_SYS_PTRACE, and see kernel.yama.ptrace_scope", (int)tid);
}

static struct thread *add_thread(struct threads *threads, pid_t tid)
{
	struct thread *thread = mem_alloc(sizeof(*thread));

	thread->tid = tid;
	thread->state = THREAD_SEIZED;
	*ARRAY_ADD(threads->thread, threads->nr) = thread;
	return thread;
}

/* Most of those that are asked for stand, and answer to nobody else. */
static bool is_ours(pid_t tid)
{
	unsigned long message;

	return !ptrace_do(PTRACE_GETEVENTMSG, tid, NULL, &message) ||
	       proc_status_number(tid, "TracerPid") == gettid();
}

/* A tracee that we have not heard of was made by one whose report comes later. */
static struct thread *adopt(struct threads *threads, pid_t tid)
{
	struct thread *thread;

	if (!is_ours(tid))
		return NULL;
	thread = add_thread(threads, tid);
	thread->is_fresh = true;
	thread->asked = true;
	return thread;
}

/* Whoever stands waits for us. */
static bool somebody_stands(const struct threads *threads)
{
	for (size_t i = 0; i < threads->nr; i++)
		if (threads->thread[i]->state == THREAD_STOPPED)
			return true;
	return false;
}

/*
 * Does the thread seem to have another tracer for a moment only?  Another stitch that looks
 * at stacks has, and one that ends; where there is none, and that more than once, it is not
 * permitted.
 */
static bool may_be_free_soon(const struct threads *threads, pid_t tid, unsigned *free_seen)
{
	if (somebody_stands(threads) || is_ours(tid) || thread_has_ended(tid))
		return false;
	return proc_status_number(tid, "TracerPid") > 0 || ++*free_seen < FREE_SEEN;
}

/* 0, or what the kernel says. */
static int seize(const struct threads *threads, pid_t tid)
{
	uint64_t end = clock_ms() + TRACED_MS;
	unsigned free_seen = 0;

	for (;;) {
		int error;

		if (!ptrace_do(PTRACE_SEIZE, tid, NULL, (void *)threads->ptrace_options))
			return 0;
		error = errno;
		if (error != EPERM || clock_ms() >= end ||
		    !may_be_free_soon(threads, tid, &free_seen))
			return error;
		usleep(TRACED_US);
	}
}

struct err *threads_add(struct threads *threads, pid_t tid, bool *added)
{
	struct thread *thread;
	int error = seize(threads, tid);

	if (error) {
		threads->may_lack |= error == ESRCH;
		/* Born of one that we follow: its creator's report is on its way. */
		thread = error == ESRCH ? NULL : adopt(threads, tid);
		if (!thread && (error == ESRCH || thread_has_ended(tid)))
			return NULL; /* it has ended: nothing of it is left to check */
		if (!thread)
			return refuse_seize(threads, tid, error);
		/* Nobody will tell this list of its birth if it does not follow. */
		thread->is_fresh = threads->ptrace_options & PTRACE_O_TRACECLONE;
		thread->has_others_options = !thread->is_fresh;
		*added = true;
		return NULL;
	}
	add_thread(threads, tid);
	*added = true;
	return NULL;
}

struct err *threads_list(pid_t pid, pid_t **tids, size_t *nr)
{
	AUTO_FREE char *path = mem_fmt("/proc/%d/task", (int)pid);
	DIR *dir = opendir(path);
	struct dirent *entry;

	*tids = NULL;
	*nr = 0;
	if (!dir)
		return err_sys(errno == ENOENT ? ESRCH : errno, "process %d", (int)pid);
	while ((entry = readdir(dir))) {
		pid_t tid = (pid_t)strtol(entry->d_name, NULL, 10);

		if (tid > 0)
			*ARRAY_ADD(*tids, *nr) = tid;
	}
	closedir(dir);
	return NULL;
}

static struct err *seize_tasks_of(struct threads *threads, pid_t pid, bool *added)
{
	AUTO_FREE pid_t *tids = NULL;
	size_t nr;
	struct err *err = threads_list(pid, &tids, &nr);

	for (size_t i = 0; i < nr && !err; i++)
		if (!find_thread(threads, tids[i]))
			err = threads_add(threads, tids[i], added);
	return err;
}

/*
 * One pass over all tasks; *added if one was new, or one had ended since it was listed: where
 * a task ends under the kernel's eyes the list lacks the next one (fs/proc/base.c, next_tid()
 * and first_tid(), which goes on by number).
 */
struct err *threads_seize_new(struct threads *threads, bool *added)
{
	struct err *err;

	threads->may_lack = false;
	err = seize_tasks_of(threads, threads->process->pid, added);
	for (size_t i = 0; i < threads->nr_peers && !err; i++) {
		err = seize_tasks_of(threads, threads->peers[i], added);
		if (err_is_gone(err))
			err_freep(&err);
	}
	*added |= threads->may_lack;
	return err;
}

/* One that has not ended, 0 if all have: the first thread can end before others. */
static pid_t live_thread(pid_t pid)
{
	AUTO_FREE pid_t *tids = NULL;
	size_t nr = 0;

	if (!thread_has_ended(pid))
		return pid;
	err_free(threads_list(pid, &tids, &nr));
	for (size_t i = 0; i < nr; i++)
		if (!thread_has_ended(tids[i]))
			return tids[i];
	return 0;
}

/* Who has ended has no memory, and the kernel's threads have none: those are alike, too. */
static bool same_memory(pid_t of, pid_t tid)
{
	return !syscall(SYS_kcmp, of, tid, KCMP_VM, 0, 0) && !thread_has_ended(of);
}

bool thread_shares_memory(pid_t pid, pid_t tid)
{
	pid_t of = live_thread(pid);

	return of && same_memory(of, tid);
}

/*
 * Processes made by clone(CLONE_VM) or vfork run the same code and are in no
 * list of the kernel's; kcmp() tells.
 */
static struct err *find_peers_of(struct threads *threads, pid_t of)
{
	pid_t pid = threads->process->pid;
	DIR *dir = opendir("/proc");
	struct err *err = NULL;
	struct dirent *entry;

	threads->nr_peers = 0;
	while (dir && !err && (entry = readdir(dir))) {
		pid_t other = (pid_t)strtol(entry->d_name, NULL, 10);

		if (other <= 0 || other == pid || !same_memory(of, other))
			continue;
		if (threads->nr_peers == ARRAY_SIZE(threads->peers))
			err = err_new(ERR_UNSUPPORTED, "shared-memory",
				      "process %d shares its memory with more than "
				      "%zu others", pid, threads->nr_peers);
		else
			threads->peers[threads->nr_peers++] = other;
	}
	if (dir)
		closedir(dir);
	return err;
}

static struct err *find_peers(struct threads *threads)
{
	struct err *err = NULL;
	pid_t of;

	do {
		err_freep(&err);
		of = live_thread(threads->process->pid);
		if (of)
			err = find_peers_of(threads, of);
	} while (of && thread_has_ended(of));
	return err;
}

/* SIGCHLD tells of every stop; blocked, it can be waited for with a limit. */
static void block_sigchld(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
}

void threads_init(struct threads *threads, const struct process *process)
{
	*threads = (struct threads){ .process = process };
	block_sigchld();
}

struct err *threads_seize(struct threads *threads)
{
	const struct process *process = threads->process;
	uint64_t start = clock_ms();
	struct err *err;
	bool added;

	if ((err = find_peers(threads)))
		return err;
	/* Who makes threads without an end is looked at again by whoever needs all of them. */
	do {
		added = false;
		err = threads_seize_new(threads, &added);
	} while (!err && added && clock_ms() - start < SEIZE_MS);
	if (!err && !threads->nr)
		err = err_new(ERR_GONE, "gone", "process %d has ended", process->pid);
	return err;
}

bool threads_wait(unsigned ms)
{
	struct timespec limit = { ms / 1000, (long)(ms % 1000) * 1000000 };
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	return sigtimedwait(&set, NULL, &limit) == SIGCHLD;
}

struct err *thread_wait(pid_t tid, uint64_t deadline_ms, int *status, bool *reported)
{
	for (;;) {
		pid_t got = waitpid(tid, status, __WALL | WNOHANG);

		*reported = got == tid;
		if (*reported)
			return NULL;
		if (got < 0 && errno != EINTR)
			return err_sys(errno == ECHILD ? ESRCH : errno, "thread %d",
				       (int)tid);
		if (clock_ms() >= deadline_ms)
			return NULL;
		threads_wait(2);
	}
}

/* A thread has made another: it is ours, and will report its stop, or has done so. */
static void note_birth(struct threads *threads, struct thread *parent)
{
	unsigned long tid = 0;
	struct thread *child;

	if (ptrace_do(PTRACE_GETEVENTMSG, parent->tid, NULL, &tid) || !tid)
		return;
	child = find_thread(threads, (pid_t)tid);
	if (!child)
		child = add_thread(threads, (pid_t)tid);
	child->is_fresh = true;
	child->has_parent = true;
	/* It stops before its first instruction without being asked. */
	child->asked = child->state == THREAD_SEIZED;
	child->is_of_process = thread_is_of(threads->process->pid, child->tid);
	child->is_foreign = !child->is_of_process &&
			    !thread_shares_memory(parent->tid, child->tid);
	if (threads->on_birth && !child->is_foreign)
		threads->on_birth(threads->arg, parent, child);
}

static void note_event(struct threads *threads, struct thread *thread, int event)
{
	switch (event) {
	case PTRACE_EVENT_VFORK:
		/* Of every call with CLONE_VFORK; PTRACE_EVENT_VFORK_DONE is its end. */
		thread->in_vfork = threads->ptrace_options & PTRACE_O_TRACEVFORKDONE;
		note_birth(threads, thread);
		return;
	case PTRACE_EVENT_CLONE:
	case PTRACE_EVENT_FORK:
		note_birth(threads, thread);
		return;
	case PTRACE_EVENT_EXEC:
		/* A child of vfork leaves our memory so; the process itself is another. */
		if (!thread_shares_memory(threads->process->pid, thread->tid) ||
		    thread->tid == threads->process->pid)
			thread->is_foreign = true;
		threads->execed |= thread->tid == threads->process->pid;
		return;
	}
}

void thread_take_step(struct thread *thread)
{
	siginfo_t info = { 0 };
	bool is_nobodys;

	if (syscall(SYS_ptrace, PTRACE_GETSIGINFO, thread->tid, NULL, &info))
		return;
	is_nobodys = info.si_code == SI_USER && !info.si_pid;
	if (!is_nobodys && info.si_code != TRAP_TRACE)
		return;
	thread->signal = 0;
	thread->steps_off = is_nobodys;
}

/* Takes what a thread reported into account. */
static struct err *note_status(struct threads *threads, struct thread *thread,
			       int status)
{
	const struct arch *arch = threads->process->arch;
	int event = status >> 16;
	struct err *err;

	if (!WIFSTOPPED(status)) {
		thread->state = THREAD_GONE;
		return NULL;
	}
	thread->state = THREAD_STOPPED;
	if (thread->has_others_options)
		ptrace_do(PTRACE_SETOPTIONS, thread->tid, NULL,
			  (void *)threads->ptrace_options);
	thread->has_others_options = false;
	thread->in_group_stop = false;
	thread->in_vfork = false;
	thread->signal = 0;
	if (!thread->asked || threads->idle_at > thread->stopped_at)
		thread->stopped_at = threads->idle_at;
	/* Any trap takes the one that was asked for away (kernel/signal.c, ptrace_stop). */
	thread->asked = false;
	if (event == PTRACE_EVENT_STOP) {
		thread->in_group_stop = WSTOPSIG(status) != SIGTRAP;
	} else if (!event && WSTOPSIG(status) != (SIGTRAP | 0x80)) {
		/* The other is a system call's stop (PTRACE_O_TRACESYSGOOD). */
		thread->signal = WSTOPSIG(status);
		if (thread->stepped && thread->signal == SIGTRAP)
			thread_take_step(thread);
	}
	err = thread_get_regs(arch, thread->tid, &thread->regs);
	if (!err) {
		get_shadow(threads, thread);
		thread->tp = regs_get(arch, &thread->regs, arch->tp_off);
		note_event(threads, thread, event);
	}
	if (!err && !thread->signal && !thread->in_group_stop &&
	    regs_fix_eintr(arch, &thread->regs)) {
		thread->fixed_eintr = true;
		err = thread_set_regs(arch, thread->tid, &thread->regs);
	}
	if (err_is_gone(err)) {
		/* Killed in its stop: its end is reported next. */
		err_freep(&err);
		thread->state = THREAD_GONE;
	}
	return err;
}

/* It may execute something before it reports. */
static bool may_run(const struct thread *thread)
{
	return thread->state == THREAD_SEIZED && !thread_stands(thread);
}

void thread_ask(struct thread *thread)
{
	if (thread->asked || !may_run(thread))
		return;
	thread->asked = true;
	thread->stopped_at = clock_ns();
	if (!ptrace_do(PTRACE_INTERRUPT, thread->tid, NULL, NULL) || errno != ESRCH)
		return;
	/* Its end will be reported, but that of the first thread only with the last's. */
	if (thread_has_ended(thread->tid))
		thread->state = THREAD_GONE;
}

struct err *thread_does_not_stop(pid_t tid, const char *name)
{
	char state = thread_proc_state(tid);

	return err_new(ERR_NOT_NOW, "does-not-stop",
		       "thread %d (%s) does not stop: it is in state %c in the kernel%s",
		       (int)tid, name, state, state == 'D' ?
		       ", perhaps the parent of a vfork, or frozen" : "");
}

static struct err *wait_stopped(struct threads *threads, struct thread *thread,
				uint64_t deadline_ms)
{
	char name[17];
	bool reported;
	int status;
	struct err *err = thread_wait(thread->tid, deadline_ms, &status, &reported);

	if (err_is_gone(err)) {
		err_free(err);
		thread->state = THREAD_GONE;
		return NULL;
	}
	if (err || reported)
		return err ? err : note_status(threads, thread, status);
	if (is_kernel_worker(thread->tid)) {
		/* It never runs the program's code and answers nobody. */
		ptrace_do(PTRACE_DETACH, thread->tid, NULL, NULL);
		thread->state = THREAD_GONE;
		return NULL;
	}
	thread_name(threads->process->pid, thread->tid, name);
	return thread_does_not_stop(thread->tid, name);
}

/* Its memory is its own: what it inherited goes on by itself. */
static void let_go(struct thread *thread)
{
	ptrace_do(PTRACE_DETACH, thread->tid, NULL, (void *)(long)thread->signal);
	thread->state = THREAD_GONE;
}

struct err *thread_stop(struct threads *threads, struct thread *thread,
			unsigned timeout_ms)
{
	struct err *err = NULL;

	thread_ask(thread);
	if (may_run(thread))
		err = wait_stopped(threads, thread, clock_ms() + timeout_ms);
	if (thread->state == THREAD_STOPPED && thread->is_foreign)
		let_go(thread);
	return err;
}

void threads_follow(struct threads *threads)
{
	threads->ptrace_options = PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK |
				  PTRACE_O_TRACEVFORK | PTRACE_O_TRACEVFORKDONE |
				  PTRACE_O_TRACEEXEC;
}

void thread_resume(struct thread *thread)
{
	long how = thread->in_group_stop ? PTRACE_LISTEN :
		   thread->steps_off ? PTRACE_SINGLESTEP : PTRACE_CONT;

	if (thread->state != THREAD_STOPPED)
		return;
	thread->stepped = thread->steps_off;
	thread->steps_off = false;
	thread->state = THREAD_SEIZED;
	/* A tracee in a group stop stays in it, and still tells of its end. */
	if (ptrace_do(how, thread->tid, NULL,
		      (void *)(long)(thread->in_group_stop ? 0 : thread->signal)) &&
	    errno == ESRCH)
		thread->state = THREAD_SEIZED; /* killed: its end is reported next */
	thread->signal = 0;
}

/* The thread stands, and nobody waited for it. */
static void handle_stop(struct threads *threads, struct thread *thread)
{
	if (thread->state != THREAD_STOPPED)
		return;
	if (thread->is_foreign) {
		let_go(thread);
		return;
	}
	/* Born, but its creator's report has not been read yet. */
	if (thread->is_fresh && !thread->has_parent)
		return;
	if (threads->on_stop)
		threads->on_stop(threads->arg, thread);
	thread_resume(thread);
}

/* The next tracee with something to report, or -1; other children are not ours to reap. */
static pid_t next_report(void)
{
	siginfo_t info = { .si_pid = 0 };

	if (waitid(P_ALL, 0, &info, WEXITED | WSTOPPED | WNOHANG | WNOWAIT | __WALL |
		   __WNOTHREAD) || !info.si_pid)
		return -1;
	return info.si_pid;
}

struct err *threads_event_of(struct threads *threads, struct thread *thread)
{
	struct err *err;
	int status;

	if (thread->state != THREAD_SEIZED ||
	    waitpid(thread->tid, &status, __WALL | WNOHANG) != thread->tid)
		return NULL;
	err = note_status(threads, thread, status);
	if (!err)
		handle_stop(threads, thread);
	return err;
}

void threads_note_idle(struct threads *threads)
{
	if (!threads->has_more)
		threads->idle_at = clock_ns();
}

struct err *threads_events(struct threads *threads)
{
	/* Where threads are made and end without pause there is no end of reports. */
	unsigned budget = MAX_REPORTS;
	struct thread *thread;
	struct err *err;
	pid_t tid = 0;
	int status;

	while (budget-- && (tid = next_report()) > 0) {
		thread = find_thread(threads, tid);
		if (!thread)
			thread = adopt(threads, tid);
		if (!thread || waitpid(tid, &status, __WALL | WNOHANG) != tid)
			break;
		if ((err = note_status(threads, thread, status)))
			return err;
		handle_stop(threads, thread);
	}
	threads->has_more = tid > 0;
	threads_note_idle(threads);
	/* The kernel tells of the youngest first: of each other one report at least. */
	for (size_t i = 0; i < threads->nr && threads->has_more; i++)
		if ((err = threads_event_of(threads, threads->thread[i])))
			return err;
	/* Those whose creator has reported meanwhile. */
	for (size_t i = 0; i < threads->nr; i++)
		if (threads->thread[i]->state == THREAD_STOPPED)
			handle_stop(threads, threads->thread[i]);
	return NULL;
}

void threads_sweep(struct threads *threads)
{
	size_t kept = 0;

	for (size_t i = 0; i < threads->nr; i++) {
		if (threads->thread[i]->state == THREAD_GONE)
			free(threads->thread[i]);
		else
			threads->thread[kept++] = threads->thread[i];
	}
	threads->nr = kept;
}

/*
 * Like wait_stopped(), and not long for the parent of a vfork that began before it was ours:
 * its child may be stopped already, and all others stand meanwhile.
 */
static struct err *wait_held(struct threads *threads, struct thread *thread,
			     uint64_t deadline_ms)
{
	uint64_t soon = clock_ms() + STUCK_MS;
	struct err *err = wait_stopped(threads, thread, soon < deadline_ms ? soon : deadline_ms);

	if (thread->state != THREAD_SEIZED || soon >= deadline_ms ||
	    thread_proc_state(thread->tid) == 'D')
		return err;
	err_free(err);
	return wait_stopped(threads, thread, deadline_ms);
}

struct err *threads_stop_all(struct threads *threads, unsigned timeout_ms)
{
	uint64_t deadline = clock_ms() + timeout_ms;
	struct err *err;
	bool added;

	do {
		for (size_t i = 0; i < threads->nr; i++)
			thread_ask(threads->thread[i]);
		for (size_t i = 0; i < threads->nr; i++) {
			if (!may_run(threads->thread[i]))
				continue;
			err = wait_held(threads, threads->thread[i], deadline);
			if (err)
				return err;
		}
		added = false;
		if ((err = threads_seize_new(threads, &added)))
			return err;
		if (added && clock_ms() >= deadline)
			return err_new(ERR_NOT_NOW, "does-not-stop", "process %d makes new "
				       "threads all the time", threads->process->pid);
	} while (added);
	event("stopped threads=%zu", threads->nr);
	return NULL;
}

/*
 * PTRACE_DETACH wants a stopped thread.  One that was asked to stop and did
 * not is waited for: long, if all that it waits for is a processor.  One that still
 * does not is left to the death of the tool, which detaches it.
 */
void thread_release(struct threads *threads, struct thread *thread)
{
	uint64_t start = clock_ms();

	thread_ask(thread);
	while (may_run(thread) && clock_ms() - start < RELEASE_MS) {
		err_free(wait_stopped(threads, thread, clock_ms() + 100));
		if (thread->state == THREAD_SEIZED && thread_proc_state(thread->tid) == 'D')
			break;
	}
	if (thread->state != THREAD_STOPPED)
		return;
	ptrace_do(PTRACE_DETACH, thread->tid, NULL, (void *)(long)thread->signal);
	thread->state = THREAD_RELEASED;
}

void threads_leave(struct threads *threads)
{
	for (size_t i = 0; i < threads->nr; i++)
		if (threads->thread[i]->state == THREAD_STOPPED)
			thread_release(threads, threads->thread[i]);
	/* Who was asked to stop may have left a system call for it, and gets that mended. */
	for (size_t i = 0; i < threads->nr; i++)
		if (threads->thread[i]->asked && threads->thread[i]->state == THREAD_SEIZED)
			thread_release(threads, threads->thread[i]);
	if (threads->nr)
		event("resumed threads=%zu", threads->nr);
	for (size_t i = 0; i < threads->nr; i++)
		free(threads->thread[i]);
	free(threads->thread);
	*threads = (struct threads){ 0 };
}
