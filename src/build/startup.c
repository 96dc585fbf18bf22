/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "startup.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "mem.h"

enum { REGS = 64 };

struct call {
	uint64_t at;
	size_t callee;         /* number of a function; NONE: the call waits */
};

#define NONE ((size_t)-1)

struct loop {
	uint64_t start, end;   /* of its first and behind its last instruction */
	bool waits;
};

struct function {
	uint64_t start, end;
	const char *name;
	struct call *calls;
	size_t nr_calls;
	struct loop *loops;
	size_t nr_loops;
	bool is_taken;         /* its address is */
	bool waits;            /* in no loop of its own */
	bool is_live;          /* may run in a process that has started */
	bool is_start;         /* is reached from main */
};

struct graph {
	const struct image *image;
	struct function *functions; /* by start */
	size_t nr;
	struct reloc *relocs;       /* by off */
	size_t nr_relocs;
	size_t *todo, nr_todo;
};

/* ---- functions ---------------------------------------------------------------------- */

static int by_start(const void *a, const void *b)
{
	const struct function *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

static void collect_functions(struct graph *g)
{
	const struct symtab *tab = &g->image->symtab;
	size_t kept = 0;

	for (size_t i = 0; i < tab->nr; i++) {
		const struct symbol *sym = &tab->symbols[i];

		if ((sym->type == STT_FUNC || sym->type == STT_GNU_IFUNC) && sym->section &&
		    sym->section < g->image->nr_sections && sym->size)
			*ARRAY_ADD(g->functions, g->nr) = (struct function){
				.start = sym->value, .end = sym->value + sym->size,
				.name = sym->name };
	}
	if (g->nr)
		qsort(g->functions, g->nr, sizeof(*g->functions), by_start);
	for (size_t i = 0; i < g->nr; i++)
		if (!kept || g->functions[kept - 1].start != g->functions[i].start)
			g->functions[kept++] = g->functions[i];
	g->nr = kept;
}

/* The function that holds an address; NONE: none does. */
static size_t function_at(const struct graph *g, uint64_t addr)
{
	size_t low = 0, high = g->nr;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (g->functions[mid].start <= addr)
			low = mid + 1;
		else
			high = mid;
	}
	return low && addr < g->functions[low - 1].end ? low - 1 : NONE;
}

/* An address in the image is used for something else than a call of it. */
static void note_taken(struct graph *g, uint64_t addr)
{
	size_t n = function_at(g, addr);

	if (n != NONE && g->functions[n].start == addr)
		g->functions[n].is_taken = true;
}

/* ---- what the image imports ----------------------------------------------------------- */

static int by_off(const void *a, const void *b)
{
	const struct reloc *x = a, *y = b;

	return x->off < y->off ? -1 : x->off > y->off;
}

/* The name of the symbol whose address a slot gets; "" if it is none. */
static const char *name_of_slot(const struct graph *g, uint64_t slot)
{
	struct reloc like = { .off = slot };
	const struct reloc *reloc = !g->nr_relocs ? NULL :
		bsearch(&like, g->relocs, g->nr_relocs, sizeof(like), by_off);

	return reloc && reloc->symbol < g->image->dynsym.nr ?
	       g->image->dynsym.symbols[reloc->symbol].name : "";
}

/* Where a program waits for what it is there for; read(2) also reads files at the start. */
static bool is_wait(const char *name)
{
	static const char *const names[] = {
		"poll", "ppoll", "__poll_chk", "select", "pselect", "epoll_wait",
		"epoll_pwait", "epoll_pwait2", "accept", "accept4", "recv", "recvfrom",
		"recvmsg", "recvmmsg", "__recv_chk", "__recvfrom_chk", "sigwait",
		"sigwaitinfo", "sigtimedwait", "sigsuspend", "pause", "wait", "waitpid",
		"wait4", "waitid", "mq_receive", "mq_timedreceive", "msgrcv", "io_getevents",
		"fgets", "__fgets_chk", "getline", "getdelim", "pthread_join",
		"pthread_cond_wait", "pthread_cond_timedwait", "pthread_cond_clockwait",
		"sem_wait", "sem_timedwait", "sem_clockwait", "sleep", "usleep", "nanosleep",
		"clock_nanosleep", "thrd_sleep" };

	for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
		if (!strcmp(name, names[i]))
			return true;
	return false;
}

