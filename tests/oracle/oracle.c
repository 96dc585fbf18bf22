/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How right the unwinder is, measured: a program is single-stepped from its
 * entry point, a shadow stack is kept from its calls, returns and signals, and at
 * the first visits of every instruction the walk is held against it.  Other
 * unwinders are asked at every so many of the same states.
 *
 * usage: oracle RECORDING MAX-STEPS PROGRAM [ARGUMENT]...
 * Writes the states to RECORDING, for replay; "-": does not.  ORACLE_SHOW=1 prints
 * the traces that are not right.  Fails if anything is silently truncated or wrong.
 *
 * It runs on every architecture; where calls leave the return address in a register a
 * signal ends the run, for what the kernel puts where is known of x86-64 only.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bytes.h"
#include "mem.h"
#include "peers.h"
#include "recorder.h"
#include "tap.h"
#include "threads.h"

enum { VISITS = 2, TABLE = 1 << 20, PEERS_EVERY = 8, REFRESH_EVERY = 50000, MAX_SHOWN = 8 };

struct run {
	pid_t pid;
	struct recorder recorder;
	struct process *process; /* the recorder's */
	struct state state;
	struct call calls[MAX_DEPTH];
	bool is_in_hand;     /* the last one's return address: off the stack, and to come back */
	bool had_signal;
	uint8_t visits[TABLE];
	unsigned long steps;
	struct counts counts, peers[3];
	void *peer_state[3];
	unsigned shown;
};

static const struct peer *const peers[] = {
#ifndef ORACLE_ALONE
	&peer_libunwind_cached, &peer_libunwind, &peer_libdwfl,
#endif
	NULL,
};

static long step_ptrace(long request, pid_t pid, long data)
{
	return syscall(SYS_ptrace, request, pid, NULL, data);
}

/* ---- one state ---------------------------------------------------------------- */

struct seen {
	uint64_t pc[4096];
	unsigned nr;
};

static bool note(void *arg, const struct unwind_frame *frame)
{
	struct seen *seen = arg;

	if (seen->nr < ARRAY_SIZE(seen->pc))
		seen->pc[seen->nr++] = frame->pc;
	return true;
}

static void show(struct run *run, const char *what, const struct seen *seen)
{
	const struct object *object = process_object_at(run->process, seen->pc[0]);
	unsigned depth = run->state.depth;

	if (run->shown++ >= MAX_SHOWN)
		return;
	for (unsigned i = 0; getenv("ORACLE_SHOW") && (i < seen->nr || i <= depth); i++)
		printf("#   %#18" PRIx64 " %#18" PRIx64 "\n", i < seen->nr ? seen->pc[i] : 0,
		       i && i <= depth ? run->calls[depth - i].ra : 0);
	printf("# %s at %s+%#" PRIx64 ": %u frames, %u calls\n", what,
	       object ? object->name : "?", object ? seen->pc[0] - object->bias : 0,
	       seen->nr, depth);
}

static void ask_peers(struct run *run)
{
	static struct peer_trace trace;

	for (unsigned i = 0; peers[i]; i++) {
		enum verdict verdict;

		if (!run->peer_state[i])
			run->peer_state[i] = peers[i]->open(run->pid);
		peers[i]->walk(run->peer_state[i], run->pid, &trace);
		verdict = judge(&run->state, trace.pc, trace.nr, trace.complete);
		counts_add(&run->peers[i], verdict, UNWIND_OK);
	}
}

static void compare(struct run *run)
{
	static struct seen seen;
	enum unwind_reason reason;
	enum verdict verdict;

	seen.nr = 0;
	reason = stacks_walk(&run->recorder.stacks, &run->state.regs, note, &seen);
	verdict = judge(&run->state, seen.pc, seen.nr, reason == UNWIND_OK);
	counts_add(&run->counts, verdict, reason);
	if (verdict == TRUNCATED || verdict == WRONG)
		show(run, verdict == WRONG ? "wrong" : "truncated", &seen);
	else if (verdict == REFUSED)
		show(run, unwind_reason_name(reason), &seen);
	recorder_state(&run->recorder, &run->state);
	if (run->counts.states % PEERS_EVERY == 0)
		ask_peers(run);
}

