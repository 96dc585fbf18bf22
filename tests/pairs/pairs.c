/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pairs of sources, each behind its PAIR line; what they say is said in tests/cases.py. */
// PAIR: operator
// EXPECT: carried f
#include "live.h"
NOINLINE int f(int x) {
	return x > 3; //-
	return x >= 3; //+
}
const char *check(int v) { EXPECT(v, f(3), 0, 1); return NULL; }
// PAIR: bound_check
// EXPECT: carried get
#include "live.h"
static int table[8] = { 1, 2, 3 };
NOINLINE int get(unsigned i) {
	if (i >= 8) //+
		return -1; //+
	return table[i & 15 & 7];
}
const char *check(int v) { EXPECT(v, get(9), 2, -1); return NULL; }
// PAIR: early_return
// EXPECT: carried f
#include "live.h"
NOINLINE int f(const char *s) {
	if (!s) return -1; //+
	return s == NULL ? 0 : (int)strlen(s);
}
const char *check(int v) { EXPECT(v, f(NULL), 0, -1); EXPECT(v, f("ab"), 2, 2); return NULL; }
// PAIR: argument_order
// EXPECT: carried f
#include "live.h"
NOINLINE int sub(int a, int b) { return a - b; }
NOINLINE int f(int a, int b) {
	return sub(a, b); //-
	return sub(b, a); //+
}
const char *check(int v) { EXPECT(v, f(3, 1), 2, -2); return NULL; }
// PAIR: other_callee
// EXPECT: carried f
#include "live.h"
NOINLINE int one(int a) { return a + 1; }
NOINLINE int two(int a) { return a + 2; }
NOINLINE int f(int a) {
	return one(a) * 2; //-
	return two(a) * 2; //+
}
const char *check(int v) { EXPECT(v, f(1), 4, 6); EXPECT(v, two(1), 3, 3); EXPECT(v, one(1), 2, 2); return NULL; }
// PAIR: other_variable
// EXPECT: carried f
#include "live.h"
int a = 1, b = 2;
NOINLINE void set(int x) { a = x; b = x + 1; }
NOINLINE int f(void) {
	return a; //-
	return b; //+
}
const char *check(int v) { set(5); EXPECT(v, f(), 5, 6); return NULL; }
// PAIR: other_field
// EXPECT: carried f
#include "live.h"
struct s { int a, b; };
NOINLINE int f(const struct s *s) {
	return s->a; //-
	return s->b; //+
}
const char *check(int v) { struct s s = { 1, 2 }; EXPECT(v, f(&s), 1, 2); return NULL; }
// PAIR: inline_asm
// EXPECT: carried f
// The comment is part of what the assembler gets, the value of what the program does.
#include "live.h"
NOINLINE int f(int x) {
	__asm__ volatile("# before" : "+r"(x)); //-
	__asm__ volatile("# after" : "+r"(x)); //+
	return x; //-
	return x + 1; //+
}
const char *check(int v) { EXPECT(v, f(1), 1, 2); return NULL; }
// PAIR: new_loop
// EXPECT: carried f
#include "live.h"
NOINLINE unsigned f(const unsigned char *p, int n) {
	unsigned s = 0;
	for (int i = 0; i < n; i++)
		s += p[i]; //-
		s = s * 31 + p[i]; //+
	return s;
}
const char *check(int v) { EXPECT(v, f((const unsigned char *)"ab", 2), 195, 97 * 31 + 98); return NULL; }
// PAIR: recursion
// EXPECT: carried f
#include "live.h"
NOINLINE int f(int n) {
	if (n < 2)
		return 1; //-
		return 2; //+
	return n * f(n - 1);
}
const char *check(int v) { EXPECT(v, f(3), 6, 12); return NULL; }
// PAIR: mutual_recursion
// EXPECT: carried even
#include "live.h"
int odd(unsigned n);
NOINLINE int even(unsigned n) {
	return n ? odd(n - 1) : 1; //-
	return n ? odd(n - 1) : 3; //+
}
NOINLINE int odd(unsigned n) { return n ? even(n - 1) : 0; }
const char *check(int v) { EXPECT(v, even(4), 1, 3); EXPECT(v, odd(1), 1, 3); return NULL; }
// PAIR: static_to_global
// EXPECT: carried f,g
#include "live.h"
static //-
NOINLINE int f(int x) {
	return x + 1; //-
	return x + 2; //+
}
NOINLINE int g(int x) {
	return f(x) * 2; //-
	return f(x) * 3; //+
}
const char *check(int v) { EXPECT(v, g(1), 4, 9); return NULL; }
// PAIR: signature
// EXPECT: carried f,g
// EXPECT clang: carried f
#include "live.h"
static NOINLINE int f(int x
		      , int more //+
		      ) {
	return x + 1; //-
	return x + more; //+
}
NOINLINE int g(int x) {
	return f(x) * 2; //-
	return f(x, 5) * 2; //+
}
const char *check(int v) { EXPECT(v, g(1), 4, 12); return NULL; }
// PAIR: struct_return
// EXPECT: carried make
#include "live.h"
struct big { long a[6]; };
NOINLINE struct big make(long x) {
	struct big b = { { x, x, x, x, x, x } };
	b.a[5] += 1; //+
	return b;
}
const char *check(int v) { struct big b = make(3); EXPECT(v, b.a[5], 3, 4); EXPECT(v, b.a[0], 3, 3); return NULL; }
// PAIR: struct_argument
// EXPECT: carried take
#include "live.h"
struct big { long a[6]; };
NOINLINE long take(struct big b) {
	return b.a[1]; //-
	return b.a[2]; //+
}
const char *check(int v) { struct big b = { { 1, 2, 3 } }; EXPECT(v, take(b), 2, 3); return NULL; }
// PAIR: many_arguments
// EXPECT: carried f
#include "live.h"
NOINLINE long f(long a, long b, long c, long d, long e, long g, long h, long i, long j, long k) {
	return a + b + c + d + e + g + h + i + j + k; //-
	return a + b + c + d + e + g + h + i + j - k; //+
}
const char *check(int v) { EXPECT(v, f(1, 1, 1, 1, 1, 1, 1, 1, 1, 1), 10, 8); return NULL; }
// PAIR: floating
// EXPECT: carried f
#include "live.h"
NOINLINE double f(double x) {
	return x * 0.5 + 1.0; //-
	return x * 0.25 + 3.0; //+
}
const char *check(int v) { EXPECT(v, (int)f(8), 5, 5); EXPECT(v, (int)f(16), 9, 7); return NULL; }
// PAIR: long_double
// EXPECT: carried f
#include "live.h"
NOINLINE long double f(long double x) {
	return x * 2.5L; //-
	return x * 3.5L; //+
}
const char *check(int v) { EXPECT(v, (int)f(2), 5, 7); return NULL; }
// PAIR: func_name
// EXPECT: carried f
#include "live.h"
NOINLINE const char *f(int x) {
	return x ? __func__ : ""; //-
	return x > 1 ? __func__ : "none"; //+
}
const char *check(int v) { EXPECT(v, f(1)[0], 'f', 'n'); return NULL; }
// PAIR: new_string
// EXPECT: carried f
#include "live.h"
NOINLINE const char *f(int x) {
	return x ? "one" : "two"; //-
	return x ? "one more" : "two and a long text that nothing had before"; //+
}
const char *check(int v) { EXPECT(v, (int)strlen(f(0)), 3, 43); return NULL; }
// PAIR: same_string_elsewhere
// EXPECT: carried f
// EXPECT clang: carried check,f,main
#include "live.h"
NOINLINE const char *g(void) { return "shared text"; }
NOINLINE const char *f(void) {
	return "old text"; //-
	return "shared text"; //+
}
const char *check(int v) { EXPECT(v, strcmp(f(), g()) == 0, 0, 1); return NULL; }
// PAIR: new_global
// EXPECT: carried f
#include "live.h"
int hits; //+
NOINLINE int f(int x) {
	if (!hits++) x += 10; //+
	return x + 1;
}
const char *check(int v) { EXPECT(v, f(1) >= 2, 1, 1); return NULL; }
// PAIR: new_initialised_global
// EXPECT: carried f
#include "live.h"
static int limits[] = { 3, 5, 7 }; //+
NOINLINE int f(int x) {
	return x + 1; //-
	return x + limits[x]; //+
}
const char *check(int v) { EXPECT(v, f(2), 3, 9); return NULL; }
// PAIR: new_pointer_table
// EXPECT: carried f
// EXPECT clang: carried check,f,main
#include "live.h"
NOINLINE int a(void) { return 1; }
NOINLINE int b(void) { return 2; }
static int (*const calls[])(void) = { a, b }; //+
NOINLINE int f(int x) {
	return x; //-
	return calls[x & 1]() * 10; //+
}
const char *check(int v) { EXPECT(v, f(1), 1, 20); EXPECT(v, a() + b(), 3, 3); return NULL; }
// PAIR: rw_pointer_table
// EXPECT: refused changed-initial-value
#include "live.h"
NOINLINE int a(void) { return 1; }
NOINLINE int b(void) { return 2; }
int (*calls[])(void) = {
	a, //-
	b, //+
	b };
