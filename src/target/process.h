/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A target process: its memory, its mappings, the files that it runs.
 *
 * Files are known by what is mapped, never by mere name: each is opened through
 * /proc/PID/map_files, so that a file that was deleted or replaced on disk, or
 * that lies in another mount namespace, is still the right one.
 */
#ifndef STITCH_TARGET_PROCESS_H
#define STITCH_TARGET_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "arch.h"
#include "err.h"
#include "maps.h"
#include "object.h"
#include "walk.h"

struct thread;

/* Where memory and files come from when the process is not a live one. */
struct process_source {
	void *arg;
	bool (*read)(void *arg, uint64_t addr, void *to, size_t size);
	struct err *(*open)(void *arg, const struct map *map, struct image **image);
	/* The mappings as they are now; NULL: they do not change. */
	struct err *(*maps)(void *arg, struct maps *maps);
};

/* Where the C library's block of a thread has what; id_below 0: not known (glance.h). */
struct tls_block {
	unsigned id_below;  /* bytes before the head of the list of robust mutexes */
	uint64_t tp_above;  /* the thread pointer, counted from that head */
	bool is_nested;     /* the IDs in memory are those of a namespace */
};

struct process {
	const struct process_source *source; /* NULL: it is live */
	pid_t pid;
	int mem_fd;           /* /proc/PID/mem */
	const struct arch *arch;
	char comm[17];
	uint64_t start_time;  /* clock ticks since boot: tells a pid used again */
	uint64_t start_stack; /* sp at the program's entry; 0: not told */
	uint64_t entry;       /* address of the program's entry (AT_ENTRY) */
	struct maps maps;
	struct object **objects; /* in order of address */
	size_t nr_objects;
	struct tls_block tls_block;
	unsigned generation;  /* goes up when an object is let go: what was known of its code */
	/* Ours, and stands in its own user mode: what needs a thread borrows this one. */
	struct thread *standing;
	pid_t lender;         /* the thread that was borrowed last; 0: none yet */
	/* How long it is tried to borrow a thread, if that is more than the least. */
	unsigned patience_ms;
	bool is_followed;     /* by this very program: nobody is asked to step aside */
	bool is_lazy;         /* objects are opened when an address in them is asked for */
	/* Files with code that could not be read, for the messages. */
	char *unreadable;
};

/*
 * Opens the process, not its threads: nothing is stopped or changed.
 * Errors: gone, not-permitted, kernel-thread, foreign-architecture, 32-bit.
 */
struct err *process_open(pid_t pid, struct process **process)
	__attribute__((warn_unused_result));
/*
 * The same for who only walks stacks: objects are opened by process_code_at(), so
 * that the cost is that of the few that are on the stacks.
 */
struct err *process_open_lazily(pid_t pid, struct process **process)
	__attribute__((warn_unused_result));
/*
 * A process out of a core file or a recording.  from has what is known of it (pid,
 * comm, start_stack, entry, its mappings, its port); the mappings are taken over.
 * source must outlive it.  Nothing can be written.
 */
struct process *process_from(const struct process_source *source,
			     const struct process *from);
void process_close(struct process *process);
void process_closep(struct process **process);
#define AUTO_PROCESS __attribute__((cleanup(process_closep)))

/* The mappings as they are now, for who needs no objects. */
struct err *process_read_maps(const struct process *process, struct maps *maps)
	__attribute__((warn_unused_result));
/* Reads the mappings and objects again; old struct object stay where they are. */
struct err *process_refresh(struct process *process) __attribute__((warn_unused_result));

/* All or nothing. Write works on read-only pages, too (copy-on-write). */
/* Its memory is no more: it has ended, or executes another program. */
bool process_is_gone(const struct process *process);
/* What to say then. */
struct err *process_gone(const struct process *process) __attribute__((warn_unused_result));
struct err *process_read(const struct process *process, uint64_t addr, void *to,
			 size_t size) __attribute__((warn_unused_result));
struct err *process_write(const struct process *process, uint64_t addr,
			  const void *from, size_t size)
	__attribute__((warn_unused_result));
bool process_try_read(const struct process *process, uint64_t addr, void *to,
		      size_t size);
struct err *process_read_word(const struct process *process, uint64_t addr,
			      uint64_t *word) __attribute__((warn_unused_result));
/* The same as a callback; arg is a const struct process. */
bool process_word_there(void *arg, uint64_t addr, uint64_t *word);

const struct object *process_object_at(const struct process *process, uint64_t addr);
const struct object *process_find_build_id(const struct process *process,
					   const void *id, size_t size);
/* The same of a build ID in hexadecimal. */
const struct object *process_find_build_id_hex(const struct process *process,
					       const char *hex);
const struct unwind_code *process_code_at(const struct process *process, uint64_t addr);
const struct object *process_program(const struct process *process);

/* Returns are held against a second stack, which nobody can write (arch_unwind.shadow_line). */
bool process_has_shadow_stack(const struct process *process);

#endif
