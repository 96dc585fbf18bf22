/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pairs of sources in C++, each behind its PAIR line. */
// PAIR: member_function
// EXPECT: carried _ZN1A3getEv
#include "live.h"
struct A { int x; int get(); };
NOINLINE int A::get() {
	return x; //-
	return x + 1; //+
}
const char *check(int v) { A a = { 3 }; EXPECT(v, a.get(), 3, 4); return NULL; }
// PAIR: lambda
// EXPECT: carried _Z1fi
#include "live.h"
NOINLINE int f(int x) {
	auto g = [x](int y) {
		return x + y; //-
		return x * y; //+
	};
	return g(5);
}
const char *check(int v) { EXPECT(v, f(2), 7, 10); return NULL; }
// PAIR: std_string
// EXPECT: carried _Z1fi
#include <string>
#include "live.h"
NOINLINE int f(int x) {
	std::string s = "a";
	s += std::string(x, 'b'); //-
	s += std::string(x * 2, 'c'); //+
	return (int)s.size();
}
const char *check(int v) { EXPECT(v, f(20), 21, 41); return NULL; }
// PAIR: guarded_static
// EXPECT: carried _Z1fi
#include "live.h"
NOINLINE int made(int x) { return x * 10; }
NOINLINE int f(int x) {
	static int once = made(x);
	return once; //-
	return once + 1; //+
}
const char *check(int v) { int first = f(3) - v; EXPECT(v, f(4), first, first + 1); return NULL; }
// PAIR: global_constructor
// EXPECT: refused changed-constructor
// EXPECT clang: refused changed-initial-value
#include "live.h"
NOINLINE int made(int x) { return x * 10; }
struct A {
	int x;
	A() { x = made(2); } //-
	A() { x = made(3); } //+
};
A a;
NOINLINE int f() { return a.x; }
const char *check(int v) { EXPECT(v, f(), 20, 30); return NULL; }
// PAIR: new_virtual
// EXPECT: refused changed-constant
#include "live.h"
struct A {
	virtual int get() { return 1; }
	virtual int more() { return 2; } //+
	virtual ~A() {}
};
A *make();
NOINLINE A *make() { return new A; }
NOINLINE int f(A *a) {
	return a->get(); //-
	return a->get() + a->more(); //+
}
const char *check(int v) { A *a = make(); EXPECT(v, f(a), 1, 3); return NULL; }
// PAIR: throw_other
// EXPECT: carried _Z1fi
#include "live.h"
NOINLINE void f(int x) {
	if (x > 1) throw 1; //-
	if (x > 1) throw 2; //+
}
NOINLINE int g(int x) { try { f(x); } catch (int i) { return i; } return 0; }
const char *check(int v) { EXPECT(v, g(2), 1, 2); return NULL; }
// PAIR: destructor
// EXPECT: carried _Z1fi
#include "live.h"
static int gone;
struct A { int x; explicit A(int x) : x(x) {} ~A() { gone += x; } };
NOINLINE int f(int x) {
	gone = 0;
	{
		A a(x); //-
		A a(x), b(x + 1); //+
	}
	return gone;
}
const char *check(int v) { EXPECT(v, f(2), 2, 5); return NULL; }
// PAIR: new_overload
// EXPECT: carried _Z1fi
// NEW: 1
#include "live.h"
NOINLINE int g(int x) { return x + 1; }
NOINLINE int g(long x) { return (int)x + 2; } //+
NOINLINE int f(int x) {
	return g(x); //-
	return g((long)x); //+
}
const char *check(int v) { EXPECT(v, f(1), 2, 3); EXPECT(v, g(1), 2, 2); return NULL; }
// PAIR: namespaced
// EXPECT: carried _ZN12_GLOBAL__N_16hiddenEi
#include "live.h"
namespace {
NOINLINE int hidden(int x) {
	return x + 1; //-
	return x + 2; //+
}
}
NOINLINE int f(int x) { return hidden(x) * 2; }
const char *check(int v) { EXPECT(v, f(1), 4, 6); return NULL; }
// PAIR: new_member
// EXPECT: refused changed-layout
#include "live.h"
struct A { int x; int y; //-
struct A { int x; long more; int y; //+
	int sum(); };
static A *kept;
NOINLINE int A::sum() { return x + y; }
NOINLINE A *make(int x) { kept = new A(); kept->x = x; kept->y = 1; return kept; }
const char *check(int v) { (void)v; return make(2)->sum() == 3 ? NULL : "sum"; }
// PAIR: swapped_static_locals
// EXPECT: refused ambiguous-static-local
#include "live.h"
NOINLINE static int f(int x) {
	if (x) { static int n; return n++; } //-
	else { static int n; return n--; } //-
	if (!x) { static int n; return n--; } //+
	else { static int n; return n++ + 1; } //+
}
int use(int x) { return f(x); }
const char *check(int v) { (void)v; f(0); f(1); return NULL; }
// PAIR: kept_static_local
// EXPECT: carried _ZL1fi
#include "live.h"
NOINLINE static int f(int x) {
	static int calls;
	calls += x;
	return calls; //-
	return calls * 10; //+
}
int use(int x) { return f(x); }
const char *check(int v) { static int n; n++; EXPECT(v, f(1), n, n * 10); return NULL; }
