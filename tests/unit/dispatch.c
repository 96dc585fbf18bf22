/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The dispatcher, run where it can be: every register, flag and word of the stack must
 * come through, whatever the table holds.
 */
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "arch.h"
#include "bytes.h"
#include "mem.h"
#include "tap.h"

static void test_windows(void)
{
	static const uint8_t old[] = { 0x41, 0x57, 0x41, 0x56, 0x41 };
	static const struct { unsigned nr_free; uint64_t first, last; } rows[] = {
		{ 1, 0x41564157, 0x41564157 },
		{ 2, 0x41564100, 0x415641ff },
		{ 3, 0x41560000, 0x4156ffff },
		{ 4, 0x41000000, 0x41ffffff },
		{ 5, (uint64_t)INT32_MIN, INT32_MAX },
	};
	uint64_t site = 0x555555550000, first, last;

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		uint8_t jump[5];

		arch_x86_64.jump_window(old, rows[i].nr_free, site, &first, &last);
		ok(first == site + 5 + rows[i].first && last == site + 5 + rows[i].last &&
		   arch_x86_64.put_jump(jump, site, first) &&
		   !memcmp(jump + rows[i].nr_free, old + rows[i].nr_free, 5 - rows[i].nr_free) &&
		   arch_x86_64.put_jump(jump, site, last) &&
		   !memcmp(jump + rows[i].nr_free, old + rows[i].nr_free, 5 - rows[i].nr_free),
		   "jumps with %u free bytes keep the others", rows[i].nr_free);
	}
}

#ifdef __x86_64__
enum { BITS = 4, PAIR = 0x100, INITIAL = 0x180, TABLE = 0x200, STUB = 0xa0, SIZE = 4096 };

/* What the stub leads to: ends the experiment, telling which one it was. */
struct state {
	uint64_t regs[15]; /* all but rsp, in the order of the saves below */
	uint64_t flags;
	uint64_t rsp;
};

extern struct state before, after;
extern uint64_t which, entry_rsp;
struct state before, after;
uint64_t which, entry_rsp;

/*
 * Loads every register from before, sets the flags, jumps to the stub in which; the
 * places that it leads to store all into after and come back.
 */
void run_stub(void *stub);
void first_place(void);
void second_place(void);
__asm__(
"	.pushsection .text\n"
"	.globl run_stub, first_place, second_place\n"
"run_stub:\n"
"	push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
"	mov %rdi, target(%rip)\n"
"	mov %rsp, entry_rsp(%rip)\n"
"	lea before(%rip), %rax\n"
"	push 120(%rax)\n"
"	popf\n"
"	mov 8(%rax), %rbx; mov 16(%rax), %rcx; mov 24(%rax), %rdx; mov 32(%rax), %rsi\n"
"	mov 40(%rax), %rdi; mov 48(%rax), %rbp; mov 56(%rax), %r8; mov 64(%rax), %r9\n"
"	mov 72(%rax), %r10; mov 80(%rax), %r11; mov 88(%rax), %r12; mov 96(%rax), %r13\n"
"	mov 104(%rax), %r14; mov 112(%rax), %r15; mov (%rax), %rax\n"
"	jmp *target(%rip)\n"
"first_place:\n"
"	movq $1, which(%rip)\n"
"	jmp store\n"
"second_place:\n"
"	movq $2, which(%rip)\n"
"store:\n"
"	mov %rsp, after+128(%rip)\n"
"	mov %rax, after(%rip); mov %rbx, after+8(%rip); mov %rcx, after+16(%rip)\n"
"	mov %rdx, after+24(%rip); mov %rsi, after+32(%rip); mov %rdi, after+40(%rip)\n"
"	mov %rbp, after+48(%rip); mov %r8, after+56(%rip); mov %r9, after+64(%rip)\n"
"	mov %r10, after+72(%rip); mov %r11, after+80(%rip); mov %r12, after+88(%rip)\n"
"	mov %r13, after+96(%rip); mov %r14, after+104(%rip); mov %r15, after+112(%rip)\n"
"	pushf\n"
"	pop after+120(%rip)\n"
"	cld\n"
"	mov entry_rsp(%rip), %rsp\n"
"	pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
"	ret\n"
"	.popsection\n"
"	.local target\n"
"	.comm target,8,8\n");

static uint64_t own_tp(void)
{
	uint64_t tp;

	__asm__("rdfsbase %0" : "=r"(tp));
	return tp;
}

