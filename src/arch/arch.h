/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A port: everything that is different from one architecture to the next.
 *
 * A port is one file with one const struct arch.  It makes no system call,
 * allocates nothing that the caller does not see and keeps no state: bytes in,
 * bytes out.  Every port is compiled into every build and tested on every host.
 * Generic code asks the struct and never which architecture it is.
 *
 * Words: vaddr is in a file's own layout, addr is in the target, off is in a
 * file or section, bias = addr - vaddr.
 */
#ifndef STITCH_ARCH_ARCH_H
#define STITCH_ARCH_ARCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "mem.h"

enum {
	ARCH_REGS_MAX = 512, /* bytes of NT_PRSTATUS */
	ARCH_COLS_MAX = 128, /* DWARF register columns of any port */
	ARCH_JUMP_MAX = 8,   /* bytes of a jump at an entry: one store */
	ARCH_UNDO_MAX = 16,  /* of what undoes what an entry keeps */
	ARCH_STUB_MAX = 32,  /* bytes of a jump through a slot */
	ARCH_CODE_WORD_MAX = 8,
	ARCH_INSN_MAX = 16,
	ARCH_MOVED_MAX = 32, /* of what one instruction becomes elsewhere */
	ARCH_DESC_MAX = 12,
};

/* The general registers of a stopped thread, as NT_PRSTATUS gives them. */
struct regs {
	uint8_t bytes[ARCH_REGS_MAX];
	uint64_t shadow; /* the shadow stack's top; 0: the thread has none */
	bool is_partial; /* pc, sp and the thread pointer are known, and nothing else */
};

enum insn_flow {
	FLOW_NEXT,          /* goes on to the next instruction */
	FLOW_CALL,
	FLOW_JUMP,
	FLOW_BRANCH,        /* conditional */
	FLOW_RETURN,
	FLOW_STOP,          /* never goes on: ud2, hlt */
};

/* One decoded instruction. */
struct insn {
	uint8_t size;
	enum insn_flow flow;
	bool is_nop;
	bool is_padding;    /* what linkers and assemblers put between functions */
	bool is_direct;     /* a call, jump or branch to target */
	uint64_t target;
	bool is_pcrel;      /* has a memory operand relative to pc, at mem */
	uint64_t mem;
	uint8_t field_off;  /* of the displacement, when is_direct or is_pcrel */
	uint8_t field_size; /* in bytes; 0: no such field */
	/* What data-flow questions need: a plain move; MOVE_ADDR: an address (lea). */
	enum { MOVE_NONE, MOVE_REG, MOVE_LOAD, MOVE_STORE, MOVE_STORE_IMM, MOVE_ADDR } move;
	int16_t dst_reg, src_reg; /* DWARF columns, -1 if not a general register */
	int16_t base_reg;         /* of a memory operand that is not pc-relative */
	int64_t base_disp;
	int64_t imm;
	uint8_t mem_size;         /* bytes moved */
	/*
	 * An address that two instructions make: the first has its page (is_pcrel, mem) in
	 * dst_reg, another adds low to what page_reg holds, or loads or stores there.  Where
	 * the first adds to a register itself (B) it has page_reg and low of its own.
	 */
	bool is_page;
	int16_t page_reg;         /* -1: it adds to none */
	uint64_t low;
	bool is_sum;              /* dst_reg is that sum */
	int16_t changes;          /* the general register that it may change, -1: none */
};

/* What an instruction does with one value, for questions about data flow. */
struct insn_value {
	enum {
		VALUE_OTHER,     /* it may change the registers in changes */
		VALUE_ADD,       /* reg = base + off */
		VALUE_LOAD,      /* reg = what is at base + off */
		VALUE_STORE,     /* and there is what is in reg */
		VALUE_STORE_IMM, /* or imm */
	} kind;
	int16_t reg, base;       /* DWARF columns; base -1: off is the whole address or value */
	uint64_t off, imm;
	uint8_t size;            /* bytes that are loaded or stored */
	uint32_t changes;        /* by column */
};

