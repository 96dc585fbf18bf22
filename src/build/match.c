/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "match.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "ehframe.h"
#include "mem.h"

/* An address of the reference and what it is in the running binary. */
struct match_pair {
	uint64_t from, to;
	bool used, contradicted;
};

struct func {
	uint64_t vaddr, size, hash;
	bool matched;
};

struct job {
	struct match *match;
	struct func *a, *b;
	size_t nr_a, nr_b;
	bool changed;
};

const char *match_how_text(enum match_how how)
{
	static const char *const texts[] = {
		"the rebuild has its build ID", "the rebuild has its code and layout",
		"matched function by function",
	};

	return texts[how];
}

/* ---- whole images ------------------------------------------------------- */

static bool same_section(const struct section *x, const struct section *y)
{
	if (strcmp(x->name, y->name) || x->vaddr != y->vaddr || x->size != y->size)
		return false;
	if (!(x->flags & SHF_EXECINSTR))
		return true;
	return x->data && y->data && !memcmp(x->data, y->data, x->size);
}

static const struct section *next_alloc(const struct image *image, size_t *n)
{
	while (++*n < image->nr_sections)
		if (image->sections[*n].flags & SHF_ALLOC)
			return &image->sections[*n];
	return NULL;
}

/* Every section in memory at the same place, and all code byte for byte. */
static bool same_layout(const struct image *a, const struct image *b)
{
	size_t i = 0, j = 0;
	bool code = false;

	for (;;) {
		const struct section *x = next_alloc(a, &i), *y = next_alloc(b, &j);

		if (!x || !y)
			return !x && !y && code;
		if (!same_section(x, y))
			return false;
		code |= (x->flags & SHF_EXECINSTR) != 0;
	}
}

/* ---- functions ---------------------------------------------------------- */

struct err *match_functions(const struct image *image, struct match_range **ranges,
			    size_t *nr)
{
	const struct section *sec = image_find_section(image, ".eh_frame");
	struct eh_section eh = { 0 };
	bool is_fde, done = false;
	struct eh_fde fde;
	size_t off = 0;
	struct err *err;

	*ranges = NULL;
	*nr = 0;
	if (!sec || !sec->data)
		return err_new(ERR_UNSUPPORTED, "no-match", "no .eh_frame");
	eh.data = sec->data;
	eh.size = sec->size;
	eh.vaddr = sec->vaddr;
	eh.big_endian = image->arch->big_endian;
	while (!done) {
		if ((err = eh_next(&eh, &off, &fde, &is_fde, &done))) {
			free(*ranges);
			return err;
		}
		if (is_fde && fde.pc_size && image_at(image, fde.pc_begin, fde.pc_size))
			*ARRAY_ADD(*ranges, *nr) =
				(struct match_range){ fde.pc_begin, fde.pc_size };
	}
	return NULL;
}

static uint64_t mix(uint64_t hash, const uint8_t *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++)
		hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
	return hash;
}

/* Addresses that registers hold, + 1; 0: not known. */
struct known {
	uint64_t at[ARCH_COLS_MAX];
};

enum { MAX_AHEAD = 24 };

/* One reading of a function, from its beginning on. */
struct reading {
	const struct arch *arch;
	const uint8_t *code;
	uint64_t vaddr, size, off;
	struct insn insn;
	struct known known;
	/* What they hold where jumps lead that were read: the offsets, each with its. */
	uint64_t ahead[MAX_AHEAD];
	struct known then[MAX_AHEAD], in_switch;
	unsigned nr_ahead;
};

static void read_begin(struct reading *r, const struct image *image, uint64_t vaddr,
		       uint64_t size)
{
	const struct arch *arch = image->arch;
	const struct section *got = arch->base_col ? image_find_section(image, ".got") : NULL;

	/* What is ahead is large, and counted. */
	r->arch = arch;
	r->code = image_at(image, vaddr, size);
	r->vaddr = vaddr;
	r->size = size;
	r->off = 0;
	r->known = (struct known){ 0 };
	r->nr_ahead = 0;
	if (arch->self_col)
		r->known.at[arch->self_col] = vaddr + 1;
	if (got)
		r->known.at[arch->base_col] = got->vaddr + arch->base_in_got + 1;
	r->in_switch = r->known;
}

