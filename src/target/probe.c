/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "probe.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* In the child: nothing here may rest on what other threads of the tool held. */
static void call(void *code, size_t size)
{
	void (*function)(void);

	/* No core of it, and no word to whoever collects them. */
	prctl(PR_SET_DUMPABLE, 0);
	if (mprotect(code, size, PROT_READ | PROT_EXEC))
		_exit(1);
	__builtin___clear_cache(code, (char *)code + size);
	memcpy(&function, &code, sizeof(function));
	function();
	_exit(0);
}

static bool child_runs(void *code, size_t size)
{
	int status = 1;
	pid_t pid = fork();

	if (!pid)
		call(code, size);
	if (pid < 0)
		return false;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return false;
	return WIFEXITED(status) && !WEXITSTATUS(status);
}

bool probe_runs(const uint8_t *code, size_t size)
{
	void *copy = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	bool runs;

	if (copy == MAP_FAILED)
		return false;
	memcpy(copy, code, size);
	runs = child_runs(copy, size);
	munmap(copy, size);
	return runs;
}