static uint8_t *make(void)
{
	uint8_t *m = mmap(NULL, SIZE, PROT_READ | PROT_WRITE | PROT_EXEC,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t at = (uint64_t)(uintptr_t)m;
	struct arch_dispatch d = { at, at + TABLE, BITS, at + INITIAL };

	arch_x86_64.put_dispatcher(m, &d);
	arch_x86_64.put_dispatch_stub(m + STUB, at + STUB, at + PAIR, &d);
	bytes_put(m + PAIR, 8, (uint64_t)(uintptr_t)first_place, false);
	bytes_put(m + PAIR + 8, 8, (uint64_t)(uintptr_t)second_place, false);
	return m;
}

static void put_entry(uint8_t *m, uint64_t index, uint64_t key, uint64_t state)
{
	index &= (1 << BITS) - 1;
	bytes_put(m + TABLE + 16 * index, 8, key, false);
	bytes_put(m + TABLE + 16 * index + 8, 8, state, false);
}

/* Every arithmetic flag and the direction flag, both ways. */
static bool is_transparent(uint8_t *m, uint64_t want)
{
	static const uint64_t flags[] = { 0x202, 0x203, 0x206, 0x212, 0x242, 0x282, 0xa02,
					  0x602, 0xed7, 0x8d7, 0x6d7 };

	for (unsigned i = 0; i < ARRAY_SIZE(flags); i++) {
		for (unsigned r = 0; r < 15; r++)
			before.regs[r] = UINT64_C(0x0123456789abcdef) * (r + i + 3);
		before.flags = flags[i];
		which = 0;
		run_stub(m + STUB);
		if (which != want || memcmp(before.regs, after.regs, sizeof(before.regs)) ||
		    (after.flags & 0xcd5) != (flags[i] & 0xcd5) || after.rsp != entry_rsp)
			return false;
	}
	return true;
}

static void test_run(void)
{
	uint64_t key = own_tp() + 1, at = arch_x86_64.dispatch_hash(key, BITS);
	uint8_t *m = make();

	ok(is_transparent(m, 1), "not in the table: the initial state, old");
	m[INITIAL] = 1;
	ok(is_transparent(m, 2), "not in the table: the initial state, new");
	put_entry(m, at, key, 0);
	ok(is_transparent(m, 1), "in the table: old");
	put_entry(m, at, key, 1);
	m[INITIAL] = 0;
	ok(is_transparent(m, 2), "in the table: new");
	put_entry(m, at, key + 64, 0);
	ok(is_transparent(m, 1), "another thread is in its place");
	put_entry(m, at + 1, key, 1);
	ok(is_transparent(m, 2), "it is in the next place");
	for (unsigned i = 0; i < (1 << BITS) - 2; i++)
		put_entry(m, at + i, key + 64 + i, 0);
	put_entry(m, at + (1 << BITS) - 2, key, 1);
	put_entry(m, at + (1 << BITS) - 1, 0, 0);
	ok(is_transparent(m, 2), "the search goes round the table's end");
	put_entry(m, at + (1 << BITS) - 2, key + 640, 1);
	ok(is_transparent(m, 1), "and ends at a free place");
	munmap(m, SIZE);
}

/* A tentative state leads where it says and leaves a mark, which counts from then on. */
static void test_marks(void)
{
	uint64_t key = own_tp() + 1, at = arch_x86_64.dispatch_hash(key, BITS);
	uint8_t *m = make(), *state;

	for (uint8_t version = 0; version < 2; version++) {
		put_entry(m, at, key, version | ARCH_STATE_OPEN);
		state = m + TABLE + 16 * (at & ((1 << BITS) - 1)) + 8;
		ok(is_transparent(m, 1 + version) && state[1] == (version | ARCH_MARK) &&
		   state[0] == (version | ARCH_STATE_OPEN),
		   "tentative %u: decided, and marked", version);
		state[0] = !version;
		ok(is_transparent(m, 1 + version) && state[1] == (version | ARCH_MARK),
		   "the mark of %u counts instead of another state", version);
		state[1] = 0;
		ok(is_transparent(m, 2 - version) && !state[1], "without it the state counts");
	}
	munmap(m, SIZE);
}

/* Which way, and what mark, for a stack pointer of so many units from the one that is asked for. */
static void test_leaving(void)
{
	static const struct { int from; bool leaves; bool marks; const char *what; } rows[] = {
		{ -1000, false, false, "deeper: as its state says, and no mark" },
		{ -1, false, false, "a word deeper" },
		{ 0, true, true, "where it was called: the other version, and marked" },
		{ 1, false, true, "a word above: given up" },
		{ 1000, false, true, "further up: given up" },
	};
	uint64_t key = own_tp() + 1, at = arch_x86_64.dispatch_hash(key, BITS);
	uint8_t *m = make(), *state = m + TABLE + 16 * (at & ((1 << BITS) - 1)) + 8;

	for (unsigned i = 0; i < 2 * ARRAY_SIZE(rows); i++) {
		uint8_t from = i & 1, to = rows[i / 2].leaves ? !from : from;
		/* run_stub() is the caller, so to speak. */
		uint64_t sp, mark = rows[i / 2].marks ? to | ARCH_MARK : 0;

		put_entry(m, at, key, from);
		is_transparent(m, 1 + from);
		sp = entry_rsp + 8 - arch_x86_64.dispatch_depth;
		put_entry(m, at, key, from | ARCH_STATE_OPEN |
			  (sp / ARCH_SP_UNIT - (uint64_t)rows[i / 2].from) << 16);
		ok(is_transparent(m, 1 + to) && state[1] == mark &&
		   state[0] == (from | ARCH_STATE_OPEN), "leaving %u: %s", from, rows[i / 2].what);
	}
	munmap(m, SIZE);
}

static bool read_word(void *arg, uint64_t addr, uint64_t *word)
{
	*word = (uint64_t)ptrace(PTRACE_PEEKDATA, *(pid_t *)arg, (void *)addr, NULL);
	return true;
}

static struct regs regs_of(pid_t pid)
{
	struct regs regs = { 0 };

	ptrace(PTRACE_GETREGS, pid, NULL, regs.bytes);
	return regs;
}

static uint64_t get(const struct regs *regs, int col)
{
	return regs_get(&arch_x86_64, regs, (size_t)arch_x86_64.col_off[col]);
}

/* The row that says how it is at an offset: is everything where it says? */
static bool frame_is_true(pid_t pid, const struct regs *now, const struct regs *entry,
			  const struct arch_dispatch_row *row)
{
	const struct arch_dispatch_frame *frame = arch_x86_64.dispatch_frame;
	uint64_t cfa = regs_sp(&arch_x86_64, entry) + 8, word;

	if (regs_sp(&arch_x86_64, now) + row->depth + 8 != cfa)
		return false;
	for (unsigned i = 0; i < row->nr_saved; i++) {
		read_word(&pid, cfa + (uint64_t)frame->saved[i].off, &word);
		if (word != get(entry, frame->saved[i].col))
			return false;
	}
	return true;
}

/* One step of it: what is said of its frame, and that it can be put back to the entry. */
static bool step_is_right(pid_t pid, uint64_t m, const struct regs *entry, bool *undone)
{
	struct regs now = regs_of(pid);
	uint64_t pc = regs_pc(&arch_x86_64, &now);
	bool is_stub = pc >= m + STUB;
	uint64_t off = pc - (is_stub ? m + STUB : m);
	struct arch_undone how = { 0 };

	if (!frame_is_true(pid, &now, entry, arch_dispatch_row_at(&arch_x86_64, is_stub, off)))
		return false;
	*undone = arch_dispatch_undo(&arch_x86_64, &now, is_stub, off, &how, read_word, &pid);
	if (!*undone)
		return true;
	/* Who has not looked is not put back: it goes on from there, and will look. */
	if (!how.has_looked)
		return regs_sp(&arch_x86_64, &now) == regs_sp(&arch_x86_64, entry);
	regs_set(&arch_x86_64, &now, arch_x86_64.pc_off, m + STUB);
	return how.pair == m + PAIR &&
	       !memcmp(now.bytes, entry->bytes, sizeof(struct user_regs_struct));
}

/* Step by step through stub and dispatcher; false at the first that is wrong. */
static bool is_steppable(uint8_t *m, unsigned *nr_undone)
{
	uint64_t base = (uint64_t)(uintptr_t)m, pc = 0;
	struct regs entry = { 0 }, now;
	bool right = true, undone = false;
	pid_t pid = fork();
	int status;

	if (!pid) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		raise(SIGSTOP);
		before.flags = 0x8d7;
		run_stub(m + STUB);
		_exit(0);
	}
	while (waitpid(pid, &status, 0) == pid && WIFSTOPPED(status)) {
		now = regs_of(pid);
		pc = regs_pc(&arch_x86_64, &now);
		if (pc == base + STUB)
			entry = now;
		if (pc - base < TABLE && right) {
			right = step_is_right(pid, base, &entry, &undone);
			*nr_undone += undone;
			if (!right)
				printf("# at %#lx\n", (unsigned long)(pc - base));
		}
		ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL);
	}
	return right;
}

