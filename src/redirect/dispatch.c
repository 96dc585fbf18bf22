/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dispatch.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "event.h"
#include "link.h"
#include "mem.h"
#include "proc.h"

enum {
	MIN_BITS = 8,
	MAX_BITS = 20,
	ENTRY = 16, STATE = 8, MARK = 9, SP = 10, /* and what is where in one */
	NAME_AT = 8, /* in front of the pairs, beside the initial state */
	/* What stands in for a thread that is gone: no thread pointer is 1. */
	KEY_GONE = 2,
	DISTANCE = 256 << 20,
};

static const char data_name[] = "dispatch"; /* 8 bytes */

static size_t nr_entries(const struct dispatch *d)
{
	return (size_t)1 << d->bits;
}

static void lay_out(struct dispatch *d, const struct process *process, uint64_t start,
		    size_t nr_funcs, unsigned bits)
{
	*d = (struct dispatch){ .process = process, .bits = bits, .nr_funcs = nr_funcs };
	d->initial = start;
	d->pairs = d->initial + ENTRY;
	d->table = (d->pairs + ENTRY * nr_funcs + 63) & ~UINT64_C(63);
	d->data.start = d->initial;
	d->data.size = maps_whole_pages(d->table + (ENTRY << bits) - d->initial);
}

void dispatch_lay_out(struct dispatch *d, const struct process *process,
		      const struct record_patch *patch)
{
	lay_out(d, process, patch->dispatch, patch->nr_funcs, patch->dispatch_bits);
	d->code = patch->dispatcher;
}

struct err *dispatch_plan(struct dispatch *d, const struct process *process, size_t nr_funcs)
{
	long nr_threads = proc_status_number(process->pid, "Threads");
	const struct object *program = process_program(process);
	unsigned bits = MIN_BITS;
	uint64_t at;

	/* Never more than a quarter full: new threads come while it is in use. */
	while (bits < MAX_BITS && nr_threads > (1L << bits) / 4)
		bits++;
	lay_out(d, process, 0, nr_funcs, bits);
	/* Far enough from the program that the arena, which has to be near, has its room. */
	at = maps_find_room(&process->maps, program->start, program->end,
			    d->data.size + DISTANCE, UINT64_C(1) << 40);
	if (!at)
		return err_new(ERR_UNSUPPORTED, "no-room", "process %d has no %" PRIu64
			       " free bytes for a dispatcher", process->pid, d->data.size);
	lay_out(d, process, at, nr_funcs, bits);
	return NULL;
}

uint64_t dispatch_stub(const struct dispatch *d, size_t func)
{
	const struct arch *arch = d->process->arch;

	return d->code.start + link_stubs_at(arch) + func * arch->dispatch_stub_size;
}

static struct err *write_code(const struct dispatch *d)
{
	const struct arch *arch = d->process->arch;
	struct arch_dispatch how = { d->code.start, d->table, d->bits, d->initial };
	AUTO_FREE uint8_t *code = mem_alloc(d->code.size);
	bool fits = d->code.size >= dispatch_stub(d, d->nr_funcs) - d->code.start &&
		    arch->put_dispatcher(code, &how);

	for (size_t i = 0; fits && i < d->nr_funcs; i++) {
		uint64_t at = dispatch_stub(d, i);

		fits &= arch->put_dispatch_stub(code + (at - d->code.start), at,
						d->pairs + ENTRY * i, &how);
	}
	if (!fits)
		return err_new(ERR_UNSUPPORTED, "no-room", "too many functions");
	return process_write(d->process, d->code.start, code, d->code.size);
}

struct err *dispatch_fill(struct dispatch *d, const uint64_t *pairs,
			  enum thread_patch_state initial)
{
	AUTO_FREE uint8_t *bytes = mem_alloc(ENTRY * d->nr_funcs);
	struct err *err = event_step("dispatch-write");

	for (size_t i = 0; i < 2 * d->nr_funcs; i++)
		bytes_put(bytes + 8 * i, 8, pairs[i], d->process->arch->big_endian);
	d->entries = mem_alloc(nr_entries(d) * sizeof(*d->entries));
	if (err || (err = write_code(d)) ||
	    (err = process_write(d->process, d->initial + NAME_AT, data_name, 8)) ||
	    (err = process_write(d->process, d->pairs, bytes, ENTRY * d->nr_funcs)))
		return err;
	return dispatch_set_initial(d, initial);
}

bool dispatch_is_at(const struct process *process, uint64_t start)
{
	char now[8];

	return process_try_read(process, start + NAME_AT, now, sizeof(now)) &&
	       !memcmp(now, data_name, sizeof(now));
}

/* The bits of a stack pointer that an entry has room for. */
static uint64_t entry_sp(const struct dispatch *d, uint64_t sp)
{
	return (sp - d->process->arch->dispatch_depth) / ARCH_SP_UNIT &
	       ((UINT64_C(1) << ARCH_SP_BITS) - 1);
}

