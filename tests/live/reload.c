// Libraries come and go, and threads are in them, while a busy function is waited for.
#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>
#include "live.h"
static int pipes[2];
static atomic_int inside, rounds;
static __thread int no_wait;
NOINLINE int callee(void) { char c; if (no_wait) return 5; inside++; if (read(pipes[0], &c, 1) < 0) return -1; return 5; }
NOINLINE int slow(int x) {
	int y = callee();
	return x + y; //-
	return x + y * 100; //+
}
static void *sleeper(void *arg) { slow(1); return arg; }
static void *loader(void *arg) {
	for (;; rounds++) {
		void *crypt_lib = dlopen("libcrypt.so.1", RTLD_NOW);
		char *(*crypt)(const char *, const char *) = NULL;
		if (crypt_lib)
			crypt = (char *(*)(const char *, const char *))dlsym(crypt_lib, "crypt");
		if (crypt)
			crypt("secret", "$6$rounds=3000$salt$");
		if (crypt_lib)
			dlclose(crypt_lib);
		void *other = dlopen("libresolv.so.2", RTLD_NOW);
		if (other)
			dlclose(other);
	}
	return arg;
}
void start(void) {
	pthread_t t;
	if (pipe(pipes))
		exit(1);
	pthread_create(&t, NULL, sleeper, NULL);
	pthread_create(&t, NULL, loader, NULL);
	while (!inside)
		usleep(1000);
}
/* A busy machine may let nobody run for a while. */
const char *check(int v)
{
	int before = rounds;

	(void)v;
	for (int n = 0; n < 300 && rounds <= before; n++)
		usleep(100000);
	return rounds > before ? NULL : "the loader stands";
}
const char *command(const char *line) {
	if (!strcmp(line, "go"))
		return write(pipes[1], "x", 1) == 1 ? "ok" : "no";
	if (!strcmp(line, "version")) {
		no_wait = 1;
		return slow(0) == 5 ? "old" : "new";
	}
	return NULL;
}
