// EXPECT: carried limit,parse
// NOTE: changed-member
// A member where padding was: objects that exist have it, with what they were allocated with.
#include "live.h"
struct config {
	long max;
	int fd;
	int strict; //+
};
static struct config *config;
NOINLINE void parse(void)
{
	config = calloc(1, sizeof(*config));
	config->max = 10;
	config->fd = 1;
	config->strict = 1; //+
}
NOINLINE long limit(long x)
{
	if (config->strict && x > 5) //+
		return 5; //+
	return x + 1 > config->max ? config->max : x + 1;
}
const char *check(int v) {
	static struct config *old;
	if (!old)
		parse(), old = config;
	config = old;
	EXPECT(v, limit(7), 8, 8);
	parse();
	EXPECT(v, limit(7), 8, 5);
	return NULL;
}
