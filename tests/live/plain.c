#include <sys/mman.h>
#include "live.h"
NOINLINE int f(int x) {
	return x + 1; //-
	return x + 2; //+
}
const char *check(int v) { EXPECT(v, f(1), 2, 3); return NULL; }
const char *command(const char *line) {
	static char text[40];
	unsigned long at;
	/* map ADDR: a page of its own, just there */
	if (sscanf(line, "map %lx", &at) == 1) {
		char *p = mmap((void *)at, 4096, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
		if (p != (char *)at)
			return "no";
		*p = 77;
		return "ok";
	}
	if (sscanf(line, "look %lx", &at) == 1)
		return *(char *)at == 77 ? "ok" : "lost";
	snprintf(text, sizeof(text), "%d", f(1));
	return strcmp(line, "value") ? NULL : text;
}
