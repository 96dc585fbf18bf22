/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Any bytes as a core file; what can be opened is walked. */
#include <stdlib.h>
#include <unistd.h>
#include <sys/mman.h>

#include "core.h"
#include "fuzz.h"
#include "mem.h"
#include "stacks.h"

static bool consume(void *arg, const struct unwind_frame *frame)
{
	(void)frame;
	return ++*(unsigned *)arg < 10000;
}

static void walk_all(struct core *core)
{
	struct record none = { 0 };
	struct stacks stacks;
	struct err *err = stacks_init(&stacks, core->process, &none);

	for (size_t i = 0; i < core->nr_threads && i < 8 && !err; i++) {
		unsigned frames = 0;
		bool beyond;

		stacks_take(&stacks, &core->threads[i].regs);
		stacks_walk_taken(&stacks, &core->threads[i].regs, consume, &frames, &beyond);
	}
	if (!err)
		stacks_done(&stacks);
	err_free(err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fd = memfd_create("core", MFD_CLOEXEC);
	AUTO_FREE char *path = mem_fmt("/proc/self/fd/%d", fd);
	struct core *core = NULL;
	struct err *err;

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	err = core_open(path, &core);
	if (!err)
		walk_all(core);
	err_free(err);
	core_close(core);
	close(fd);
	return 0;
}
