/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a name means in a running process: the answers of its dynamic linker,
 * found from outside without running any of its code.
 */
#ifndef STITCH_LINK_RESOLVE_H
#define STITCH_LINK_RESOLVE_H

#include "process.h"

struct resolver {
	const struct process *process;
	const struct object **scope; /* the dynamic linker's global search order */
	size_t nr_scope;
};

struct err *resolver_init(struct resolver *resolver, const struct process *process)
	__attribute__((warn_unused_result));
void resolver_done(struct resolver *resolver);

/*
 * The address that object would use for a dynamic symbol: what its own bound
 * GOT slot holds, else the first definition in the search order; of an ifunc
 * the implementation that was chosen at start-up.  Errors: symbol-not-found,
 * ifunc-unresolved, symbol-is-tls.
 */
struct err *resolve_import(const struct resolver *resolver, const struct object *object,
			   const char *name, const char *version, uint64_t *addr)
	__attribute__((warn_unused_result));

/* What the ifunc resolver at vaddr of object chose. Error: ifunc-unresolved. */
struct err *resolve_ifunc(const struct resolver *resolver, const struct object *object,
			  const char *name, uint64_t vaddr, uint64_t *addr)
	__attribute__((warn_unused_result));

/*
 * Offset from the thread pointer of a variable at off in the object's TLS
 * segment; only for objects whose TLS is static.  Error: tls-not-static.
 */
struct err *resolve_tp_offset(const struct resolver *resolver, const struct object *object,
			      uint64_t off, int64_t *tp_offset)
	__attribute__((warn_unused_result));
/* The object's TLS module ID. Error: tls-unknown. */
struct err *resolve_tls_module(const struct resolver *resolver,
			       const struct object *object, uint64_t *module)
	__attribute__((warn_unused_result));

#endif