static void test_steps(void)
{
	uint64_t key = own_tp() + 1, at = arch_x86_64.dispatch_hash(key, BITS);
	uint8_t *m = make();
	static const char *const what[] = { "not in the table", "in the table", "tentative",
					    "leaving from further up", "in the next place" };

	for (unsigned i = 0; i < ARRAY_SIZE(what); i++) {
		unsigned nr = 0;
		bool right;

		if (i)
			put_entry(m, at + (i == 4), key, i < 2 ? 1 : ARCH_STATE_OPEN |
				  (i == 3 ? UINT64_C(0x100) << 16 : 0));
		if (i == 4)
			put_entry(m, at, key + 64, 0);
		right = is_steppable(m, &nr);
		ok(right && nr > 20, "%s: %u steps, each with its frame, undone",
		   what[i], nr);
	}
	munmap(m, SIZE);
}

static void step(pid_t pid)
{
	int status;

	ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL);
	waitpid(pid, &status, 0);
}

/* A child of ours so many steps behind the stub's beginning; *entry: how it was there. */
static pid_t stop_in_dispatcher(uint8_t *m, unsigned steps, struct regs *entry)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		raise(SIGSTOP);
		run_stub(m + STUB);
		_exit((int)which);
	}
	waitpid(pid, &status, 0);
	do {
		step(pid);
		*entry = regs_of(pid);
	} while (regs_pc(&arch_x86_64, entry) != (uint64_t)(uintptr_t)(m + STUB));
	while (steps--)
		step(pid);
	return pid;
}