/* How the value of a relocation is made, in the letters of the psABIs. */
enum reloc_formula {
	RELOC_NONE,     /* nothing to write */
	RELOC_UNKNOWN,  /* of a type that the port does not know: what has it is not carried */
	RELOC_ABS,      /* S + A */
	RELOC_PC,       /* S + A - P */
	RELOC_CALL,     /* S + A - P, or a stub for S: always a call or jump */
	RELOC_GOT_PC,   /* G + A - P: G is the address of a slot with S */
	RELOC_TP,       /* offset of a TLS variable from the thread pointer, + A */
	RELOC_GOT_TP,   /* G + A - P: the slot holds that offset */
	RELOC_TLS_GD,   /* G + A - P: two slots, module ID and offset */
	RELOC_TLS_LD,   /* G + A - P: two slots, module ID and 0 */
	RELOC_DTP,      /* offset of a TLS variable in its module, + A */
	RELOC_SIZE,     /* Z + A */
	RELOC_PAGE,     /* Page(S + A) - Page(P), pages of 4 KiB */
	RELOC_GOT_PAGE, /* Page(G) - Page(P) */
	RELOC_GOT_ABS,  /* G, for its lower bits */
	RELOC_GOT_TP_PAGE, /* the same two of the slot of RELOC_GOT_TP */
	RELOC_GOT_TP_ABS,
	/* From B, which code has in a register: the TOC pointer, or the GOT's address. */
	RELOC_BASE,        /* S + A - B */
	RELOC_BASE_PC,     /* B + A - P */
	RELOC_GOT_BASE,    /* G + A - B, of the slot of RELOC_GOT_PC */
	RELOC_GOT_TP_BASE, /* the same of the slots of RELOC_GOT_TP, TLS_GD and TLS_LD */
	RELOC_TLS_GD_BASE,
	RELOC_TLS_LD_BASE,
};

struct reloc_type {
	uint32_t type;
	const char *name;
	enum reloc_formula formula;
	uint8_t size;     /* bytes written */
	bool is_signed;   /* how the value has to fit */
	uint8_t field;    /* of an instruction: the port's number for it; 0: whole bytes */
};

/* How a thread is made to do a system call for us and to get back by itself. */
struct remote_layout {
	size_t code_size;  /* bytes of remote_code */
	size_t pc_slot;    /* offset in it of the 8 bytes for the pc to go back to; 0: none */
	size_t frame_size; /* bytes below the red zone */
	size_t red_zone;
	bool by_sigreturn; /* the way back is rt_sigreturn(2): it needs the fp_sets and the mask */
	/* Where in the frame mmap(2) finds its arguments, whose address it takes; 0: it takes
	 * them in registers, as all other calls. */
	size_t mmap_block;
};

enum { REMOTE_FP_MAX = 1280, ARCH_SETS = 3 };

/* A register set; size 0: none. */
struct arch_regset {
	unsigned type;
	size_t size;
	bool is_set; /* given back with the general registers */
};

struct arch_remote_request {
	const struct regs *regs; /* of the thread, stopped */
	const uint8_t *fp;       /* its fp_sets, one behind the other */
	size_t fp_size;
	uint64_t mask;           /* signals that it blocks, where they are needed */
	uint64_t code;           /* address of remote_code */
	uint64_t frame;          /* address of the frame */
};

/* How a thread is made to call a function for us, with its whole state kept. */
enum {
	CALL_FRAMES = 16384,  /* bytes above the function's stack */
	CALL_MARKS = 64,      /* the last of them: words that the code writes */
	CALL_BEGUN = 0, CALL_DONE = 8, CALL_RESULT = 16, /* offsets in the marks */
};

/* SIGILL, SIGTRAP, SIGBUS, SIGFPE, SIGSEGV, SIGSYS come from what the function does. */
#define CALL_OWN_FAULTS (UINT64_C(1) << 3 | 1 << 4 | 1 << 6 | 1 << 7 | 1 << 10 | 1 << 30)

struct arch_call_request {
	const struct regs *regs; /* of the thread, stopped */
	const uint8_t *fp;       /* its fp_sets */
	size_t fp_size;
	uint64_t mask;           /* signals that it blocks */
	uint64_t stack;          /* address of the CALL_FRAMES bytes */
	uint64_t code;           /* of call_code */
	uint64_t function, argument;
};

/* ---- what an unwinder must know beyond call frame information ------------- */

