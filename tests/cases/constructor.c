// EXPECT: refused changed-constructor
// EXPECT clang: refused nothing-to-patch
#include "live.h"
static int ready;
__attribute__((constructor)) static void init(void) { ready = 1; }
__attribute__((constructor)) static void init2(void) { ready = 2; } //+
const char *check(int v) { (void)v; return ready ? NULL : "not ready"; }
