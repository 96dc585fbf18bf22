/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Applies and reverts a patch again and again, by libstitch: cycle PID PATCH TIMES */
#include <stdio.h>
#include <stdlib.h>

#include "stitch.h"

int main(int argc, char **argv)
{
	struct stitch_result r = { 0 };
	uint64_t worst = 0;
	pid_t pid;

	if (argc != 4)
		return 2;
	pid = (pid_t)strtol(argv[1], NULL, 10);
	for (long i = 0; i < strtol(argv[3], NULL, 10); i++) {
		if (stitch_apply(pid, argv[2], 60000, &r) ||
		    stitch_revert(pid, NULL, 60000, &r)) {
			printf("cycle %ld: [%s] %s\n", i, r.reason, r.message);
			return 1;
		}
		worst = r.pause_ns > worst ? r.pause_ns : worst;
	}
	printf("ok worst pause %.2f ms\n", (double)worst / 1e6);
	return 0;
}
