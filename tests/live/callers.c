// Every kind of call, through a redirected entry, while a transition is held open.
#include <complex.h>
#include <pthread.h>
#include <stdarg.h>
#include <unistd.h>
#include "live.h"
enum { V =
	1 //-
	1000 //+
};
struct big { long a[6]; };
struct pair { double x; long n; };
typedef double v4 __attribute__((vector_size(32)));
NOINLINE long many(long a, long b, long c, long d, long e, long f, long g, long h, long i) { return V * (a + 2 * b + 3 * c + 4 * d + 5 * e + 6 * f + 7 * g + 8 * h + 9 * i); }
NOINLINE long varied(int n, ...) { va_list ap; double s = 0; va_start(ap, n); for (int i = 0; i < n; i++) s += i % 2 ? va_arg(ap, double) : (double)va_arg(ap, int); va_end(ap); return V * (long)s; }
NOINLINE long double longer(long double a, long double b) { long double s = 0; for (int i = 0; i < V; i++) s += a - b / 3; return s; }
NOINLINE struct big bigger(long n) { struct big b; for (int i = 0; i < 6; i++) b.a[i] = V * (n + i); return b; }
NOINLINE struct pair both(double x, long n) { return (struct pair){ V * x, V * n }; }
NOINLINE double complex turned(double complex z) { return V * z * I; }
NOINLINE float floats(float a, float b, float c, float d, float e, float f, float g, float h, float i, float j) { return V * (a + b + c + d + e + f + g + h + 2 * i + 3 * j); }
NOINLINE long aligned(long n) { volatile v4 keep __attribute__((aligned(32))) = { n, n, n, n }; return ((unsigned long)&keep & 31) ? -1 : V * (long)keep[3]; }
static NOINLINE long nested(long n) { long inner(long x) { return V * (x + n); } long (*volatile f)(long) = inner; return f(1); }
/* GCC knows which registers this one leaves alone, and its caller relies on that. */
static __attribute__((noinline)) long leaf(long x) { return V * x + 1; }
static __attribute__((noinline)) long user(long a, long b, long c) { return leaf(a) + b * c; }
static int pipes[2];
NOINLINE int slow(int x) { char c; if (read(pipes[0], &c, 1) < 0) return -1; return x + V; }
static void *sleeper(void *arg) { for (;;) if (slow(1) < 0) break; return arg; }
void start(void) { pthread_t t; if (pipe(pipes)) exit(1); pthread_create(&t, NULL, sleeper, NULL); usleep(20000); }
/* Vector registers hold what the caller needs after calls that do not touch them. */
static long around(int v)
{
	double a = 1.5, b = 2.5;
#ifdef __x86_64__
	__asm__ volatile("" : "+x"(a), "+x"(b));
#elif defined(__aarch64__)
	__asm__ volatile("" : "+w"(a), "+w"(b));
#else
	__asm__ volatile("" : "+f"(a), "+f"(b));
#endif
	for (int i = 0; i < 3; i++)
		a += (double)floats(1, 1, 1, 1, 1, 1, 1, 1, 1, 1) * b;
	return a == 1.5 + 3 * 13 * 2.5 * v;
}
static const char *all(int v)
{
	struct big b = bigger(5);
	struct pair p = both(1.5, 7);
	double complex z = turned(2 + 3 * I);
	for (int i = 0; i < 6; i++)
		if (b.a[i] != v * (5 + i))
			return "struct in memory";
	if (p.x != 1.5 * v || p.n != 7 * v)
		return "struct in registers";
	if (creal(z) != -3.0 * v || cimag(z) != 2.0 * v)
		return "complex";
	if (many(1, 2, 3, 4, 5, 6, 7, 8, 9) != 285l * v)
		return "stack arguments";
	if (varied(4, 1, 2.5, 3, 4.5) != 11l * v || varied(1, 7) != 7l * v)
		return "variadic";
	if (longer(10, 3) != 9 * v)
		return "long double";
	if (aligned(5) != 5l * v)
		return "stack alignment";
	if (nested(4) != 5l * v)
		return "static chain";
	if (user(1, 2, 3) != v + 7)
		return "ipa-ra";
	return around(v) ? NULL : "vector registers";
}
const char *check(int v)
{
	for (int i = 0; i < 2000; i++) {
		const char *why = all(v ? 1000 : 1);
		if (why)
			return why;
	}
	return NULL;
}
const char *command(const char *line)
{
	if (!strcmp(line, "go"))
		return write(pipes[1], "x", 1) == 1 ? "ok" : "no";
	return NULL;
}
