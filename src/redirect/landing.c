/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "landing.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "mem.h"

enum { PAGE = 4096, LOWEST = 1 << 20 };

/* User space of every port reaches so far at least; a window may wrap round beyond it. */
static const uint64_t highest = (UINT64_C(1) << 47) - 2 * PAGE;

/* A stack grows down as far as it may; nobody looks before it does. */
static const uint64_t stack_room = UINT64_C(256) << 20;

static uint64_t page_of(uint64_t addr)
{
	return addr & ~(uint64_t)(PAGE - 1);
}

void landings_done(struct landings *landings)
{
	free(landings->taken);
	free(landings->pages);
	free(landings->landing);
	*landings = (struct landings){ 0 };
}

void landings_avoid(struct landings *landings, struct range range)
{
	*ARRAY_ADD(landings->taken, landings->nr_taken) = range;
}

static bool overlap(uint64_t start, uint64_t end, uint64_t start2, uint64_t end2)
{
	return start < end2 && start2 < end;
}

/* The page is one of ours already. */
static bool is_planned(const struct landings *landings, uint64_t page)
{
	for (size_t i = 0; i < landings->nr_pages; i++)
		if (page - landings->pages[i].start < landings->pages[i].size)
			return true;
	return false;
}

/* Behind the last thing that is in the way of a page, or page itself. */
static uint64_t next_free(const struct landings *landings, const struct process *process,
			  uint64_t page)
{
	const struct maps *maps = &process->maps;

	for (size_t i = 0; i < maps->nr; i++) {
		bool grows = !strncmp(maps->map[i].path, "[stack", 6);
		uint64_t start = maps->map[i].start - (grows ? stack_room : 0);

		if (overlap(page, page + PAGE, start, maps->map[i].end))
			page = maps->map[i].end;
	}
	for (size_t i = 0; i < landings->nr_taken; i++) {
		const struct range *r = &landings->taken[i];

		if (overlap(page, page + PAGE, r->start, r->start + r->size))
			page = r->start + r->size;
	}
	return page;
}

/* Behind the last landing that is in the way of one at addr, or addr itself. */
static uint64_t next_place(const struct landings *landings, uint64_t addr)
{
	bool moved = true;

	while (moved) {
		moved = false;
		for (size_t i = 0; i < landings->nr; i++) {
			uint64_t gate = landings->landing[i].gate;

			if (!overlap(addr, addr + LANDING_SIZE, gate, gate + LANDING_SIZE))
				continue;
			addr = gate + LANDING_SIZE;
			moved = true;
		}
	}
	return addr;
}

static bool is_usable(const struct landings *landings, const struct process *process,
		      uint64_t page)
{
	return is_planned(landings, page) || next_free(landings, process, page) == page;
}

/* The first place from first on whose pages are free or ours; 0 if there is none. */
static uint64_t find_place(const struct landings *landings, const struct process *process,
			   uint64_t first, uint64_t last)
{
	uint64_t at = next_place(landings, first < LOWEST ? LOWEST : first);

	while (at <= last && at < highest) {
		uint64_t page = page_of(at), end = page_of(at + LANDING_SIZE - 1);

		if (!is_usable(landings, process, page))
			at = next_free(landings, process, page);
		else if (!is_usable(landings, process, end))
			at = next_free(landings, process, end);
		else
			return at;
		at = next_place(landings, at);
	}
	return 0;
}

static void plan_page(struct landings *landings, uint64_t page)
{
	if (is_planned(landings, page))
		return;
	/* Neighbours are one mapping to the kernel, so they are one to us. */
	for (size_t i = 0; i < landings->nr_pages; i++) {
		struct range *r = &landings->pages[i];

		if (page != r->start + r->size && page + PAGE != r->start)
			continue;
		r->start = page < r->start ? page : r->start;
		r->size += PAGE;
		return;
	}
	*ARRAY_ADD(landings->pages, landings->nr_pages) = (struct range){ page, PAGE };
}

struct err *landings_add(struct landings *landings, const struct process *process,
			 uint64_t first, uint64_t last, uint64_t target,
			 const struct landing **landing)
{
	const struct arch *arch = process->arch;
	uint64_t at = find_place(landings, process, first, last);
	struct landing *new;

	if (!at)
		return err_new(ERR_UNSUPPORTED, "no-landing", "process %d has something else "
			       "at %#" PRIx64 " to %#" PRIx64 ", where alone a jump that "
			       "is written in one store could lead", process->pid, first,
			       last);
	new = ARRAY_ADD(landings->landing, landings->nr);
	new->gate = at;
	new->slot = (at + arch->stub_size + 7) & ~UINT64_C(7);
	arch->put_far_jump(new->bytes, at, new->slot);
	bytes_put(new->bytes + (new->slot - at), 8, target, arch->big_endian);
	plan_page(landings, page_of(at));
	plan_page(landings, page_of(at + LANDING_SIZE - 1));
	*landing = new;
	return NULL;
}
