/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "rows.h"

#include <stdlib.h>
#include <string.h>

#include "bycode.h"
#include "mem.h"

enum {
	FUNCTIONS = 1024,        /* chains of functions, rows: powers of two */
	ROWS = 256,
	MAX_BYTES = 16 << 20,
	MAX_LINK_SCAN = 4096,    /* bytes of a function searched for its frame's link */
};

struct part {
	uint32_t from;           /* bytes from the function's start */
	const struct cfi_row *row;
};

struct function {
	struct function *next;
	const struct unwind_code *code;
	uint64_t start, end;
	struct part *parts;
	size_t nr_parts;
};

struct kept_row {
	struct kept_row *next;
	uint64_t hash;
	struct cfi_row row;
};

/* Sites side by side: pages of memory that are touched cost more than the lookup. */
struct block {
	struct block *next;
	unsigned used;
	struct site sites[32];
};

struct unwind_cache {
	struct site *slots[SITES]; /* first: unwind_cache_slots() */
	struct block *blocks;      /* where the sites are */
	struct function *functions[FUNCTIONS];
	struct kept_row *rows[ROWS];
	size_t bytes;
};

struct unwind_cache *unwind_cache_new(void)
{
	return mem_alloc(sizeof(struct unwind_cache));
}

static void forget(struct unwind_cache *cache)
{
	for (struct block *b = cache->blocks, *next; b; b = next) {
		next = b->next;
		free(b);
	}
	for (unsigned i = 0; i < FUNCTIONS; i++)
		for (struct function *f = cache->functions[i], *next; f; f = next) {
			next = f->next;
			free(f->parts);
			free(f);
		}
	for (unsigned i = 0; i < ROWS; i++)
		for (struct kept_row *r = cache->rows[i], *next; r; r = next) {
			next = r->next;
			free(r);
		}
}

void unwind_cache_free(struct unwind_cache *cache)
{
	if (cache)
		forget(cache);
	free(cache);
}

void unwind_cache_trim(struct unwind_cache *cache)
{
	if (cache->bytes <= MAX_BYTES)
		return;
	forget(cache);
	memset(cache, 0, sizeof(*cache));
}

static uint64_t hash_row(const struct cfi_row *row)
{
	uint64_t hash = 0, word;

	for (size_t i = 0; i < cfi_row_size(row); i += sizeof(word)) {
		memcpy(&word, (const uint8_t *)row + i, sizeof(word));
		hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
		hash ^= hash >> 32;
	}
	return hash;
}

_Static_assert(sizeof(struct cfi_row) % 8 == 0 && sizeof(struct cfi_rule) % 8 == 0,
	       "rows are hashed by words");

/* But for the columns, which only kept rows have. */
static bool is_same(const struct cfi_row *a, const struct cfi_row *b)
{
	return a->nr_rules == b->nr_rules &&
	       !memcmp(a, b, offsetof(struct cfi_row, columns)) &&
	       !memcmp(a->rules, b->rules, a->nr_rules * sizeof(a->rules[0]));
}

static const struct cfi_row *keep_row(struct unwind_cache *cache, const struct cfi_row *row)
{
	size_t size = cfi_row_size(row);
	uint64_t hash = hash_row(row);
	struct kept_row **head = &cache->rows[hash % ROWS], *kept;

	for (kept = *head; kept; kept = kept->next)
		if (kept->hash == hash && is_same(&kept->row, row))
			return &kept->row;
	kept = mem_alloc(offsetof(struct kept_row, row) + size);
	kept->hash = hash;
	memcpy(&kept->row, row, size);
	for (unsigned i = 0; i < row->nr_rules; i++)
		kept->row.columns[row->rules[i].col / 64] |=
			UINT64_C(1) << (row->rules[i].col % 64);
	kept->next = *head;
	*head = kept;
	cache->bytes += sizeof(*kept) + size;
	return &kept->row;
}

struct adding {
	struct unwind_cache *cache;
	struct function *function;
};

static void add_part(void *arg, uint64_t start, uint64_t end, const struct cfi_row *row)
{
	struct adding *adding = arg;
	struct function *f = adding->function;
	const struct cfi_row *kept = keep_row(adding->cache, row);
	struct part *part;

	(void)end;
	if (f->nr_parts && f->parts[f->nr_parts - 1].row == kept)
		return;
	part = ARRAY_ADD(f->parts, f->nr_parts);
	part->from = (uint32_t)(start + f->code->bias - f->start);
	part->row = kept;
	adding->cache->bytes += sizeof(*part);
}

static struct function **function_head(struct unwind_cache *cache, uint64_t start)
{
	return &cache->functions[(start * UINT64_C(0x9e3779b97f4a7c15)) >> 54];
}

