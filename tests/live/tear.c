/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Is a store of eight aligned bytes through /proc/PID/mem ever seen in two halves?  One
 * process reads a word again and again while another writes it: tear TIMES
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static void write_both(pid_t pid, const volatile uint64_t *at, long times)
{
	uint64_t words[2] = { 0, UINT64_MAX };
	char path[40];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/mem", (int)pid);
	fd = open(path, O_RDWR);
	for (long i = 0; i < times; i++)
		if (pwrite(fd, &words[i & 1], 8, (off_t)(uintptr_t)at) != 8)
			_exit(1);
	_exit(0);
}

int main(int argc, char **argv)
{
	volatile uint64_t *word = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
				       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned long torn = 0, changes = 0;
	pid_t me = getpid(), child = fork();
	uint64_t last = 0, now;
	int status = -1;

	if (!child)
		write_both(me, word, argc > 1 ? strtol(argv[1], NULL, 10) : 1000000);
	while (waitpid(child, &status, WNOHANG) != child)
		for (int i = 0; i < 100000; i++) {
			now = *word;
			torn += now != 0 && now != UINT64_MAX;
			changes += now != last;
			last = now;
		}
	printf("%lu changes seen, %lu torn\n", changes, torn);
	return torn || !changes || status;
}
