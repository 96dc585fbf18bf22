/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "children.h"
#include "callbacks.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "event.h"
#include "mem.h"
#include "pids.h"

enum { MAX_ROUNDS = 20 }; /* children of children of children */

static bool stat_exe(pid_t pid, struct stat *st)
{
	AUTO_FREE char *path = mem_fmt("/proc/%d/exe", (int)pid);

	return !stat(path, st);
}

/* The child's unfinished patch, if it has it: its state. */
static bool find_state(pid_t pid, const struct children_of *of, enum patch_state *state)
{
	AUTO_PROCESS struct process *process = NULL;
	struct record record = { 0 };
	struct err *err = process_open(pid, &process);
	bool found = false;

	if (!err)
		err = record_read(process, &record);
	for (size_t i = 0; !err && i < record.nr_patches; i++) {
		const struct record_patch *patch = record.patches[i];

		if (strcmp(patch->name, of->name) || patch->parts[0].arena.start != of->arena ||
		    patch->state == PATCH_RETAINED ||
		    (patch->state == PATCH_APPLIED && !patch->dispatch &&
		     !callbacks_are_open(patch)))
			continue;
		*state = patch->state;
		found = true;
	}
	err_free(err);
	record_done(&record);
	return found;
}

static struct err *bring_on(pid_t pid, const struct children_of *of, enum patch_state state,
			    const struct apply_options *options)
{
	AUTO_PROCESS struct process *process = NULL;
	struct apply_result result;
	struct err *err = process_open(pid, &process);

	if (err)
		return err;
	if (!of->applied)
		return apply_revert(process, of->name, options, &result);
	switch (state) {
	case PATCH_ENABLING:
	case PATCH_APPLIED:
		return apply_resume(process, options, &result);
	case PATCH_DISABLING:
		return apply_cancel(process, options, &result);
	default:
		/* Made before the transition began, or after it was as good as reversed. */
		return of->slp ? apply_patch(process, of->slp, options, &result) :
				 apply_resume(process, options, &result);
	}
}

/* A child that executes another program has nothing of it any more. */
static bool runs_the_same(pid_t pid, const struct stat *parent)
{
	struct stat st;

	return stat_exe(pid, &st) && st.st_ino == parent->st_ino &&
	       st.st_dev == parent->st_dev;
}

/* A child of vfork has its parent's memory, and no end of its own to come to. */
static bool is_behind(pid_t pid, const struct children_of *of, const struct stat *parent,
		      enum patch_state *state)
{
	return runs_the_same(pid, parent) && !thread_shares_memory(of->pid, pid) &&
	       find_state(pid, of, state);
}

/* One turn over all processes; what may stay behind in one that was seen is not tried again. */
static struct err *one_round(const struct children_of *of, const struct apply_options *options,
			     struct pids *seen)
{
	struct stat parent;
	DIR *dir = stat_exe(of->pid, &parent) ? opendir("/proc") : NULL;
	struct err *first = NULL;
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
		enum patch_state state;
		struct err *err;

		if (pid <= 0 || pid == of->pid || pids_has(seen, pid) ||
		    !is_behind(pid, of, &parent, &state))
			continue;
		pids_add(seen, pid);
		event("child pid=%d patch=%s", (int)pid, of->name);
		err = bring_on(pid, of, state, options);
		/* One that ends, or executes another program, fails in one of many ways. */
		if (err && !first && !err_is_gone(err) && is_behind(pid, of, &parent, &state))
			first = err;
		else
			err_free(err);
	}
	if (dir)
		closedir(dir);
	return first;
}

struct err *children_bring_on(const struct children_of *of, const struct apply_options *options,
			      size_t *nr)
{
	AUTO_PIDS struct pids seen = { 0 };
	struct err *err = NULL;

	for (unsigned round = 0; round < MAX_ROUNDS && !err; round++) {
		size_t before = seen.nr;

		err = one_round(of, options, &seen);
		if (seen.nr == before)
			break;
	}
	*nr += seen.nr;
	return err_wrap(err, "a child of process %d", (int)of->pid);
}