/* ---- calls ---------------------------------------------------------------------------- */

static void add_call(struct function *f, uint64_t at, size_t callee)
{
	*ARRAY_ADD(f->calls, f->nr_calls) = (struct call){ at, callee };
}

static void add_import(struct graph *g, struct function *f, uint64_t at, const char *name)
{
	const struct symbol *own;

	if (is_wait(name)) {
		add_call(f, at, NONE);
		return;
	}
	/* One of its own, by the table that other objects could redirect. */
	own = *name ? image_find_export(g->image, name, NULL) : NULL;
	if (own && function_at(g, own->value) != NONE)
		add_call(f, at, function_at(g, own->value));
}

static void add_target(struct graph *g, struct function *f, uint64_t at, uint64_t target)
{
	size_t n = function_at(g, target);
	const uint8_t *stub = n == NONE ? image_at(g->image, target, ARCH_STUB_MAX) : NULL;
	uint64_t slot;

	if (n != NONE)
		add_call(f, at, n);
	else if (stub && g->image->arch->stub_slot(stub, ARCH_STUB_MAX, target, &slot))
		add_import(g, f, at, name_of_slot(g, slot));
}

/* Two instructions may make one address: what the first of them left in a register. */
static void scan_address(struct graph *g, const struct insn *insn, uint64_t page[REGS])
{
	if (insn->is_page && insn->dst_reg >= 0 && insn->dst_reg < REGS)
		page[insn->dst_reg] = insn->mem;
	else if (insn->page_reg >= 0 && insn->page_reg < REGS && insn->is_sum &&
		 page[insn->page_reg])
		note_taken(g, page[insn->page_reg] + insn->low);
	else if (insn->is_pcrel)
		note_taken(g, insn->mem);
}

static void scan_insn(struct graph *g, struct function *f, uint64_t at,
		      const struct insn *insn, uint64_t page[REGS])
{
	bool is_call = insn->flow == FLOW_CALL;

	if (insn->is_direct && !is_call && insn->target >= f->start && insn->target < f->end) {
		if (insn->target <= at)
			*ARRAY_ADD(f->loops, f->nr_loops) = (struct loop){
				insn->target, at + insn->size, false };
	} else if (insn->is_direct) {
		add_target(g, f, at, insn->target);
	} else if (insn->is_pcrel && (is_call || insn->flow == FLOW_JUMP)) {
		add_import(g, f, at, name_of_slot(g, insn->mem));
	} else {
		scan_address(g, insn, page);
	}
}

static bool scan_function(struct graph *g, struct function *f)
{
	const struct arch *arch = g->image->arch;
	uint64_t page[REGS] = { 0 };

	for (uint64_t at = f->start; at < f->end;) {
		const uint8_t *code = image_at(g->image, at, 1);
		size_t left = (size_t)(f->end - at);
		struct insn insn;

		if (!code || !image_at(g->image, at, left) ||
		    !arch->decode(code, left, at, &insn))
			return false;
		scan_insn(g, f, at, &insn, page);
		at += insn.size;
	}
	return true;
}

/* Tables of functions; those that the dynamic linker calls have run. */
static void scan_data(struct graph *g)
{
	for (size_t i = 0; i < g->nr_relocs; i++) {
		const struct reloc *reloc = &g->relocs[i];
		const struct section *sec = image_section_at(g->image, reloc->off);

		if (sec && (sec->type == SHT_INIT_ARRAY || sec->type == SHT_FINI_ARRAY))
			continue;
		if (reloc->type == g->image->arch->rel_relative)
			note_taken(g, (uint64_t)reloc->addend);
		else if (reloc->type != g->image->arch->rel_jump_slot &&
			 reloc->symbol < g->image->dynsym.nr &&
			 g->image->dynsym.symbols[reloc->symbol].section)
			note_taken(g, g->image->dynsym.symbols[reloc->symbol].value +
				      (uint64_t)reloc->addend);
	}
}

/* ---- what waits ------------------------------------------------------------------------- */

/* Does the loop do anything but wait?  One that does not only repeats an interrupted call. */
static bool has_work(const struct function *f, const struct loop *loop)
{
	for (size_t i = 0; i < f->nr_calls; i++)
		if (f->calls[i].callee != NONE && f->calls[i].at >= loop->start &&
		    f->calls[i].at < loop->end)
			return true;
	return false;
}

