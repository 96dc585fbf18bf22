/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The threads of a process and of every process that shares its memory:
 * seizing, stopping, letting go.
 *
 * Only PTRACE_SEIZE and PTRACE_INTERRUPT are used: no signal is sent, so none
 * can be lost or merged.  A signal that a thread reports while we hold it goes
 * back to it, with all that came with it, when it is let go (ptrace(2)).  The
 * death of the tool lets every thread go on as it stands.
 */
#ifndef STITCH_TARGET_THREADS_H
#define STITCH_TARGET_THREADS_H

#include "process.h"

enum thread_state {
	THREAD_SEIZED,   /* ours, running */
	THREAD_STOPPED,  /* stopped: regs are right, memory may be read */
	THREAD_RELEASED,
	THREAD_GONE,     /* it ended, or it never runs code of the program */
};

struct thread {
	pid_t tid;
	enum thread_state state;
	bool asked;       /* PTRACE_INTERRUPT was sent and not answered yet */
	bool in_group_stop; /* SIGSTOP and its like: it stays stopped after us */
	int signal;       /* stopped before this signal's delivery, 0: not */
	bool fixed_eintr; /* a system call will begin anew instead of EINTR */
	bool steps_off;   /* it stands at an event of ours (arch->steps_off_events) */
	bool stepped;     /* it was resumed so: a trap of that is nobody's signal */
	bool is_fresh;    /* born while we followed, and not told of to on_birth yet */
	bool has_parent;  /* its birth was reported by its creator */
	bool is_of_process; /* whose birth was reported: not one that shares its memory only */
	bool has_others_options; /* it was born under another list's */
	bool is_foreign;  /* a child of fork: its memory is its own */
	/*
	 * It waits in the kernel for the child of its vfork, from which only a signal that
	 * kills it takes it (kernel/fork.c, wait_for_vfork_done): as for a request of ours.
	 * It does nothing until it reports, so it stands, regs are right, memory may be read.
	 */
	bool in_vfork;
	uint64_t stopped_at; /* clock_ns() of its last stop, or before: never after it */
	uint64_t tp;      /* its thread pointer; 0 until it was stopped once */
	void *data;       /* for who follows */
	struct regs regs;
};

/* It executes nothing: it is stopped, or as good as that. */
static inline bool thread_stands(const struct thread *thread)
{
	return thread->state == THREAD_STOPPED ||
	       (thread->state == THREAD_SEIZED && thread->in_vfork);
}

struct threads {
	const struct process *process;
	struct thread **thread;
	size_t nr;
	pid_t peers[16];  /* other processes with the same memory */
	size_t nr_peers;
	uint64_t ptrace_options;
	bool no_shadow;   /* a thread had no shadow stack: no other has one */
	uint64_t idle_at; /* clock_ns() when last nothing was to be reported */
	bool has_more;    /* threads_events() has left some: no time to wait for others */
	bool may_lack;    /* one of those that were listed had ended: another may be missing */
	bool execed;      /* the process runs another program now */
	/*
	 * For who follows (threads_follow()).  on_birth: a thread was made by parent, which
	 * stands; on_stop: one stands that nobody waited for, before it is let go.
	 */
	void (*on_birth)(void *arg, struct thread *parent, struct thread *child);
	void (*on_stop)(void *arg, struct thread *thread);
	void *arg;
};

/* An empty list. SIGCHLD stays blocked from here on: it tells of stops. */
void threads_init(struct threads *threads, const struct process *process);
/*
 * Seizes every thread; none is stopped.  Threads that appear later are found
 * by threads_stop_all().  Errors: traced (by another tool), not-permitted, gone.
 */
struct err *threads_seize(struct threads *threads) __attribute__((warn_unused_result));
/* Seizes one more thread; *added unless it has ended already. */
struct err *threads_add(struct threads *threads, pid_t tid, bool *added)
	__attribute__((warn_unused_result));
/*
 * From now on threads are followed: those that they make are ours before they run their
 * first instruction.  threads_events() has to be called often then, for a thread that
 * reports something waits until it is.
 */
void threads_follow(struct threads *threads);
/* Takes what threads have reported, or much of it (has_more), and lets them go on. */
struct err *threads_events(struct threads *threads) __attribute__((warn_unused_result));
/* The same of one thread only: with thousands that is the shorter way to it. */
struct err *threads_event_of(struct threads *threads, struct thread *thread)
	__attribute__((warn_unused_result));
