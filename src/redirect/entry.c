/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "entry.h"

#include <inttypes.h>
#include <sodium.h>
#include <string.h>

#include "bytes.h"
#include "ehframe.h"
#include "mem.h"

#define REFUSE(reason, ...) err_new(ERR_UNSUPPORTED, reason, __VA_ARGS__)

/* The file's bytes have to be those that the patch was made for. */
static struct err *check_file_bytes(struct entry *entry)
{
	const struct slp_func *func = entry->func;
	uint8_t hash[SLP_HASH_SIZE];

	entry->code = image_at(entry->object->image, func->vaddr, func->size);
	if (entry->code)
		crypto_hash_sha256(hash, entry->code, func->size);
	if (!entry->code || memcmp(hash, func->old_hash, sizeof(hash)))
		return REFUSE("old-bytes-differ", "%s: %s is not the function that the "
			      "patch was made for", entry->object->name, func->name);
	entry->keep = entry->arch->entry_keep(entry->code, func->size);
	entry->site = entry->object->bias + func->vaddr + entry->keep;
	return NULL;
}

/*
 * In memory the function must be as in the file, but for the jump of a patch
 * of ours.  Anything else is a breakpoint, a probe or another patcher.
 */
static struct err *check_memory(const struct process *process, const struct entry *entry)
{
	const struct slp_func *func = entry->func;
	AUTO_FREE uint8_t *now = mem_alloc(func->size);
	const struct record_func *top = entry->top;
	uint64_t addr = entry->object->bias + func->vaddr;
	size_t skip_from = func->size, skip_to = func->size;
	uint8_t jump[ARCH_JUMP_MAX];
	struct err *err = process_read(process, addr, now, func->size);

	if (err)
		return err;
	if (top) {
		skip_from = entry->keep;
		skip_to = entry->keep + entry->arch->jump_size;
		if (!entry->arch->put_jump(jump, entry->site,
					   top->direct ? top->new_addr : top->gate) ||
		    (skip_to <= func->size &&
		     memcmp(now + skip_from, jump, entry->arch->jump_size)))
			return REFUSE("foreign-jump", "%s: the entry of %s is not as the "
				      "record of its patches says", entry->object->name,
				      func->name);
	}
	for (size_t i = 0; i < func->size; i++)
		if ((i < skip_from || i >= skip_to) && now[i] != entry->code[i])
			return REFUSE("old-bytes-differ",
				      "%s: in memory %s differs from its file at +%#zx: a "
				      "breakpoint, a probe or another patch is there",
				      entry->object->name, func->name, i);
	return NULL;
}

/* The bytes behind a function that is shorter than a jump: padding only. */
static struct err *check_room(const struct entry *entry)
{
	const struct slp_func *func = entry->func;
	size_t need = entry->keep + entry->arch->jump_size, at = func->size;
	const uint8_t *code = image_at(entry->object->image, func->vaddr,
				       need + ARCH_INSN_MAX);
	struct insn insn;

	while (at < need) {
		if (!code ||
		    !entry->arch->decode(code + at, need + ARCH_INSN_MAX - at, 0, &insn) ||
		    !insn.is_padding)
			return REFUSE("function-too-short", "%s: %s has %" PRIu64 " bytes "
				      "and no padding behind it; a jump needs %u",
				      entry->object->name, func->name, func->size,
				      entry->arch->jump_size);
		at += insn.size;
	}
	return NULL;
}

/* Does an exception find something to do in it (LSB, 10.6.1.1.1: the LSDA)? */
static bool has_handlers(const struct process *process, const struct entry *entry)
{
	const struct unwind_code *code = process_code_at(process, entry->site);
	bool found = false;
	struct eh_fde fde;
	struct err *err;

	if (!code || !code->eh.data)
		return false;
	err = eh_find(&code->eh, entry->site - code->bias, &fde, &found);
	found &= !err && fde.lsda_off;
	err_free(err);
	return found;
}