/* The loops of f around a call that waits do; without one, f does. True: that is new. */
static bool note_wait(struct function *f, uint64_t at)
{
	bool in_loop = false, is_new = false;

	for (size_t i = 0; i < f->nr_loops; i++) {
		struct loop *loop = &f->loops[i];

		if (at < loop->start || at >= loop->end || !has_work(f, loop))
			continue;
		in_loop = true;
		is_new |= !loop->waits;
		loop->waits = true;
	}
	is_new |= !in_loop && !f->waits;
	f->waits |= !in_loop;
	return is_new;
}

static void find_waits(struct graph *g)
{
	for (bool more = true; more;) {
		more = false;
		for (size_t i = 0; i < g->nr; i++)
			for (size_t j = 0; j < g->functions[i].nr_calls; j++) {
				const struct call *call = &g->functions[i].calls[j];

				if (call->callee == NONE || g->functions[call->callee].waits)
					more |= note_wait(&g->functions[i], call->at);
			}
	}
}

/* ---- what is reached ------------------------------------------------------------------- */

static void reach(struct graph *g, size_t n, bool live)
{
	struct function *f = &g->functions[n];

	if (live ? f->is_live : f->is_start)
		return;
	if (live)
		f->is_live = true;
	else
		f->is_start = true;
	*ARRAY_ADD(g->todo, g->nr_todo) = n;
}

static void reach_all(struct graph *g, bool live)
{
	while (g->nr_todo) {
		const struct function *f = &g->functions[g->todo[--g->nr_todo]];

		for (size_t i = 0; i < f->nr_calls; i++)
			if (f->calls[i].callee != NONE)
				reach(g, f->calls[i].callee, live);
	}
}

static bool is_main(const struct function *f)
{
	return !strcmp(f->name, "main");
}

static void reach_live(struct graph *g)
{
	for (size_t i = 0; i < g->nr; i++) {
		const struct function *f = &g->functions[i];

		if (f->is_taken && !is_main(f))
			reach(g, i, true);
		for (size_t l = 0; l < f->nr_loops; l++)
			for (size_t c = 0; c < f->nr_calls && f->loops[l].waits; c++)
				if (f->calls[c].callee != NONE &&
				    f->calls[c].at >= f->loops[l].start &&
				    f->calls[c].at < f->loops[l].end)
					reach(g, f->calls[c].callee, true);
	}
	reach_all(g, true);
}

static void note_only(const struct graph *g, struct startup *startup)
{
	for (size_t i = 0; i < g->nr; i++)
		if (g->functions[i].is_start && !g->functions[i].is_live &&
		    !is_main(&g->functions[i]))
			*ARRAY_ADD(startup->only, startup->nr) = g->functions[i].start;
}

static bool scan(struct graph *g, size_t *main_number)
{
	const struct reloc *relocs;

	*main_number = NONE;
	collect_functions(g);
	err_free(image_dynamic_relocs(g->image, &relocs, &g->nr_relocs));
	g->relocs = mem_dup(relocs, g->nr_relocs * sizeof(*relocs));
	if (g->nr_relocs)
		qsort(g->relocs, g->nr_relocs, sizeof(*g->relocs), by_off);
	for (size_t i = 0; i < g->nr; i++) {
		if (is_main(&g->functions[i]))
			*main_number = i;
		if (!scan_function(g, &g->functions[i]))
			return false;
	}
	scan_data(g);
	return *main_number != NONE;
}

void startup_find(const struct image *image, struct startup *startup)
{
	struct graph g = { .image = image };
	size_t main_number;

	*startup = (struct startup){ 0 };
	if (image->type == ET_DYN && scan(&g, &main_number)) {
		find_waits(&g);
		reach_live(&g);
		reach(&g, main_number, false);
		reach_all(&g, false);
		note_only(&g, startup);
	}
	for (size_t i = 0; i < g.nr; i++) {
		free(g.functions[i].calls);
		free(g.functions[i].loops);
	}
	free(g.functions);
	free(g.relocs);
	free(g.todo);
}

void startup_done(struct startup *startup)
{
	free(startup->only);
	*startup = (struct startup){ 0 };
}

bool startup_has(const struct startup *startup, uint64_t vaddr)
{
	for (size_t i = 0; i < startup->nr; i++)
		if (startup->only[i] == vaddr)
			return true;
	return false;
}
