/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "late.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "borrow.h"
#include "bytes.h"
#include "dynlink.h"
#include "event.h"
#include "lock.h"
#include "mem.h"
#include "orphans.h"
#include "straggler.h"
#include "threads.h"
#include "tracer.h"

enum {
	POLL_MS = 200,      /* of the user, and of objects where events are not to be had */
	STEP_MS = 1000,     /* from RT_DELETE to the unmapping */
	ASIDE_MS = 10,
	TRIES = 5,          /* of what failed and was not refused */
};

struct late {
	struct process *process;
	const struct slp *slp;
	const struct apply_options *options;
	const struct late_view *view;
	struct dynlink link;
	struct lock lock;       /* that this process is followed, and by whom */
	struct threads threads;
	bool differs;           /* at the last look, what is there from what is in effect */
	bool wants_out;         /* something needs that no thread is ours */
	bool in_effect;
	int question;           /* of somebody who has work to do here, or -1 */
	bool given_up;          /* refused: not again before the object has gone */
	unsigned nr_failed;     /* and since then */
};

/* ---- what there is ------------------------------------------------------------- */

static const struct object *find_object(const struct late *late, const struct slp_object *o)
{
	return process_find_build_id_hex(late->process, o->build_id);
}

static bool all_there(const struct late *late)
{
	for (size_t i = 0; i < late->slp->nr_objects; i++)
		if (!find_object(late, &late->slp->objects[i]))
			return false;
	return true;
}

/* As the record has it now; NULL: not there. */
static const struct record_patch *find_patch(const struct late *late, struct record *record)
{
	struct err *err = record_read(late->process, record);
	const struct record_patch *patch = err ? NULL : record_find(record, late->slp->name);

	err_free(err);
	return patch;
}

static bool is_in_effect(const struct late *late)
{
	AUTO_RECORD struct record record = { 0 };
	const struct record_patch *patch = find_patch(late, &record);

	return patch && patch->state == PATCH_APPLIED;
}

/*
 * It is in the record, and has to be ended: its object has gone, or has come again and what
 * is there now was never patched; or it went while the patch was being applied.
 */
static bool is_left_over(const struct late *late)
{
	AUTO_RECORD struct record record = { 0 };
	const struct record_patch *patch = find_patch(late, &record);

	return patch && patch->state != PATCH_RETAINED &&
	       (patch->state != PATCH_APPLIED ||
		orphans_is_one(late->process, &record, patch));
}

static void tell(const struct late *late, enum late_event what,
		 const struct apply_result *result, const struct err *err)
{
	if (late->view->tell)
		late->view->tell(late->view->arg, what, result, err);
}

/* ---- threads with their breakpoints -------------------------------------------- */

static struct straggler *straggler_of(struct thread *thread)
{
	static const struct straggler none = STRAGGLER_NONE;

	if (!thread->data)
		thread->data = mem_dup(&none, sizeof(none));
	return thread->data;
}

static void arm(struct thread *thread, uint64_t addr)
{
	struct straggler *s = straggler_of(thread);

	straggler_wait(s, thread->tid, addr);
	if (s->fd < 0 || s->sig)
		return;
	/* It blocks what could be sent, perhaps only because it has not begun yet. */
	straggler_done(s);
	straggler_wait_newborn(s, thread->tid, addr);
}

static void on_birth(void *arg, struct thread *parent, struct thread *child)
{
	struct late *late = arg;

	(void)parent;
	straggler_wait_newborn(straggler_of(child), child->tid, late->link.brk);
}

/* An object's first constructor is about to run, in this thread. */
static void apply_now(struct late *late, struct thread *thread)
{
	struct apply_result result = { 0 };
	struct err *err;

	late->process->standing = thread;
	err = apply_alone(late->process, late->slp, late->options, &result);
	late->process->standing = NULL;
	if (!err) {
		late->in_effect = true;
		tell(late, LATE_APPLIED, &result, NULL);
	} else {
		/* As for any other process, then, when the thread has gone on. */
		event("late reason=%s", err->reason);
		late->wants_out = true;
	}
	err_free(err);
}

