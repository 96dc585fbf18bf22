/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How right the unwinder is, measured: a program is single-stepped from its
 * entry point, a shadow stack is kept from its calls and returns, and at the
 * first visits of every instruction the walk is held against it.
 *
 * With ORACLE_MUTATE set every so many states are also spoilt: one return address
 * on the stack is replaced, and a walk that still calls itself complete is counted,
 * by kind of replacement.
 *
 * usage: oracle MAX-STEPS PROGRAM [ARGUMENT]...
 * Prints a row: states, right, refused (with reasons), truncated, wrong; fails
 * if anything is silently truncated or wrong, or too much is refused.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mem.h"
#include "process.h"
#include "stacks.h"
#include "tap.h"
#include "threads.h"

enum mutation { OTHER_FRAME, RANDOM_CALL, FUNCTION_START, RA_PLUS, ZERO, STACK_ADDRESS,
		NR_MUTATIONS };

static const char *const mutation_names[] = {
	"another frame's return address", "a random address behind a call",
	"the start of a function", "the return address + 1..15", "0", "a stack address",
};

/*
 * How many of a thousand may be taken for whole.  Frames that are joined by
 * indirect calls, or by functions with indirect jumps, cannot be told apart by
 * the call alone; the bounds keep what is reached.
 */
static const unsigned most_accepted[] = { 100, 40, 2, 25, 0, 0 };

enum { MUTATE_EVERY = 40, VISITS = 2, MAX_DEPTH = 65536, TABLE = 1 << 20, MAX_SHOWN = 40 };

struct call {
	uint64_t ra, slot;
};

struct run {
	pid_t pid;
	struct process *process;
	struct record none;
	struct stacks stacks;
	struct call shadow[MAX_DEPTH];
	unsigned depth;
	bool had_signal;
	uint8_t visits[TABLE];
	unsigned long steps, states, right, refused, truncated, wrong;
	unsigned long reasons[32];
	unsigned long mutants[NR_MUTATIONS], accepted[NR_MUTATIONS];
	uint64_t random;
	unsigned shown;
};

static long step_ptrace(long request, pid_t pid, long data)
{
	return syscall(SYS_ptrace, request, pid, NULL, data);
}

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

static bool reason_hidden(const char *what)
{
	return !strcmp(what, "transition");
}

static void show(struct run *run, const char *what, const struct seen *seen)
{
	uint64_t off = 0;
	const struct object *object = process_object_at(run->process, seen->pc[0]);

	if (reason_hidden(what) || run->shown++ >= MAX_SHOWN)
		return;
	if (getenv("ORACLE_SHOW"))
		for (unsigned i = 0; i < seen->nr || i <= run->depth; i++)
			printf("#   %#18" PRIx64 " %#18" PRIx64 "\n",
			       i < seen->nr ? seen->pc[i] : 0,
			       i && i <= run->depth ? run->shadow[run->depth - i].ra : 0);
	if (object)
		off = seen->pc[0] - object->bias;
	printf("# %s at %s+%#" PRIx64 ": %u frames, %u calls\n", what,
	       object ? object->name : "?", off, seen->nr, run->depth);
}

static uint64_t next_random(struct run *run)
{
	run->random ^= run->random << 13;
	run->random ^= run->random >> 7;
	run->random ^= run->random << 17;
	return run->random;
}

/* An address of the program's or a library's code. */
static uint64_t random_code(struct run *run, const struct unwind_code **code)
{
	const struct process *process = run->process;
	const struct object *object = process->objects[next_random(run) % process->nr_objects];

	*code = &object->code[0];
	return (*code)->start + next_random(run) % ((*code)->end - (*code)->start);
}

static uint64_t random_call(struct run *run)
{
	for (unsigned tries = 0; tries < 100000; tries++) {
		const struct unwind_code *code;
		uint64_t addr = random_code(run, &code);
		const uint8_t *bytes = addr - code->start < ARCH_INSN_MAX ? NULL :
			code->bytes(code, addr - ARCH_INSN_MAX, ARCH_INSN_MAX);

		if (bytes && run->process->arch->follows_call(bytes, ARCH_INSN_MAX))
			return addr;
	}
	return 1;
}

