/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <ctype.h>
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cmd.h"
#include "mem.h"

int cmd_status_of(const struct err *err)
{
	static const int status[] = {
		[ERR_FAILED] = EXIT_FAILED, [ERR_USAGE] = EXIT_USAGE,
		[ERR_NOT_NOW] = EXIT_NOT_NOW, [ERR_UNSUPPORTED] = EXIT_UNSUPPORTED,
		[ERR_GONE] = EXIT_FAILED, [ERR_CHANGED] = EXIT_CHANGED,
	};

	return err ? status[err->kind] : EXIT_DONE;
}

int cmd_worse(int a, int b)
{
	return a > b ? a : b;
}

json_t *cmd_json_error(const struct err *err)
{
	static const char *const kinds[] = {
		"failed", "usage", "not-now", "unsupported", "gone", "changed",
	};

	if (!err)
		return json_null();
	return json_pack("{ss,ss,ss}", "kind", kinds[err->kind], "reason", err->reason,
			 "message", err->msg);
}

void cmd_print_json(json_t *root)
{
	json_dumpf(root, stdout, JSON_INDENT(1));
	putchar('\n');
	json_decref(root);
}

bool cmd_has_ended(const struct err *err)
{
	return err && (err_is_gone(err) || !strcmp(err->reason, "no-program"));
}

void cmd_print_error(const struct err *err)
{
	fprintf(stderr, "stitch: %s [%s]\n", err->msg, err->reason);
}

int cmd_fail(const struct options *options, struct err *err)
{
	int status = cmd_status_of(err);

	if (!err)
		return status;
	if (options->json)
		cmd_print_json(json_pack("{so}", "error", cmd_json_error(err)));
	else
		cmd_print_error(err);
	err_free(err);
	return status;
}

void cmd_stay_awake(void)
{
	static const int stops[] = { SIGTSTP, SIGTTIN, SIGTTOU };

	for (size_t i = 0; i < ARRAY_SIZE(stops); i++)
		signal(stops[i], SIG_IGN);
}

void cmd_catch_signals(void (*on_end)(int sig))
{
	struct sigaction end = { .sa_handler = on_end }, old;

	cmd_stay_awake();
	signal(SIGPIPE, SIG_IGN);
	sigaction(SIGINT, &end, NULL);
	sigaction(SIGTERM, &end, NULL);
	/* nohup(1) has it ignored. */
	if (!sigaction(SIGHUP, NULL, &old) && old.sa_handler != SIG_IGN)
		sigaction(SIGHUP, &end, NULL);
}

bool cmd_is_pid(const char *word, pid_t *pid)
{
	char *end;
	long n = strtol(word, &end, 10);

	*pid = (pid_t)n;
	return isdigit((unsigned char)*word) && !*end && n > 0 && n < (1 << 30);
}

const char *cmd_file_word(const struct options *options)
{
	pid_t pid;

	for (int i = options->nr_words; i-- > 0;)
		if (!cmd_is_pid(options->words[i], &pid))
			return options->words[i];
	return NULL;
}

size_t cmd_nr_pids(const struct options *options)
{
	size_t nr = 0;
	pid_t pid;

	for (int i = 0; i < options->nr_words; i++)
		nr += cmd_is_pid(options->words[i], &pid);
	return nr;
}

/* By device and inode, so that any path to the program will do. */
static bool runs(pid_t pid, const struct stat *exe)
{
	AUTO_FREE char *path = mem_fmt("/proc/%d/exe", (int)pid);
	struct stat st;

	return !stat(path, &st) && st.st_dev == exe->st_dev && st.st_ino == exe->st_ino;
}

static void each_process(bool (*wanted)(pid_t, void *), void *arg, pid_t **pids, size_t *nr)
{
	DIR *dir = opendir("/proc");
	struct dirent *entry;
	pid_t pid;

	while (dir && (entry = readdir(dir)))
		if (cmd_is_pid(entry->d_name, &pid) && wanted(pid, arg))
			*ARRAY_ADD(*pids, *nr) = pid;
	if (dir)
		closedir(dir);
}

static bool wanted_by_exe(pid_t pid, void *arg)
{
	return runs(pid, arg);
}

struct err *cmd_select(const struct options *options, bool (*wanted)(pid_t, void *),
		       void *arg, pid_t **pids, size_t *nr)
{
	struct stat exe;
	pid_t pid;

	*pids = NULL;
	*nr = 0;
	for (int i = 0; i < options->nr_words; i++)
		if (cmd_is_pid(options->words[i], &pid))
			*ARRAY_ADD(*pids, *nr) = pid;
	if (options->exe) {
		if (stat(options->exe, &exe))
			return err_new(ERR_USAGE, "usage", "--exe %s: no such file",
				       options->exe);
		each_process(wanted_by_exe, &exe, pids, nr);
	}
	if (options->all)
		each_process(wanted, arg, pids, nr);
	if (*nr)
		return NULL;
	if (options->exe || options->all)
		return err_new(ERR_FAILED, "no-process", "no running process is meant by %s",
			       options->all ? "--all" : options->exe);
	return err_new(ERR_USAGE, "usage", "which process? Give a PID, --exe PATH or --all");
}
