// Shadow variables and system states.
#include <pthread.h>
#include <unistd.h>
#include "live.h"
#include <stitch/livepatch.h> //+

char story[1000];
NOINLINE void tell(const char *what, long value) {
	size_t n = strlen(story);
	snprintf(story + n, sizeof(story) - n, "%s%s=%ld", n ? " " : "", what, value);
}
long system_value = 7; // what a patch changes in the process
NOINLINE long count(int *obj) { return *obj; }
static int ctor(void *obj, void *data, void *from) { //+
	(void)obj; //+
	if (!from) return -1; //+
	*(long *)data = *(long *)from; //+
	return 0; //+
} //+
static void dtor(void *obj, void *data) { (void)obj; *(long *)data = -5; } //+
// The kernel's test_klp_shadow_vars.c, as one number: the line that is wrong.
static __attribute__((noinline)) int api(int x) { //+
	static long a, b, n = 41; //+
	long big[2000], *p, *q; //+
	(void)x; //+
	if (klp_shadow_get(&a, 1)) return 1; //+
	p = klp_shadow_alloc(&a, 1, sizeof(long), 0, ctor, &n); //+
	if (!p || *p != 41 || ((unsigned long)p & 15)) return 2; //+
	if (klp_shadow_alloc(&a, 1, sizeof(long), 0, ctor, &n)) return 3; //+
	if (klp_shadow_get_or_alloc(&a, 1, sizeof(long), 0, NULL, NULL) != p) return 4; //+
	if (klp_shadow_get(&a, 2) || klp_shadow_get(&b, 1)) return 5; //+
	q = klp_shadow_get_or_alloc(&b, 1, sizeof(long), 0, ctor, &n); //+
	if (!q || q == p || klp_shadow_get(&b, 1) != q) return 6; //+
	if (klp_shadow_alloc(&b, 2, 8, 0, ctor, NULL) || klp_shadow_get(&b, 2)) return 7; //+
	if (!(q = klp_shadow_alloc(&b, 2, sizeof(big), 0, NULL, NULL)) || q[1999]) return 8; //+
	q[1999] = 3; //+
	klp_shadow_free(&a, 1, dtor); //+
	if (klp_shadow_get(&a, 1) || !klp_shadow_get(&b, 1)) return 9; //+
	klp_shadow_alloc(&a, 1, 1, 0, NULL, NULL); //+
	klp_shadow_free_all(1, dtor); //+
	if (klp_shadow_get(&a, 1) || klp_shadow_get(&b, 1) || klp_shadow_get(&b, 2) != q) return 10; //+
	klp_shadow_free(&b, 2, NULL); //+
	klp_shadow_free(&b, 2, NULL); //+
	return klp_shadow_get(&b, 2) ? 11 : 0; //+
} //+
// Threads that make, find and free the same and other ones.
static __attribute__((noinline)) long storm(long i) { //+
	static long own[8], shared, one = 1; //+
	long *p = klp_shadow_get_or_alloc(&own[i], 100, sizeof(long), 0, ctor, &one); //+
	if (!p || *p != 1 || klp_shadow_get(&own[i], 100) != p) return -1; //+
	if (!klp_shadow_get_or_alloc(&shared, 101, 24, 0, ctor, &one)) return -2; //+
	klp_shadow_free(&own[i], 100, dtor); //+
	if (klp_shadow_get(&own[i], 100)) return -3; //+
	klp_shadow_free(&shared, 101, NULL); //+
	return 0; //+
} //+
#ifdef KLP_STATES
#ifndef STATE_VERSION
#define STATE_VERSION 1
#endif
KLP_STATES({ 9, STATE_VERSION, NULL });
static int pre(struct klp_object *obj) {
	struct klp_state *prev = klp_get_prev_state(9), *own = klp_get_state(obj->patch, 9);
	tell("prev", prev ? (long)prev->version : 0);
	if (!own || klp_get_state(obj->patch, 8) || own->version != STATE_VERSION) return -22;
	if (prev) own->data = prev->data;
	else own->data = klp_shadow_alloc(&system_value, 9, sizeof(long), 0, NULL, NULL);
	return own->data ? 0 : -12;
}
static void post(struct klp_object *obj) {
	struct klp_state *own = klp_get_state(obj->patch, 9);
	if (klp_get_prev_state(9)) { tell("taken", *(long *)own->data); return; }
	*(long *)own->data = system_value;
	system_value = 1000;
	tell("changed", system_value);
}
static void pre_un(struct klp_object *obj) {
	system_value = *(long *)klp_get_state(obj->patch, 9)->data;
	tell("restored", system_value);
}
static void post_un(struct klp_object *obj) {
	(void)obj;
	klp_shadow_free_all(9, NULL);
	klp_shadow_free_all(100, NULL);
	klp_shadow_free_all(101, NULL);
	tell("freed", 9);
}
KLP_PRE_PATCH_CALLBACK(pre)
KLP_POST_PATCH_CALLBACK(post)
KLP_PRE_UNPATCH_CALLBACK(pre_un)
KLP_POST_UNPATCH_CALLBACK(post_un)
#endif
NOINLINE int probe(int x) {
	return x; //-
	return api(x); //+
}
NOINLINE long worker(long i) {
	static volatile int spin;
	spin++; /* in front of the loop: s390x's jump takes 6 bytes */
	for (int n = 0; n < 100; n++) spin++;
	return i * 0; //-
	return storm(i); //+
}
volatile int stop, bad;
static void *run(void *arg) {
	while (!stop) if (worker((long)arg) < 0) bad++;
	return NULL;
}
void start(void) { pthread_t t; for (long i = 0; i < (getenv("STITCH_SLOW") ? 2 : 8); i++) pthread_create(&t, NULL, run, (void *)i); }
const char *check(int v) { EXPECT(v, bad, 0, 0); if (v < 2) EXPECT(v, probe(5), 5, 0); return NULL; }
const char *command(const char *line) {
	static char text[1100];
	if (!strcmp(line, "story")) { snprintf(text, sizeof(text), "[%s]", story); *story = 0; return text; }
	if (!strcmp(line, "value")) { snprintf(text, sizeof(text), "%ld", system_value); return text; }
	return NULL;
}