/* The function of an FDE, decoded when it is first asked for. */
static const struct function *find_function(const struct unwinder *u,
					    struct unwind_cache *cache,
					    const struct unwind_code *code,
					    const struct eh_fde *fde)
{
	uint64_t start = fde->pc_begin + code->bias;
	struct function **head = function_head(cache, start), *f;
	struct adding adding;
	struct err *err;

	for (f = *head; f; f = f->next)
		if (f->start == start && f->code == code)
			return f;
	f = mem_alloc(sizeof(*f));
	f->code = code;
	f->start = start;
	f->end = start + fde->pc_size;
	adding = (struct adding){ cache, f };
	err = cfi_rows(u->arch, &code->eh, fde, add_part, &adding);
	if (err || fde->pc_size > UINT32_MAX || !f->nr_parts) {
		err_free(err);
		free(f->parts);
		free(f);
		return NULL;
	}
	f->next = *head;
	*head = f;
	cache->bytes += sizeof(*f);
	return f;
}

static const struct cfi_row *row_at(const struct function *f, uint64_t addr)
{
	size_t low = 0, high = f->nr_parts;

	while (high - low > 1) {
		size_t mid = low + (high - low) / 2;

		if (f->parts[mid].from <= addr - f->start)
			low = mid;
		else
			high = mid;
	}
	return f->parts[low].row;
}

/* The stretch without information around a place: the neighbours' ends. */
static enum unwind_reason without_cfi(const struct unwinder *u, struct unwind_cache *cache,
				      uint64_t pc, uint64_t lookup, bool is_call,
				      struct site *site)
{
	union cfi_room made;
	const struct unwind_code *code = site->code;
	struct bycode where = { u, code, code->start, code->end, is_call };
	uint64_t low = 0, high = 0;

	if (!u->arch->unwind->effect || !code->may_lack_cfi)
		return UNWIND_NO_CFI;
	if (code->eh.data && eh_gap(&code->eh, lookup - code->bias, &low, &high)) {
		if (low + code->bias > where.start)
			where.start = low + code->bias;
		if (high && high + code->bias < where.end)
			where.end = high + code->bias;
	}
	if (!bycode_row(&where, pc, &made.row))
		return UNWIND_NO_CFI;
	site->row = keep_row(cache, &made.row);
	site->start = where.start;
	site->end = where.end;
	return UNWIND_OK;
}

static enum unwind_reason from_cfi(const struct unwinder *u, struct unwind_cache *cache,
				   uint64_t lookup, struct site *site, bool *found)
{
	const struct unwind_code *code = site->code;
	const struct function *function;
	struct eh_fde fde;
	struct err *err;

	*found = false;
	if (!code->eh.data)
		return UNWIND_OK;
	err = eh_find(&code->eh, lookup - code->bias, &fde, found);
	if (err) {
		err_free(err);
		return UNWIND_BAD_CFI;
	}
	if (!*found)
		return UNWIND_OK;
	function = find_function(u, cache, code, &fde);
	if (!function)
		return UNWIND_BAD_CFI;
	site->row = row_at(function, lookup);
	site->start = function->start;
	site->end = function->end;
	return UNWIND_OK;
}

bool rows_frame_is_gone(const struct unwinder *u, struct unwind_cache *cache,
			const struct unwind_code *code, uint64_t addr)
{
	struct site site = { .code = code };
	bool found = false;

	if (from_cfi(u, cache, addr, &site, &found) || !found)
		return true;
	return site.row->cfa_expr.ops ||
	       (site.row->cfa_col == u->arch->sp_col &&
		site.row->cfa_off == (int64_t)u->arch->unwind->cfa_above_sp -
				     u->arch->unwind->ra_from_cfa);
}

bool rows_after_call(const struct arch *arch, const struct unwind_code *code, uint64_t pc)
{
	size_t size = pc - code->start < ARCH_INSN_MAX ? pc - code->start : ARCH_INSN_MAX;
	const uint8_t *bytes = size ? code->bytes(code, pc - size, size) : NULL;

	return bytes && arch->follows_call(bytes, size);
}

/* A handler returns to a trampoline; the kernel laid out what lies there. */
static bool is_trampoline(const struct arch *arch, const struct unwind_code *code, uint64_t pc,
			  int64_t *nearer)
{
	const struct arch_unwind *unwind = arch->unwind;
	const uint8_t *bytes = unwind->trampoline_size ?
		code->bytes(code, pc, unwind->trampoline_size) : NULL;
	bool is_short = bytes && unwind->short_trampoline &&
		!memcmp(bytes, unwind->short_trampoline, unwind->trampoline_size);

	*nearer = is_short ? unwind->short_by : 0;
	return is_short ||
	       (bytes && !memcmp(bytes, unwind->trampoline, unwind->trampoline_size));
}

