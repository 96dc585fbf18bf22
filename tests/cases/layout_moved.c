// EXPECT: refused changed-layout
// A member in the middle: objects that exist have the others elsewhere.
#include "live.h"
struct session {
	int fd;
	long failures; //+
	char *name;
	long used;
};
static struct session *sessions[4];
NOINLINE struct session *session_new(int fd)
{
	struct session *s = calloc(1, sizeof(*s));
	s->fd = fd, s->name = "x", s->used = fd;
	sessions[fd & 3] = s;
	return s;
}
NOINLINE long used(int n) { return sessions[n] ? sessions[n]->used : -1; }
const char *check(int v) { (void)v; session_new(2); return used(2) == 2 ? NULL : "used"; }