/*
 * The operand of the call in front of a return address: a place to begin from and
 * steps from there, each of which adds a distance and takes the word found.
 */
enum { CALL_STEPS = 4 };

struct arch_call {
	enum {
		CALL_UNKNOWN,  /* not to be told from the code */
		CALL_ADDR,     /* begins with addr; without steps: a direct call */
		CALL_COL,      /* with what column col holds */
		CALL_TP,       /* with the thread pointer */
	} kind;
	uint64_t addr;
	unsigned col;
	unsigned nr_steps;
	int64_t steps[CALL_STEPS];
};

/* What one instruction does to what an unwinder follows (unwind/bycode.c). */
struct insn_effect {
	uint8_t size;
	enum insn_flow flow;
	bool is_direct;        /* of a jump or branch: target is known */
	uint64_t target;
	bool is_lost;          /* the stack pointer becomes something unknown */
	int64_t sp_add;        /* after the loads */
	unsigned nr_loads;     /* registers loaded from sp + off */
	struct { uint8_t col; int64_t off; } loads[18];
	bool has_move;         /* a register takes another's value */
	uint8_t move_to, move_from;
};

/* A frame as a port knows it without call frame information. */
struct arch_frame {
	int64_t cfa;           /* from sp */
	unsigned nr_saved;
	struct { uint8_t col; int64_t off; } saved[36]; /* from sp, too */
};

/* Where frames are linked by other means than call frame information. */
enum arch_chain {
	CHAIN_NONE,
	CHAIN_SP,              /* the word at sp is the caller's sp: back chain */
	CHAIN_FP,              /* the frame pointer leads to {caller's, return address} */
};

enum { ARCH_MASK = 2 };  /* words of a set of columns */

/*
 * The second word of a thread's entry: a byte of state, its version, 0 or 1, and whether
 * that is open; a byte for its mark; 48 bits of a stack pointer, in units of ARCH_SP_UNIT.
 * The bytes come in this order on every machine, and the 48 bits in the machine's own.
 *
 * Who comes by in an open state compares its stack pointer with that one.  Deeper: it goes
 * where its state leads, and that is all.  The same: it goes where the other version is.
 * Above: where its state leads.  In these two cases it leaves a mark, ARCH_MARK and the
 * version that it went to, which counts instead of the state from then on.
 */
enum { ARCH_STATE_OPEN = 2, ARCH_MARK = 4, ARCH_SP_UNIT = 8, ARCH_SP_BITS = 48 };

/*
 * What a dispatcher decides by, while threads are in two states (redirect/dispatch.h);
 * addresses in the target.
 */
struct arch_dispatch {
	uint64_t at;          /* of the dispatcher itself */
	uint64_t table;       /* 1 << bits entries of two words: thread pointer + 1, state */
	unsigned bits;
	uint64_t initial;     /* a byte: the state of threads that are not in the table */
};

/* From off bytes on: depth bytes of stack, and nr_saved of the saved registers there. */
struct arch_dispatch_row {
	uint16_t off, depth;
	uint8_t nr_saved;
};

/* The frame of the dispatcher and its stubs: what call frame information says of them. */
struct arch_dispatch_frame {
	struct { uint8_t col; int16_t off; } saved[4]; /* in order; off from the CFA */
	const struct arch_dispatch_row *rows, *stub_rows;
	unsigned nr_rows, nr_stub_rows;
	/* A column whose value an expression gives, all the time; NULL: none. */
	const uint8_t *expr;
	uint8_t expr_size, expr_col;
};

/* What undoing a dispatcher's work has found out. */
struct arch_undone {
	uint64_t pair;        /* the stub's; 0: not known */
	/*
	 * It may have looked already, and passed by the place where its entry comes to stand:
	 * it is where it came from only if it is put there.  So it is where the search begins,
	 * too, for each further look begins there as well.
	 */
	bool has_looked;
};

