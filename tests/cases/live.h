/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A test program: it checks itself when it is told on standard input which
 * version it has to be, and answers ok or what is wrong.
 *
 * A case is one source file with lines that end in //- (only before the fix)
 * or //+ (only after it), and directives in its head (see tests/cases.py).
 */
#ifndef LIVE_H
#define LIVE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif
const char *check(int version); /* 0 before, 1 with the patch; NULL: right */
void start(void) __attribute__((weak));
/* Answers any other line; NULL: not understood. */
const char *command(const char *line) __attribute__((weak));
#ifdef __cplusplus
}
#endif

/* Not inlined, and (GCC) nothing known of it to its callers. */
#ifdef __clang__
#define NOINLINE __attribute__((noinline))
#else
#define NOINLINE __attribute__((noipa))
#endif

static char live_why[200];

/* The usual check: a value that depends on the version. */
#define EXPECT(version, got, before, with) \
	do { \
		long long want_ = (version) ? (with) : (before), got_ = (got); \
		if (got_ != want_) { \
			snprintf(live_why, sizeof(live_why), "%s is %lld, not %lld", \
				 #got, got_, want_); \
			return live_why; \
		} \
	} while (0)

#ifndef LIVE_NO_MAIN
int main(void)
{
	char line[100];
	int version;

	if (start)
		start();
	puts("ready");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		const char *why = "what?";

		line[strcspn(line, "\n")] = 0;
		if (sscanf(line, "check %d", &version) == 1) {
			why = check(version);
			why = why ? why : "ok";
		} else if (command) {
			why = command(line);
		}
		puts(why ? why : "what?");
		fflush(stdout);
	}
	/* A read(2) that was cut short although nothing may do that. */
	if (ferror(stdin))
		perror("standard input");
	return ferror(stdin) ? 3 : 0;
}
#endif
#endif
