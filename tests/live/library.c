/* SPDX-License-Identifier: GPL-2.0-or-later */
/* libstitch from a program: usage: library PID PATCH */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stitch.h"

static int failed;

static void expect(int good, const char *what, const struct stitch_result *r)
{
	if (good)
		return;
	printf("%s: status %d, reason %s: %s\n", what, r->status, r->reason, r->message);
	failed = 1;
}

int main(int argc, char **argv)
{
	pid_t pid = argc > 2 ? (pid_t)strtol(argv[1], NULL, 10) : 0;
	struct stitch_result r;
	char *json;

	if (argc != 3)
		return 2;
	expect(!stitch_check(pid, argv[2], 5000, &r) && r.functions == 1, "check", &r);
	expect(!stitch_apply(pid, argv[2], 5000, &r) && r.functions == 1 && r.threads == 1 &&
	       r.memory && !*r.message, "apply", &r);
	expect(stitch_apply(pid, argv[2], 5000, &r) == STITCH_UNSUPPORTED &&
	       !strcmp(r.reason, "already-applied") && *r.message, "apply twice", &r);
	expect(!stitch_list(pid, &json, &r) && json && strstr(json, "\"applied\""), "list", &r);
	free(json);
	expect(!stitch_revert(pid, NULL, 5000, &r), "revert", &r);
	expect(stitch_revert(pid, NULL, 5000, &r) == STITCH_FAILED &&
	       !strcmp(r.reason, "no-such-patch"), "revert twice", &r);
	expect(stitch_apply(pid, "/nonexistent", 0, &r) == STITCH_FAILED, "no file", &r);
	expect(stitch_apply(99999999, argv[2], 0, &r) == STITCH_FAILED &&
	       !strcmp(r.reason, "gone"), "no process", &r);
	puts(failed ? "failed" : "ok");
	return failed;
}