struct arch_unwind {
	unsigned pc_col;       /* a signal's frame gives the pc in this column */
	bool ra_in_register;   /* a call leaves the return address in ra_col */
	int ra_from_cfa;       /* where a call leaves it in memory; 0: nowhere */
	unsigned cfa_above_sp; /* the caller's sp is so far below the CFA */
	uint64_t kept[ARCH_MASK]; /* columns that a function gives back unchanged */
	enum arch_chain chain;
	bool ends_by_chain;    /* no call frame information says where a stack ends */
	unsigned fp_col;
	uint64_t start_below;  /* how far below the start stack _start may call from */
	/* The signal trampoline's bytes; its frame is laid out by the kernel. */
	const uint8_t *trampoline;
	size_t trampoline_size;
	struct arch_frame signal_frame;
	/* That of handlers without siginfo, of the same size, and how much nearer to sp the
	 * kernel puts the same registers; NULL: there is only one. */
	const uint8_t *short_trampoline;
	int64_t short_by;
	unsigned shadow_regset; /* its word is the shadow stack's top; 0: no such set */
	/* The line of /proc/PID/status, and the word in it, that say that a thread has one. */
	const char *shadow_line, *shadow_word;
	/* Takes a signature out of a return address (PAC); NULL: there is none. */
	uint64_t (*strip)(uint64_t addr);
	/* Does the code of a function, up to where it stands, link its frame? */
	bool (*links_frame)(const uint8_t *code, size_t size);
	bool (*effect)(const uint8_t *code, size_t size, uint64_t addr,
		       struct insn_effect *effect);
	/*
	 * In a linker's stub: near holds 16 bytes before pc and 16 from it on.
	 * False: none that is known.
	 */
	bool (*stub_frame)(const uint8_t *near, uint64_t pc, struct arch_frame *frame);
	/* What the size bytes that end at ra say, where they can be read in one way. */
	void (*call_before)(const uint8_t *code, size_t size, uint64_t ra,
			    struct arch_call *call);
	/* What the call at addr says, which begins with the bytes. */
	void (*call_at)(const uint8_t *code, size_t size, uint64_t addr,
			struct arch_call *call);
	/* The general registers that an instruction changes, by column; unknown: all. */
	uint32_t (*written)(const uint8_t *code, size_t size);
};

struct arch {
	const char *name;
	uint16_t machine;     /* e_machine */
	bool big_endian;
	unsigned page_size;   /* the largest that the ABI allows to be assumed */

	/* Registers: offsets in NT_PRSTATUS. */
	size_t regs_size;
	size_t pc_off, sp_off, tp_off;
	const int16_t *col_off;   /* per DWARF column, -1 if not kept there */
	/* Registers of other sets that stand behind NT_PRSTATUS', one behind the other. */
	struct arch_regset more_regs[ARCH_SETS];
	/* All that the kernel puts into a signal frame beside them; a set that the machine
	 * has not is zeroes, the last may be shorter. */
	struct arch_regset fp_sets[ARCH_SETS];
	unsigned nr_cols;
	unsigned sp_col, ra_col;
	unsigned second_arg_col;  /* the register of a function's second argument */
	const struct arch_unwind *unwind;

	/* What the C library does to addresses in a jmp_buf: xor with a guard, so far from the
	 * thread pointer (0: it is not known), then rotated left by so many bits. */
	unsigned pointer_guard, pointer_rotated;

	/* System calls. */
	size_t sysno_off;         /* -1 there at a call's entry: it is left out */
	bool sysno_is_apart;      /* where no argument is; -1 there: not in a system call */
	/* Where the first argument is while a call is in the kernel; 0: in its register. */
	size_t sysarg0_entered_off;
	unsigned sysno_regset;    /* an int of its own that says so instead; 0: none */
	unsigned syscall_size;    /* bytes of the instruction */
	/* After an execution breakpoint of perf a thread has to be resumed by a step, which
	 * the kernel takes for its own and for what arms its breakpoints again. */
	bool steps_off_events;
	size_t sysret_off;
	/* Is the thread in a system call, or at its end?  Which, and its result, an error
	 * negative; and another result.  NULL: by sysno_off and sysret_off. */
	bool (*get_result)(const struct regs *regs, long *nr, int64_t *result);
	void (*set_result)(struct regs *regs, int64_t result);
	/*
	 * A thread is to get the registers back that it had when it was interrupted in a
	 * call, where it stands now: will the kernel begin that again?  NULL: it will.
	 */
	bool (*begins_again)(const struct regs *now);
	size_t sysnr_off;         /* where a call's number goes */
	size_t sysarg_off[6];
	long nr_mmap, nr_munmap, nr_mprotect, nr_prctl;
	/* Calls whose EINTR a program sees although they can be begun anew. */
	const long *eintr_calls;
	unsigned nr_eintr_calls;