static bool ends_under_jump(const struct entry *entry, size_t off, const struct insn *insn)
{
	return off + insn->size < entry->arch->jump_size;
}

/*
 * Whole instructions from the site on that the jump's bytes touch.  The copy of a call that
 * ends under the jump (push %rax; call *%rdi) would return into the copy, of which no exception
 * table says anything: where there is one it has to come back to the original, and the bytes
 * behind the first instruction stay.
 */
static struct err *measure(const struct process *process, struct entry *entry)
{
	const struct slp_func *func = entry->func;
	size_t need = entry->arch->jump_size;
	struct insn insn;

	entry->displaced = 0;
	while (entry->displaced < need && entry->keep + entry->displaced < func->size) {
		size_t at = entry->keep + entry->displaced;

		if (!entry->arch->decode(entry->code + at, func->size - at, 0, &insn))
			return REFUSE("cannot-decode", "%s: %s+%#zx is no known "
				      "instruction", entry->object->name, func->name, at);
		if (!entry->displaced)
			entry->first = insn.size;
		if (insn.flow == FLOW_CALL && entry->arch->move_call &&
		    ends_under_jump(entry, entry->displaced, &insn))
			entry->is_entered |= has_handlers(process, entry);
		entry->displaced += insn.size;
	}
	return NULL;
}

/* How many of the jump's bytes may change: those in the word, and in the instruction. */
static unsigned nr_free(const struct entry *entry, size_t insn_size)
{
	unsigned room = entry->arch->code_word - (unsigned)(entry->site %
							    entry->arch->code_word);

	if (room > insn_size)
		room = (unsigned)insn_size;
	return room < entry->arch->jump_size ? room : entry->arch->jump_size;
}

/*
 * Where the jumps of the function lead: behind the first instruction the bytes stay as
 * they are if one leads there.
 */
static struct err *check_targets_in(struct entry *entry, uint64_t vaddr, uint64_t size)
{
	const uint8_t *code = image_at(entry->object->image, vaddr, size);
	uint64_t low = entry->site - entry->object->bias, high = low + entry->displaced;
	struct insn insn;

	for (uint64_t off = 0; code && off < size; off += insn.size) {
		if (!entry->arch->decode(code + off, size - off, vaddr + off, &insn)) {
			insn.size = 1; /* data in code: look on */
			continue;
		}
		if (!insn.is_direct || insn.flow == FLOW_CALL || insn.target >= high)
			continue;
		entry->is_loop |= insn.target == low || insn.target == entry->func->vaddr;
		if (insn.target <= low)
			continue;
		entry->is_entered = true;
		if (insn.target < low + entry->first)
			return REFUSE("entered-in-middle", "%s: %s jumps into its own first "
				      "instruction at +%#" PRIx64, entry->object->name,
				      entry->func->name, vaddr + off - entry->func->vaddr);
	}
	return NULL;
}

static struct err *check_targets(struct entry *entry)
{
	const struct slp_func *func = entry->func;
	struct err *err = check_targets_in(entry, func->vaddr, func->size);

	for (size_t i = 0; i < func->nr_parts && !err; i++)
		err = check_targets_in(entry, func->parts[i].vaddr, func->parts[i].size);
	return err;
}

struct err *entry_check(const struct process *process, const struct record *record,
			const struct object *object, const struct slp_func *func,
			struct entry *entry)
{
	struct err *err;

	*entry = (struct entry){ .arch = process->arch, .object = object, .func = func };
	if ((err = check_file_bytes(entry)))
		return err;
	entry->top = record_top(record, entry->site, NULL);
	if ((err = check_memory(process, entry)) || (err = check_room(entry)) ||
	    (err = measure(process, entry)))
		return err;
	return check_targets(entry);
}

