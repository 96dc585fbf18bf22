// EXPECT: carried sum
#include <stdarg.h>
#include "live.h"
NOINLINE double sum(int n, ...) {
	va_list ap; double s = 0;
	va_start(ap, n);
	for (int i = 0; i < n; i++) s += va_arg(ap, double);
	va_end(ap);
	return s; //-
	return s * 2; //+
}
const char *check(int v) { EXPECT(v, (int)sum(9, 1., 2., 3., 4., 5., 6., 7., 8., 9.), 45, 90); return NULL; }