	/* Code. */
	unsigned jump_size;
	unsigned code_word;       /* bytes that may change at once under running threads:
				   * one aligned store, inside one instruction */
	uint64_t jump_reach;      /* largest distance of a direct jump or call */
	size_t stub_size;         /* of put_far_jump */
	enum {
		PCREL_FROM_FIELD, /* the addend counts from the field */
		PCREL_FROM_END,   /* from the next instruction */
		PCREL_FROM_INSN,
	} pcrel;
	bool (*decode)(const uint8_t *code, size_t size, uint64_t addr,
		       struct insn *insn);
	/*
	 * The same, but only size, flow, padding and a direct target: for scans over
	 * whole functions.
	 */
	bool (*flow)(const uint8_t *code, size_t size, uint64_t addr, struct insn *insn);
	/* Of an instruction that was decoded. */
	void (*value)(const uint8_t *code, const struct insn *insn, struct insn_value *value);
	/* The register that has a function's own address when it is called; 0: none has. */
	uint8_t self_col;
	/* Bytes at an entry that must stay (endbr64, bti): 0 if there are none. */
	size_t (*entry_keep)(const uint8_t *code, size_t size);
	/*
	 * What an entry keeps has been done when the jump behind it leads away.  Code that
	 * undoes it and goes on to target, at most ARCH_UNDO_MAX bytes, its size in *size;
	 * 0: there is nothing to undo.  False: out of reach.  NULL: there never is.
	 */
	bool (*put_undo)(uint8_t *out, const uint8_t *kept, uint64_t at, uint64_t target,
			 size_t *size);
	/* A jump is as long as any instruction: nobody can be in the middle of where it goes. */
	bool jump_is_insn;
	/* May a jump be put over this instruction, and it over the jump, while others run
	 * through it?  NULL: any. */
	bool (*is_exchangeable)(const uint8_t *code);
	/* A jump is not led straight to a new function: its gate gives that what it needs (a
	 * register), or the jump could not be changed while others run through it. */
	bool keeps_gates;
	/* Both put exactly jump_size/stub_size bytes; false: out of reach. */
	bool (*put_jump)(uint8_t *out, uint64_t at, uint64_t target);
	bool (*put_far_jump)(uint8_t *out, uint64_t at, uint64_t slot);
	/*
	 * Where a jump at a site can lead if only its first nr_free bytes may differ from
	 * old (jump_size bytes): every address in [*first, *last].
	 */
	void (*jump_window)(const uint8_t *old, unsigned nr_free, uint64_t at,
			    uint64_t *first, uint64_t *last);
	/*
	 * Re-encodes one instruction, decoded at addr, to run at addr to.
	 * Returns its new size, 0 if it cannot be moved.
	 */
	size_t (*move_insn)(const uint8_t *code, const struct insn *insn,
			    uint64_t to, uint8_t *out);
	/*
	 * The same of a call on whose stack is the return address: back is what is put there,
	 * by instructions of which the first pushes it, and the rest follows.  0: not this
	 * call; NULL: calls push nothing.
	 */
	size_t (*move_call)(const uint8_t *code, const struct insn *insn, uint64_t to,
			    uint64_t back, uint8_t *out);
	/* size bytes that end where a return address points: was that a call? */
	bool (*follows_call)(const uint8_t *code, size_t size);
	/* Changes a GOT or PLT stub's bytes into the slot that it jumps through. */
	bool (*stub_slot)(const uint8_t *code, size_t size, uint64_t addr,
			  uint64_t *slot);

