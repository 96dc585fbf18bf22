// Functions of a library that did not need its table of addresses, and do when patched.
#define NOINLINE __attribute__((noipa))
int counter = 1000, step = 10;
static NOINLINE int leaf(int x) {
	return x + 1; //-
	return x + counter; //+
}
// Two of its arguments are on the stack.
static NOINLINE int many(int a, int b, int c, int d, int e, int f, int g, int h, int i, int j) {
	return 6 * (a + b + c + d + e + f + g + h + i + j); //-
	return 6 * (a + b + c + d + e + f + g + h + i + j) + counter; //+
}
// Both rely on the table after a call that says nothing of it.
int caller(int x) { return leaf(x) + step; }
int caller10(void) { return many(1, 2, 3, 4, 5, 6, 7, 8, 9, 10) + step; }
// A call at the end of a function.
NOINLINE int last(int x) { return leaf(x); }
int (*leaf_address(void))(int) { return leaf; }
