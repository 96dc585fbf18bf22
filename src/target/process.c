/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "process.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "bytes.h"
#include "mem.h"
#include "proc.h"

bool process_try_read(const struct process *process, uint64_t addr, void *to, size_t size)
{
	struct iovec local = { to, size };
	struct iovec remote = { (void *)(uintptr_t)addr, size };
	ssize_t got;

	if (process->source)
		return process->source->read(process->source->arg, addr, to, size);
	got = process_vm_readv(process->pid, &local, 1, &remote, 1, 0);
	if (got == (ssize_t)size)
		return true;
	/* Pages without read permission, and kernels without the call. */
	got = pread(process->mem_fd, to, size, (off_t)addr);
	return got == (ssize_t)size;
}

/* Of memory that nobody uses any more the file is at its end (fs/proc/base.c, mem_rw()). */
bool process_is_gone(const struct process *process)
{
	char byte;

	return !process->source && !pread(process->mem_fd, &byte, 1, 0);
}

struct err *process_gone(const struct process *process)
{
	return err_new(ERR_GONE, "gone", "process %d has ended, or executes another program",
		       process->pid);
}

struct err *process_read(const struct process *process, uint64_t addr, void *to,
			 size_t size)
{
	if (process_try_read(process, addr, to, size))
		return NULL;
	if (process_is_gone(process))
		return process_gone(process);
	return err_new(ERR_FAILED, "no-memory",
		       "process %d: %zu bytes at %#" PRIx64 " cannot be read",
		       process->pid, size, addr);
}

struct err *process_write(const struct process *process, uint64_t addr,
			  const void *from, size_t size)
{
	ssize_t done = pwrite(process->mem_fd, from, size, (off_t)addr);

	if (done == (ssize_t)size)
		return NULL;
	if (process_is_gone(process))
		return process_gone(process);
	return err_new(ERR_FAILED, "no-memory",
		       "process %d: %zu bytes at %#" PRIx64 " cannot be written",
		       process->pid, size, addr);
}

struct err *process_read_word(const struct process *process, uint64_t addr, uint64_t *word)
{
	uint8_t bytes[8];
	struct err *err = process_read(process, addr, bytes, sizeof(bytes));

	if (!err)
		*word = bytes_get(bytes, 8, process->arch->big_endian);
	return err;
}

bool process_word_there(void *arg, uint64_t addr, uint64_t *word)
{
	struct err *err = process_read_word(arg, addr, word);
	bool good = !err;

	err_free(err);
	return good;
}

/* comm, start time and start of the stack, fields 2, 22 and 28 of proc(5). */
static struct err *read_stat(struct process *process)
{
	char text[1024], *open, *close, *save = NULL, *word;

	if (!proc_text(process->pid, "stat", text, sizeof(text)))
		return err_sys(ESRCH, "process %d", process->pid);
	open = strchr(text, '(');
	close = strrchr(text, ')');
	if (!open || !close)
		return err_new(ERR_GONE, "gone", "process %d has ended", process->pid);
	*close = 0;
	snprintf(process->comm, sizeof(process->comm), "%s", open + 1);
	word = strtok_r(close + 1, " ", &save);
	for (int field = 3; word; field++, word = strtok_r(NULL, " ", &save)) {
		if (field == 22)
			process->start_time = strtoull(word, NULL, 10);
		if (field == 28)
			process->start_stack = strtoull(word, NULL, 10);
	}
	return NULL;
}

static void read_entry(struct process *process)
{
	AUTO_FREE char *path = mem_fmt("/proc/%d/auxv", (int)process->pid);
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
	uint64_t pairs[128];
	ssize_t got = fd >= 0 ? read(fd, pairs, sizeof(pairs)) : 0;

	for (ssize_t i = 0; i + 1 < got / 8 && pairs[i]; i += 2)
		if (pairs[i] == AT_ENTRY)
			process->entry = pairs[i + 1];
}

static void note_unreadable(struct process *process, const struct map *map, struct err *err)
{
	char *all = mem_fmt("%s%s%s (%s)", process->unreadable ? process->unreadable : "",
			    process->unreadable ? ", " : "", map->path, err->msg);

	free(process->unreadable);
	process->unreadable = all;
	err_free(err);
}

