/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What makes stacks hard to trace, for the oracle: exceptions, longjmp, a signal
 * on its own stack, string assembly, lazy binding, recursion, vfork.
 */
#include <clocale>
#include <cmath>
#include <csetjmp>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <regex.h>
#include <stdexcept>
#include <string>
#include <sys/wait.h>
#include <unistd.h>

static jmp_buf env;

static void on_signal(int) {}

__attribute__((noinline)) static void thrower(int n)
{
	if (n > 3)
		throw std::runtime_error("thrown");
	thrower(n + 1);
}

static void signals()
{
	stack_t stack = {};
	struct sigaction sa = {};

	stack.ss_sp = malloc(65536);
	stack.ss_size = 65536;
	sigaltstack(&stack, nullptr);
	sa.sa_handler = on_signal;
	sa.sa_flags = SA_ONSTACK;
	sigaction(SIGUSR1, &sa, nullptr);
	raise(SIGUSR1);
}

static void libraries()
{
	char bytes[300];
	regex_t re;

	regcomp(&re, "a[bc]*d", REG_EXTENDED);
	regexec(&re, "xxabcbcd", 0, nullptr, 0);
	regfree(&re);
	memset(bytes, 1, sizeof(bytes));
	memcpy(bytes, bytes + 100, 99);
	printf("%g %s\n", sin(3.3) + pow(2.2, 1.1), std::string(100, 'x').c_str());
}

int main()
{
	if (!vfork())
		_exit(0);
	wait(nullptr);
	setlocale(LC_ALL, "");
	for (int i = 0; i < 3; i++) {
		try {
			thrower(0);
		} catch (const std::exception &e) {
			puts(e.what());
		}
	}
	if (!setjmp(env))
		longjmp(env, 1);
	signals();
	libraries();
	return 0;
}
