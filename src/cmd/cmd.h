/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The commands: the only part that prints.
 *
 * A command is a row of the table in main.c; its function gets the parsed
 * command line and returns its exit status.
 */
#ifndef STITCH_CMD_CMD_H
#define STITCH_CMD_CMD_H

#include <jansson.h>
#include <stdbool.h>
#include <sys/types.h>

#include "err.h"

/* The exit statuses are interface (stitch(1)). */
enum {
	EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_NOT_NOW = 3,
	EXIT_UNSUPPORTED = 4, EXIT_CHANGED = 5,
};

struct options {
	bool json, verbose, all, explain, no_wait, resume, replace, follow, constructors, together,
		full, download_only;
	unsigned timeout_ms;
	const char *exe, *name, *core;
	/* build */
	const char *source, *patch, *output, *work, *description;
	char **binaries;   /* --binary */
	size_t nr_binaries;
	const char *debian, *fix_from, *only;
	char **layouts;    /* --allow-layout */
	size_t nr_layouts;
	unsigned strip;
	char **words;      /* what is not an option */
	int nr_words;
	char **command;    /* after --, NULL if there is none */
};

typedef int cmd_run(const struct options *options);

cmd_run cmd_follow, cmd_apply, cmd_check, cmd_revert, cmd_cancel, cmd_force, cmd_list,
	cmd_status, cmd_stack, cmd_show, cmd_build;
struct slp;
/* show, of a patch: why each function is in it, and which carries each line of the diff. */
void cmd_explain(const struct slp *slp);
/* build --debian; does not return if it goes well. */
cmd_run cmd_debian;

/* One line: what it says, and its name in brackets. */
void cmd_print_error(const struct err *err);
/* Prints an error once and ends it; the status that goes with it. NULL: 0. */
int cmd_fail(const struct options *options, struct err *err);
int cmd_status_of(const struct err *err);
/* The process has ended, or will before anything could be done: no failure if it was found. */
bool cmd_has_ended(const struct err *err);
/* {"error": {"kind", "reason", "message"}} or JSON null. */
json_t *cmd_json_error(const struct err *err);
void cmd_print_json(json_t *root); /* takes root over */
/* The worst of two statuses, for several processes. */
int cmd_worse(int a, int b);

/*
 * For who has threads of other processes, which wait for the tool when they report something:
 * no terminal stops it (Ctrl-Z).
 */
void cmd_stay_awake(void);
/* The same; SIGINT, SIGTERM and SIGHUP are for on_end, and no reader that went ends it. */
void cmd_catch_signals(void (*on_end)(int sig));

/* True for a word of digits only; *pid is that number. */
bool cmd_is_pid(const char *word, pid_t *pid);
/*
 * The processes that the options name: PIDs among words, --exe, --all (then
 * wanted decides).  The caller frees *pids.
 */
struct err *cmd_select(const struct options *options, bool (*wanted)(pid_t, void *),
		       void *arg, pid_t **pids, size_t *nr)
	__attribute__((warn_unused_result));
/* How many of them are PIDs among words: those come first. */
size_t cmd_nr_pids(const struct options *options);
/* The first word that is no PID, NULL if there is none. */
const char *cmd_file_word(const struct options *options);

#endif
