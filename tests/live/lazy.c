// What the program uses as well, and has not called yet: its slot leads to the dynamic linker.
#include <stdlib.h>
#include "live.h"
NOINLINE long never(const char *text) { return strtol(text, NULL, 8); }
NOINLINE int f(int x) {
	return x + 1; //-
	return x + (int)strtol("41", NULL, 10); //+
}
const char *check(int v) { EXPECT(v, f(1), 2, 42); return NULL; }
const char *command(const char *line) { return line[0] == '0' && never(line) ? "ok" : NULL; }
