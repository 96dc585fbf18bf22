/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The walk over a stack: complete, or refused with a reason.
 *
 * No I/O: registers are given, memory and code come through the callbacks of
 * struct unwinder, so that one walk serves live threads, recorded states and
 * core files.  The contract is that of the kernel's reliable stack traces
 * (Documentation/livepatch/reliable-stacktrace.rst): success means that the
 * frames are all that the thread may return to, down to a proven end.  What
 * cannot be proven is refused; nothing is guessed.
 */
#ifndef STITCH_UNWIND_WALK_H
#define STITCH_UNWIND_WALK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arch.h"
#include "bytes.h"
#include "cfi.h"
#include "ehframe.h"

/* Why a walk is not reliable; unwind_reason_name() gives the stable name. */
enum unwind_reason {
	UNWIND_OK,
	UNWIND_NO_CODE,       /* no known object at the address */
	UNWIND_NO_CFI,        /* the object has no CFI for the address */
	UNWIND_BAD_CFI,
	UNWIND_NO_MEMORY,     /* a saved register cannot be read */
	UNWIND_NO_REGISTER,   /* CFI needs a register that is not known any more */
	UNWIND_NOT_A_CALL,    /* the return address does not follow a call */
	UNWIND_NOT_CALLEE,    /* the call before it leads to another function */
	UNWIND_NOT_GROWING,   /* the next frame is not above this one */
	UNWIND_LEFT_STACK,    /* the next frame is outside the stack's mapping */
	UNWIND_ENTERED_TWICE, /* a stack that was left is entered again */
	UNWIND_DISAGREES,     /* the back chain or frame record says otherwise */
	UNWIND_SHADOW,        /* the shadow stack says otherwise */
	UNWIND_ODD_FRAME,     /* the return address is not kept in the frame */
	UNWIND_TRANSITION,    /* code that is changing stacks */
	UNWIND_BAD_END,       /* the end is not where a stack ends */
	UNWIND_TOO_DEEP,
	UNWIND_UPROBE,        /* the return address is a probe's of the kernel */
	UNWIND_ISLAND,        /* in a patch's stubs: it will leave soon */
	UNWIND_STOPPED,       /* the consumer asked for the end */
};

/* Functions whose frames are not always what their CFI says. */
enum unwind_switch {
	SWITCH_NONE,
	/* It loads the registers of another place: longjmp, setcontext. */
	SWITCH_AWAY,
	/*
	 * Before it goes to another place it writes that place's registers over the
	 * saved ones in its own frame: _Unwind_RaiseException and its kin (libgcc,
	 * uw_install_context).  The frame is its own as long as its return address
	 * lies behind a call to it; the other registers in it are not believed.
	 */
	SWITCH_IN_PLACE,
};

/* One run of executable memory whose object is known. */
struct unwind_code {
	const char *name;
	uint64_t start, end;  /* addresses */
	uint64_t bias;
	struct eh_section eh; /* eh.data is NULL: no CFI */
	enum unwind_reason refuse; /* why no frame in it can be trusted, else 0 */
	bool may_lack_cfi;    /* a linked file: its start-up code and stubs do */
	/* size bytes of code at addr, NULL if not all are there. */
	const uint8_t *(*bytes)(const struct unwind_code *code, uint64_t addr,
				size_t size);
	/* Is the function that begins there one of longjmp's kind? Optional. */
	enum unwind_switch (*switches)(const struct unwind_code *code, uint64_t start);
	const void *owner;
};

struct unwind_frame {
	uint64_t pc;
	uint64_t raw;         /* the same, but where a copy stands for it (original()) */
	uint64_t lookup;      /* pc - 1 behind a call: inside the caller */
	uint64_t sp, cfa;
	bool is_call;         /* pc is a return address */
	bool is_signal;       /* the frame of a signal's return trampoline */
	bool is_guess;        /* of a plain walk, behind a frame that has no row */
	const struct unwind_code *code;
	uint64_t start, end;  /* the function's part, as CFI knows it; addresses */
	enum unwind_reason reason; /* why this frame is not to be trusted, else 0 */
};

const char *unwind_reason_name(enum unwind_reason reason);
/* A sentence for people. */
const char *unwind_reason_text(enum unwind_reason reason);

struct unwind_cache;

struct unwinder {
	const struct arch *arch;
	void *arg;
	bool (*read)(void *arg, uint64_t addr, void *to, size_t size);
	/* NULL: unknown code there; *why is then the reason, if it has one. */
	const struct unwind_code *(*find_code)(void *arg, uint64_t addr,
					       enum unwind_reason *why);
	/*
	 * The last frame, whose CFI says that there is no caller: is this where
	 * the kernel or the C library begins a stack?
	 */
	bool (*is_end)(void *arg, const struct unwind_frame *last);
	/*
	 * Instructions that were copied elsewhere: where the original of the one at pc
	 * is; pc itself if it is none.  Optional.
	 */
	uint64_t (*original)(void *arg, uint64_t pc);
	/* Where the mapping of a stack ends. Optional. */
	uint64_t (*stack_end)(void *arg, uint64_t sp);
	/* Is the word there never written again? Optional. */
	bool (*is_constant)(void *arg, uint64_t addr);
	/* Memory that is there already: what read() would give, without the call. */
	const uint8_t *window;
	uint64_t window_addr;
	size_t window_size;
	uint64_t tp;               /* the thread's pointer; 0: not known */
	uint64_t shadow;           /* address of the shadow stack's top; 0: there is none */
	struct unwind_cache *cache; /* optional; valid while objects stay */
};

/* A word of the target: of the window where it is in it. */
bool unwind_read_slowly(const struct unwinder *unwinder, uint64_t addr, uint64_t *value);

static inline bool unwind_read_word(const struct unwinder *unwinder, uint64_t addr,
				    uint64_t *value)
{
	uint64_t in = addr - unwinder->window_addr;

	if (__builtin_expect(in >= unwinder->window_size ||
			     unwinder->window_size - in < 8, 0))
		return unwind_read_slowly(unwinder, addr, value);
	*value = bytes_get8(unwinder->window + in, unwinder->arch->big_endian);
	return true;
}

struct unwind_cache *unwind_cache_new(void);
void unwind_cache_free(struct unwind_cache *cache);

/* False ends the walk with UNWIND_STOPPED. */
typedef bool unwind_consume(void *arg, const struct unwind_frame *frame);

/*
 * The reliable walk: from regs, which must be those of a thread that does not
 * run; gives each frame, innermost first, before the next is looked for.  The
 * frame that is not to be trusted is the last one, and its reason is returned.
 */
enum unwind_reason unwind_walk(const struct unwinder *unwinder, const struct regs *regs,
			       unwind_consume *consume, void *arg);
/*
 * The plain walk, for people: the same loop, but it goes on as long as there is
 * something to go on with.  Returns what the reliable walk would have.
 */
enum unwind_reason unwind_walk_plain(const struct unwinder *unwinder,
				     const struct regs *regs, unwind_consume *consume,
				     void *arg);

#endif
