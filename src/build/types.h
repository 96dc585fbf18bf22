/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a change does to types, from debug information.
 *
 * Code that depends on where a member lies differs by its bytes and is carried; what the
 * bytes do not say is that objects exist already which were made by the old code.  A type
 * whose objects may outlive a call (on the heap, in variables, in other objects) must keep
 * its size and every member's place.
 */
#ifndef STITCH_BUILD_TYPES_H
#define STITCH_BUILD_TYPES_H

#include <stdbool.h>
#include <stddef.h>

struct type_change {
	enum {
		TYPE_LAYOUT,     /* its size or a member's place: live objects are of the old */
		TYPE_STACK_ONLY, /* the same, of objects that are only ever on stacks */
		TYPE_MEMBER,     /* a member is new, gone or another in the same space */
		TYPE_ENUM,       /* an enumerator has another value */
	} kind;
	char *name;              /* struct session, state_t, ns::Class */
	char *text;              /* what about it, a half sentence */
	char *inner;             /* of a member that grew, its type; NULL: it is not that */
};

struct type_changes {
	struct type_change *list;
	size_t nr;
};

/* Adds what differs between two objects of one source; nothing without debug information,
 * and no type of a name that changes has in it already. */
void types_compare(const char *old_file, const char *new_file, struct type_changes *changes);
void types_done(struct type_changes *changes);

#endif
