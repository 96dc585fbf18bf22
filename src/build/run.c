/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Between the tool and a program that it runs stands a process of its own, the keeper.
 * PR_SET_PDEATHSIG would reach the program and none of what it started (make's
 * compilers); what is orphaned below the keeper becomes its child (a subreaper, prctl(2)),
 * so it finds all of it, and ends it when the tool is gone.
 */
#include "run.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "files.h"
#include "mem.h"

extern char **environ;

/* What a terminal or a service manager sends to all of a group: the keeper has to stay. */
static const int outlived[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM };

struct keeper {
	struct sigaction was[ARRAY_SIZE(outlived)];
	sigset_t mask;
	int tool;    /* pidfd, readable when the tool has ended */
	int ends;    /* signalfd of SIGCHLD */
	pid_t program;
};

static void redirect(const char *log)
{
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int out = log ? open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644) : -1;

	dup2(null, STDIN_FILENO);
	if (out >= 0) {
		dup2(out, STDOUT_FILENO);
		dup2(out, STDERR_FILENO);
	}
}

static _Noreturn void exec_program(const char *const *argv, const char *cwd, char *const *env)
{
	if (cwd && chdir(cwd)) {
		dprintf(STDERR_FILENO, "%s: %s\n", cwd, strerror(errno));
		_exit(127);
	}
	if (env)
		environ = (char **)(uintptr_t)env;
	execvp(argv[0], (char *const *)(uintptr_t)argv);
	dprintf(STDERR_FILENO, "%s: %s\n", argv[0], strerror(errno));
	_exit(127);
}

/* True if the tool was there when its pidfd had been opened: else it is somebody else's. */
static bool keeper_begin(struct keeper *k, pid_t tool)
{
	struct sigaction ignore = { .sa_handler = SIG_IGN };
	struct sigaction normal = { .sa_handler = SIG_DFL };
	sigset_t child;

	prctl(PR_SET_NAME, "build-keeper"); /* who says killall stitch means the tool */
	for (unsigned i = 0; i < ARRAY_SIZE(outlived); i++)
		sigaction(outlived[i], &ignore, &k->was[i]);
	sigaction(SIGCHLD, &normal, NULL);
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, &k->mask);
	k->ends = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
	k->tool = pidfd_open(tool, 0);
	return k->ends >= 0 && k->tool >= 0 && !prctl(PR_SET_CHILD_SUBREAPER, 1) &&
	       getppid() == tool;
}

static void keeper_undo(const struct keeper *k)
{
	for (unsigned i = 0; i < ARRAY_SIZE(outlived); i++)
		sigaction(outlived[i], &k->was[i], NULL);
	sigprocmask(SIG_SETMASK, &k->mask, NULL);
}

/* Sends SIGKILL to every child; how many it reached. */
static unsigned kill_children(void)
{
	AUTO_FREE char *path = mem_fmt("/proc/self/task/%d/children", (int)getpid());
	FILE *f = fopen(path, "re");
	unsigned nr = 0;
	int pid;

	while (f && fscanf(f, "%d", &pid) == 1)
		nr += !kill(pid, SIGKILL);
	if (f)
		fclose(f);
	return nr;
}

/* Who dies hands its children to the keeper, so they are found in the next round. */
static _Noreturn void end_all(const struct keeper *k)
{
	struct pollfd end = { .fd = k->ends, .events = POLLIN };

	while (kill_children()) {
		poll(&end, 1, 100);
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
	}
	_exit(1);
}

/* Ends as the program did. */
static _Noreturn void end_like(int status)
{
	struct rlimit none = { 0 };

	if (WIFEXITED(status))
		_exit(WEXITSTATUS(status));
	setrlimit(RLIMIT_CORE, &none);
	signal(WTERMSIG(status), SIG_DFL);
	raise(WTERMSIG(status));
	_exit(128 + WTERMSIG(status));
}

static _Noreturn void keep(const struct keeper *k)
{
	struct pollfd either[] = { { .fd = k->tool, .events = POLLIN },
				   { .fd = k->ends, .events = POLLIN } };
	struct signalfd_siginfo info;
	int status;
	pid_t pid;

	for (;;) {
		while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
			if (pid == k->program)
				end_like(status);
		poll(either, 2, -1);
		if (either[0].revents)
			end_all(k);
		while (read(k->ends, &info, sizeof(info)) > 0)
			;
	}
}

static _Noreturn void be_keeper(pid_t tool, const char *const *argv, const char *cwd,
				char *const *env)
{
	struct keeper k;

	if (!keeper_begin(&k, tool) || (k.program = fork()) < 0) {
		dprintf(STDERR_FILENO, "stitch: nothing can be run: %s\n", strerror(errno));
		_exit(126);
	}
	if (k.program)
		keep(&k);
	keeper_undo(&k);
	exec_program(argv, cwd, env);
}

/* The end of a log, for the message: a person looks there first. */
static char *last_lines(const char *log)
{
	AUTO_FREE char *text = log ? files_read(log) : NULL;
	size_t lines = 0, at = text ? strlen(text) : 0;

	while (at && lines < 12)
		if (text[--at] == '\n')
			lines++;
	return mem_strdup(text ? text + at : "");
}

struct err *run_program(const char *const *argv, const char *cwd, char *const *env,
			const char *log)
{
	AUTO_FREE char *last = NULL;
	pid_t self = getpid(), pid;
	int status;

	fflush(NULL);
	pid = fork();
	if (pid < 0)
		return err_sys(errno, "fork");
	if (!pid) {
		redirect(log);
		be_keeper(self, argv, cwd, env);
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return err_sys(errno, "waitpid");
	if (WIFEXITED(status) && !WEXITSTATUS(status))
		return NULL;
	last = last_lines(log);
	return err_new(ERR_FAILED, "build-failed", "%s ended with %s %d%s%s%s%s", argv[0],
		       WIFEXITED(status) ? "status" : "signal",
		       WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status),
		       log ? "; see " : "", log ? log : "", *last ? ":" : "", last);
}