static uint64_t random_function(struct run *run)
{
	for (unsigned tries = 0; tries < 1000; tries++) {
		const struct unwind_code *code;
		uint64_t addr = random_code(run, &code);
		struct eh_fde fde;
		bool found = false;

		if (code->eh.data)
			err_free(eh_find(&code->eh, addr - code->bias, &fde, &found));
		if (found)
			return fde.pc_begin + code->bias;
	}
	return 1;
}

static uint64_t mutate(struct run *run, enum mutation kind, unsigned frame)
{
	uint64_t ra = run->shadow[frame].ra;

	switch (kind) {
	case OTHER_FRAME: return run->shadow[next_random(run) % run->depth].ra;
	case RANDOM_CALL: return random_call(run);
	case FUNCTION_START: return random_function(run);
	case RA_PLUS: return ra + 1 + next_random(run) % 15;
	case STACK_ADDRESS: return run->shadow[frame].slot + 64;
	default: return 0;
	}
}

/* One return address after the other is spoilt, walked, put back. */
static void mutate_all(struct run *run, const struct regs *regs)
{
	static struct seen seen;

	for (unsigned frame = 0; frame < run->depth; frame++)
		for (unsigned kind = 0; kind < NR_MUTATIONS; kind++) {
			struct call call = run->shadow[frame];
			uint64_t value = mutate(run, (enum mutation)kind, frame);

			if (value == call.ra)
				continue;
			seen.nr = 0;
			err_free(process_write(run->process, call.slot, &value, 8));
			run->mutants[kind]++;
			if (stacks_walk(&run->stacks, regs, note, &seen) == UNWIND_OK) {
				run->accepted[kind]++;
				show(run, mutation_names[kind], &seen);
			}
			err_free(process_write(run->process, call.slot, &call.ra, 8));
		}
}

/* A frame of the walk is a return address of the shadow stack, all in order. */
static void compare(struct run *run, const struct regs *regs)
{
	static struct seen seen;
	enum unwind_reason reason;
	unsigned same = 1;

	seen.nr = 0;
	reason = stacks_walk(&run->stacks, regs, note, &seen);
	run->states++;
	while (same < seen.nr && same <= run->depth &&
	       seen.pc[same] == run->shadow[run->depth - same].ra)
		same++;
	if (reason != UNWIND_OK) {
		run->refused++;
		run->reasons[reason]++;
		if (getenv("ORACLE_SHOW"))
			show(run, unwind_reason_name(reason), &seen);
	} else if (seen.nr == run->depth + 1 && same == seen.nr) {
		run->right++;
		if (getenv("ORACLE_MUTATE") && run->right % MUTATE_EVERY == 0)
			mutate_all(run, regs);
	} else if (same == seen.nr) {
		run->truncated++;
		show(run, "truncated", &seen);
	} else {
		run->wrong++;
		show(run, "wrong", &seen);
	}
}

static bool is_new_state(struct run *run, uint64_t pc)
{
	uint8_t *count = &run->visits[(pc * UINT64_C(0x9e3779b97f4a7c15)) >> 44];

	if (*count >= VISITS)
		return false;
	++*count;
	return true;
}

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
	if (run->depth < MAX_DEPTH)
		run->shadow[run->depth++] = (struct call){ ra, slot };
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

/* Calls push, returns and everything else that raises the stack pop. */
static bool step(struct run *run, struct regs *regs)
{
	const struct arch *arch = run->process->arch;
	uint64_t pc = regs_pc(arch, regs), old_sp = regs_sp(arch, regs), sp;
	uint8_t code[ARCH_INSN_MAX];
	struct insn insn = { .flow = FLOW_NEXT };
	struct err *err;
	bool is_call;

	is_call = process_try_read(run->process, pc, code, sizeof(code)) &&
		  arch->decode(code, sizeof(code), pc, &insn) && insn.flow == FLOW_CALL;
	run->had_signal = false;
	if (step_ptrace(PTRACE_SINGLESTEP, run->pid, 0) || !wait_step(run))
		return false;
	err = thread_get_regs(arch, run->pid, regs);
	if (err) {
		err_free(err);
		return false;
	}
	sp = regs_sp(arch, regs);
	while (run->depth && run->shadow[run->depth - 1].slot < sp)
		run->depth--;
	if (run->had_signal)
		push_signal(run, pc, old_sp, sp);
	else if (is_call && regs_pc(arch, regs) != pc + insn.size)
		push(run, pc + insn.size, sp);
	run->steps++;
	return true;
}

