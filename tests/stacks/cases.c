/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Stacks of every kind, sound and spoilt: the program makes the one that it is asked
 * for and sleeps in it.
 *
 * usage: cases NAME
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include "library.h"

#define NOINLINE __attribute__((noinline))

static volatile int kept;

NOINLINE void rest(void)
{
	puts("ready");
	fflush(stdout);
	for (;;)
		pause();
}

NOINLINE int inner(void (*f)(void))
{
	f();
	return kept++;
}

NOINLINE int outer(void (*f)(void))
{
	return inner(f) + kept++;
}

/* ---- code without, and with wrong, call frame information ----------------------- */

void bare(void);
void aligning(void);
void lying(void);
__asm__(".text\n"
	".type bare,@function\nbare: push %rbx\n sub $32,%rsp\n call rest\n add $32,%rsp\n"
	" pop %rbx\n ret\n.size bare,.-bare\n"
	".type aligning,@function\naligning: push %rbx\n mov %rsp,%rbx\n and $-64,%rsp\n"
	" call rest\n mov %rbx,%rsp\n pop %rbx\n ret\n.size aligning,.-aligning\n"
	".type lying,@function\nlying: .cfi_startproc\n push $0\n call rest\n add $8,%rsp\n"
	" ret\n .cfi_endproc\n.size lying,.-lying\n");

/* ---- return addresses ------------------------------------------------------------ */

static uintptr_t spoil_to;
extern char end_of_start[];

/* Its own return address, one word above where its frame pointer points. */
NOINLINE __attribute__((optimize("no-omit-frame-pointer"))) void spoilt(void)
{
	uintptr_t *slot = (uintptr_t *)__builtin_frame_address(0) + 1;

	*slot = spoil_to;
	rest();
}

NOINLINE __attribute__((optimize("no-omit-frame-pointer"))) void spoilt_by_3(void)
{
	uintptr_t *slot = (uintptr_t *)__builtin_frame_address(0) + 1;

	*slot += 3;
	rest();
}

static uintptr_t my_return;

NOINLINE void note_return(void)
{
	my_return = (uintptr_t)__builtin_return_address(0);
}

NOINLINE int elsewhere(void)
{
	note_return();
	return kept++;
}

/* ---- other stacks ----------------------------------------------------------------- */

static ucontext_t back, there;
static char room[65536] __attribute__((aligned(16)));

static void on_context(void)
{
	rest();
}

NOINLINE void context(void)
{
	getcontext(&there);
	there.uc_stack.ss_sp = room;
	there.uc_stack.ss_size = sizeof(room);
	there.uc_link = &back;
	makecontext(&there, on_context, 0);
	swapcontext(&back, &there);
}

static void on_signal(int sig)
{
	(void)sig;
	rest();
}

static void raise_with(int flags, void *stack, size_t size)
{
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = flags };
	stack_t alt = { .ss_sp = stack, .ss_size = size };

	if (stack)
		sigaltstack(&alt, NULL);
	sigaction(SIGUSR1, &action, NULL);
	raise(SIGUSR1);
}

NOINLINE void plain_signal(void)
{
	raise_with(0, NULL, 0);
}

NOINLINE void alternate(void)
{
	raise_with(SA_ONSTACK, room, sizeof(room));
}

/* The alternate stack is an array in this very frame. */
NOINLINE void alternate_inside(void)
{
	char own[32768];

	raise_with(SA_ONSTACK, own, sizeof(own));
	kept += own[0];
}

/* Callbacks in the caller's frame: the callee has put another one in its own place. */
struct machine {
	void (*state)(struct machine *);
	int steps;
};

static void next_state(struct machine *m)
{
	m->steps++;
}

static NOINLINE void first_state(struct machine *m)
{
	m->state = next_state;
	rest();
	m->steps++;
}

static __attribute__((noipa)) int run_machine(void (*state)(struct machine *))
{
	struct machine m = { state, 0 };

	do {
		__asm__ volatile("" : "+m"(m)); /* so that it is read from there */
		m.state(&m);
	} while (m.steps < 10);
	return m.steps;
}

NOINLINE void callbacks(void)
{
	kept += run_machine(first_state);
}

/* push %rbx or push %rbp; mov %rsp,%rbp; call *%rdi; ... */
static const unsigned char jit_plain[] = { 0x53, 0xff, 0xd7, 0x5b, 0xc3 };
static const unsigned char jit_framed[] = { 0x55, 0x48, 0x89, 0xe5, 0xff, 0xd7, 0x5d, 0xc3 };

static void run_jit(const unsigned char *code, size_t size)
{
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	memcpy(page, code, size);
	((void (*)(void (*)(void)))page)(rest);
}

NOINLINE void jit(void)
{
	run_jit(jit_plain, sizeof(jit_plain));
}

NOINLINE void jit_frame_pointer(void)
{
	run_jit(jit_framed, sizeof(jit_framed));
}

static void *in_thread(void *arg)
{
	outer(rest);
	return arg;
}

NOINLINE void thread(void)
{
	pthread_t id;

	pthread_create(&id, NULL, in_thread, NULL);
	pthread_join(id, NULL);
}

static volatile int depth = 30000;

NOINLINE int deep(int n)
{
	volatile char frame[100];

	frame[n % 100] = 1;
	if (!n)
		rest();
	return deep(n - 1) + frame[0];
}

static void go_deep(void)
{
	deep(depth);
}

static void library(void)
{
	library_function(rest);
}

/* ---- the choice ------------------------------------------------------------------- */

static void spoil(uintptr_t to)
{
	spoil_to = to;
	outer(spoilt);
}

int main(int argc, char **argv)
{
	static const struct { const char *name; void (*f)(void); } rows[] = {
		{ "plain", rest }, { "bare", bare }, { "aligning", aligning }, { "lying", lying },
		{ "plus3", spoilt_by_3 }, { "context", context }, { "signal", plain_signal },
		{ "alternate", alternate }, { "alternate-inside", alternate_inside },
		{ "jit", jit }, { "jit-frame-pointer", jit_frame_pointer }, { "thread", thread },
		{ "deep", go_deep }, { "library", library }, { "callbacks", callbacks },
	};
	const char *name = argc > 1 ? argv[1] : "";

	elsewhere();
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (!strcmp(rows[i].name, name))
			outer(rows[i].f);
	if (!strcmp(name, "zero"))
		spoil(0);
	if (!strcmp(name, "other"))
		spoil(my_return);
	if (!strcmp(name, "address")) /* of an end marker, or whatever is asked for */
		spoil((uintptr_t)strtoull(argv[2], NULL, 16));
	if (!strcmp(name, "start"))
		spoil((uintptr_t)end_of_start);
	return 1;
}

/* A label in _start's own code would move it; its address is known from outside. */
extern void _start(void);
__asm__(".globl end_of_start\n.set end_of_start,_start+0x21\n");
