/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A core file as a process: its mappings (NT_FILE and the segments), its memory as
 * far as it was written, its threads (NT_PRSTATUS).  Files are opened by the names
 * in it and used only if their build ID is that of the code that was running, as
 * the first page of each mapping shows it.
 */
#ifndef STITCH_TARGET_CORE_H
#define STITCH_TARGET_CORE_H

#include "process.h"

struct core_thread {
	pid_t tid;
	struct regs regs;
};

struct core {
	struct image *image;
	struct process_source source;
	struct process *process;
	struct core_thread *threads; /* the one that died first */
	size_t nr_threads;
	/* private */
	const struct maps *maps;
	const uint8_t *auxv;
	size_t auxv_size;
	char comm[17];
};

/* Errors: bad-elf, bad-core, unknown-architecture. */
struct err *core_open(const char *path, struct core **core)
	__attribute__((warn_unused_result));
void core_close(struct core *core);
void core_closep(struct core **core);
#define AUTO_CORE __attribute__((cleanup(core_closep)))

#endif
