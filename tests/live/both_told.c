// One patch of a program and its library, in which both have callbacks and share data.
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <stitch/livepatch.h> //+
void tell(const char *what, const char *name);
char *story(void);
int from_library(int x);
void *shared(void);
#ifdef LIBRARY
static char text[1000];
void tell(const char *what, const char *name)
{
	size_t n = strlen(text);

	snprintf(text + n, sizeof(text) - n, "%s%s:%s", n ? " " : "", what, name);
}
char *story(void)
{
	return text;
}
void *shared(void)
{
	return text;
}
#endif

#ifdef KLP_CALLBACK_STACK
static int pre(struct klp_object *obj)
{
	tell("pre", obj->name);
	return 0;
}
static void post_un(struct klp_object *obj)
{
	tell("post_un", obj->name);
	klp_shadow_free_all(1, NULL);
}
KLP_PRE_PATCH_CALLBACK(pre)
KLP_POST_UNPATCH_CALLBACK(post_un)
static int *count(void)
{
	return klp_shadow_get_or_alloc(shared(), 1, sizeof(int), 0, NULL, NULL);
}
#endif

#ifdef LIBRARY
int from_library(int x)
{
	if (x < 0)
		return -(int)strlen(text); /* room for a jump */
	return x + 1; //-
	return x + (*count() += 100); //+
}
#else
#include "live.h"
NOINLINE static int own(int x)
{
	return x + 1; //-
	*count() = 7; //+
	return x + 10; //+
}
const char *check(int v)
{
	EXPECT(v, own(1), 2, 11);
	EXPECT(v, from_library(1), 2, 108);
	return NULL;
}
const char *command(const char *line)
{
	static char is[1000];

	strcpy(is, story());
	*story() = 0;
	return strcmp(line, "story") ? NULL : is;
}
void start(void)
{
}
#endif
