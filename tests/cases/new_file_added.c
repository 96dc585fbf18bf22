// PART OF new_file.c
static int calls;
int added(int x) { calls++; return x + 50; }