/*
 * What registers hold until they, or all that calls change, change: pages, and addresses
 * that several variables are reached from (-fsection-anchors).
 */
static void follow_registers(struct reading *r)
{
	const struct insn *insn = &r->insn;
	uint64_t sum = insn->is_sum && insn->page_reg >= 0 && r->known.at[insn->page_reg] ?
		       r->known.at[insn->page_reg] + insn->low : 0;

	if (insn->changes >= 0)
		r->known.at[insn->changes] = insn->is_page && insn->page_reg < 0 ?
					     insn->mem + 1 : sum;
	for (unsigned i = 0; i < r->arch->nr_cols && insn->flow == FLOW_CALL; i++)
		if (!(r->arch->unwind->kept[i / 64] >> i % 64 & 1) &&
		    (!i || i != r->arch->base_col))
			r->known.at[i] = 0;
}

/* The first that leads somewhere says what registers hold there. */
static void note_ahead(struct reading *r, uint64_t off)
{
	unsigned at = r->nr_ahead % MAX_AHEAD;

	/* Where one instruction has all of an address nothing is known, and nothing copied. */
	if (off <= r->off || off >= r->size || !r->arch->clear_address)
		return;
	for (unsigned i = 0; i < r->nr_ahead && i < MAX_AHEAD; i++)
		if (r->ahead[i] == off)
			return;
	r->ahead[at] = off;
	r->then[at] = r->known;
	r->nr_ahead++;
}

/*
 * What comes behind a return or a jump is not reached from there but from elsewhere.  From
 * where is not always known; then both builds are misread alike.
 */
static void follow_flow(struct reading *r)
{
	const struct insn *insn = &r->insn;
	bool ends = insn->flow == FLOW_JUMP || insn->flow == FLOW_RETURN ||
		    insn->flow == FLOW_STOP;

	if (insn->is_direct && insn->flow != FLOW_CALL)
		note_ahead(r, insn->target - r->vaddr);
	else if (insn->flow == FLOW_JUMP)
		r->in_switch = r->known;
	r->off += insn->size;
	if (!ends || !r->arch->clear_address)
		return;
	for (unsigned i = 0; i < r->nr_ahead && i < MAX_AHEAD; i++)
		if (r->ahead[i] == r->off) {
			r->known = r->then[i];
			return;
		}
	r->known = r->in_switch;
}

/*
 * The next instruction, without its address in bytes; *address is it, *has is false if it
 * has none that leads outside the function.  False: it cannot be decoded.
 */
static bool read_next(struct reading *r, uint8_t bytes[ARCH_INSN_MAX], uint64_t *address,
		      bool *has)
{
	struct insn *insn = &r->insn;

	if (!r->arch->decode(r->code + r->off, r->size - r->off, r->vaddr + r->off, insn))
		return false;
	memcpy(bytes, r->code + r->off, insn->size);
	*address = insn->is_pcrel ? insn->mem : insn->target;
	*has = insn->is_pcrel || (insn->is_direct && insn->target - r->vaddr >= r->size);
	if (insn->page_reg >= 0 && r->known.at[insn->page_reg]) {
		*address = r->known.at[insn->page_reg] - 1 + insn->low;
		*has = true;
	}
	if (*has && r->arch->clear_address)
		r->arch->clear_address(bytes, insn);
	else if (*has && insn->field_size)
		memset(bytes + insn->field_off, 0, insn->field_size);
	/* Half an address is none. */
	*has &= !insn->is_page;
	follow_registers(r);
	follow_flow(r);
	return true;
}