NOINLINE int f(int x) { return calls[x & 1](); }
const char *check(int v) { EXPECT(v, f(0), 1, 2); return NULL; }
// PAIR: initial_value_and_code
// EXPECT: refused changed-initial-value
#include "live.h"
int limit =
	4; //-
	8; //+
NOINLINE int f(int x) {
	return x < limit; //-
	return x <= limit; //+
}
const char *check(int v) { EXPECT(v, f(4), 0, 1); return NULL; }
// PAIR: two_locals_of_a_name
// EXPECT: carried a
#include "live.h"
NOINLINE int a(void) {
	static int count;
	return ++count; //-
	return ++count * 100; //+
}
NOINLINE int b(void) { static int count; return --count; }
const char *check(int v) {
	static int na, nb;
	na++, nb--;
	EXPECT(v, a(), na, na * 100);
	EXPECT(v, b(), nb, nb);
	return NULL;
}
// PAIR: new_static_local
// EXPECT: carried a
#include "live.h"
NOINLINE int a(int x) {
	static int seen = 40; //+
	x += seen; //+
	return x + 1;
}
const char *check(int v) { EXPECT(v, a(1), 2, 42); return NULL; }
// PAIR: static_local_array
// EXPECT: carried next
#include "live.h"
NOINLINE char *next(int x) {
	static char text[4][20];
	static int at;
	snprintf(text[at & 3], 20, "%d", x); //-
	snprintf(text[at & 3], 20, "<%d>", x); //+
	return text[at++ & 3];
}
const char *check(int v) { EXPECT(v, next(1)[0], '1', '<'); return NULL; }
// PAIR: grown_static_local
// EXPECT: refused changed-size
#include "live.h"
NOINLINE char *text(int x) {
	static char text[
		8 //-
		16 //+
		];
	snprintf(text, sizeof(text), "%d", x);
	return text;
}
const char *check(int v) { (void)v; return text(3)[0] == '3' ? NULL : "text"; }
// PAIR: macro
// EXPECT: carried f,g
#include "live.h"
#define LIMIT 4 //-
#define LIMIT 6 //+
NOINLINE int f(int x) { return x < LIMIT; }
NOINLINE int g(int x) { return x + LIMIT; }
NOINLINE int h(int x) { return x * 2; }
const char *check(int v) { EXPECT(v, f(5), 0, 1); EXPECT(v, g(1), 5, 7); EXPECT(v, h(1), 2, 2); return NULL; }
// PAIR: sizeof_stack_buffer
// EXPECT: carried f
#include "live.h"
NOINLINE int f(const char *s) {
	char buffer[
		8 //-
		64 //+
		];
	snprintf(buffer, sizeof(buffer), "%s", s);
	return (int)strlen(buffer);
}
const char *check(int v) { EXPECT(v, f("0123456789"), 7, 10); return NULL; }
// PAIR: variable_array
// EXPECT: carried f
#include "live.h"
NOINLINE int sum(const int *a, int n) { int s = 0; while (n--) s += *a++; return s; }
NOINLINE int f(int n) {
	int a[n];
	for (int i = 0; i < n; i++)
		a[i] = i; //-
		a[i] = i * i; //+
	return sum(a, n);
}
const char *check(int v) { EXPECT(v, f(4), 6, 14); return NULL; }
// PAIR: computed_goto
// EXPECT: carried f
#include "live.h"
NOINLINE int f(int x) {
	static const void *const to[] = { &&zero, &&one };
	goto *to[x & 1];
zero:
	return 10; //-
	return 30; //+
one:
	return 20;
}
const char *check(int v) { EXPECT(v, f(0), 10, 30); EXPECT(v, f(1), 20, 20); return NULL; }
// PAIR: nested_switch
// EXPECT: carried f
#include "live.h"
volatile int side;
NOINLINE int f(int x) {
	switch (x) {
	case 0: side = 1; return 7;
	case 1: side = 2; return 9;
	case 2: side = 3; return 1;
	case 3: side = 4; return 8;
	case 4: side = 5; return 2;
	case 5: side = 6; return 4; //-
	case 5: side = 6; return 5; //+
	case 6: side = 7; return 3;
	}
	return -1;
}
const char *check(int v) { EXPECT(v, f(5), 4, 5); EXPECT(v, f(6), 3, 3); return NULL; }
// PAIR: function_pointer_argument
// EXPECT: carried by,f
#include "live.h"
static NOINLINE int by(const void *a, const void *b) {
	return *(const int *)a - *(const int *)b; //-
	return *(const int *)b - *(const int *)a; //+
}
NOINLINE void f(int *a, size_t n) {
	qsort(a, n, sizeof(*a), by); //-
	if (n) //+
		qsort(a, n, sizeof(*a), by); //+
}
const char *check(int v) { int a[] = { 2, 3, 1 }; f(a, 3); EXPECT(v, a[0], 1, 3); return NULL; }
// PAIR: removed_function
// EXPECT: carried f
#include "live.h"
static NOINLINE int old(int x) { return x + 1; } //-
NOINLINE int f(int x) {
	return old(x); //-
	return x + 2; //+
}
const char *check(int v) { EXPECT(v, f(1), 2, 3); return NULL; }
// PAIR: renamed_function
// EXPECT: carried f
// NEW: 1
#include "live.h"
static NOINLINE int old(int x) { return x + 1; } //-
static NOINLINE int better(int x) { return x + 2; } //+
NOINLINE int f(int x) {
	return old(x); //-
	return better(x); //+
}
const char *check(int v) { EXPECT(v, f(1), 2, 3); return NULL; }
// PAIR: moved_function
// EXPECT: refused nothing-to-patch
#include "live.h"
NOINLINE int a(int x) { return x + 1; } //-
NOINLINE int b(int x) { return x + 2; }
NOINLINE int a(int x) { return x + 1; } //+
const char *check(int v) { (void)v; return a(1) + b(1) == 5 ? NULL : "a"; }
// PAIR: comment_only
// EXPECT: refused nothing-to-patch
#include "live.h"
/* one thing */ //-
/* another thing, at length */ //+
NOINLINE int f(int x) { return x + 1; }
const char *check(int v) { (void)v; return f(1) == 2 ? NULL : "f"; }
// PAIR: renamed_variable
// EXPECT: refused nothing-to-patch
#include "live.h"
NOINLINE int f(int x) {
	int old = x + 1; return old * 2; //-
	int better = x + 1; return better * 2; //+
}
const char *check(int v) { (void)v; return f(1) == 4 ? NULL : "f"; }
// PAIR: not_compiled_in
// EXPECT: refused nothing-to-patch
#include "live.h"
NOINLINE int f(int x) {
#ifdef NEVER
	return x; //-
	return x + 7; //+
#endif
	return x + 1;
}
const char *check(int v) { (void)v; return f(1) == 2 ? NULL : "f"; }
// PAIR: volatile_access
// EXPECT: carried f
#include "live.h"
static volatile int flag = 3;
NOINLINE int f(void) {
	return flag + flag; //-
	return flag; //+
}
const char *check(int v) { EXPECT(v, f(), 6, 3); return NULL; }
// PAIR: atomic
// EXPECT: carried f
// EXPECT clang: carried check,f,main
#include "live.h"
static int counter;
NOINLINE int f(int x) {
	counter = x; return counter; //-
	__atomic_store_n(&counter, x + 1, __ATOMIC_SEQ_CST); return counter; //+
}
const char *check(int v) { EXPECT(v, f(1), 1, 2); return NULL; }
// PAIR: libc_call_added
// EXPECT: carried f
#include "live.h"
NOINLINE int f(const char *s) {
	return s[0]; //-
	return (int)strtol(s, NULL, 10) + (int)strspn(s, "12"); //+
}
const char *check(int v) { EXPECT(v, f("12"), '1', 14); return NULL; }
// PAIR: function_removed_from_table
// EXPECT: carried call
#include "live.h"
NOINLINE int a(int x) { return x + 1; }
NOINLINE int b(int x) { return x + 2; }
static int (*const calls[])(int) = {
	a, //-
	b, //+
	a };