static const struct cfi_row *signal_row(const struct arch *arch, struct unwind_cache *cache,
					int64_t nearer)
{
	union cfi_room made;
	const struct arch_frame *frame = &arch->unwind->signal_frame;

	memset(&made, 0, sizeof(made.row));
	made.row.cfa_col = (uint8_t)arch->sp_col;
	made.row.ra_col = (uint8_t)arch->unwind->pc_col;
	made.row.is_signal = made.row.is_plain = made.row.has_sp = true;
	for (unsigned i = 0; i < frame->nr_saved; i++)
		made.row.rules[made.row.nr_rules++] = (struct cfi_rule){
			.col = frame->saved[i].col, .how = CFI_OFFSET,
			.off = frame->saved[i].off - nearer };
	return keep_row(cache, &made.row);
}

/* vfork: its return address is kept from its child, which has the same stack. */
static bool is_set_aside(const struct arch *arch, const struct cfi_row *row,
			 const struct cfi_rule *ra)
{
	return ra && ra->how == CFI_REGISTER && row->cfa_col == arch->sp_col &&
	       !row->cfa_expr.ops && !row->has_sp;
}

/*
 * A call leaves the return address in one place, or in a register.  CFI that says
 * otherwise describes longjmp or its like on the way to another stack.
 */
static void judge_ra(const struct arch *arch, struct site *site)
{
	const struct cfi_rule *ra = cfi_rule_of(site->row, site->row->ra_col);
	bool in_memory = ra && ra->how == CFI_OFFSET;

	if (site->row->is_signal)
		return;
	site->ra_in_register = !in_memory;
	site->is_odd = site->row->ra_col != arch->ra_col;
	if (arch->unwind->ra_in_register)
		site->is_odd |= !in_memory && ra && ra->how != CFI_REGISTER;
	else
		site->is_odd |= in_memory ? ra->off != arch->unwind->ra_from_cfa :
					    !is_set_aside(arch, site->row, ra);
}

static bool has_linked(const struct arch *arch, const struct site *site, uint64_t pc)
{
	uint64_t size = pc - site->start < MAX_LINK_SCAN ? pc - site->start : MAX_LINK_SCAN;
	const uint8_t *bytes;

	if (!arch->unwind->links_frame || pc <= site->start)
		return false;
	bytes = site->code->bytes(site->code, site->start, size);
	return bytes && arch->unwind->links_frame(bytes, size);
}

static enum unwind_reason fill_site(const struct unwinder *u, struct unwind_cache *cache,
				    uint64_t pc, bool is_call, struct site *site)
{
	uint64_t lookup = pc - is_call;
	enum unwind_reason reason = UNWIND_NO_CODE;
	const struct unwind_code *code = u->find_code(u->arg, lookup, &reason);
	bool found = false;
	int64_t nearer;

	if (!code)
		return reason;
	site->code = code;
	if (code->refuse)
		return code->refuse;
	if (is_trampoline(u->arch, code, pc, &nearer)) {
		site->is_trampoline = true;
		site->row = signal_row(u->arch, cache, nearer);
		site->start = pc;
		site->end = pc + u->arch->unwind->trampoline_size;
		return UNWIND_OK;
	}
	reason = from_cfi(u, cache, lookup, site, &found);
	if (!reason && !found)
		reason = without_cfi(u, cache, pc, lookup, is_call, site);
	if (reason)
		return reason;
	site->after_call = is_call && rows_after_call(u->arch, code, pc);
	site->links = has_linked(u->arch, site, pc);
	judge_ra(u->arch, site);
	if (code->switches)
		site->switches = code->switches(code, site->start);
	return UNWIND_OK;
}

static struct site *new_site(struct unwind_cache *cache)
{
	struct block *block = cache->blocks;

	if (!block || block->used == ARRAY_SIZE(block->sites)) {
		block = mem_alloc(sizeof(*block));
		block->next = cache->blocks;
		cache->blocks = block;
	}
	return &block->sites[block->used++];
}

enum unwind_reason rows_fill(const struct unwinder *u, struct unwind_cache *cache,
			     uint64_t pc, bool is_call, struct site **slot)
{
	struct site *site = *slot ? *slot : new_site(cache);
	enum unwind_reason reason;

	*slot = site;
	memset(site, 0, sizeof(*site));
	reason = fill_site(u, cache, pc, is_call, site);
	site->pc = pc;
	site->is_call = is_call;
	if (reason)
		site->row = NULL;
	return reason;
}
