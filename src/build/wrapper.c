/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "wrapper.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "files.h"
#include "mem.h"

extern char **environ;

static const char *const compilers[] = {
	"cc", "gcc", "c++", "g++", "clang", "clang++", "c99", "c89",
};

/*
 * cc, gcc-12, clang-14, MACHINE-linux-gnu-gcc, MACHINE-linux-gnu-g++-12: after
 * the triplet and before the version the name is one of the list.
 */
static bool is_compiler(const char *name)
{
	const char *start = strstr(name, "-linux-gnu");

	if (start && (start = strchr(start + 1, '-')) && (start = strchr(start + 1, '-')))
		name = start + 1;
	for (unsigned i = 0; i < ARRAY_SIZE(compilers); i++) {
		size_t len = strlen(compilers[i]);

		if (!strncmp(name, compilers[i], len) &&
		    (!name[len] || (name[len] == '-' &&
				    strspn(name + len + 1, "0123456789.") ==
				    strlen(name + len + 1))))
			return true;
	}
	return false;
}

bool wrapper_is_wanted(const char *argv0)
{
	return getenv(WRAPPER_CAPTURE) && is_compiler(files_last_part(argv0));
}

static bool in_list(const char *arg, const char *const *list)
{
	for (; *list; list++)
		if (!strcmp(arg, *list))
			return true;
	return false;
}

enum wrapper_arg wrapper_classify(const char *arg)
{
	static const char *const sources[] = { "c", "cc", "cpp", "cxx", "C", "c++", "S", "s",
					       "i", "ii", NULL };
	static const char *const no_object[] = { "-E", "-S", "-M", "-MM", "-fsyntax-only",
						 "--version", "-v", "-###", NULL };
	static const char *const with_value[] = { "-I", "-D", "-U", "-include", "-isystem",
		"-imacros", "-iquote", "-idirafter", "-x", "-arch", "-target", "-L", "-l",
		"-Xlinker", "-Xassembler", "-Xpreprocessor", "-T", "-u", "-z", "-e",
		"-aux-info", "-Xclang", "-mllvm", "--param", "-A", NULL };
	static const char *const depend[] = { "-MD", "-MMD", "-MP", "-MG", NULL };
	static const char *const depend_value[] = { "-MF", "-MT", "-MQ", NULL };

	if (!strcmp(arg, "-c"))
		return ARG_COMPILE;
	if (in_list(arg, no_object) || !strncmp(arg, "-print-", 7) ||
	    !strncmp(arg, "-dump", 5))
		return ARG_NO_OBJECT;
	if (!strncmp(arg, "-o", 2) && strncmp(arg, "-objc", 5))
		return ARG_OUTPUT;
	if (in_list(arg, depend) || !strncmp(arg, "-Wp,-M", 6))
		return ARG_DEPEND;
	if (in_list(arg, depend_value))
		return ARG_DEPEND_VALUE;
	if (in_list(arg, with_value))
		return ARG_VALUE;
	if (*arg == '-' || *arg == '@')
		return ARG_OTHER;
	return files_has_ending(arg, sources) ? ARG_SOURCE : ARG_INPUT;
}

struct command {
	char **argv;
	bool compiles, no_object;
	bool lists, lists_all; /* writes down what it reads; all of that */
	const char *output;
	const char **sources;
	size_t nr_sources;
	size_t nr_inputs;
	char **seeded, *seed; /* argv with an argument more */
};