	/*
	 * The dispatcher: entered from a stub, leaves to the first (state 0) or second
	 * (state 1) of the two addresses at the stub's pair, with every register and flag
	 * and the stack as they were at the stub; it calls nothing and writes nothing but
	 * what it pushes, and a mark.  It may be any distance from its table and its pairs.
	 * dispatch_size 0: not ported.  Its stack pointer is dispatch_depth bytes below what
	 * its caller's is behind the call.
	 */
	size_t dispatch_size, dispatch_stub_size;
	unsigned dispatch_depth;
	const struct arch_dispatch_frame *dispatch_frame;
	/* What it needs of a machine that not every one has: the bits of AT_HWCAP2, and a
	 * function that can be tried where the kernel does not name them. */
	unsigned long dispatch_hwcap2;
	const uint8_t *dispatch_probe;
	size_t dispatch_probe_size;
	bool (*put_dispatcher)(uint8_t *out, const struct arch_dispatch *d);
	bool (*put_dispatch_stub)(uint8_t *out, uint64_t at, uint64_t pair,
				  const struct arch_dispatch *d);
	/*
	 * The port's half of arch_dispatch_undo(): what has been found out, and of the
	 * registers what dispatch_frame does not say (flags).  False: it is too far for that.
	 */
	bool (*dispatch_undo)(struct regs *regs, bool is_stub, uint64_t off,
			      struct arch_undone *undone,
			      bool (*read)(void *arg, uint64_t addr, uint64_t *word),
			      void *arg);
	/* The entry of the table where the search for a key (thread pointer + 1) begins. */
	uint64_t (*dispatch_hash)(uint64_t key, unsigned bits);

	/* Zeroes the bits of an instruction that hold an address or its lower part; NULL: they
	 * are the bytes of its field. */
	void (*clear_address)(uint8_t *code, const struct insn *insn);

	/* Symbols that say what kind of bytes begin, and name nothing; NULL: there are none. */
	bool (*is_mark)(const char *name);

	/* Relocations. */
	const struct reloc_type *relocs;
	unsigned nr_relocs;
	/* Puts a value into a field of an instruction; false: it does not fit. */
	bool (*put_field)(uint8_t *at, const struct reloc_type *type, uint64_t value);
	uint32_t rel_copy, rel_glob_dat, rel_jump_slot, rel_relative, rel_irelative;
	uint32_t rel_dtpmod, rel_dtpoff, rel_tpoff;
	/*
	 * The code to which slots lead that are not bound yet, where it is in no section of its
	 * own (.plt): the dynamic section's tag that tells of it, how far behind that the first
	 * slot's is, and the size of each.  Tag 0: it is in .plt.
	 */
	int64_t lazy_tag;
	unsigned lazy_first, lazy_size;
	/*
	 * A descriptor's two words: a function and its argument.  True if the function, of
	 * whose code ARCH_DESC_MAX bytes are given, is the C library's for static TLS: then
	 * the argument is the offset from the thread pointer.  NULL: rel_tlsdesc is not used.
	 */
	uint32_t rel_tlsdesc;
	bool (*desc_is_static)(const uint8_t *code);
	/* The name that object files have for B; it is so far behind the object's .got, or,
	 * where that is 0, at slots of the patch's own. */
	const char *base_symbol;
	uint64_t base_in_got;
	uint8_t base_col; /* the register that has B wherever code runs; 0: none */
	/*
	 * Where B is in a register that calls keep: a stub for calls out of the object, and
	 * what has to stand behind such a call; false: there is no room for it.  A function
	 * of the object's own is called behind what entry_keep() says.
	 */
	bool (*put_call_stub)(uint8_t *out, uint64_t at, uint64_t slot);
	bool (*put_restore)(uint8_t *code);
	/* TLS variant II (offsets below the thread pointer) or I (above). */
	bool tls_below_tp;
	unsigned tcb_size;        /* variant I: bytes between the pointer and the program's */
	int64_t tp_bias, dtp_bias; /* by which offsets from either are less than they are */

	/*
	 * Calls of functions in the target (target/call.h).  call_code_size 0: not ported.
	 * call_code is the way into the function and back; call_frames fills the stack's last
	 * CALL_FRAMES bytes, which stand at req->stack, for a thread that stands with regs
	 * and fp, and makes go the registers that send it there.  False: its state cannot be
	 * kept whole.
	 */
	size_t call_code_size;
	void (*call_code)(uint8_t *out);
	bool (*call_frames)(const struct arch_call_request *req, uint8_t *stack,
			    struct regs *go);
	/* regs of a thread in the function, changed to those with which it has returned. */
	void (*call_abort)(const struct arch_call_request *req, int64_t result,
			   struct regs *regs);