static struct dispatch_entry read_entry(const struct dispatch *d, const uint8_t *at)
{
	bool be = d->process->arch->big_endian;
	uint64_t key = bytes_get(at, 8, be);
	uint8_t state = at[STATE], mark = at[MARK];

	return (struct dispatch_entry){
		.key = key, .state = (mark ? mark : state) & 1,
		.is_loose = mark || state & ARCH_STATE_OPEN,
		/* It may have been between its decision and its mark, and still be there. */
		.is_unsure = key != 0,
		.is_leaving = (state & ARCH_STATE_OPEN) != 0,
		.has_decided = mark != 0,
		.sp = bytes_get(at + SP, ARCH_SP_BITS / 8, be) * ARCH_SP_UNIT +
		      d->process->arch->dispatch_depth };
}

struct err *dispatch_read(struct dispatch *d)
{
	AUTO_FREE uint8_t *bytes = mem_alloc(ENTRY << d->bits);
	uint8_t initial = 0;
	struct err *err;

	if ((err = process_read(d->process, d->initial, &initial, 1)) ||
	    (err = process_read(d->process, d->table, bytes, ENTRY << d->bits)))
		return err;
	d->initial_state = initial;
	free(d->entries);
	d->entries = mem_alloc(nr_entries(d) * sizeof(*d->entries));
	d->nr_used = 0;
	for (size_t i = 0; i < nr_entries(d); i++) {
		d->entries[i] = read_entry(d, bytes + ENTRY * i);
		d->nr_used += d->entries[i].key != 0;
	}
	return NULL;
}

void dispatch_done(struct dispatch *d)
{
	free(d->entries);
	*d = (struct dispatch){ 0 };
}

/* The entry with a key, or the free one where the search for it ends. */
static size_t find(const struct dispatch *d, uint64_t key)
{
	size_t at = d->process->arch->dispatch_hash(key, d->bits);

	while (d->entries[at].key && d->entries[at].key != key)
		at = (at + 1) & (nr_entries(d) - 1);
	return at;
}

/* Has one that is leaving left, or given up? */
static struct dispatch_entry *refresh(const struct dispatch *d, size_t at)
{
	struct dispatch_entry *entry = &d->entries[at];
	uint8_t mark = 0;

	if (!entry->is_leaving)
		return entry;
	err_free(process_read(d->process, d->table + ENTRY * at + MARK, &mark, 1));
	if (mark) {
		entry->state = mark & 1;
		entry->has_decided = true;
	}
	return entry;
}

enum thread_patch_state dispatch_get(const struct dispatch *d, uint64_t tp)
{
	const struct dispatch_entry *entry = refresh(d, find(d, tp + 1));

	return (enum thread_patch_state)(entry->key ? entry->state : d->initial_state);
}

bool dispatch_has(const struct dispatch *d, enum thread_patch_state state)
{
	for (size_t i = 0; i < nr_entries(d); i++) {
		const struct dispatch_entry *entry = refresh(d, i);

		if (entry->key && entry->key != KEY_GONE &&
		    (entry->state == state || entry->is_leaving))
			return true;
	}
	return false;
}

/* The first byte of its word is the one that the dispatcher reads. */
static struct err *write_state(const struct dispatch *d, uint64_t addr, uint8_t state)
{
	return process_write(d->process, addr, &state, 1);
}

/* All of it, without a mark; who could leave one stands, or is not there. */
static struct err *write_whole(const struct dispatch *d, uint64_t addr, uint8_t state,
			       uint64_t sp)
{
	uint8_t bytes[8] = { state };

	bytes_put(bytes + SP - STATE, ARCH_SP_BITS / 8, sp, d->process->arch->big_endian);
	return process_write(d->process, addr, bytes, sizeof(bytes));
}

/* No stack pointer is 0: whoever comes by is above it, and leaves a mark. */
static struct err *write_plain(const struct dispatch *d, uint64_t addr, uint8_t state)
{
	return write_whole(d, addr, state, 0);
}

/* The first place of a gone thread on the way to at, which would do as well. */
static size_t find_place(const struct dispatch *d, uint64_t key, size_t at)
{
	size_t i = d->process->arch->dispatch_hash(key, d->bits);

	for (; i != at; i = (i + 1) & (nr_entries(d) - 1))
		if (d->entries[i].key == KEY_GONE)
			return i;
	return at;
}

static struct err *add_entry(struct dispatch *d, size_t at, uint64_t key, uint8_t state)
{
	uint64_t addr;
	uint8_t word[8];
	struct err *err;