static bool is_new_state(struct run *run, uint64_t pc)
{
	uint8_t *count = &run->visits[(pc * UINT64_C(0x9e3779b97f4a7c15)) >> 44];

	if (*count >= VISITS)
		return false;
	++*count;
	return true;
}

/* ---- stepping ----------------------------------------------------------------- */

static bool wait_step(struct run *run)
{
	int status;

	for (;;) {
		if (waitpid(run->pid, &status, 0) < 0 || !WIFSTOPPED(status))
			return false;
		if (WSTOPSIG(status) == SIGTRAP)
			return true;
		run->had_signal = true;
		step_ptrace(PTRACE_SINGLESTEP, run->pid, WSTOPSIG(status));
	}
}

static void push(struct run *run, uint64_t ra, uint64_t slot)
{
	if (run->state.depth < MAX_DEPTH)
		run->calls[run->state.depth++] = (struct call){ ra, slot };
}

/* A handler returns to the trampoline, and that to where the signal came. */
static void push_signal(struct run *run, uint64_t pc, uint64_t old_sp, uint64_t sp)
{
	uint64_t trampoline;

	if (sp + 256 > old_sp && sp <= old_sp)
		return; /* no handler ran */
	if (!process_try_read(run->process, sp, &trampoline, 8))
		return;
	push(run, pc, sp + 8);
	push(run, trampoline, sp);
}

struct trap {
	const char *arch;
	unsigned size;
	uint8_t bytes[4];
};

static const struct trap *find_trap(const struct arch *arch)
{
	static const struct trap traps[] = {
		{ "x86_64", 1, { 0xcc } },                       /* int3 */
		{ "aarch64", 4, { 0x00, 0x00, 0x20, 0xd4 } },    /* brk #0 */
		{ "s390x", 2, { 0x00, 0x01 } },
		{ "ppc64le", 4, { 0x08, 0x00, 0xe0, 0x7f } },    /* trap */
	};

	for (unsigned i = 0; i < ARRAY_SIZE(traps); i++)
		if (!strcmp(traps[i].arch, arch->name))
			return &traps[i];
	return NULL;
}

/* Where the program may come to next, and what stands there. */
struct places {
	uint64_t at[4];
	unsigned nr;
	uint8_t old[4][4];
};

/*
 * A reservation is lost with every trap, so that a loop of lwarx and stwcx. would be stepped
 * for ever (Power ISA, book II, 4.6.2): it runs to one of the places that it leads to.
 */
static bool is_ppc_x_form(const uint8_t *code, const uint16_t *forms, unsigned nr)
{
	uint32_t insn = (uint32_t)bytes_get(code, 4, false);

	for (unsigned i = 0; i < nr; i++)
		if (insn >> 26 == 31 && (insn >> 1 & 0x3ff) == forms[i])
			return true;
	return false;
}

/* Where the sequence that begins at pc leads; nr 0: it is none. */
static struct places find_atomic(const struct run *run, uint64_t pc)
{
	static const uint16_t loads[] = { 20, 52, 84, 116 }, stores[] = { 150, 214, 694, 726 };
	const struct arch *arch = run->process->arch;
	struct places atomic = { .nr = 0 };
	uint8_t code[4 * 16];
	bool stored = false;

	if (strcmp(arch->name, "ppc64le") ||
	    pread(run->process->mem_fd, code, sizeof(code), (off_t)pc) != sizeof(code) ||
	    !is_ppc_x_form(code, loads, ARRAY_SIZE(loads)))
		return atomic;
	for (unsigned at = 4; at < sizeof(code) && atomic.nr < ARRAY_SIZE(atomic.at); at += 4) {
		struct insn insn;

		if (!arch->decode(code + at, 4, pc + at, &insn))
			break;
		if (insn.flow == FLOW_BRANCH && insn.target - pc > at)
			atomic.at[atomic.nr++] = insn.target;
		if (insn.flow == FLOW_BRANCH && stored) {
			atomic.at[atomic.nr++] = pc + at + 4;
			return atomic;
		}
		stored |= is_ppc_x_form(code + at, stores, ARRAY_SIZE(stores));
	}
	atomic.nr = 0;
	return atomic;
}

static uint64_t s390_base(const struct run *run, unsigned r)
{
	const struct arch *arch = run->process->arch;

	return r ? regs_get(arch, &run->state.regs, (size_t)arch->col_off[r]) : 0;
}

