/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <getopt.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd.h"
#include "event.h"
#include "mem.h"
#include "wrapper.h"

static const struct command {
	const char *name;
	cmd_run *run;
	const char *synopsis, *help;
} commands[] = {
	{ "build", cmd_build,
	  "--source DIR --patch FIX.patch --output FIX.slp [--binary FILE|PID] -- COMMAND...",
	  "make a patch file from a source tree, a diff and the build command" },
	{ "show", cmd_show, "FILE", "print what a patch file changes" },
	{ "check", cmd_check, "PID... FILE", "say what apply would do, change nothing" },
	{ "apply", cmd_apply, "PID... FILE | --resume PID...",
	  "put a patch into running processes" },
	{ "revert", cmd_revert, "PID... [NAME]", "take a patch out again (the newest)" },
	{ "cancel", cmd_cancel, "PID...", "turn a transition that runs back" },
	{ "force", cmd_force, "PID...",
	  "end a transition without looking at stacks: may crash the process" },
	{ "list", cmd_list, "[PID...]", "list the patches of processes" },
	{ "status", cmd_status, "PID...", "verify each patched function in memory" },
	{ "stack", cmd_stack, "PID... | --core FILE",
	  "print the stacks of all threads, and whether they are whole" },
};

enum { OPT_EXE = 256, OPT_SOURCE, OPT_PATCH, OPT_BINARY, OPT_WORK, OPT_DESCRIPTION,
       OPT_VERSION, OPT_CORE, OPT_NO_WAIT, OPT_RESUME, OPT_REPLACE, OPT_FOLLOW, OPT_DEBIAN,
       OPT_FIX_FROM, OPT_ALLOW_LAYOUT, OPT_CONSTRUCTOR,
       OPT_ONLY, OPT_TOGETHER, OPT_FULL,
       OPT_DOWNLOAD_ONLY };

static const struct option long_options[] = {
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, OPT_VERSION },
	{ "json", no_argument, NULL, 'j' },
	{ "verbose", no_argument, NULL, 'v' },
	{ "all", no_argument, NULL, 'a' },
	{ "explain", no_argument, NULL, 'e' },
	{ "timeout", required_argument, NULL, 't' },
	{ "exe", required_argument, NULL, OPT_EXE },
	{ "name", required_argument, NULL, 'n' },
	{ "core", required_argument, NULL, OPT_CORE },
	{ "no-wait", no_argument, NULL, OPT_NO_WAIT },
	{ "replace", no_argument, NULL, OPT_REPLACE },
	{ "resume", no_argument, NULL, OPT_RESUME },
	{ "follow", no_argument, NULL, OPT_FOLLOW },
	{ "debian", required_argument, NULL, OPT_DEBIAN },
	{ "fix-from", required_argument, NULL, OPT_FIX_FROM },
	{ "only", required_argument, NULL, OPT_ONLY },
	{ "download-only", no_argument, NULL, OPT_DOWNLOAD_ONLY },
	{ "together", no_argument, NULL, OPT_TOGETHER },
	{ "full", no_argument, NULL, OPT_FULL },
	{ "source", required_argument, NULL, OPT_SOURCE },
	{ "patch", required_argument, NULL, OPT_PATCH },
	{ "binary", required_argument, NULL, OPT_BINARY },
	{ "allow-constructor", no_argument, NULL, OPT_CONSTRUCTOR },
	{ "allow-layout", required_argument, NULL, OPT_ALLOW_LAYOUT },
	{ "output", required_argument, NULL, 'o' },
	{ "work", required_argument, NULL, OPT_WORK },
	{ "description", required_argument, NULL, OPT_DESCRIPTION },
	{ "strip", required_argument, NULL, 'p' },
	{ NULL, 0, NULL, 0 },
};

static const char option_help[] =
	"Options:\n"
	"  -t, --timeout SECONDS  how long to wait for busy threads (default 10)\n"
	"  -a, --all              every process that the patch fits, or that has one\n"
	"      --exe PATH         every process that runs PATH\n"
	"      --no-wait          apply, revert: start, switch who can be, do not wait\n"
	"      --resume           apply: go on with what was left or interrupted\n"
	"      --follow           apply: stay, for objects that are loaded and unloaded later\n"
	"      --core FILE        stack: of a core file instead of a process\n"
	"  -j, --json             print JSON for scripts\n"
	"  -v, --verbose          print each step to standard error\n"
	"  -h, --help             print this help\n"
	"      --version          print the version\n"
	"Options of build:\n"
	"      --source DIR       the source tree; it is copied, not changed\n"
	"      --patch FILE       the diff to apply to it\n"
	"  -p, --strip N          as patch -pN (default 1)\n"
	"      --binary FILE|PID  the program or library that runs, a folder with it, or a\n"
	"                         process that has it; may be given again (default: as\n"
	"                         built)\n"
	"      --debian PACKAGE[=VERSION]\n"
	"                         instead of --source and a build command: the source of\n"
	"                         that Debian package, built as Debian does, for the\n"
	"                         package as shipped (default: the version installed)\n"
	"      --fix-from VERSION instead of --patch: what this version's patches make\n"
	"                         otherwise\n"
	"      --only TEXT        of its new patches those with TEXT in their name (a CVE)\n"
	"      --download-only    with --debian: fetch and install what it takes, build nothing\n"
	"  -o, --output FILE      the patch file to write\n"
	"  -n, --name NAME        the patch's name (default: from --output)\n"
	"      --description TEXT what it is for\n"
	"      --work DIR         working folder (default: OUTPUT.work)\n"
	"      --full             run the whole build command with the diff, too: needed where a\n"
	"                         script makes sources from files that the diff changes\n"
	"      --together             a change in several programs and libraries: one patch of\n"
	"                         all, which are switched at once, not a patch of each\n"
	"      --replace          the patch takes the place of all that were applied before\n"
	"      --allow-constructor    a constructor may change; it does not run again\n"
	"      --allow-layout TYPE\n"
	"                         TYPE (\"struct session\") may change its layout: no object of\n"
	"                         it outlives the change; may be given again\n"
	"  -e, --explain          say why each function is in the patch\n"
	"\n"
	"Exit status: 0 done, 1 failed, 2 usage, 3 not now, 4 unsupported,\n"
	"5 the process was left changed (its record says how).\n";