static void window(const struct entry *entry, size_t insn_size, uint64_t *first,
		   uint64_t *last)
{
	uint8_t old[ARCH_JUMP_MAX];

	/* Behind a short function is padding, which the check has read, too. */
	memcpy(old, image_at(entry->object->image, entry->site - entry->object->bias,
			     entry->arch->jump_size), entry->arch->jump_size);
	entry->arch->jump_window(old, nr_free(entry, insn_size), entry->site, first, last);
}

/*
 * What another patch has put there may change as a whole, but not where the original comes
 * back to: it may run again while that patch has gone and this one is still there.
 */
void entry_window(const struct entry *entry, uint64_t *first, uint64_t *last)
{
	window(entry, entry->top && !entry->is_entered ? entry->arch->jump_size : entry->first,
	       first, last);
}

void entry_settled_window(const struct entry *entry, uint64_t *first, uint64_t *last)
{
	window(entry, entry->is_entered ? entry->first : entry->arch->jump_size, first, last);
}

/*
 * 0: it has to stay a call.  A shadow stack would not know where to come back to; and what
 * ends under the jump cannot be come back to once all of that is written, if it ever is.
 */
static size_t move_last_call(const struct process *process, const struct entry *entry,
			     size_t off, const struct insn *insn, uint64_t to, uint8_t *out)
{
	if (insn->flow != FLOW_CALL || !entry->arch->move_call ||
	    (ends_under_jump(entry, off, insn) && !entry->is_entered) ||
	    process_has_shadow_stack(process))
		return 0;
	return entry->arch->move_call(entry->code + entry->keep + off, insn, to,
				      entry->site + off + insn->size, out);
}

struct err *entry_displace(const struct process *process, const struct entry *entry,
			   uint64_t to, uint8_t *out, size_t room)
{
	const struct arch *arch = entry->arch;
	uint8_t moved[ARCH_MOVED_MAX];
	struct insn insn = { .flow = FLOW_NEXT };
	size_t at = 0, size;
	bool is_last;

	for (size_t off = 0; off < entry->displaced; off += insn.size) {
		const uint8_t *code = entry->code + entry->keep + off;

		arch->decode(code, entry->func->size - entry->keep - off,
			     entry->site + off, &insn);
		size = move_last_call(process, entry, off, &insn, to + at, moved);
		is_last = size != 0; /* nothing of the copy comes behind it */
		if (!size)
			size = arch->move_insn(code, &insn, to + at, moved);
		if (!size || at + size + arch->jump_size > room)
			return REFUSE("cannot-move", "%s: %s+%#zx cannot be run elsewhere",
				      entry->object->name, entry->func->name,
				      entry->keep + off);
		memcpy(out + at, moved, size);
		at += size;
		if (is_last)
			return NULL;
	}
	if (insn.flow == FLOW_JUMP || insn.flow == FLOW_RETURN || insn.flow == FLOW_STOP)
		return NULL;
	if (!arch->put_jump(out + at, to + at, entry->site + entry->displaced))
		return REFUSE("out-of-reach", "%s is too far away", entry->func->name);
	return NULL;
}

struct err *entry_store(const struct process *process, uint64_t site, const uint8_t *bytes)
{
	const struct arch *arch = process->arch;
	uint64_t start = site & ~(uint64_t)(arch->code_word - 1);
	size_t in = (size_t)(site - start), size = in + arch->jump_size;
	uint8_t word[ARCH_CODE_WORD_MAX + ARCH_JUMP_MAX];
	struct err *err;

	if (size < arch->code_word)
		size = arch->code_word;
	if ((err = process_read(process, start, word, size)))
		return err;
	for (size_t i = 0; i < arch->jump_size; i++)
		if (in + i < arch->code_word)
			word[in + i] = bytes[i];
		else if (word[in + i] != bytes[i])
			return err_new(ERR_FAILED, "cannot-arm", "the entry at %#" PRIx64
				       " would have to change in two words", site);
	return process_write(process, start, word, arch->code_word);
}
