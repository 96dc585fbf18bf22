/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "straggler.h"

#include <fcntl.h>
#include <linux/hw_breakpoint.h>
#include <linux/perf_event.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "mem.h"
#include "proc.h"

/* One whose arrival the program cannot notice. */
static int choose_signal(pid_t tid, bool is_newborn)
{
	static const int ignored[] = { SIGURG, SIGWINCH };
	static const char *const fields[] = { "SigBlk", "SigCgt" };
	uint64_t masks[2], used;

	proc_status(tid, fields, 2, 16, masks);
	/* The C library has every signal blocked until a thread is set up. */
	used = (is_newborn ? 0 : masks[0]) | masks[1];
	for (unsigned i = 0; i < ARRAY_SIZE(ignored); i++)
		if (!(used >> (ignored[i] - 1) & 1))
			return ignored[i];
	return 0;
}

static void send_signal(struct straggler *s, pid_t tid, bool is_newborn)
{
	struct f_owner_ex owner = { F_OWNER_TID, tid };
	int sig = choose_signal(tid, is_newborn);

	if (sig && !fcntl(s->fd, F_SETOWN_EX, &owner) && !fcntl(s->fd, F_SETSIG, sig) &&
	    !fcntl(s->fd, F_SETFL, O_ASYNC | O_NONBLOCK))
		s->sig = sig;
}

static int open_event(struct perf_event_attr *attr, pid_t tid)
{
	attr->size = sizeof(*attr);
	attr->sample_period = attr->wakeup_events = 1;
	attr->exclude_kernel = attr->exclude_hv = 1;
	return (int)syscall(SYS_perf_event_open, attr, tid, -1, -1, PERF_FLAG_FD_CLOEXEC);
}

static void wait_at(struct straggler *s, pid_t tid, uint64_t addr, bool is_newborn)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_BREAKPOINT,
		.bp_type = HW_BREAKPOINT_X, .bp_addr = addr, .bp_len = sizeof(long),
	};

	if (s->fd >= 0 && s->addr == addr)
		return;
	straggler_done(s);
	if (!addr)
		return;
	s->fd = open_event(&attr, tid);
	s->addr = addr;
	if (s->fd >= 0)
		send_signal(s, tid, is_newborn);
}

void straggler_wait(struct straggler *s, pid_t tid, uint64_t addr)
{
	wait_at(s, tid, addr, false);
}

void straggler_wait_newborn(struct straggler *s, pid_t tid, uint64_t addr)
{
	wait_at(s, tid, addr, true);
}

void straggler_done(struct straggler *s)
{
	if (s->fd >= 0)
		close(s->fd);
	*s = (struct straggler)STRAGGLER_NONE;
}

bool straggler_is_here(const struct straggler *s, pid_t tid, int sig)
{
	siginfo_t info = { 0 };

	/* si_fd tells it from one that somebody sent (fcntl(2), F_SETSIG). */
	return s->sig && sig == s->sig &&
	       !syscall(SYS_ptrace, PTRACE_GETSIGINFO, tid, NULL, &info) &&
	       info.si_code > 0 && info.si_fd == s->fd;
}
