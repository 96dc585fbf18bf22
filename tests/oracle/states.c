/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "states.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mem.h"

static struct line *find(const struct memory *m, uint64_t addr)
{
	size_t i = (size_t)((addr / LINE) * UINT64_C(0x9e3779b97f4a7c15) >> 20) % m->cap;

	while (m->lines[i].addr && m->lines[i].addr != addr)
		i = (i + 1) % m->cap;
	return &m->lines[i];
}

struct line *memory_find(const struct memory *m, uint64_t addr)
{
	struct line *line = m->cap ? find(m, addr) : NULL;

	return line && line->addr ? line : NULL;
}

static void grow(struct memory *m)
{
	struct memory wider = { mem_alloc((m->cap ? 2 * m->cap : 4096) * sizeof(*m->lines)),
				m->nr, m->cap ? 2 * m->cap : 4096 };

	for (size_t i = 0; i < m->cap; i++)
		if (m->lines[i].addr)
			*find(&wider, m->lines[i].addr) = m->lines[i];
	free(m->lines);
	*m = wider;
}

struct line *memory_add(struct memory *m, uint64_t addr)
{
	struct line *line;

	if (m->nr * 2 >= m->cap)
		grow(m);
	line = find(m, addr);
	m->nr += !line->addr;
	line->addr = addr;
	return line;
}

void memory_done(struct memory *m)
{
	free(m->lines);
	*m = (struct memory){ 0 };
}

enum verdict judge(const struct state *state, const uint64_t *pc, unsigned nr, bool done)
{
	unsigned same = 1;

	while (same < nr && same <= state->depth &&
	       pc[same] == state->calls[state->depth - same].ra)
		same++;
	if (!done)
		return REFUSED;
	if (nr == state->depth + 1 && same == nr)
		return RIGHT;
	return same == nr ? TRUNCATED : WRONG;
}

void counts_add(struct counts *counts, enum verdict verdict, enum unwind_reason reason)
{
	unsigned long *of[] = { &counts->right, &counts->refused, &counts->truncated,
				&counts->wrong };

	counts->states++;
	++*of[verdict];
	if (verdict == REFUSED)
		counts->reasons[reason]++;
}

void counts_print(const char *who, const struct counts *c)
{
	double all = c->states ? (double)c->states / 100 : 1;

	printf("# %-18s %7lu states  right %8.3f %%  refused %6.3f %%  truncated %6.3f %%  "
	       "wrong %6.3f %%", who, c->states, (double)c->right / all,
	       (double)c->refused / all, (double)c->truncated / all, (double)c->wrong / all);
	for (unsigned i = 1; i < ARRAY_SIZE(c->reasons); i++)
		if (c->reasons[i])
			printf("  %s %lu", unwind_reason_name((enum unwind_reason)i),
			       c->reasons[i]);
	printf("\n");
}
