// A library that is loaded and unloaded; what it says of itself goes to its program.
#include <stdio.h>
#include "live.h"
#include <stitch/livepatch.h> //+

extern void tell(const char *what, int value);
static const char *volatile name = "plugin"; // relocated, so seen only when that is done
int value(int x);
NOINLINE int value(int x) {
	static volatile int calls;
	calls++;
	return x + 1; //-
	return x + 100 + (name[0] == 'p'); //+
}
__attribute__((constructor)) static void begin(void) { tell("begin", value(0)); }
__attribute__((destructor)) static void end(void) { tell("end", value(0)); }
#ifdef KLP_CALLBACK_STACK
static int pre(struct klp_object *obj) { (void)obj; tell("pre", name != NULL); return 0; }
static void post(struct klp_object *obj) { (void)obj; tell("post", 0); }
static void pre_un(struct klp_object *obj) { (void)obj; tell("pre_un", name[0]); }
static void post_un(struct klp_object *obj) { (void)obj; tell("post_un", 0); }
KLP_PRE_PATCH_CALLBACK(pre)
KLP_POST_PATCH_CALLBACK(post)
KLP_PRE_UNPATCH_CALLBACK(pre_un)
KLP_POST_UNPATCH_CALLBACK(post_un)
#endif
