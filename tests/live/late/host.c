// Loads and unloads a library when it is told, or all the time.
#include <dlfcn.h>
#include <pthread.h>
#include <unistd.h>
#include "live.h"

static char story[2000];
void tell(const char *what, int value);
void tell(const char *what, int value) {
	size_t n = strlen(story);
	snprintf(story + n, sizeof(story) - n, "%s%s=%d", n ? " " : "", what, value);
}
static char path[300];
static void *plugin;
static int (*value)(int);
static volatile int storm, loads, late, stopped;
static const char *load(void) {
	plugin = dlopen(path, RTLD_NOW);
	if (!plugin) return dlerror();
	value = (int (*)(int))dlsym(plugin, "value");
	return "ok";
}
static void *loader(void *arg) {
	while (storm) {
		load();
		late += value(0) != 101 || !strstr(story, "begin=101");
		dlclose(plugin);
		*story = 0;
		loads++;
	}
	stopped = 1;
	return arg;
}
static void *idle(void *arg) { for (;;) pause(); return arg; }
static void *birth(void *arg) { return arg; }
static void *maker(void *arg) {
	for (pthread_t t;;) { pthread_create(&t, NULL, birth, NULL); pthread_join(t, NULL); }
	return arg;
}
void start(void) {
	pthread_t t;
	for (int i = 0; i < 3; i++) pthread_create(&t, NULL, idle, NULL);
}
const char *check(int v) { EXPECT(v, value ? value(0) : 1, 1, 101); return NULL; }
const char *command(const char *line) {
	static char text[2100];
	pthread_t t;
	if (!strncmp(line, "path ", 5)) { strcpy(path, line + 5); return "ok"; }
	if (!strcmp(line, "load")) return load();
	if (!strcmp(line, "unload")) { dlclose(plugin); value = NULL; return "ok"; }
	if (!strcmp(line, "story")) { snprintf(text, sizeof(text), "[%s]", story); *story = 0; return text; }
	if (!strcmp(line, "churn")) { pthread_create(&t, NULL, maker, NULL); return "ok"; }
	if (!strcmp(line, "storm")) { storm = 1; pthread_create(&t, NULL, loader, NULL); return "ok"; }
	if (!strcmp(line, "count")) { snprintf(text, sizeof(text), "%d %d", loads, late); return text; }
	if (!strcmp(line, "calm")) { storm = 0; while (!stopped) usleep(1000); return "ok"; }
	return NULL;
}
