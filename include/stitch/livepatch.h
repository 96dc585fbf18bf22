/* SPDX-License-Identifier: MIT */
/*
 * What the source of a patch may say to stitch: callbacks, shadow variables and
 * system states, with the names, arguments and rules of the kernel's livepatch
 * (Documentation/livepatch: callbacks, shadow-vars, system-state).
 *
 * Nothing here is needed for a patch that only changes code: that is an ordinary
 * diff.  A diff that adds a callback includes this header as <stitch/livepatch.h>;
 * `stitch build` has the compiler find it.  In a program that is built from the
 * same source in the ordinary way no callback is ever called, and there are no
 * shadow variables and no states: look at klp_this_patch() where that matters.
 *
 * Callbacks run in the target, in a thread that stitch borrows wherever it stands:
 * under the rules of a signal handler (signal-safety(7)), with all signals blocked
 * but those of their own faults, on a stack of KLP_CALLBACK_STACK bytes.  Every
 * register, errno and the signal mask of the thread are kept.  A callback that
 * faults is broken off, and counts as failed.
 */
#ifndef STITCH_LIVEPATCH_H
#define STITCH_LIVEPATCH_H

#include <errno.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#ifdef __cplusplus
#include <unistd.h>
extern "C" {
#else
long syscall(long number, ...);
#endif

#define STITCH_LIVEPATCH_FORMAT 2

#define KLP_CALLBACK_STACK 65536

struct klp_patch;

/* One program or library that the patch changes. */
struct klp_object {
	const char *name;        /* of its file, without folders */
	struct klp_patch *patch;
	/* stitch's: what to put back when a callback is broken off. */
	int *volatile errno_at;
	volatile long errno_was;
};

/* ---- callbacks -------------------------------------------------------------- */

/*
 * One of each for each object, in any file of it that the patch changes:
 *
 *   pre_patch     before the first function is replaced; another value than 0 (say
 *                 -ENODEV) ends the command with that, nothing replaced
 *   post_patch    when every thread runs the new functions
 *   pre_unpatch   before the first function is put back
 *   post_unpatch  when no thread runs the new functions any more; called exactly
 *                 once for each pre_patch that has returned 0
 *
 * A transition that is turned back has post_unpatch called (enabling) or post_patch
 * again (disabling).  Of a patch that another one replaces none is called any more.
 */
#define KLP_PRE_PATCH_CALLBACK(fn) \
	static int klp_call_pre_patch(struct klp_object *obj) \
		__asm__("__klp_pre_patch") __attribute__((used, noinline)); \
	static int klp_call_pre_patch(struct klp_object *obj) \
	{ int r; KLP_ERRNO_(obj); r = fn(obj); *obj->errno_at = (int)obj->errno_was; return r; }
#define KLP_POST_PATCH_CALLBACK(fn) KLP_VOID_CALLBACK_(post_patch, fn)
#define KLP_PRE_UNPATCH_CALLBACK(fn) KLP_VOID_CALLBACK_(pre_unpatch, fn)
#define KLP_POST_UNPATCH_CALLBACK(fn) KLP_VOID_CALLBACK_(post_unpatch, fn)

#define KLP_VOID_CALLBACK_(which, fn) \
	static int klp_call_##which(struct klp_object *obj) \
		__asm__("__klp_" #which) __attribute__((used, noinline)); \
	static int klp_call_##which(struct klp_object *obj) \
	{ KLP_ERRNO_(obj); fn(obj); *obj->errno_at = (int)obj->errno_was; return 0; }

#define KLP_ERRNO_(obj) ((obj)->errno_was = errno, (obj)->errno_at = &errno)

/* ---- system states ------------------------------------------------------------ */

/* Something of the process that the patch has changed and that outlives its functions. */
struct klp_state {
	unsigned long id;        /* not 0 */
	unsigned int version;
	void *data;
};

/*
 * The patch's states, at most once in a patch: KLP_STATES({ 1, 2, NULL }, ...).  A patch
 * cannot be applied on top of one that has a state in a newer version; nor can one that
 * replaces the others if it lacks a state of theirs.
 */
#define KLP_STATES(...) \
	static struct klp_state klp_states_[] \
		__asm__("__klp_states") __attribute__((used, section(".data.__klp_states"))) = \
		{ __VA_ARGS__, { 0, 0, NULL } }

/* ---- what stitch and patches share: not for use ---------------------------------- */

struct klp_shadow_node_ {
	struct klp_shadow_node_ *next;
	void *obj;
	unsigned long id;
	unsigned long size_class; /* the node has 1 << size_class bytes */
};

enum { KLP_BUCKETS_ = 1024, KLP_CLASSES_ = 48 };

struct klp_runtime_ {
	unsigned long version;    /* of this layout; stitch writes it */
	unsigned long lock;       /* the tid of its holder; 0: free */
	unsigned long sequence;   /* odd while a list changes */
	unsigned long live;       /* shadow variables that there are */
	struct klp_patch *transition; /* that runs; stitch writes it */
	struct klp_chunk_ *chunks; /* all memory of nodes */
	struct klp_shadow_node_ *spare[KLP_CLASSES_];
	struct klp_shadow_node_ *bucket[KLP_BUCKETS_];
};

struct klp_chunk_ {
	struct klp_chunk_ *next;
	unsigned long size;
};

struct klp_patch {
	struct klp_runtime_ *runtime;
	struct klp_patch *prev;   /* the newest that was enabled before this one */
	struct klp_state *states; /* ended by one with id 0; NULL: none */
	const char *name;
};

/* Where the patch is loaded stitch has this; elsewhere nobody does. */
extern struct klp_patch __klp_this_patch __attribute__((weak, visibility("hidden")));

/* A program may lack the functions that GCC calls for atomic operations (libgcc.a's). */
#if defined(__ARM_64BIT_STATE) && defined(__GNUC__) && !defined(__clang__)
#define KLP_ATOMIC_FN_ static __attribute__((unused, noinline, target("no-outline-atomics")))
#else
#define KLP_ATOMIC_FN_ static __attribute__((unused, noinline))
#endif
#define KLP_FN_ static __inline__ __attribute__((unused))

/* This patch, for klp_get_state(); NULL in a program that is no patch. */
KLP_FN_ struct klp_patch *klp_this_patch(void)
{
	struct klp_patch *patch = &__klp_this_patch;

	__asm__("" : "+r"(patch)); /* a weak symbol's address may be NULL */
	return patch;
}

/* The patch's state with the id; NULL: it has none. */
KLP_FN_ struct klp_state *klp_get_state(struct klp_patch *patch, unsigned long id)
{
	struct klp_state *state = patch ? patch->states : NULL;

	while (state && state->id && state->id != id)
		state++;
	return state && state->id ? state : NULL;
}

/*
 * For callbacks: the state with the id of the newest patch that was enabled before the
 * one in transition.  NULL: none has it, or no transition runs.
 */
KLP_FN_ struct klp_state *klp_get_prev_state(unsigned long id)
{
	struct klp_patch *patch = klp_this_patch();
	struct klp_state *state = NULL;

	patch = patch ? patch->runtime->transition : NULL;
	while (patch && !state && (patch = patch->prev))
		state = klp_get_state(patch, id);
	return state;
}

/* ---- shadow variables --------------------------------------------------------------- */

/*
 * Data that belongs to an object of the program without being in it, found by the
 * object's address and a number.  They belong to the process, not to one patch.
 *
 * May be called from any thread, signal handler or callback.  A constructor runs under
 * the lock of all shadow variables, with signals blocked: it must not wait and not call
 * these functions.  What guards the data itself, and that it goes before the object does,
 * is its users' business, as in the kernel.
 */
typedef int (*klp_shadow_ctor_t)(void *obj, void *shadow_data, void *ctor_data);
typedef void (*klp_shadow_dtor_t)(void *obj, void *shadow_data);

struct klp_locked_ {
	unsigned long mask;
	int error;
};

KLP_FN_ struct klp_runtime_ *klp_runtime_(void)
{
	struct klp_patch *patch = klp_this_patch();

	return patch ? patch->runtime : NULL;
}

/*
 * Signals are blocked while the lock is held, so its holder runs and gives it back.  A
 * child of fork may have it from a thread that it has not got: taken from that one.
 */
KLP_ATOMIC_FN_ void klp_lock_(struct klp_runtime_ *rt, struct klp_locked_ *locked)
{
	unsigned long all = ~0UL, self, holder;
	unsigned tries = 0;

	locked->error = errno;
	/* SIG_BLOCK and SIG_SETMASK, which strict C does not have. */
	syscall(SYS_rt_sigprocmask, 0L, &all, &locked->mask, sizeof(all));
	self = (unsigned long)syscall(SYS_gettid);
	for (;;) {
		holder = 0;
		if (__atomic_compare_exchange_n(&rt->lock, &holder, self, 0,
						__ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
			return;
		if (++tries % 64 == 0)
			syscall(SYS_sched_yield);
		if (tries % 65536 == 0 &&
		    syscall(SYS_tgkill, syscall(SYS_getpid), holder, 0) &&
		    __atomic_compare_exchange_n(&rt->lock, &holder, self, 0,
						__ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) {
			rt->sequence += rt->sequence & 1;
			return;
		}
	}
}

KLP_FN_ void klp_unlock_(struct klp_runtime_ *rt, struct klp_locked_ *locked)
{
	__atomic_store_n(&rt->lock, 0, __ATOMIC_RELEASE);
	syscall(SYS_rt_sigprocmask, 2L, &locked->mask, (void *)0, sizeof(long));
	errno = locked->error;
}

KLP_FN_ struct klp_shadow_node_ **klp_bucket_(struct klp_runtime_ *rt, void *obj,
					      unsigned long id)
{
	unsigned long key = ((unsigned long)obj >> 4 ^ id * 31) * 0x9e3779b97f4a7c15UL;

	return &rt->bucket[key >> 54];
}

KLP_FN_ struct klp_shadow_node_ *klp_find_(struct klp_runtime_ *rt, void *obj,
					   unsigned long id)
{
	struct klp_shadow_node_ *node;
	unsigned long steps = 0;

	node = __atomic_load_n(klp_bucket_(rt, obj, id), __ATOMIC_ACQUIRE);
	while (node && (node->obj != obj || node->id != id)) {
		/* A list that changes under a reader may lead it in circles. */
		if (++steps > 1UL << 20)
			return NULL;
		node = __atomic_load_n(&node->next, __ATOMIC_ACQUIRE);
	}
	return node;
}

KLP_ATOMIC_FN_ void klp_link_(struct klp_runtime_ *rt, struct klp_shadow_node_ **at,
		       struct klp_shadow_node_ *node)
{
	__atomic_add_fetch(&rt->sequence, 1, __ATOMIC_SEQ_CST);
	__atomic_store_n(at, node, __ATOMIC_SEQ_CST);
	__atomic_add_fetch(&rt->sequence, 1, __ATOMIC_SEQ_CST);
}

/* 1 << size_class bytes, zero, of memory that never goes back to the kernel by itself. */
KLP_FN_ struct klp_shadow_node_ *klp_new_node_(struct klp_runtime_ *rt, unsigned long cls)
{
	unsigned long size = 1UL << cls, chunk_size = size < 32768 ? 65536 : size + 64, at;
	struct klp_shadow_node_ *node = rt->spare[cls];
	struct klp_chunk_ *chunk;

	if (!node) {
		/* 0x20: MAP_ANONYMOUS, which strict C does not let <sys/mman.h> have */
		void *got = mmap(NULL, chunk_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | 0x20,
				 -1, 0);

		if (got == MAP_FAILED)
			return NULL;
		chunk = (struct klp_chunk_ *)got;
		chunk->size = chunk_size;
		chunk->next = rt->chunks;
		rt->chunks = chunk;
		for (at = 64; at + size <= chunk_size; at += size) {
			node = (struct klp_shadow_node_ *)((char *)chunk + at);
			node->next = rt->spare[cls];
			rt->spare[cls] = node;
		}
		node = rt->spare[cls];
	}
	rt->spare[cls] = node->next;
	/* Not memset(): it may have several implementations, and none chosen yet. */
	for (at = 0; at < size / sizeof(long); at++)
		((volatile unsigned long *)node)[at] = 0;
	node->size_class = cls;
	return node;
}

/* The size of a node with so much data; 0: nobody has so much. */
KLP_FN_ unsigned long klp_class_(size_t size)
{
	unsigned long cls = 6;

	if (size > (size_t)1 << 40)
		return 0;
	while (((size_t)1 << cls) < size + sizeof(struct klp_shadow_node_))
		cls++;
	return cls;
}

/* The variable's data; NULL: there is none. */
KLP_FN_ void *klp_shadow_get(void *obj, unsigned long id)
{
	struct klp_runtime_ *rt = klp_runtime_();
	struct klp_shadow_node_ *node;
	struct klp_locked_ locked;
	unsigned long sequence;
	int tries;

	if (!rt)
		return NULL;
	for (tries = 0; tries < 256; tries++) {
		sequence = __atomic_load_n(&rt->sequence, __ATOMIC_SEQ_CST);
		if (sequence & 1)
			continue;
		node = klp_find_(rt, obj, id);
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		if (__atomic_load_n(&rt->sequence, __ATOMIC_SEQ_CST) == sequence)
			return node ? node + 1 : NULL;
	}
	klp_lock_(rt, &locked);
	node = klp_find_(rt, obj, id);
	klp_unlock_(rt, &locked);
	return node ? node + 1 : NULL;
}

KLP_FN_ void *klp_shadow_make_(void *obj, unsigned long id, size_t size,
			       klp_shadow_ctor_t ctor, void *ctor_data, int or_get)
{
	struct klp_runtime_ *rt = klp_runtime_();
	struct klp_shadow_node_ *node, **bucket;
	unsigned long cls = klp_class_(size);
	struct klp_locked_ locked;
	void *data = NULL;

	if (!rt || !cls)
		return NULL;
	klp_lock_(rt, &locked);
	node = klp_find_(rt, obj, id);
	if (node) {
		data = or_get ? node + 1 : NULL;
	} else if ((node = klp_new_node_(rt, cls))) {
		node->obj = obj;
		node->id = id;
		if (ctor && ctor(obj, node + 1, ctor_data)) {
			node->next = rt->spare[cls];
			rt->spare[cls] = node;
		} else {
			bucket = klp_bucket_(rt, obj, id);
			node->next = *bucket;
			klp_link_(rt, bucket, node);
			rt->live++;
			data = node + 1;
		}
	}
	klp_unlock_(rt, &locked);
	return data;
}

/*
 * A new variable of size bytes, zero, then as ctor makes it (NULL: none; another value
 * than 0: no variable).  NULL: there is one already, no memory, or ctor said no.
 * gfp_flags is there for the kernel's sake and has no meaning.
 */
KLP_FN_ void *klp_shadow_alloc(void *obj, unsigned long id, size_t size,
			       unsigned int gfp_flags, klp_shadow_ctor_t ctor,
			       void *ctor_data)
{
	(void)gfp_flags;
	return klp_shadow_make_(obj, id, size, ctor, ctor_data, 0);
}

/* The variable that there is, ctor not called, or else a new one: never two. */
KLP_FN_ void *klp_shadow_get_or_alloc(void *obj, unsigned long id, size_t size,
				      unsigned int gfp_flags, klp_shadow_ctor_t ctor,
				      void *ctor_data)
{
	void *data = klp_shadow_get(obj, id);

	(void)gfp_flags;
	return data ? data : klp_shadow_make_(obj, id, size, ctor, ctor_data, 1);
}

/* Those of the id (of obj, or of all) in one list. */
KLP_ATOMIC_FN_ void klp_shadow_drop_(struct klp_runtime_ *rt, struct klp_shadow_node_ **at,
			      void *obj, int all, unsigned long id, klp_shadow_dtor_t dtor)
{
	struct klp_shadow_node_ *node;

	while ((node = *at)) {
		if (node->id != id || (!all && node->obj != obj)) {
			at = &node->next;
			continue;
		}
		klp_link_(rt, at, node->next);
		rt->live--;
		if (dtor)
			dtor(node->obj, node + 1);
		__atomic_add_fetch(&rt->sequence, 1, __ATOMIC_SEQ_CST);
		node->next = rt->spare[node->size_class];
		rt->spare[node->size_class] = node;
		__atomic_add_fetch(&rt->sequence, 1, __ATOMIC_SEQ_CST);
	}
}

/* Takes the variable away; dtor (NULL: none) is called for it. Harmless if there is none. */
KLP_FN_ void klp_shadow_free(void *obj, unsigned long id, klp_shadow_dtor_t dtor)
{
	struct klp_runtime_ *rt = klp_runtime_();
	struct klp_locked_ locked;

	if (!rt)
		return;
	klp_lock_(rt, &locked);
	klp_shadow_drop_(rt, klp_bucket_(rt, obj, id), obj, 0, id, dtor);
	klp_unlock_(rt, &locked);
}

/* The same for every object that has one with the id, in no order. */
KLP_FN_ void klp_shadow_free_all(unsigned long id, klp_shadow_dtor_t dtor)
{
	struct klp_runtime_ *rt = klp_runtime_();
	struct klp_locked_ locked;
	int n;

	if (!rt)
		return;
	klp_lock_(rt, &locked);
	for (n = 0; n < KLP_BUCKETS_; n++)
		klp_shadow_drop_(rt, &rt->bucket[n], NULL, 1, id, dtor);
	klp_unlock_(rt, &locked);
}

#ifdef __cplusplus
}
#endif

#endif
