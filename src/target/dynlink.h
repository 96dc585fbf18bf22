/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the dynamic linker tells a debugger: struct r_debug and struct link_map of
 * <link.h>, the only layouts of its that are fixed.
 */
#ifndef STITCH_TARGET_DYNLINK_H
#define STITCH_TARGET_DYNLINK_H

#include "process.h"

enum dynlink_state { DYNLINK_CONSISTENT, DYNLINK_ADD, DYNLINK_DELETE }; /* RT_... */

struct dynlink {
	uint64_t debug;  /* struct r_debug: through the program's DT_DEBUG, for a copy that a
			  * program has of _r_debug may be stale */
	uint64_t brk;    /* called before and after objects come and go */
};

/* False: there is none, as in a static program, or it has not begun yet. */
bool dynlink_find(const struct process *process, struct dynlink *link);
/* As the dynamic linker has it now; of several namespaces (dlmopen) the first's. */
enum dynlink_state dynlink_state(const struct process *process, const struct dynlink *link);
/* The objects of the first namespace, in order. The caller frees. */
struct err *dynlink_list(const struct process *process, const struct dynlink *link,
			 const struct object ***objects, size_t *nr)
	__attribute__((warn_unused_result));
/*
 * Where an object's first constructor begins: DT_INIT, else the first of DT_INIT_ARRAY.
 * When a thread gets there the object has been relocated.  0: it has none.
 */
uint64_t dynlink_first_constructor(const struct process *process,
				   const struct object *object);

#endif