static void print_help(FILE *to)
{
	fprintf(to, "Usage: stitch COMMAND [OPTION]... [ARGUMENT]...\n"
		"Patch the code of running processes.\n\nCommands:\n");
	for (unsigned i = 0; i < ARRAY_SIZE(commands); i++)
		fprintf(to, "  %-7s %s\n          %s\n", commands[i].name,
			commands[i].synopsis, commands[i].help);
	fprintf(to, "\n%s", option_help);
}

static int usage(const char *what)
{
	fprintf(stderr, "stitch: %s; see stitch --help\n", what);
	return EXIT_USAGE;
}

static bool parse_number(const char *text, double max, double *value)
{
	char *end;

	*value = strtod(text, &end);
	return *text && !*end && *value >= 0 && *value <= max;
}

/* -1 to go on, else the exit status. */
static int take_option(struct options *o, int opt)
{
	double number;

	switch (opt) {
	case 'h':
		print_help(stdout);
		return EXIT_DONE;
	case OPT_VERSION:
		puts("stitch " STITCH_VERSION);
		return EXIT_DONE;
	case 'j': o->json = true; break;
	case 'v': o->verbose = true; break;
	case 'a': o->all = true; break;
	case 'e': o->explain = true; break;
	case 't':
		if (!parse_number(optarg, 1e6, &number))
			return usage("--timeout wants a number of seconds");
		o->timeout_ms = (unsigned)(number * 1000);
		break;
	case 'p':
		if (!parse_number(optarg, 100, &number))
			return usage("--strip wants a number");
		o->strip = (unsigned)number;
		break;
	case OPT_EXE: o->exe = optarg; break;
	case OPT_CORE: o->core = optarg; break;
	case OPT_NO_WAIT: o->no_wait = true; break;
	case OPT_REPLACE: o->replace = true; break;
	case OPT_RESUME: o->resume = true; break;
	case OPT_FOLLOW: o->follow = true; break;
	case 'n': o->name = optarg; break;
	case OPT_DEBIAN: o->debian = optarg; break;
	case OPT_FIX_FROM: o->fix_from = optarg; break;
	case OPT_ONLY: o->only = optarg; break;
	case OPT_DOWNLOAD_ONLY: o->download_only = true; break;
	case OPT_TOGETHER: o->together = true; break;
	case OPT_FULL: o->full = true; break;
	case OPT_SOURCE: o->source = optarg; break;
	case OPT_PATCH: o->patch = optarg; break;
	case OPT_BINARY: *ARRAY_ADD(o->binaries, o->nr_binaries) = optarg; break;
	case OPT_CONSTRUCTOR: o->constructors = true; break;
	case OPT_ALLOW_LAYOUT: *ARRAY_ADD(o->layouts, o->nr_layouts) = optarg; break;
	case 'o': o->output = optarg; break;
	case OPT_WORK: o->work = optarg; break;
	case OPT_DESCRIPTION: o->description = optarg; break;
	default:
		return EXIT_USAGE; /* getopt_long has said what is wrong */
	}
	return -1;
}

static int parse(struct options *o, int argc, char **argv)
{
	int opt, status;

	/* What follows -- is the build command and has options of its own. */
	for (int i = 1; i < argc; i++)
		if (!strcmp(argv[i], "--")) {
			o->command = argv + i + 1;
			argc = i;
			break;
		}
	while ((opt = getopt_long(argc, argv, "hjvaet:n:o:p:", long_options, NULL)) >= 0)
		if ((status = take_option(o, opt)) >= 0)
			return status;
	o->words = argv + optind;
	o->nr_words = argc - optind;
	return -1;
}

static void print_event(void *arg, const char *line)
{
	fprintf(arg, "stitch: %s\n", line);
}

int main(int argc, char **argv)
{
	struct options options = { .timeout_ms = 10000, .strip = 1 };
	const struct command *command = NULL;
	int status;

	/* Called by the name of a compiler: part of stitch build. */
	if (wrapper_is_wanted(argv[0]))
		return wrapper_main(argv);
	if (sodium_init() < 0)
		return EXIT_FAILED;
	status = parse(&options, argc, argv);
	if (status >= 0)
		return status;
	if (!options.nr_words) {
		print_help(stderr);
		return EXIT_USAGE;
	}
	for (unsigned i = 0; i < ARRAY_SIZE(commands); i++)
		if (!strcmp(options.words[0], commands[i].name))
			command = &commands[i];
	if (!command) {
		fprintf(stderr, "stitch: no command \"%s\"; see stitch --help\n",
			options.words[0]);
		return EXIT_USAGE;
	}
	options.words++;
	options.nr_words--;
	if (options.verbose)
		event_set_sink(print_event, stderr);
	status = command->run(&options);
	free(options.layouts);
	free(options.binaries);
	return status;
}
