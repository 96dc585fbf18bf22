// One patch of a program and of a library that it loads late.
int from_library(int x);
#ifdef LIBRARY
int from_library(int x)
{
	if (x < 0)
		return -x; // room for a jump
	return x + 1; //-
	return x + 100; //+
}
#else
#include <dlfcn.h>
#include <pthread.h>
#include <unistd.h>
#include "live.h"
static int pipe_fd[2], (*late)(int);
static void *handle;
NOINLINE static int own(int x)
{
	char c;

	if (x < 0 && read(pipe_fd[0], &c, 1) < 0)
		return -1;
	return x + 2; //-
	return x + 200; //+
}
static void *sleeps(void *arg)
{
	own(-1);
	return arg;
}
static void load(const char *path)
{
	handle = dlopen(path, RTLD_NOW);
	*(void **)&late = handle ? dlsym(handle, "from_library") : NULL;
}
const char *check(int v)
{
	EXPECT(v, own(1), 3, 201);
	EXPECT(v, late(1), 2, 101);
	return NULL;
}
const char *command(const char *line)
{
	pthread_t thread;
	static char is[40];

	if (!strncmp(line, "load ", 5))
		load(line + 5);
	else if (!strcmp(line, "unload"))
		return dlclose(handle) ? dlerror() : "ok";
	else if (!strcmp(line, "sleep"))
		return pthread_create(&thread, NULL, sleeps, NULL) ? "no thread" : "ok";
	else if (!strcmp(line, "wake"))
		return write(pipe_fd[1], "x", 1) == 1 ? "ok" : "no write";
	snprintf(is, sizeof(is), "%d", own(1));
	return late || strncmp(line, "load ", 5) ? is : dlerror();
}
void start(void)
{
	if (pipe(pipe_fd))
		abort();
}
#endif
