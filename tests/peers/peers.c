/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "peers.h"

#include <elfutils/libdwfl.h>
#include <libunwind-ptrace.h>
#include <stdlib.h>

/* ---- libunwind --------------------------------------------------------------- */

static void *unw_open(unw_caching_policy_t caching)
{
	unw_addr_space_t space = unw_create_addr_space(&_UPT_accessors, 0);

	unw_set_caching_policy(space, caching);
	return space;
}

static void *unw_open_plain(pid_t pid)
{
	(void)pid;
	return unw_open(UNW_CACHE_NONE);
}

static void *unw_open_cached(pid_t pid)
{
	(void)pid;
	return unw_open(UNW_CACHE_GLOBAL);
}

/* What the library keeps for a thread, kept here as a debugger would. */
static void *thread_info(pid_t tid)
{
	static struct { pid_t tid; void *info; } known[4096];
	static unsigned nr;

	for (unsigned i = 0; i < nr; i++)
		if (known[i].tid == tid)
			return known[i].info;
	if (nr == 4096)
		nr = 0;
	known[nr].tid = tid;
	known[nr].info = _UPT_create(tid);
	return known[nr++].info;
}

static void unw_walk(void *state, pid_t tid, struct peer_trace *trace)
{
	unw_cursor_t cursor;
	unw_word_t pc;
	int more;

	trace->nr = 0;
	trace->complete = false;
	if (unw_init_remote(&cursor, state, thread_info(tid)))
		return;
	do {
		if (unw_get_reg(&cursor, UNW_REG_IP, &pc) || trace->nr == PEER_MAX_FRAMES)
			return;
		trace->pc[trace->nr++] = pc;
		more = unw_step(&cursor);
	} while (more > 0);
	trace->complete = more == 0;
}

static void unw_close(void *state)
{
	unw_destroy_addr_space(state);
}

const struct peer peer_libunwind = { "libunwind", unw_open_plain, unw_walk, unw_close };
const struct peer peer_libunwind_cached = { "libunwind, cached", unw_open_cached, unw_walk,
					    unw_close };

/* ---- libdwfl ------------------------------------------------------------------ */

static char *no_debuginfo = NULL;

static const Dwfl_Callbacks callbacks = {
	.find_elf = dwfl_linux_proc_find_elf,
	.find_debuginfo = dwfl_standard_find_debuginfo,
	.debuginfo_path = &no_debuginfo,
};

static void *dwfl_peer_open(pid_t pid)
{
	Dwfl *dwfl = dwfl_begin(&callbacks);

	dwfl_report_begin(dwfl);
	if (dwfl_linux_proc_report(dwfl, pid) || dwfl_report_end(dwfl, NULL, NULL) ||
	    dwfl_linux_proc_attach(dwfl, pid, true)) {
		dwfl_end(dwfl);
		return NULL;
	}
	return dwfl;
}

static int add_frame(Dwfl_Frame *frame, void *arg)
{
	struct peer_trace *trace = arg;
	Dwarf_Addr pc;

	if (trace->nr == PEER_MAX_FRAMES || !dwfl_frame_pc(frame, &pc, NULL))
		return DWARF_CB_ABORT;
	trace->pc[trace->nr++] = pc;
	return DWARF_CB_OK;
}

static void dwfl_peer_walk(void *state, pid_t tid, struct peer_trace *trace)
{
	trace->nr = 0;
	trace->complete = state && !dwfl_getthread_frames(state, tid, add_frame, trace);
}

static void dwfl_peer_close(void *state)
{
	if (state)
		dwfl_end(state);
}

const struct peer peer_libdwfl = { "libdwfl", dwfl_peer_open, dwfl_peer_walk,
				   dwfl_peer_close };