NOINLINE int call(int i) { return calls[i](1); }
const char *check(int v) { EXPECT(v, call(0), 2, 3); EXPECT(v, b(1), 3, 3); return NULL; }
// PAIR: union_grows
// EXPECT: refused changed-layout
// EXPECT clang: refused changed-size
#include "live.h"
union value {
	int i;
	char text[32]; //+
};
static union value *kept;
NOINLINE void keep(int x) { kept = calloc(1, sizeof(*kept)); kept->i = x; }
NOINLINE int get(void) { return kept ? kept->i : 0; }
const char *check(int v) { (void)v; keep(3); return get() == 3 ? NULL : "get"; }
// PAIR: member_resized
// EXPECT: refused changed-layout
#include "live.h"
struct item {
	int size; //-
	long size; //+
	int tail;
};
static struct item *items[4];
NOINLINE void put(int i, int x) {
	items[i] = calloc(1, sizeof(*items[i])); items[i]->size = x; items[i]->tail = x;
}
NOINLINE long get(int i) { return items[i]->size + items[i]->tail; }
const char *check(int v) { (void)v; put(1, 3); return get(1) == 6 ? NULL : "get"; }
// PAIR: global_array_of_structures
// EXPECT: refused changed-size
#include "live.h"
struct item {
	int size; //-
	long size; //+
	int tail;
};
static struct item items[4];
NOINLINE void put(int i, int x) { items[i].size = x; items[i].tail = x; }
NOINLINE long get(int i) { return items[i].size + items[i].tail; }
const char *check(int v) { (void)v; put(1, 3); return get(1) == 6 ? NULL : "get"; }
// PAIR: constructor_code
// EXPECT: refused changed-constructor
// EXPECT clang: carried get
#include "live.h"
static int set;
__attribute__((constructor)) static void init(void) {
	set = 1; //-
	set = 2; //+
}
NOINLINE int get(void) { return set; }
const char *check(int v) { EXPECT(v, get(), 1, 2); return NULL; }
// PAIR: made_through_a_parameter
// EXPECT: refused changed-layout
// All uses of the type are parameters; one of them is given an object from the heap.
#include "live.h"
struct session {
	int fd;
	long more; //+
	int used;
};
NOINLINE int session_new(struct session **out, int fd) {
	*out = calloc(1, sizeof(**out));
	(*out)->fd = (*out)->used = fd;
	return 0;
}
NOINLINE int session_used(const struct session *s) { return s->used + s->fd; }
const char *check(int v) {
	static void *kept;
	(void)v;
	session_new((struct session **)&kept, 3);
	return session_used(kept) == 6 ? NULL : "used";
}
// PAIR: large_alignment
// EXPECT: refused large-alignment
#include "live.h"
static char room[100] __attribute__((aligned(65536))); //+
NOINLINE int f(int x) {
	return x + 3; //-
	return x + (int)((unsigned long)&room[x & 7] & 0xff); //+
}
const char *check(int v) { EXPECT(v, f(3), 6, 6); return NULL; }
