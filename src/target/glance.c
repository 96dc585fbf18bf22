/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "glance.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "mem.h"
#include "proc.h"

enum {
	HEAD_SPAN = 64,        /* of a block before its list: the thread's ID is in it */
	MAX_BLOCK = 1 << 16,   /* no thread pointer is farther from it */
};

void glance_done(struct glance *last)
{
	if (last->tid)
		close(last->fd);
	*last = (struct glance){ 0 };
}

static bool open_last(struct glance *last, pid_t tid)
{
	AUTO_FREE char *path = mem_fmt("/proc/%d/schedstat", (int)tid);

	glance_done(last);
	last->fd = open(path, O_RDONLY | O_CLOEXEC);
	last->tid = last->fd < 0 ? 0 : tid;
	return last->tid;
}

/* What is open is the thread's, not its number's: it is empty when that one has gone. */
bool glance_count(struct glance *last, pid_t tid, uint64_t *count)
{
	char text[96];
	ssize_t got;

	if (last->tid != tid && !open_last(last, tid))
		return false;
	got = pread(last->fd, text, sizeof(text) - 1, 0);
	text[got > 0 ? got : 0] = 0;
	/* A kernel that does not count says 0, always (fs/proc/base.c, sched_info_on()). */
	if (sscanf(text, "%*u %*u %" SCNu64, count) == 1 && *count)
		return true;
	glance_done(last);
	return false;
}

bool glance_regs(const struct process *process, pid_t tid, uint64_t tp, struct regs *regs)
{
	const struct arch *arch = process->arch;
	char text[256], *end;
	uint64_t sp, pc;

	/* "running" is no number; -1 is no system call, but a fault, say. */
	if (!proc_text(tid, "syscall", text, sizeof(text)) || strtol(text, &end, 10) < 0 ||
	    sscanf(end, " %*x %*x %*x %*x %*x %*x %" SCNx64 " %" SCNx64, &sp, &pc) != 2)
		return false;
	*regs = (struct regs){ .is_partial = true };
	regs_set(arch, regs, arch->pc_off, pc);
	regs_set(arch, regs, arch->sp_off, sp);
	regs_set(arch, regs, arch->tp_off, tp);
	return true;
}

/* Its ID in the innermost namespace, which is the one that its own memory has. */
static pid_t own_id(pid_t tid)
{
	char text[256], *word;

	if (!proc_status_text(tid, "NSpid", text, sizeof(text)))
		return tid;
	word = strrchr(text, '\t');
	return word ? (pid_t)strtol(word, NULL, 10) : tid;
}

static uint64_t robust_list(pid_t tid)
{
	uint64_t head = 0;
	size_t size = 0;

	return syscall(SYS_get_robust_list, tid, &head, &size) ? 0 : head;
}

bool glance_tp(const struct process *process, pid_t tid, uint64_t *tp)
{
	const struct tls_block *block = &process->tls_block;
	uint64_t head = block->id_below ? robust_list(tid) : 0;
	int32_t id;

	if (!head || !process_try_read(process, head - block->id_below, &id, sizeof(id)) ||
	    id != (block->is_nested ? own_id(tid) : tid))
		return false;
	*tp = head + block->tp_above;
	return true;
}

void glance_learn(struct process *process, pid_t tid, uint64_t tp)
{
	struct tls_block *block = &process->tls_block;
	uint64_t head = block->id_below ? 0 : robust_list(tid);
	uint8_t before[HEAD_SPAN];
	int32_t id;
	pid_t own;

	if (!head || !tp || tp - head + MAX_BLOCK > 2 * MAX_BLOCK ||
	    !process_try_read(process, head - HEAD_SPAN, before, HEAD_SPAN))
		return;
	own = own_id(tid);
	for (unsigned below = 4; below <= HEAD_SPAN; below += 4) {
		memcpy(&id, before + HEAD_SPAN - below, sizeof(id));
		if (id != own)
			continue;
		*block = (struct tls_block){ below, tp - head, own != tid };
		return;
	}
}