	/* Remote system calls. */
	struct remote_layout remote;
	void (*remote_code)(uint8_t *out);
	/*
	 * Fills frame (remote.frame_size bytes, to stand at sp - red_zone - frame_size) and
	 * makes call the registers that start the system call.  pc_back is what goes into
	 * the pc slot.  False: the thread cannot be borrowed as it stands.
	 */
	bool (*remote_frame)(const struct arch_remote_request *req, uint8_t *frame,
			     struct regs *call, uint64_t *pc_back);
	/* A register set with a 16-bit word that says: what is in the vector registers now
	 * cannot be given back (SVE); size 0: none. */
	struct { unsigned type; size_t size, off; uint16_t bit; } live_vectors;
};

extern const struct arch_unwind x86_64_unwind;
extern const struct arch arch_x86_64, arch_aarch64, arch_s390x, arch_ppc64le;

/* By e_machine; NULL if there is no such port. */
const struct arch *arch_find(uint16_t machine);
/* The last row at or before an offset. */
const struct arch_dispatch_row *arch_dispatch_row_at(const struct arch *arch, bool is_stub,
						     uint64_t off);
/*
 * regs of a thread in a stub (is_stub) or in the dispatcher, off bytes from its
 * beginning: as they were when the stub was entered, but for the pc.  False: it is
 * too far for that, or a word of its stack could not be read.
 */
bool arch_dispatch_undo(const struct arch *arch, struct regs *regs, bool is_stub, uint64_t off,
			struct arch_undone *undone,
			bool (*read)(void *arg, uint64_t addr, uint64_t *word), void *arg);
/* A call whose copy is what move_call() made of it: more than one instruction, the last. */
static inline bool insn_is_split_call(const struct insn *original, const struct insn *copy)
{
	return original->flow == FLOW_CALL && copy->flow != FLOW_CALL;
}

/* The CFA of a function, where it is entered, is so far above sp. */
static inline int64_t arch_entry_cfa(const struct arch *arch)
{
	return (int64_t)arch->unwind->cfa_above_sp - arch->unwind->ra_from_cfa;
}
/*
 * Stacks of every port can be walked; not every port can patch yet:
 * "not-ported" says so of what is to be built or applied.
 */
bool arch_can_patch(const struct arch *arch);
struct err *arch_need_patch(const struct arch *arch) __attribute__((warn_unused_result));
/* The port of this program. */
const struct arch *arch_host(void);
/* By number, for tests over all ports; NULL past the last. */
const struct arch *arch_nth(unsigned n);

/*
 * A call's result as a stopped thread has it that was interrupted in it, which the kernel
 * will begin again or continue: -ERESTARTSYS and its kin, in no header of user space.
 */
bool arch_is_restart(int64_t result);

/* What a decoded call says whose operand, if it is not direct, is in column col. */
struct arch_call arch_call_of(const struct insn *insn, unsigned col);

const struct reloc_type *arch_reloc(const struct arch *arch, uint32_t type);
/*
 * The formula whose slot of the GOT one uses, for several share a slot: its page and the rest
 * of its address; any other is its own.
 */
enum reloc_formula arch_reloc_slot(enum reloc_formula formula);

uint64_t regs_get(const struct arch *arch, const struct regs *regs, size_t off);
void regs_set(const struct arch *arch, struct regs *regs, size_t off, uint64_t v);
uint64_t regs_pc(const struct arch *arch, const struct regs *regs);
uint64_t regs_sp(const struct arch *arch, const struct regs *regs);

/*
 * True if the thread was stopped in a system call that will return EINTR to
 * the program only because it was stopped, and that is safe to begin anew.
 * The same registers then get the kernel's -ERESTARTNOHAND (514), which begins
 * it again unless a real signal has a handler to run (kernel, signal handling
 * on return to user mode).
 */
bool regs_fix_eintr(const struct arch *arch, struct regs *regs);

/* The result of a system call that the thread is at the end of, an error negative. */
int64_t regs_call_result(const struct arch *arch, const struct regs *regs);

#endif