/* Instructions without their addresses; of code that cannot be decoded, all. */
static uint64_t hash_func(const struct image *image, uint64_t vaddr, uint64_t size)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325) ^ size, address;
	uint8_t bytes[ARCH_INSN_MAX];
	struct reading r;
	bool has;

	read_begin(&r, image, vaddr, size);
	while (r.off < size) {
		if (!read_next(&r, bytes, &address, &has))
			return mix(hash, r.code + r.off, size - r.off);
		hash = mix(hash, bytes, r.insn.size);
	}
	return hash;
}

static struct err *load_funcs(const struct image *image, struct func **funcs, size_t *nr)
{
	struct match_range *ranges;
	size_t nr_ranges;
	struct err *err = match_functions(image, &ranges, &nr_ranges);

	*nr = 0;
	*funcs = NULL;
	for (size_t i = 0; i < nr_ranges && !err; i++) {
		struct func *func = ARRAY_ADD(*funcs, *nr);

		func->vaddr = ranges[i].vaddr;
		func->size = ranges[i].size;
		func->hash = hash_func(image, func->vaddr, func->size);
	}
	if (!err)
		free(ranges);
	return err;
}

/* The slot of an address: its own, or the free one where it would go. */
static struct match_pair *slot_of(const struct match *match, uint64_t from)
{
	size_t mask = match->room - 1;
	size_t at = (size_t)((from * UINT64_C(0x9e3779b97f4a7c15)) >> 20) & mask;

	while (match->pairs[at].used && match->pairs[at].from != from)
		at = (at + 1) & mask;
	return &match->pairs[at];
}

static struct match_pair *find_pair(const struct match *match, uint64_t from)
{
	struct match_pair *slot = match->room ? slot_of(match, from) : NULL;

	return slot && slot->used ? slot : NULL;
}

static void make_room(struct match *match)
{
	struct match old = *match;

	match->room = old.room ? old.room * 2 : 1024;
	match->pairs = mem_alloc(match->room * sizeof(*match->pairs));
	for (size_t i = 0; i < old.room; i++)
		if (old.pairs[i].used)
			*slot_of(match, old.pairs[i].from) = old.pairs[i];
	free(old.pairs);
}

static void add_pair(struct job *job, uint64_t from, uint64_t to)
{
	struct match *match = job->match;
	struct match_pair *old = find_pair(match, from);

	if (old) {
		old->contradicted |= old->to != to;
		return;
	}
	if (match->nr_pairs * 2 >= match->room)
		make_room(match);
	*slot_of(match, from) = (struct match_pair){ from, to, true, false };
	match->nr_pairs++;
	job->changed = true;
}

/* Two functions with equal instructions: their addresses are pairs. */
static void learn(struct job *job, struct func *a, struct func *b)
{
	uint8_t bytes[ARCH_INSN_MAX];
	struct reading ra, rb;

	read_begin(&ra, job->match->from, a->vaddr, a->size);
	read_begin(&rb, job->match->to, b->vaddr, b->size);
	a->matched = b->matched = true;
	job->match->nr_matched++;
	add_pair(job, a->vaddr, b->vaddr);
	while (ra.off < a->size) {
		bool has_x, has_y;
		uint64_t x, y;

		if (!read_next(&ra, bytes, &x, &has_x) || !read_next(&rb, bytes, &y, &has_y))
			return;
		if (has_x && has_y)
			add_pair(job, x, y);
	}
}

static int by_hash(const void *a, const void *b)
{
	const struct func *x = a, *y = b;

	return x->hash < y->hash ? -1 : x->hash > y->hash;
}

static bool is_unique(const struct func *funcs, size_t nr, size_t i)
{
	return (!i || funcs[i - 1].hash != funcs[i].hash) &&
	       (i + 1 == nr || funcs[i + 1].hash != funcs[i].hash);
}

static void match_unique(struct job *job)
{
	size_t j = 0;

	for (size_t i = 0; i < job->nr_a; i++) {
		while (j < job->nr_b && job->b[j].hash < job->a[i].hash)
			j++;
		if (j < job->nr_b && job->b[j].hash == job->a[i].hash &&
		    is_unique(job->a, job->nr_a, i) && is_unique(job->b, job->nr_b, j))
			learn(job, &job->a[i], &job->b[j]);
	}
}

