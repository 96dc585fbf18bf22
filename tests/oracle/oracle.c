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
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bytes.h"
#include "mem.h"
#include "peers.h"
#include "states.h"
#include "tap.h"
#include "threads.h"

enum { VISITS = 2, TABLE = 1 << 20, PEERS_EVERY = 8, REFRESH_EVERY = 50000, MAX_SHOWN = 8 };

struct run {
	pid_t pid;
	struct process *process;
	struct process_source source;
	struct record none;
	struct stacks stacks;
	struct state state;
	struct call calls[MAX_DEPTH];
	bool had_signal;
	uint8_t visits[TABLE];
	unsigned long steps;
	struct counts counts, peers[3];
	void *peer_state[3];
	FILE *recording;
	struct memory known;   /* what the recording has of the memory */
	char *maps;            /* and of the mappings */
	unsigned shown;
};

static const struct peer *const peers[] = { &peer_libunwind_cached, &peer_libunwind,
					    &peer_libdwfl };

static long step_ptrace(long request, pid_t pid, long data)
{
	return syscall(SYS_ptrace, request, pid, NULL, data);
}

/* ---- the recording ------------------------------------------------------------ */

static void put(struct run *run, char tag, const void *data, size_t size)
{
	uint32_t length = (uint32_t)size;

	fputc(tag, run->recording);
	fwrite(&length, sizeof(length), 1, run->recording);
	fwrite(data, 1, size, run->recording);
}

static void note_lines(struct run *run, uint64_t addr, const uint8_t *bytes, size_t size)
{
	for (uint64_t at = addr & ~(uint64_t)(LINE - 1); at < addr + size; at += LINE) {
		const struct line *old = memory_find(&run->known, at);
		struct line now = { .addr = at };

		if (at >= addr && at + LINE <= addr + size)
			memcpy(now.bytes, bytes + (at - addr), LINE);
		else if (pread(run->process->mem_fd, now.bytes, LINE, (off_t)at) != LINE)
			continue;
		if (old && !memcmp(old->bytes, now.bytes, LINE))
			continue;
		*memory_add(&run->known, at) = now;
		put(run, 'L', &now, sizeof(now));
	}
}

static bool read_memory(void *arg, uint64_t addr, void *to, size_t size)
{
	struct run *run = arg;
	struct iovec local = { to, size };
	struct iovec remote = { (void *)(uintptr_t)addr, size };

	if (process_vm_readv(run->pid, &local, 1, &remote, 1, 0) != (ssize_t)size)
		return false;
	if (run->recording && run->process)
		note_lines(run, addr, to, size);
	return true;
}

static struct err *open_file(void *arg, const struct map *map, struct image **image)
{
	struct run *run = arg;
	AUTO_FREE char *path = mem_fmt("/proc/%d/map_files/%" PRIx64 "-%" PRIx64,
				       (int)run->pid, map->start, map->end);

	return image_open_part(path, image);
}

static struct err *read_maps(void *arg, struct maps *maps)
{
	struct run *run = arg;
	char *text = NULL;
	struct err *err = maps_text(run->pid, &text);

	if (err)
		return err;
	if (run->recording && (!run->maps || strcmp(run->maps, text))) {
		free(run->maps);
		run->maps = mem_strdup(text);
		put(run, 'M', text, strlen(text));
	}
	return maps_parse(text, maps);
}

static void put_state(struct run *run)
{
	put(run, 'R', run->state.regs.bytes, sizeof(run->state.regs.bytes));
	put(run, 'S', run->calls, run->state.depth * sizeof(run->calls[0]));
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

	for (unsigned i = 0; i < ARRAY_SIZE(peers); i++) {
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
	reason = stacks_walk(&run->stacks, &run->state.regs, note, &seen);
	verdict = judge(&run->state, seen.pc, seen.nr, reason == UNWIND_OK);
	counts_add(&run->counts, verdict, reason);
	if (verdict == TRUNCATED || verdict == WRONG)
		show(run, verdict == WRONG ? "wrong" : "truncated", &seen);
	else if (verdict == REFUSED)
		show(run, unwind_reason_name(reason), &seen);
	if (run->recording)
		put_state(run);
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

static bool ended(struct err *err)
{
	err_free(err);
	return err != NULL;
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
	bool is_call;

	is_call = pread(run->process->mem_fd, code, sizeof(code), (off_t)pc) > 0 &&
		  arch->decode(code, sizeof(code), pc, &insn) && insn.flow == FLOW_CALL;
	run->had_signal = false;
	if (step_ptrace(PTRACE_SINGLESTEP, run->pid, 0) || !wait_step(run) ||
	    ended(thread_get_regs(arch, run->pid, regs)))
		return false;
	sp = regs_sp(arch, regs);
	while (run->state.depth && run->calls[run->state.depth - 1].slot < sp)
		run->state.depth--;
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
	uint8_t old, trap = 0xcc;
	struct regs *regs = &run->state.regs;
	const struct arch *arch = live->arch;

	if (ended(process_read(live, live->entry, &old, 1)) ||
	    ended(process_write(live, live->entry, &trap, 1)) ||
	    step_ptrace(PTRACE_CONT, run->pid, 0) || !wait_step(run) ||
	    ended(process_write(live, live->entry, &old, 1)) ||
	    ended(thread_get_regs(arch, run->pid, regs)))
		return false;
	regs_set(arch, regs, arch->pc_off, live->entry);
	return !ended(thread_set_regs(arch, run->pid, regs)) && !ended(process_refresh(live));
}

/* The same process, but what is read of it goes through our hands. */
static bool take_over(struct run *run, struct process *live)
{
	struct process from = { .arch = live->arch, .pid = run->pid, .entry = live->entry,
				.start_stack = live->start_stack };
	uint64_t words[] = { live->entry, live->start_stack };

	run->source = (struct process_source){ run, read_memory, open_file, read_maps };
	if (run->recording)
		put(run, 'P', words, sizeof(words));
	if (ended(read_maps(run, &from.maps)) ||
	    ended(process_from(&run->source, &from, &run->process)))
		return false;
	run->process->mem_fd = dup(live->mem_fd);
	return !ended(stacks_init(&run->stacks, run->process, &run->none));
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

static bool start(struct run *run, char **argv)
{
	AUTO_PROCESS struct process *live = NULL;

	run->pid = fork();
	if (!run->pid)
		become(argv);
	run->state.calls = run->calls;
	return wait_step(run) && !ended(process_open(run->pid, &live)) &&
	       run_to_entry(run, live) && take_over(run, live);
}

static void report(struct run *run, const char *program)
{
	const char *slash = strrchr(program, '/');

	printf("# %s: %lu steps\n", slash ? slash + 1 : program, run->steps);
	counts_print("stitch", &run->counts);
	for (unsigned i = 0; i < ARRAY_SIZE(peers); i++)
		counts_print(peers[i]->name, &run->peers[i]);
	ok(run->counts.states > 1000, "enough states");
	ok(!run->counts.truncated && !run->counts.wrong,
	   "nothing silently truncated or wrong");
}

int main(int argc, char **argv)
{
	struct run *run = mem_alloc(sizeof(*run));
	unsigned long max = argc > 3 ? strtoul(argv[2], NULL, 10) : 0;

	if (max && strcmp(argv[1], "-"))
		run->recording = fopen(argv[1], "we");
	if (!max || !start(run, argv + 3)) {
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
	if (run->recording)
		ok(!fclose(run->recording), "recorded");
	stacks_done(&run->stacks);
	process_close(run->process);
	memory_done(&run->known);
	free(run->maps);
	free(run);
	return tap_done();
}