static bool has_object(const struct process *process, const struct map *map)
{
	const struct object *object = process_object_at(process, map->start);

	return object && object->inode == map->inode &&
	       object->dev_major == map->dev_major && object->dev_minor == map->dev_minor;
}

static int by_address(const void *a, const void *b)
{
	const struct object *const *x = a, *const *y = b;

	return (*x)->start < (*y)->start ? -1 : (*x)->start > (*y)->start;
}

static void drop_unmapped(struct process *process)
{
	size_t kept = 0;

	for (size_t i = 0; i < process->nr_objects; i++) {
		struct object *object = process->objects[i];
		const struct map *map = object->nr_code ?
			maps_find(&process->maps, object->code[0].start) : NULL;

		if (map && map->inode == object->inode && map->dev_major == object->dev_major &&
		    map->dev_minor == object->dev_minor) {
			process->objects[kept++] = object;
			continue;
		}
		object_free(object);
		process->generation++;
	}
	/* ARRAY_ADD needs its capacity to follow from the count. */
	struct object **same = NULL;
	size_t nr = 0;

	for (size_t i = 0; i < kept; i++)
		*ARRAY_ADD(same, nr) = process->objects[i];
	free(process->objects);
	process->objects = same;
	process->nr_objects = nr;
}

static bool is_object(const struct map *map)
{
	return map->exec && (map->inode || !strcmp(map->path, "[vdso]"));
}

static bool is_entry(const struct process *process, const struct map *map)
{
	return process->entry >= map->start && process->entry < map->end;
}

static void add_object(struct process *process, struct map *map)
{
	struct object *object;
	struct err *err = object_open(process, map, &object);

	map->tried = true;
	if (err) {
		note_unreadable(process, map, err);
		return;
	}
	*ARRAY_ADD(process->objects, process->nr_objects) = object;
	qsort(process->objects, process->nr_objects, sizeof(*process->objects), by_address);
}

/* Opens what is mapped and not open yet; of a lazy process only the program. */
static void open_objects(struct process *process)
{
	for (size_t i = 0; i < process->maps.nr; i++) {
		struct map *map = &process->maps.map[i];

		if (is_object(map) && !has_object(process, map) &&
		    (!process->is_lazy || is_entry(process, map)))
			add_object(process, map);
	}
}

struct err *process_read_maps(const struct process *process, struct maps *maps)
{
	return process->source ? process->source->maps(process->source->arg, maps) :
				 maps_read(process->pid, maps);
}

struct err *process_refresh(struct process *process)
{
	struct maps maps;
	struct err *err;

	if (process->source && !process->source->maps)
		return NULL;
	if ((err = process_read_maps(process, &maps)))
		return err;
	maps_done(&process->maps);
	process->maps = maps;
	drop_unmapped(process);
	free(process->unreadable);
	process->unreadable = NULL;
	open_objects(process);
	return NULL;
}

struct process *process_from(const struct process_source *source,
			     const struct process *from)
{
	struct process *process = mem_dup(from, sizeof(*from));

	process->source = source;
	process->mem_fd = -1;
	process->is_lazy = true;
	open_objects(process);
	return process;
}

static struct err *check_permission(pid_t pid, int error)
{
	if (error == EPERM || error == EACCES)
		return err_new(ERR_UNSUPPORTED, "not-permitted",
			       "process %d may not be traced: run as root or with "
			       "CAP_SYS_PTRACE", (int)pid);
	if (error == ESRCH && !kill(pid, 0))
		return err_new(ERR_UNSUPPORTED, "no-program", "process %d runs no program: a "
			       "kernel thread, or one that has just ended", (int)pid);
	return err_sys(error == ENOENT ? ESRCH : error, "process %d", (int)pid);
}

static struct err *load(struct process *process)
{
	AUTO_FREE char *path = mem_fmt("/proc/%d/mem", (int)process->pid);
	const struct object *program;
	struct err *err;