static void parse(struct command *cmd)
{
	for (char **arg = cmd->argv + 1; *arg; arg++) {
		switch (wrapper_classify(*arg)) {
		case ARG_COMPILE:
			cmd->compiles = true;
			break;
		case ARG_NO_OBJECT:
			cmd->no_object = true;
			break;
		case ARG_OUTPUT:
			cmd->output = (*arg)[2] ? *arg + 2 : arg[1];
			if (!(*arg)[2] && arg[1])
				arg++;
			break;
		case ARG_DEPEND:
			/* -MMD, wherever it stands, leaves out what the system has. */
			cmd->lists_all = (!cmd->lists || cmd->lists_all) && !strstr(*arg, "MMD");
			cmd->lists = true;
			break;
		case ARG_VALUE:
		case ARG_DEPEND_VALUE:
			if (arg[1])
				arg++;
			break;
		case ARG_SOURCE:
			*ARRAY_ADD(cmd->sources, cmd->nr_sources) = *arg;
			break;
		case ARG_INPUT:
			cmd->nr_inputs++;
			break;
		default:
			break;
		}
	}
}

/*
 * Code that counts its runs has a stamp in it by which its notes are known, the time of day
 * unless GCC is given a seed: without one it differs each time that it is compiled, and in a
 * program that is built twice, once to be tested for coverage, all of that one would change.
 */
static void add_seed(struct command *cmd)
{
	const char *object = cmd->output ? cmd->output : "a.out";
	bool counts = false;
	size_t nr = 0;

	for (char **arg = cmd->argv; *arg; arg++) {
		if (!strncmp(*arg, "-frandom-seed", 13))
			return;
		counts |= strstr(*arg, "-coverage") || !strcmp(*arg, "-fprofile-arcs") ||
			  !strncmp(*arg, "-fprofile-generate", 18);
	}
	if (!counts || !cmd->nr_sources)
		return;
	for (char **arg = cmd->argv; *arg; arg++)
		*ARRAY_ADD(cmd->seeded, nr) = *arg;
	cmd->seed = mem_fmt("-frandom-seed=%s", object);
	*ARRAY_ADD(cmd->seeded, nr) = cmd->seed;
	*ARRAY_ADD(cmd->seeded, nr) = NULL;
	cmd->argv = cmd->seeded;
}

/* The program of that name further on in the PATH. */
static char *find_real(const char *name)
{
	AUTO_FREE char *path = mem_strdup(getenv(WRAPPER_PATH) ? getenv(WRAPPER_PATH) : "");
	char *save = NULL;

	for (char *dir = strtok_r(path, ":", &save); dir; dir = strtok_r(NULL, ":", &save)) {
		char *full = mem_fmt("%s/%s", dir, name);

		if (!access(full, X_OK))
			return full;
		free(full);
	}
	return NULL;
}

/*
 * Does it only ask the compiler something?  Nothing of configure's tests gets into a program,
 * and they are half of all that many packages compile: Autoconf, CMake, Meson, waf, SCons.
 */
static bool is_probe(const struct command *cmd)
{
	static const char *const places[] = { "/conftest.", "/CMakeFiles/CMakeScratch/",
		"/CMakeFiles/CMakeTmp/", "/meson-private/tmp", "/.conf_check_",
		"/.sconf_temp/" };
	AUTO_FREE char *path = NULL;
	char cwd[PATH_MAX];

	if (!cmd->nr_sources || !getcwd(cwd, sizeof(cwd)))
		return false;
	path = mem_fmt("%s/%s", *cmd->sources[0] == '/' ? "" : cwd, cmd->sources[0]);
	for (unsigned i = 0; i < ARRAY_SIZE(places); i++)
		if (strstr(path, places[i]))
			return true;
	return false;
}

/* Becomes argv[0] with the real PATH. */
static _Noreturn void become(char **argv)
{
	setenv("PATH", getenv(WRAPPER_PATH), 1);
	execv(argv[0], argv);
	fprintf(stderr, "stitch: %s: %s\n", argv[0], strerror(errno));
	_exit(127);
}

/* Runs argv[0] with the real PATH; the wait status. */
static int run(char **argv)
{
	int status = -1;
	pid_t pid = fork();

	if (!pid)
		become(argv);
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return pid < 0 ? -1 : status;
}