	at = find_place(d, key, at);
	addr = d->table + ENTRY * at;
	if (!d->entries[at].key && d->nr_used >= nr_entries(d) / 4 * 3)
		return err_new(ERR_NOT_NOW, "table-full", "process %d makes threads faster "
			       "than they can be followed", d->process->pid);
	/* The state is there before the key: until then the thread has the initial one. */
	bytes_put(word, 8, key, d->process->arch->big_endian);
	if ((err = write_plain(d, addr + STATE, state)) ||
	    (err = process_write(d->process, addr, word, 8)))
		return err;
	d->nr_used += !d->entries[at].key;
	d->entries[at] = (struct dispatch_entry){
		.key = key, .state = state & 1,
		.is_loose = (state & ARCH_STATE_OPEN) != 0 };
	return NULL;
}

struct err *dispatch_set(struct dispatch *d, uint64_t tp, enum thread_patch_state state)
{
	size_t at = find(d, tp + 1);
	struct dispatch_entry *entry = &d->entries[at];
	struct err *err;

	if (!entry->key) {
		if (state == d->initial_state)
			return NULL;
		return add_entry(d, at, tp + 1, (uint8_t)state);
	}
	if (entry->state == state && !entry->is_loose && !entry->is_unsure)
		return NULL;
	err = write_plain(d, d->table + ENTRY * at + STATE, (uint8_t)state);
	if (!err)
		*entry = (struct dispatch_entry){ .key = entry->key, .state = (uint8_t)state };
	return err;
}

struct err *dispatch_set_tentative(struct dispatch *d, uint64_t tp)
{
	size_t at = find(d, tp + 1);
	struct dispatch_entry *entry = &d->entries[at];
	uint64_t addr = d->table + ENTRY * at;
	const uint8_t none[ARCH_SP_BITS / 8] = { 0 };
	struct err *err = NULL;

	if (!entry->key)
		return add_entry(d, at, tp + 1, (uint8_t)(d->initial_state | ARCH_STATE_OPEN));
	/* While a mark is there nothing else counts, and it says what the state will say. */
	if (entry->is_loose)
		err = process_write(d->process, addr + SP, none, sizeof(none));
	if (!err)
		err = write_state(d, addr + STATE, entry->state | ARCH_STATE_OPEN);
	if (!err && entry->is_loose)
		err = process_write(d->process, addr + MARK, none, 1);
	entry->is_loose = true;
	return err;
}

struct err *dispatch_commit(struct dispatch *d, uint64_t tp, enum thread_patch_state state)
{
	size_t at = find(d, tp + 1);
	struct err *err = write_state(d, d->table + ENTRY * at + STATE, (uint8_t)state);

	if (!err) {
		d->entries[at].state = (uint8_t)state;
		d->entries[at].is_unsure = true;
	}
	return err;
}

void dispatch_confirm(struct dispatch *d, uint64_t tp)
{
	struct dispatch_entry *entry = &d->entries[find(d, tp + 1)];

	entry->is_loose = entry->is_unsure = false;
}

bool dispatch_is_unsure(const struct dispatch *d, uint64_t tp)
{
	const struct dispatch_entry *entry = &d->entries[find(d, tp + 1)];

	return entry->is_unsure || entry->is_leaving;
}

struct err *dispatch_set_leaving(struct dispatch *d, uint64_t tp, uint64_t sp)
{
	size_t at = find(d, tp + 1);
	uint8_t state = (uint8_t)(dispatch_get(d, tp) | ARCH_STATE_OPEN);
	struct dispatch_entry *entry;
	struct err *err;

	if (!d->entries[at].key && (err = add_entry(d, at, tp + 1, state)))
		return err;
	at = find(d, tp + 1);
	entry = &d->entries[at];
	if (entry->is_leaving && !entry->has_decided && entry->sp == sp)
		return NULL;
	err = write_whole(d, d->table + ENTRY * at + STATE, state, entry_sp(d, sp));
	if (!err)
		*entry = (struct dispatch_entry){ .key = entry->key, .state = state & 1,
						  .is_loose = true, .is_leaving = true, .sp = sp };
	return err;
}

uint64_t dispatch_leaves_at(const struct dispatch *d, uint64_t tp)
{
	const struct dispatch_entry *entry = refresh(d, find(d, tp + 1));

	return entry->is_leaving && !entry->has_decided ? entry->sp : 0;
}

void dispatch_forget(struct dispatch *d, uint64_t tp)
{
	size_t at = find(d, tp + 1);
	uint8_t word[8];

	if (!d->entries[at].key)
		return;
	bytes_put(word, 8, KEY_GONE, d->process->arch->big_endian);
	err_free(process_write(d->process, d->table + ENTRY * at, word, 8));
	d->entries[at] = (struct dispatch_entry){ .key = KEY_GONE };
}

struct err *dispatch_set_initial(struct dispatch *d, enum thread_patch_state state)
{
	struct err *err = write_state(d, d->initial, (uint8_t)state);

	if (!err)
		d->initial_state = state;
	return err;
}