/* The program's entry: the dynamic linker has done its work by then. */
static bool run_to_entry(struct run *run)
{
	uint64_t entry = run->process->entry;
	uint8_t old, trap = 0xcc;
	struct regs regs;
	struct err *err;

	err = process_read(run->process, entry, &old, 1);
	if (!err)
		err = process_write(run->process, entry, &trap, 1);
	if (err || step_ptrace(PTRACE_CONT, run->pid, 0) || !wait_step(run)) {
		err_free(err);
		return false;
	}
	err = process_write(run->process, entry, &old, 1);
	if (!err)
		err = thread_get_regs(run->process->arch, run->pid, &regs);
	if (!err) {
		regs_set(run->process->arch, &regs, run->process->arch->pc_off, entry);
		err = thread_set_regs(run->process->arch, run->pid, &regs);
	}
	if (!err)
		err = process_refresh(run->process);
	err_free(err);
	return !err;
}

static bool start(struct run *run, char **argv)
{
	struct err *err;

	run->pid = fork();
	if (!run->pid) {
		int null = open("/dev/null", O_RDWR);

		dup2(null, 0);
		dup2(null, 1);
		dup2(null, 2);
		personality(ADDR_NO_RANDOMIZE);
		syscall(SYS_ptrace, PTRACE_TRACEME, 0, NULL, NULL);
		execvp(argv[0], argv);
		_exit(127);
	}
	if (!wait_step(run))
		return false;
	err = process_open(run->pid, &run->process);
	if (!err && run_to_entry(run))
		err = stacks_init(&run->stacks, run->process, &run->none);
	if (err)
		printf("# %s\n", err->msg);
	err_free(err);
	return !err;
}

/* Libraries that come later (dlopen) are new code: look again then. */
static void follow_maps(struct run *run)
{
	if (run->steps % 50000 == 0)
		err_free(process_refresh(run->process));
}

int main(int argc, char **argv)
{
	struct run *run = mem_alloc(sizeof(*run));
	unsigned long refused, max = argc > 2 ? strtoul(argv[1], NULL, 10) : 0;
	struct regs regs;
	struct err *err;

	run->random = 88172645463325252;
	if (!max || !start(run, argv + 2)) {
		printf("not ok 1 - cannot start\n1..1\n");
		return 1;
	}
	err = thread_get_regs(run->process->arch, run->pid, &regs);
	while (!err && run->steps < max) {
		if (is_new_state(run, regs_pc(run->process->arch, &regs)))
			compare(run, &regs);
		if (!step(run, &regs))
			break;
		follow_maps(run);
	}
	err_free(err);
	kill(run->pid, SIGKILL);
	printf("# %s: %lu steps, %lu states: %lu right, %lu refused (%.3f %%), %lu truncated, "
	       "%lu wrong;", argv[2], run->steps, run->states, run->right, run->refused,
	       run->states ? 100.0 * (double)run->refused / (double)run->states : 0,
	       run->truncated, run->wrong);
	for (unsigned i = 0; i < ARRAY_SIZE(run->reasons); i++)
		if (run->reasons[i])
			printf(" %s %lu", unwind_reason_name((enum unwind_reason)i),
			       run->reasons[i]);
	printf("\n");
	ok(run->states > 1000, "enough states");
	ok(!run->truncated && !run->wrong, "nothing silently truncated or wrong");
	/* While libgcc changes the stack there is nothing to trace. */
	refused = run->refused - run->reasons[UNWIND_TRANSITION];
	ok(refused * 50 <= run->states, "at most 2 %% refused outside libgcc's unwinder");
	for (unsigned kind = 0; kind < NR_MUTATIONS && run->mutants[kind]; kind++)
		ok(run->accepted[kind] * 1000 <= run->mutants[kind] * most_accepted[kind],
		   "%s: %lu of %lu accepted (%.3f %%)", mutation_names[kind],
		   run->accepted[kind], run->mutants[kind],
		   100.0 * (double)run->accepted[kind] / (double)run->mutants[kind]);
	stacks_done(&run->stacks);
	process_close(run->process);
	free(run);
	return tap_done();
}