static void revert_now(struct late *late, struct thread *thread)
{
	struct apply_result result = { 0 };
	struct err *err;

	late->process->standing = thread;
	err = apply_revert_alone(late->process, late->slp->name, late->options, &result);
	late->process->standing = NULL;
	tell(late, err ? LATE_REFUSED : LATE_REVERTED, &result, err);
	late->in_effect = false;
	/* What could not go with the thread standing there goes afterwards. */
	late->wants_out |= err || result.is_left;
	err_free(err);
}

/* ---- from RT_DELETE to the object's end ---------------------------------------- */

static bool hits_object(const struct late *late, uint64_t at, uint64_t size)
{
	for (size_t i = 0; i < late->slp->nr_objects; i++) {
		const struct object *o = find_object(late, &late->slp->objects[i]);

		if (o && at < o->end && o->start < at + size)
			return true;
	}
	return false;
}

/* To its next system call's entry or exit, or to a signal, which it gets in passing. */
static bool step(struct late *late, struct thread *thread, int *status)
{
	bool reported = false;
	int sig = thread->signal;
	struct err *err;

	thread->signal = 0;
	if (syscall(SYS_ptrace, PTRACE_SYSCALL, thread->tid, NULL, (long)sig))
		return false;
	thread->state = THREAD_SEIZED;
	err = thread_wait(thread->tid, clock_ms() + STEP_MS, status, &reported);
	err_free(err);
	if (!reported || !WIFSTOPPED(*status)) {
		if (reported)
			thread->state = THREAD_GONE;
		return false;
	}
	thread->state = THREAD_STOPPED;
	if (!(*status >> 16) && WSTOPSIG(*status) != (SIGTRAP | 0x80))
		thread->signal = WSTOPSIG(*status);
	/* It stood at an event, over which the kernel steps by itself. */
	if (thread->signal == SIGTRAP && late->process->arch->steps_off_events)
		thread_take_step(thread);
	err_free(thread_get_regs(late->process->arch, thread->tid, &thread->regs));
	return true;
}

/* The kernel is to leave out the call that the thread has just entered. */
static struct err *cancel_call(const struct late *late, struct thread *thread)
{
	const struct arch *arch = late->process->arch;
	int none = -1;
	struct iovec iov = { &none, sizeof(none) };

	if (!arch->sysno_regset) {
		regs_set(arch, &thread->regs, arch->sysno_off, UINT64_MAX);
		return thread_set_regs(arch, thread->tid, &thread->regs);
	}
	if (syscall(SYS_ptrace, PTRACE_SETREGSET, thread->tid, arch->sysno_regset, &iov))
		return err_sys(errno, "thread %d: leaving a system call out", (int)thread->tid);
	return NULL;
}

/*
 * The call that unmaps the object has been entered: it is left out, and the thread stands in
 * front of its instruction again, with its arguments.
 */
static bool stand_before_call(struct late *late, struct thread *thread)
{
	const struct arch *arch = late->process->arch;
	struct regs entered = thread->regs;
	int status;
	struct err *err = cancel_call(late, thread);

	if (!err && !step(late, thread, &status))
		return false;
	thread->regs = entered;
	if (arch->sysno_is_apart)
		regs_set(arch, &thread->regs, arch->sysnr_off, (uint64_t)arch->nr_munmap);
	if (arch->sysarg0_entered_off)
		regs_set(arch, &thread->regs, arch->sysarg_off[0],
			 regs_get(arch, &entered, arch->sysarg0_entered_off));
	regs_set(arch, &thread->regs, arch->pc_off,
		 regs_pc(arch, &entered) - arch->syscall_size);
	if (arch->sysno_is_apart)
		regs_set(arch, &thread->regs, arch->sysno_off, UINT64_MAX);
	if (!err)
		err = thread_set_regs(arch, thread->tid, &thread->regs);
	if (!err)
		return true;
	err_free(err);
	return false;
}

static void watch_unmapping(struct late *late, struct thread *thread)
{
	struct __ptrace_syscall_info info;
	struct straggler *s = thread->data;
	uint64_t until = clock_ms() + STEP_MS;
	int status;

	while (clock_ms() < until && step(late, thread, &status)) {
		/* It calls the debugger's function again: nothing was unmapped. */
		if (thread->signal && straggler_is_here(s, thread->tid, thread->signal)) {
			thread->signal = 0;
			return;
		}
		if (status >> 16 || WSTOPSIG(status) != (SIGTRAP | 0x80) ||
		    syscall(SYS_ptrace, PTRACE_GET_SYSCALL_INFO, thread->tid, sizeof(info),
			    &info) <= 0 || info.op != PTRACE_SYSCALL_INFO_ENTRY ||
		    (long)info.entry.nr != late->process->arch->nr_munmap ||
		    !hits_object(late, info.entry.args[0], info.entry.args[1]))
			continue;
		if (stand_before_call(late, thread))
			revert_now(late, thread);
		return;
	}
}