static int exit_status(int status)
{
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

/* cc -c a/b.c writes b.o */
static char *default_output(const char *source)
{
	char *name = mem_strdup(files_last_part(source));
	char *dot = strrchr(name, '.');
	char *out = mem_fmt("%.*s.o", (int)(dot ? dot - name : (long)strlen(name)), name);

	free(name);
	return out;
}

static json_t *json_strings(char **strings)
{
	json_t *array = json_array();

	for (; *strings; strings++)
		/* Bytes that are no UTF-8 are no part of a command that we repeat. */
		json_array_append_new(array, json_stringn_nocheck(*strings, strlen(*strings)));
	return array;
}

/* Keeps a file under a new name in the capture folder, with its story. */
static void keep(const struct command *cmd, const char *real, const char *kind,
		 const char *source, const char *file, const char *as_output)
{
	AUTO_FREE char *base = mem_fmt("%s/%s-XXXXXX", getenv(WRAPPER_CAPTURE), kind);
	AUTO_FREE char *kept = NULL, *story = NULL;
	char cwd[PATH_MAX];
	AUTO_CLOSE int fd = mkstemp(base);
	json_t *root;

	if (fd < 0 || !getcwd(cwd, sizeof(cwd)))
		return;
	kept = mem_fmt("%s.o", base);
	story = mem_fmt("%s.json", base);
	if (files_copy(file, kept)) {
		unlink(base);
		return;
	}
	root = json_pack("{ss,ss,ss,ss,ss*,so,so,sI}", "kind", kind, "cwd", cwd,
			 "compiler", real, "output", as_output, "source", source,
			 "argv", json_strings(cmd->argv), "env", json_strings(environ),
			 "order", (json_int_t)files_now_ns());
	json_dump_file(root, story, JSON_COMPACT);
	json_decref(root);
	unlink(base);
}

/* cc a.c b.c -o prog: its objects are gone by now; make each once more. */
static void keep_unkept(const struct command *cmd, const char *real, const char *source)
{
	AUTO_FREE char *object = mem_fmt("%s/extra-%d.o", getenv(WRAPPER_CAPTURE), (int)getpid());
	AUTO_FREE char *as_output = mem_fmt("%s.o", source);
	char **argv = NULL;
	size_t nr = 0;

	*ARRAY_ADD(argv, nr) = (char *)(uintptr_t)real;
	for (char **arg = cmd->argv + 1; *arg; arg++) {
		enum wrapper_arg kind = wrapper_classify(*arg);

		if (kind == ARG_OUTPUT) {
			arg += !(*arg)[2] && arg[1];
			continue;
		}
		if ((kind == ARG_SOURCE && strcmp(*arg, source)) || kind == ARG_INPUT ||
		    kind == ARG_DEPEND)
			continue;
		if (kind == ARG_DEPEND_VALUE) {
			arg += arg[1] != NULL;
			continue;
		}
		*ARRAY_ADD(argv, nr) = *arg;
		if (kind == ARG_VALUE && arg[1])
			*ARRAY_ADD(argv, nr) = *++arg;
	}
	*ARRAY_ADD(argv, nr) = (char *)(uintptr_t)"-c";
	*ARRAY_ADD(argv, nr) = (char *)(uintptr_t)"-o";
	*ARRAY_ADD(argv, nr) = object;
	*ARRAY_ADD(argv, nr) = NULL;
	if (!exit_status(run(argv)))
		keep(cmd, real, "unit", source, object, as_output);
	unlink(object);
	free(argv);
}

static void keep_all(const struct command *cmd, const char *real)
{
	for (size_t i = 0; i < cmd->nr_sources; i++) {
		const char *source = cmd->sources[i];
		AUTO_FREE char *named = cmd->output && cmd->nr_sources == 1 ?
			mem_strdup(cmd->output) : default_output(source);

		if (cmd->compiles)
			keep(cmd, real, "unit", source, named, named);
		else
			keep_unkept(cmd, real, source);
	}
	if (!cmd->compiles)
		keep(cmd, real, "link", NULL, cmd->output ? cmd->output : "a.out",
		     cmd->output ? cmd->output : "a.out");
}

/* Can the compiler be asked to write down what it reads?  Not of assembler's sources. */
static bool can_list(const struct command *cmd)
{
	static const char *const sources[] = { "c", "cc", "cpp", "cxx", "C", "c++", NULL };

	return !cmd->lists && cmd->nr_sources == 1 && files_has_ending(cmd->sources[0], sources);
}

/*
 * Runs the compiler, through ccache where there is one.  ccache preprocesses what it does not
 * know, and the compiler does so once more: a tenth or more of the time.  It need not where the
 * compiler writes down all that it has read, which does not change what it makes.
 */
static int run_compiler(const struct command *cmd, char *real)
{
	const char *cache = getenv(WRAPPER_CACHE);
	bool is_cached = cache && *cache && cmd->compiles, asks = is_cached && can_list(cmd);
	AUTO_FREE char *list = mem_fmt("%s/reads-%d", getenv(WRAPPER_CAPTURE), (int)getpid());
	AUTO_FREE char **argv = NULL;
	size_t nr = 0;
	int status;

	if (is_cached)
		*ARRAY_ADD(argv, nr) = (char *)(uintptr_t)cache;
	*ARRAY_ADD(argv, nr) = real;
	if (asks) {
		*ARRAY_ADD(argv, nr) = (char *)(uintptr_t)"-MD";
		*ARRAY_ADD(argv, nr) = (char *)(uintptr_t)"-MF";
		*ARRAY_ADD(argv, nr) = list;
	}
	for (char **arg = cmd->argv + 1; *arg; arg++)
		*ARRAY_ADD(argv, nr) = *arg;
	*ARRAY_ADD(argv, nr) = NULL;
	if (asks || (cmd->lists_all && cmd->nr_sources == 1))
		setenv("CCACHE_DEPEND", "1", 1);
	status = run(argv);
	unsetenv("CCACHE_DEPEND");
	if (asks)
		unlink(list);
	return status;
}

int wrapper_main(char **argv)
{
	struct command cmd = { .argv = argv };
	AUTO_FREE char *real = find_real(files_last_part(argv[0]));
	int status;

	if (!real) {
		fprintf(stderr, "stitch: no %s in PATH\n", files_last_part(argv[0]));
		return 127;
	}
	parse(&cmd);
	if (is_probe(&cmd)) {
		argv[0] = real;
		become(argv);
	}
	add_seed(&cmd);
	status = run_compiler(&cmd, real);
	if (status == 0 && !cmd.no_object && (cmd.nr_sources || cmd.nr_inputs))
		keep_all(&cmd, real);
	free(cmd.sources);
	free(cmd.seeded);
	free(cmd.seed);
	return exit_status(status);
}

static struct err *install_from(const char *folder, const char *self, const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *entry;
	struct err *err = NULL;

	while (d && !err && (entry = readdir(d))) {
		AUTO_FREE char *path = mem_fmt("%s/%s", folder, entry->d_name);

		/* The first of a name in PATH is the one that would be run. */
		if (is_compiler(entry->d_name) && !files_exist(path) && symlink(self, path))
			err = err_sys(errno, "%s", path);
	}
	if (d)
		closedir(d);
	return err;
}

struct err *wrapper_install(const char *folder, const char *self)
{
	const char *now = getenv("PATH") ? getenv("PATH") : "";
	AUTO_FREE char *path = mem_strdup(now);
	char *save = NULL;
	struct err *err = files_remove_tree(folder);

	if (!err)
		err = files_make_dir(folder);
	for (char *dir = strtok_r(path, ":", &save); dir && !err;
	     dir = strtok_r(NULL, ":", &save))
		err = install_from(folder, self, dir);
	return err;
}
