// EXPECT: carried at_first,at_second
/*
 * Constants that lead to each other, and one of them to another that changes: whoever comes to
 * it from any of them sees the change.
 */
#include "live.h"

struct state { const struct state *next; const int *value; };
static const int old_value = 3;
static const int value =
	5 //-
	6 //+
	;
static const struct state first, second;
static const struct state first = { &second, &value };
static const struct state second = { &first, &old_value };

NOINLINE int at_first(int i)
{
	const volatile struct state *s = &first;

	while (i--)
		s = s->next;
	return *s->value;
}

NOINLINE int at_second(int i)
{
	const volatile struct state *s = &second;

	while (i--)
		s = s->next;
	return *s->value;
}

const char *check(int v)
{
	EXPECT(v, at_first(0), 5, 6);
	EXPECT(v, at_first(2), 5, 6);
	EXPECT(v, at_first(1), 3, 3);
	EXPECT(v, at_second(0), 3, 3);
	EXPECT(v, at_second(1), 5, 6);
	EXPECT(v, at_second(3), 5, 6);
	return NULL;
}