/* ---- events -------------------------------------------------------------------- */

/*
 * Nobody can be in an object whose constructors have not begun, or whose destructors have
 * ended.  Of a patch of several, others may be running: that takes a transition.
 */
static bool can_be_alone(const struct late *late)
{
	return late->slp->nr_objects == 1;
}

static void at_linker(struct late *late, struct thread *thread)
{
	bool there;

	if (dynlink_state(late->process, &late->link) == DYNLINK_DELETE) {
		if (late->in_effect && can_be_alone(late))
			watch_unmapping(late, thread);
		return;
	}
	err_free(process_refresh(late->process));
	there = all_there(late);
	late->given_up &= there;
	if (there && !late->in_effect && !late->given_up) {
		uint64_t first = !can_be_alone(late) ? 0 :
			dynlink_first_constructor(late->process,
						  find_object(late, &late->slp->objects[0]));

		event("late object=%s constructor=%d", late->slp->objects[0].name, first != 0);
		if (first)
			arm(thread, first);
		else
			late->wants_out = true; /* or nothing of it runs by itself */
	} else if (!there && late->in_effect) {
		late->wants_out = true; /* it has gone unseen */
	}
}

static void on_stop(void *arg, struct thread *thread)
{
	struct late *late = arg;
	struct straggler *s = thread->data;

	if (!s || !thread->signal || !straggler_is_here(s, thread->tid, thread->signal))
		return;
	thread->signal = 0;
	thread->steps_off = late->process->arch->steps_off_events;
	if (s->addr == late->link.brk) {
		at_linker(late, thread);
		return;
	}
	err_free(process_refresh(late->process));
	if (!late->in_effect)
		apply_now(late, thread);
	arm(thread, late->link.brk);
}

/* Their tracer ends with it: not all of them can be stopped to be let go. */
static void leave(struct late *late)
{
	for (size_t i = 0; i < late->threads.nr; i++)
		if (late->threads.thread[i]->data) {
			straggler_done(late->threads.thread[i]->data);
			free(late->threads.thread[i]->data);
			late->threads.thread[i]->data = NULL;
		}
	threads_leave(&late->threads);
}

static struct err *seize(struct late *late)
{
	struct err *err;
	bool added = true;

	threads_init(&late->threads, late->process);
	threads_follow(&late->threads);
	late->threads.ptrace_options = BORROW_OPTIONS;
	late->threads.on_birth = on_birth;
	late->threads.on_stop = on_stop;
	late->threads.arg = late;
	late->differs = late->wants_out = false;
	err = threads_seize(&late->threads);
	while (!err && added) {
		added = false;
		err = threads_seize_new(&late->threads, &added);
	}
	for (size_t i = 0; !err && i < late->threads.nr; i++)
		if (!late->threads.thread[i]->data)
			arm(late->threads.thread[i], late->link.brk);
	event("following threads=%zu", late->threads.nr);
	return err;
}

/* It did not wait for us. */
static bool is_gone_again(struct late *late)
{
	struct err *err = process_refresh(late->process);
	bool gone = !err && !all_there(late);

	err_free(err);
	return gone;
}

/*
 * Nothing will come of it.  An object that goes in the middle, and may have come again since,
 * fails in one of many ways; that is no word about the next.
 */
static bool is_final(struct late *late, const struct err *err)
{
	if (err->kind == ERR_UNSUPPORTED && strcmp(err->reason, "object-not-loaded"))
		return true;
	return err->kind != ERR_NOT_NOW && ++late->nr_failed >= TRIES;
}

/* With no thread of ours: what can be done as for any process. */
static struct err *bring_up_to_date(struct late *late)
{
	struct apply_result result;
	struct err *err = apply_recover(late->process, late->options, &result);