/*
 * s390x: qemu 7.2 aborts where a program is stepped (cc_helper.c, cc_calc_addu), so it runs
 * to the next instruction, or to where this one leads.
 */
static struct places find_next(const struct run *run, uint64_t pc, const struct insn *insn,
			       const uint8_t *code)
{
	const struct arch *arch = run->process->arch;
	struct places next = { .nr = 0 };
	bool is_by_register = code[0] == 0x07 || code[0] == 0x0d; /* bcr, basr */

	if (strcmp(arch->name, "s390x") || !insn->size)
		return next;
	next.at[next.nr++] = pc + insn->size;
	if (insn->is_direct && insn->target != next.at[0])
		next.at[next.nr++] = insn->target;
	else if (code[0] == 0x47) /* bc, of a table of jumps */
		next.at[next.nr++] = ((code[2] & 15) << 8 | code[3]) +
				     s390_base(run, code[1] & 15) + s390_base(run, code[2] >> 4);
	else if (is_by_register && code[1] & 15)
		next.at[next.nr++] = s390_base(run, code[1] & 15) & ~UINT64_C(1);
	return next;
}

static bool run_to(struct run *run, struct places *places)
{
	const struct arch *arch = run->process->arch;
	const struct trap *trap = find_trap(arch);
	int fd = run->process->mem_fd;
	unsigned size = trap->size;
	bool stopped;

	for (unsigned i = 0; i < places->nr; i++)
		if (pread(fd, places->old[i], size, (off_t)places->at[i]) != size ||
		    pwrite(fd, trap->bytes, size, (off_t)places->at[i]) != size)
			return false;
	stopped = !step_ptrace(PTRACE_CONT, run->pid, 0) && wait_step(run);
	for (unsigned i = places->nr; i-- > 0;)
		if (pwrite(fd, places->old[i], size, (off_t)places->at[i]) != size)
			return false;
	return stopped;
}

static bool ended(struct err *err)
{
	err_free(err);
	return err != NULL;
}

/* Where the machine's breakpoint leaves the pc behind itself, it is put back. */
static bool stand_at(struct run *run, const struct places *places)
{
	const struct arch *arch = run->process->arch;
	uint64_t pc = regs_pc(arch, &run->state.regs);

	for (unsigned i = 0; i < places->nr; i++) {
		if (pc == places->at[i])
			return true;
		if (pc != places->at[i] + find_trap(arch)->size)
			continue;
		regs_set(arch, &run->state.regs, arch->pc_off, places->at[i]);
		return !ended(thread_set_regs(arch, run->pid, &run->state.regs));
	}
	return run->had_signal;
}

/* A return address in a register: a function without a frame returns, and sp stays. */
static void pop_by_jump(struct run *run, const struct insn *insn, uint64_t sp)
{
	const struct arch *arch = run->process->arch;
	const struct call *top = &run->calls[run->state.depth - 1];

	if (arch->unwind->ra_in_register && run->state.depth && top->slot == sp &&
	    insn->flow != FLOW_CALL && insn->flow != FLOW_NEXT &&
	    regs_pc(arch, &run->state.regs) == top->ra)
		run->state.depth--;
}

/*
 * Everything that raises the stack ends calls.  Only an instruction that takes a return
 * address off it and goes straight on has it in hand still, and puts it back (vfork).
 */
static void pop_above(struct run *run, const struct insn *insn, uint64_t old_sp, uint64_t sp)
{
	const struct call *top;

	while (run->state.depth && run->calls[run->state.depth - 1].slot < sp) {
		top = &run->calls[run->state.depth - 1];
		run->is_in_hand = insn->flow == FLOW_NEXT && sp == top->slot + 8 &&
				  (run->is_in_hand || old_sp == top->slot);
		if (run->is_in_hand)
			return;
		run->state.depth--;
	}
	run->is_in_hand = false;
}

/*
 * Calls push, returns and everything else that raises the stack pop.  A stack that
 * a signal came on lies elsewhere: its calls end when the one below them comes back.
 */