/* Without the trap flag: after a popf the kernel takes its own for the program's. */
static void go_on_from(pid_t pid, const struct regs *regs)
{
	struct user_regs_struct copy;

	memcpy(&copy, regs->bytes, sizeof(copy));
	copy.eflags &= ~0x100ull;
	ptrace(PTRACE_SETREGS, pid, NULL, &copy);
}

static void poke(pid_t pid, uint8_t *at, uint64_t word)
{
	ptrace(PTRACE_POKEDATA, pid, at, (void *)(uintptr_t)word);
}

/* What the machine does with who stands in it: puts it back, or not, and writes its state. */
static int version_of_switched(uint8_t *m, unsigned steps, uint64_t key, bool *decided)
{
	uint64_t index = arch_x86_64.dispatch_hash(key, BITS) & ((1 << BITS) - 1), off;
	uint8_t *entry = m + TABLE + 16 * index;
	struct arch_undone how = { 0 };
	struct regs first, now;
	pid_t pid = stop_in_dispatcher(m, steps, &first);
	bool is_stub;
	int status;

	now = regs_of(pid);
	off = regs_pc(&arch_x86_64, &now) - (uint64_t)(uintptr_t)m;
	is_stub = off >= STUB;
	*decided = off >= TABLE || !arch_dispatch_undo(&arch_x86_64, &now, is_stub,
		   is_stub ? off - STUB : off, &how, read_word, &pid);
	if (*decided || !how.has_looked)
		first = regs_of(pid);
	go_on_from(pid, &first);
	poke(pid, entry + 8, 1);
	poke(pid, entry, key);
	ptrace(PTRACE_CONT, pid, NULL, NULL);
	waitpid(pid, &status, 0);
	return WEXITSTATUS(status);
}

/*
 * Its place is in front of where its search goes on: that of a thread that has ended, to which
 * another was next.  Whoever counts as undecided must come to what is written then.
 */
static void test_switched(void)
{
	uint64_t key = own_tp() + 1, at = arch_x86_64.dispatch_hash(key, BITS);
	uint8_t *m = make();
	unsigned steps = 0, nr_right = 0;
	bool decided;

	put_entry(m, at, 2, 0);
	put_entry(m, at + 1, key + 64, 0);
	for (;; steps++) {
		int version = version_of_switched(m, steps, key, &decided);

		if (decided)
			break;
		nr_right += version == 2;
	}
	ok(nr_right == steps && steps > 25, "switched at each of %u steps: %u come to the new",
	   steps, nr_right);
	munmap(m, SIZE);
}
#endif

int main(void)
{
	test_windows();
#ifdef __x86_64__
	test_run();
	test_marks();
	test_leaving();
	test_steps();
	test_switched();
#endif
	return tap_done();
}