	/* Another command says so, too, and goes on with it. */
	if (err && !err_is_gone(err) && !is_final(late, err))
		err_freep(&err);
	if (!err)
		err = process_refresh(late->process);
	if (err)
		return err;
	late->in_effect = is_in_effect(late);
	if (!all_there(late) || late->in_effect) {
		late->given_up = false;
		late->nr_failed = 0;
		return NULL;
	}
	if (late->given_up)
		return NULL;
	err = apply_patch(late->process, late->slp, late->options, &result);
	if (err_is_gone(err))
		return err;
	late->in_effect = !err;
	if (err && is_gone_again(late)) {
		err_free(err);
		return NULL;
	}
	late->given_up = err && is_final(late, err);
	tell(late, err ? LATE_REFUSED : LATE_APPLIED, &result, err);
	err_free(err);
	return NULL;
}

/* Somebody else has work to do here: no thread is ours until that is done. */
static void step_aside(struct late *late)
{
	event("stepping aside");
	lock_answer(late->question, "ok");
	do
		usleep(ASIDE_MS * 1000);
	while (lock_is_taken(late->process) && !late->view->is_over(late->view->arg));
}

static void wait_for_events(struct late *late)
{
	AUTO_CLOSE int signals = -1;
	struct pollfd fds[2];
	struct signalfd_siginfo info;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	fds[0] = (struct pollfd){ .fd = signals, .events = POLLIN };
	fds[1] = (struct pollfd){ .fd = late->lock.fd, .events = POLLIN };
	if (poll(fds, 2, POLL_MS) > 0 && fds[0].revents)
		while (read(signals, &info, sizeof(info)) > 0)
			;
}

/*
 * Objects that came or went unseen: not every thread can be sent an event.  One that is
 * just coming or going differs for a moment only.
 */
static void look_for_objects(struct late *late)
{
	struct err *err = process_refresh(late->process);
	bool there = !err && all_there(late), differs;

	/* Where no event tells that it has gone: it is not refused for ever. */
	late->given_up &= err || there;
	differs = !err && ((!late->given_up && there != late->in_effect) ||
			   is_left_over(late));
	late->wants_out |= differs && late->differs;
	late->differs = differs;
	err_free(err);
}

/* Until something needs that no thread is ours, or somebody asks for it. */
static struct err *follow_threads(struct late *late)
{
	uint64_t looked = clock_ms();
	char question[64];
	struct err *err;

	while (!late->wants_out && !late->view->is_over(late->view->arg)) {
		if (!late->threads.has_more)
			wait_for_events(late);
		if ((err = threads_events(&late->threads)))
			return err;
		threads_sweep(&late->threads);
		if (late->threads.execed || !late->threads.nr)
			return err_new(ERR_GONE, "gone", "process %d %s", late->process->pid,
				       late->threads.execed ? "runs another program now" :
				       "has ended");
		if (clock_ms() - looked >= POLL_MS) {
			look_for_objects(late);
			looked = clock_ms();
		}
		if (lock_question(&late->lock, question, &late->question))
			return NULL;
	}
	return NULL;
}

/* What came, or went, before each thread had its event is seen when it is looked for. */
static struct err *trace(void *arg)
{
	struct late *late = arg;
	struct err *err = seize(late);

	if (!err)
		err = follow_threads(late);
	leave(late);
	return err;
}

static struct err *follow(struct late *late)
{
	struct err *err;

	while (!late->view->is_over(late->view->arg)) {
		late->question = -1;
		if ((err = bring_up_to_date(late)) || (err = tracer_run(trace, late)))
			return err;
		if (late->question >= 0)
			step_aside(late);
	}
	return NULL;
}

struct err *late_follow(struct process *process, const struct slp *slp,
			const struct apply_options *options, const struct late_view *view)
{
	struct late late = { .process = process, .slp = slp, .options = options,
			     .view = view, .lock = LOCK_NONE };
	struct rlimit files;
	struct err *err;

	/* An event for each thread. */
	if (!getrlimit(RLIMIT_NOFILE, &files)) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	if (!dynlink_find(process, &late.link) || !late.link.brk)
		return err_new(ERR_UNSUPPORTED, "no-dynamic-linker", "process %d has no "
			       "dynamic linker that tells of the objects that it loads",
			       process->pid);
	if ((err = lock_take_follower(process, &late.lock)))
		return err;
	process->is_followed = true;
	if (!all_there(&late))
		tell(&late, LATE_WAITS, NULL, NULL);
	err = follow(&late);
	lock_release(&late.lock);
	return err;
}
