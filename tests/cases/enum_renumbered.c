// EXPECT: carried next
// NOTE: changed-enum
#include "live.h"
enum state {
	START,
	MIDDLE, //+
	END
};
NOINLINE enum state next(enum state s) { return s == START ? END : s; }
const char *check(int v) { EXPECT(v, (int)next((enum state)0), 1, 2); return NULL; }
