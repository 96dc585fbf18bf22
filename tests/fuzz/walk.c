/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Any stack under real code: this program's own, with its CFI.  The input is
 * the registers and the stack; no walk may crash, hang or read elsewhere.
 */
#include <elf.h>
#include <link.h>
#include <string.h>

#include "fuzz.h"
#include "image.h"
#include "mem.h"
#include "walk.h"

enum { STACK = 0x700000 };

static const uint8_t *stack;
static size_t stack_size;
static struct image *self;
static struct unwind_code code;

static bool read_mem(void *arg, uint64_t addr, void *to, size_t size)
{
	(void)arg;
	if (addr < STACK || addr - STACK > stack_size || size > stack_size - (addr - STACK))
		return false;
	memcpy(to, stack + (addr - STACK), size);
	return true;
}

static const uint8_t *bytes_of(const struct unwind_code *c, uint64_t addr, size_t size)
{
	(void)c;
	return image_at(self, addr, size);
}

static const struct unwind_code *find_code(void *arg, uint64_t addr, enum unwind_reason *why)
{
	(void)arg, (void)why;
	return addr >= code.start && addr < code.end ? &code : NULL;
}

static bool is_end(void *arg, const struct unwind_frame *last)
{
	(void)arg, (void)last;
	return true;
}

static bool consume(void *arg, const struct unwind_frame *frame)
{
	(void)frame;
	return ++*(unsigned *)arg < 100000;
}

static void load_self(void)
{
	const struct section *eh, *hdr, *text;

	err_free(image_open("/proc/self/exe", &self));
	eh = image_find_section(self, ".eh_frame");
	hdr = image_find_section(self, ".eh_frame_hdr");
	text = image_find_section(self, ".text");
	code = (struct unwind_code){ .name = "self", .start = text->vaddr,
		.end = text->vaddr + text->size, .bytes = bytes_of,
		.eh = { eh->data, eh->size, eh->vaddr, false, hdr->data, hdr->size,
			hdr->vaddr } };
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct unwinder u = { .arch = arch_host(), .read = read_mem, .find_code = find_code,
			      .is_end = is_end };
	struct regs regs = { .shadow = 0 };
	unsigned frames = 0;
	uint64_t pc = 0;

	if (!self)
		load_self();
	if (size < 8)
		return 0;
	memcpy(&pc, data, 8);
	stack = data;
	stack_size = size;
	/* Addresses of the text, so that walks get somewhere. */
	regs_set(u.arch, &regs, u.arch->pc_off, code.start + pc % (code.end - code.start));
	for (unsigned i = 0; i < u.arch->nr_cols; i++)
		if (u.arch->col_off[i] >= 0 && (size_t)u.arch->col_off[i] != u.arch->pc_off)
			regs_set(u.arch, &regs, (size_t)u.arch->col_off[i],
				 STACK + (data[i % size] & ~7u));
	unwind_walk(&u, &regs, consume, &frames);
	return 0;
}