static bool step(struct run *run)
{
	const struct arch *arch = run->process->arch;
	struct regs *regs = &run->state.regs;
	uint64_t pc = regs_pc(arch, regs), old_sp = regs_sp(arch, regs), sp;
	uint8_t code[ARCH_INSN_MAX];
	struct insn insn = { .flow = FLOW_NEXT };
	struct places places;
	bool is_call;

	if (pread(run->process->mem_fd, code, sizeof(code), (off_t)pc) <= 0 ||
	    !arch->decode(code, sizeof(code), pc, &insn))
		insn.flow = FLOW_NEXT;
	is_call = insn.flow == FLOW_CALL;
	run->had_signal = false;
	places = find_atomic(run, pc);
	if (!places.nr)
		places = find_next(run, pc, &insn, code);
	if (!(places.nr ? run_to(run, &places) :
			  !step_ptrace(PTRACE_SINGLESTEP, run->pid, 0) && wait_step(run)) ||
	    ended(thread_get_regs(arch, run->pid, regs)) ||
	    (places.nr && !stand_at(run, &places)))
		return false;
	sp = regs_sp(arch, regs);
	pop_above(run, &insn, old_sp, sp);
	pop_by_jump(run, &insn, sp);
	if (run->had_signal && arch->unwind->ra_in_register)
		return false;
	if (run->had_signal)
		push_signal(run, pc, old_sp, sp);
	else if (is_call && regs_pc(arch, regs) != pc + insn.size)
		push(run, pc + insn.size, sp);
	/* Libraries that come later (dlopen) are new code: look again then. */
	if (++run->steps % REFRESH_EVERY == 0)
		err_free(process_refresh(run->process));
	return true;
}

/* The program's entry: the dynamic linker has done its work by then. */
static bool run_to_entry(struct run *run, struct process *live)
{
	struct regs *regs = &run->state.regs;
	const struct arch *arch = live->arch;
	const struct trap *trap = find_trap(arch);
	uint8_t old[4];

	if (!trap || ended(process_read(live, live->entry, old, trap->size)) ||
	    ended(process_write(live, live->entry, trap->bytes, trap->size)) ||
	    step_ptrace(PTRACE_CONT, run->pid, 0) || !wait_step(run) ||
	    ended(process_write(live, live->entry, old, trap->size)) ||
	    ended(thread_get_regs(arch, run->pid, regs)))
		return false;
	regs_set(arch, regs, arch->pc_off, live->entry);
	return !ended(thread_set_regs(arch, run->pid, regs)) && !ended(process_refresh(live));
}

static void become(char **argv)
{
	int null = open("/dev/null", O_RDWR);

	dup2(null, 0);
	dup2(null, 1);
	dup2(null, 2);
	personality(ADDR_NO_RANDOMIZE);
	syscall(SYS_ptrace, PTRACE_TRACEME, 0, NULL, NULL);
	execvp(argv[0], argv);
	_exit(127);
}

static bool start(struct run *run, const char *recording, char **argv)
{
	AUTO_PROCESS struct process *live = NULL;

	run->pid = fork();
	if (!run->pid)
		become(argv);
	run->state.calls = run->calls;
	if (!wait_step(run) || ended(process_open(run->pid, &live)) ||
	    !run_to_entry(run, live) || ended(recorder_begin(&run->recorder, live, recording)))
		return false;
	run->process = run->recorder.process;
	return true;
}

static void report(struct run *run, const char *program)
{
	const char *slash = strrchr(program, '/');

	printf("# %s: %lu steps\n", slash ? slash + 1 : program, run->steps);
	counts_print("stitch", &run->counts);
	for (unsigned i = 0; peers[i]; i++)
		counts_print(peers[i]->name, &run->peers[i]);
	ok(run->counts.states > 1000, "enough states");
	ok(!run->counts.truncated && !run->counts.wrong,
	   "nothing silently truncated or wrong");
}

int main(int argc, char **argv)
{
	struct run *run = mem_alloc(sizeof(*run));
	unsigned long max = argc > 3 ? strtoul(argv[2], NULL, 10) : 0;

	if (!max || !start(run, argv[1], argv + 3)) {
		printf("not ok 1 - cannot start\n1..1\n");
		return 1;
	}
	while (run->steps < max) {
		if (is_new_state(run, regs_pc(run->process->arch, &run->state.regs)))
			compare(run);
		if (!step(run))
			break;
	}
	kill(run->pid, SIGKILL);
	report(run, argv[3]);
	ok(recorder_end(&run->recorder), "recorded");
	free(run);
	return tap_done();
}
