// PART OF same_names.c
static __attribute__((noinline)) int helper(int x) { return x + 100; }
int other(int x) { return helper(x); }
