// What a patch's text, constants and variables are called is kept by the program, as objects
// keep their names: it goes on reading there, whether the patch is still in effect or not.
#include "live.h"
struct kind { const char *name; int number; };
static const char *text = "none";
static const struct kind first = { "first", 1 }, *kind = &first;
static char plain[16] = "x", *line = plain;
NOINLINE void keep(int n)
{
	static const struct kind old = { "an old one", 2 }; //-
	static const struct kind new = { "a new one", 3 }; //+
	static char made[16]; //+

	(void)n; //-
	snprintf(made, sizeof(made), "new %d", n); //+
	text = "old"; //-
	text = "new text"; //+
	kind = &old; //-
	kind = &new; //+
	line = plain; //-
	line = made; //+
}
static int is_new(void)
{
	return !strcmp(text, "new text") && kind->number == 3 && !strcmp(kind->name, "a new one") &&
	       !strncmp(line, "new ", 4);
}
static int is_old(void)
{
	return !strcmp(text, "old") && kind->number == 2 && !strcmp(kind->name, "an old one") &&
	       line == plain;
}
const char *check(int v)
{
	static int kept;

	if (kept && !is_new() && !is_old())
		return "what was kept is not there";
	kept = 1;
	keep(7);
	if (v == 2)
		return is_new() || is_old() ? NULL : "neither version";
	EXPECT(v, is_new(), 0, 1);
	return is_old() || is_new() ? NULL : "neither version";
}
