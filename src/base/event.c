/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "event.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mem.h"

static event_sink *the_sink;
static void *the_arg;
static struct buf seen;

void event_set_sink(event_sink *sink, void *arg)
{
	the_sink = sink;
	the_arg = arg;
}

void event(const char *fmt, ...)
{
	va_list ap;
	char *line;

	if (!the_sink)
		return;
	va_start(ap, fmt);
	line = mem_vfmt(fmt, ap);
	va_end(ap);
	the_sink(the_arg, line);
	free(line);
}

static void note_seen(const char *name)
{
	AUTO_FREE char *row = mem_fmt("%s\n", name);

	if (seen.data && strstr((char *)seen.data, row))
		return;
	if (seen.size)
		seen.size--; /* the NUL of the row before */
	buf_add_str(&seen, row);
}

const char *event_steps_seen(void)
{
	return seen.data ? (const char *)seen.data : "";
}

/* STITCH_FAULT is NAME:ACTION[@N]; true if this step is the one. */
static int fault_is_here(const char *fault, const char *name, const char **action)
{
	static unsigned long reached;
	size_t len = strlen(name);
	const char *at;

	if (strncmp(fault, name, len) || fault[len] != ':')
		return 0;
	*action = fault + len + 1;
	at = strchr(*action, '@');
	return ++reached == (at ? strtoul(at + 1, NULL, 10) : 1);
}

struct err *event_step(const char *name)
{
	const char *fault = getenv("STITCH_FAULT");
	const char *action;

	note_seen(name);
	if (!fault || !fault_is_here(fault, name, &action))
		return NULL;
	if (!strncmp(action, "kill", 4))
		kill(getpid(), SIGKILL);
	if (!strncmp(action, "stop", 4)) {
		raise(SIGSTOP); /* this thread first: it is here that it stands */
		return NULL;
	}
	return err_new(ERR_FAILED, "fault", "step %s was told to fail", name);
}