	if ((err = read_stat(process)))
		return err;
	process->mem_fd = open(path, O_RDWR | O_CLOEXEC);
	if (process->mem_fd < 0)
		return check_permission(process->pid, errno);
	read_entry(process);
	err = process_refresh(process);
	if (err_is_gone(err)) {
		err_free(err);
		return check_permission(process->pid, ESRCH);
	}
	if (err)
		return err;
	program = process_program(process);
	if (!program)
		return err_new(ERR_UNSUPPORTED, "no-program",
			       "process %d: its program cannot be read%s%s%s", process->pid,
			       process->unreadable ? ": " : "",
			       process->unreadable ? process->unreadable : "",
			       geteuid() ? "; a file that was deleted or replaced is read as "
					   "root only, or with CAP_CHECKPOINT_RESTORE" : "");
	process->arch = program->image->arch;
	if (process->arch != arch_host())
		return err_new(ERR_UNSUPPORTED, "foreign-architecture",
			       "process %d runs %s code", process->pid,
			       process->arch->name);
	return NULL;
}

static struct err *open_process(pid_t pid, bool is_lazy, struct process **result)
{
	struct process *process = mem_alloc(sizeof(*process));
	struct err *err;

	process->pid = pid;
	process->is_lazy = is_lazy;
	process->mem_fd = -1;
	err = load(process);
	if (err)
		process_close(process);
	else
		*result = process;
	return err;
}

struct err *process_open(pid_t pid, struct process **result)
{
	return open_process(pid, false, result);
}

struct err *process_open_lazily(pid_t pid, struct process **result)
{
	return open_process(pid, true, result);
}

void process_close(struct process *process)
{
	if (!process)
		return;
	for (size_t i = 0; i < process->nr_objects; i++)
		object_free(process->objects[i]);
	free(process->objects);
	free(process->unreadable);
	maps_done(&process->maps);
	if (process->mem_fd >= 0)
		close(process->mem_fd);
	free(process);
}

void process_closep(struct process **process)
{
	process_close(*process);
}

const struct object *process_object_at(const struct process *process, uint64_t addr)
{
	const struct object *found = NULL;

	/* Between an object's segments there may be room, and another one in it: arm64's
	 * vDSO is inside the dynamic linker.  The smallest is meant. */
	for (size_t i = 0; i < process->nr_objects; i++) {
		const struct object *object = process->objects[i];

		if (addr >= object->start && addr < object->end &&
		    (!found || object->end - object->start < found->end - found->start))
			found = object;
	}
	return found;
}

const struct object *process_find_build_id(const struct process *process,
					   const void *id, size_t size)
{
	for (size_t i = 0; i < process->nr_objects; i++)
		if (image_has_build_id(process->objects[i]->image, id, size))
			return process->objects[i];
	return NULL;
}

/* An object that a lazy process has not opened yet; NULL if there is none. */
static const struct object *open_at(struct process *process, uint64_t addr)
{
	struct map *map = (struct map *)(uintptr_t)maps_find(&process->maps, addr);

	if (!map || map->tried || !is_object(map))
		return NULL;
	add_object(process, map);
	return process_object_at(process, addr);
}

const struct object *process_find_build_id_hex(const struct process *process,
					       const char *hex)
{
	uint8_t id[64];
	size_t size = strlen(hex) / 2;

	return size <= sizeof(id) && bytes_from_hex(hex, id, size) ?
	       process_find_build_id(process, id, size) : NULL;
}

const struct unwind_code *process_code_at(const struct process *process, uint64_t addr)
{
	const struct object *object = process_object_at(process, addr);

	if (!object && process->is_lazy)
		object = open_at((struct process *)(uintptr_t)process, addr);

	for (size_t i = 0; object && i < object->nr_code; i++)
		if (addr >= object->code[i].start && addr < object->code[i].end)
			return &object->code[i];
	return NULL;
}

const struct object *process_program(const struct process *process)
{
	for (size_t i = 0; i < process->nr_objects; i++)
		if (process->objects[i]->is_program)
			return process->objects[i];
	return NULL;
}

bool process_has_shadow_stack(const struct process *process)
{
	const struct arch_unwind *unwind = process->arch->unwind;
	char text[256];

	/* Of the first thread: the C library decides for all of them at the start. */
	return unwind->shadow_line &&
	       proc_status_text(process->pid, unwind->shadow_line, text, sizeof(text)) &&
	       strstr(text, unwind->shadow_word);
}
