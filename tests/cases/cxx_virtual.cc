// EXPECT: carried _ZN1B3getEv
// BUILDS: g++ -O2
#include "live.h"
#include <string>
struct A { virtual int get() { return 1; } virtual ~A() {} };
struct B : A { int get() override; };
int B::get() {
	return 2; //-
	return (int)std::string("three").size(); //+
}
static A *volatile a = new B;
const char *check(int v) { EXPECT(v, a->get(), 2, 5); return NULL; }
