#include <pthread.h>
#include "live.h"
int caller(int x), caller10(void), last(int x);
int (*leaf_address(void))(int);
static volatile int own = 5, wrong;
// Its own table is in use here, too, around calls by a pointer.
static int by_pointer(int x) { int before = own; int y = leaf_address()(x); return y + own - before; }
static void *spin(void *arg) {
	for (;;) {
		int a = caller(6), b = by_pointer(6), c = caller10(), d = last(6);
		wrong |= (a != 17 && a != 1016) || (b != 7 && b != 1006) ||
			 (c != 340 && c != 1340) || (d != 7 && d != 1006);
	}
	return arg;
}
void start(void) { pthread_t t; pthread_create(&t, NULL, spin, NULL); }
const char *check(int v) {
	EXPECT(v, caller(6), 17, 1016);
	EXPECT(v, caller10(), 340, 1340);
	EXPECT(v, by_pointer(6), 7, 1006);
	EXPECT(v, last(6), 7, 1006);
	return wrong ? "a mix" : NULL;
}