/* funcs are sorted by hash. */
static struct func *func_at(struct func *funcs, size_t nr, uint64_t vaddr, uint64_t hash)
{
	size_t low = 0, high = nr;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (funcs[mid].hash < hash)
			low = mid + 1;
		else
			high = mid;
	}
	for (; low < nr && funcs[low].hash == hash; low++)
		if (funcs[low].vaddr == vaddr)
			return &funcs[low];
	return NULL;
}

/* So far behind a function's address its own object calls it; 0: there. */
static uint64_t local_entry(const struct image *image, const struct func *func)
{
	if (!image->arch->base_col || func->size < 8)
		return 0;
	return image->arch->entry_keep(image_at(image, func->vaddr, func->size), func->size);
}

/* The twin of a function, by where matched ones call it. */
static struct func *called_twin(struct job *job, const struct func *a)
{
	const struct match_pair *pair = find_pair(job->match, a->vaddr);
	uint64_t behind = pair ? 0 : local_entry(job->match->from, a);

	if (behind)
		pair = find_pair(job->match, a->vaddr + behind);
	return pair && !pair->contradicted ?
	       func_at(job->b, job->nr_b, pair->to - behind, a->hash) : NULL;
}

/* Those with doubles: the matched ones that call them tell which is which. */
static void match_by_callers(struct job *job)
{
	for (size_t i = 0; i < job->nr_a; i++) {
		struct func *a = &job->a[i];
		struct func *b = a->matched ? NULL : called_twin(job, a);

		if (b && !b->matched)
			learn(job, a, b);
	}
}

static struct err *match_by_functions(struct match *match)
{
	struct job job = { .match = match };
	struct err *err = load_funcs(match->from, &job.a, &job.nr_a);

	if (!err)
		err = load_funcs(match->to, &job.b, &job.nr_b);
	if (!err) {
		match->how = MATCH_FUNCTIONS;
		match->nr_funcs = job.nr_a;
		if (job.nr_a)
			qsort(job.a, job.nr_a, sizeof(*job.a), by_hash);
		if (job.nr_b)
			qsort(job.b, job.nr_b, sizeof(*job.b), by_hash);
		match_unique(&job);
		do {
			job.changed = false;
			match_by_callers(&job);
		} while (job.changed);
		if (!match->nr_matched)
			err = err_new(ERR_UNSUPPORTED, "no-match",
				      "the rebuild and the running binary have no function "
				      "in common");
	}
	free(job.a);
	free(job.b);
	return err;
}

struct err *match_images(const struct image *from, const struct image *to,
			 struct match *match)
{
	*match = (struct match){ .from = from, .to = to };
	if (from->arch != to->arch)
		return err_new(ERR_UNSUPPORTED, "no-match", "built for %s, runs on %s",
			       from->arch->name, to->arch->name);
	match->how = MATCH_BUILD_ID;
	if (image_has_build_id(from, to->build_id, to->build_id_size))
		return NULL;
	match->how = MATCH_LAYOUT;
	if (same_layout(from, to))
		return NULL;
	return match_by_functions(match);
}

void match_done(struct match *match)
{
	free(match->pairs);
	*match = (struct match){ 0 };
}

bool match_vaddr(const struct match *match, uint64_t from, uint64_t *to)
{
	const struct match_pair *pair;

	if (match->how != MATCH_FUNCTIONS) {
		*to = from;
		return true;
	}
	pair = find_pair(match, from);
	if (!pair || pair->contradicted)
		return false;
	*to = pair->to;
	return true;
}

bool match_same_code(const struct match *match, uint64_t from, uint64_t to, uint64_t size)
{
	return image_at(match->from, from, size) && image_at(match->to, to, size) &&
	       hash_func(match->from, from, size) == hash_func(match->to, to, size);
}