/* Nobody has anything to report at this moment, if threads_events() has left nothing. */
void threads_note_idle(struct threads *threads);
/*
 * One pass over all tasks: those that are not ours yet are seized; *added if one was, or if
 * there may be more.
 */
struct err *threads_seize_new(struct threads *threads, bool *added)
	__attribute__((warn_unused_result));
/* Lets a stopped thread go on, with the signal that it was stopped before; it stays ours. */
void thread_resume(struct thread *thread);
/*
 * The trap of a single step, not one that the program or somebody else has sent, is taken
 * away from a thread that stands with SIGTRAP.  At the end of a system call the kernel sends
 * it as nobody's, without a step having been made (user_single_step_report()): then the next
 * resumption is one, too.
 */
void thread_take_step(struct thread *thread);
/* Forgets the threads that are gone. */
void threads_sweep(struct threads *threads);
/* The thread IDs of a process, in no order. The caller frees *tids. */
struct err *threads_list(pid_t pid, pid_t **tids, size_t *nr)
	__attribute__((warn_unused_result));
/*
 * Stops all threads, also those that appear meanwhile: when a pass over
 * /proc/PID/task finds none that does not stand, nobody is left who could make
 * one.  A thread that does not stop within timeout_ms is "does-not-stop"; that is soon said
 * of one that cannot be interrupted, for what it waits for may be one of those that stand.
 */
struct err *threads_stop_all(struct threads *threads, unsigned timeout_ms)
	__attribute__((warn_unused_result));
/* Asks a thread to stop, and does not wait for it: threads_events() tells. */
void thread_ask(struct thread *thread);
/* Waits until some thread may have reported something, ms at most; false: none has. */
bool threads_wait(unsigned ms);
/* Stops one seized thread; its registers are read. */
struct err *thread_stop(struct threads *threads, struct thread *thread,
			unsigned timeout_ms) __attribute__((warn_unused_result));
/* Its error. */
struct err *thread_does_not_stop(pid_t tid, const char *name)
	__attribute__((warn_unused_result));
/* Lets one thread go, with the signal that it was stopped before, if any. */
void thread_release(struct threads *threads, struct thread *thread);
/*
 * Lets those go that stand, with their signals, and frees the list; also after an error of
 * the others.  Those that run, or do not stop, are let go by the end of the tracer
 * (target/tracer.h), which has to come then: nobody answers what they report.
 */
void threads_leave(struct threads *threads);
#define AUTO_THREADS __attribute__((cleanup(threads_leave)))

struct err *thread_get_regs(const struct arch *arch, pid_t tid, struct regs *regs)
	__attribute__((warn_unused_result));
struct err *thread_set_regs(const struct arch *arch, pid_t tid, const struct regs *regs)
	__attribute__((warn_unused_result));
/*
 * Waits until the traced thread reports something or the deadline (from
 * clock_ms) has passed.  *status is waitpid's; *reported is false at the
 * deadline.  ERR_GONE when there is no such tracee any more.
 */
struct err *thread_wait(pid_t tid, uint64_t deadline_ms, int *status, bool *reported)
	__attribute__((warn_unused_result));

/* The thread's name (comm), "?" if it is gone. */
void thread_name(pid_t pid, pid_t tid, char name[17]);
/* The letter of its state in /proc (proc(5)), '?' if it is gone. */
char thread_proc_state(pid_t tid);
/* It has ended, though its end may not have been reported. */
bool thread_has_ended(pid_t tid);
/* Is it a thread of that process?  Not of one that shares its memory (CLONE_VM). */
bool thread_is_of(pid_t pid, pid_t tid);
/* Has it the same memory as the process (CLONE_VM, vfork)?  Threads of its own have. */
bool thread_shares_memory(pid_t pid, pid_t tid);

uint64_t clock_ms(void);
uint64_t clock_ns(void);

/*
 * Raises this thread to SCHED_FIFO where that is permitted, so that threads
 * that are let go do not push the tool off the processor while it still holds
 * others (measured: 160 ms against 1 ms with more busy threads than cores).
 * window_close() puts back what was.
 */
struct window {
	bool raised;
	int policy, priority;
};

void window_open(struct window *window);
void window_close(struct window *window);

#endif
