/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Walks recorded states again, and spoils some of them: one return address, or one
 * row, is changed, and a walk that still calls itself whole is counted, by kind.
 *
 * usage: replay [--all] RECORDING...
 * --all: every state is spoilt, again and again (snapshots have few).
 * REPLAY_SHOW=1 prints accepted mutants.  Fails if a state is silently truncated or
 * wrong, more than 0.1 % are refused, or more mutants are accepted than may be.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bytes.h"
#include "mem.h"
#include "rows.h"
#include "states.h"
#include "tap.h"
#include "threads.h"

enum kind { OTHER_FRAME, RANDOM_CALL, FUNCTION_START, RA_PLUS, ZERO, STACK_ADDRESS, CFA_OFF,
	    NR_KINDS };

static const char *const kind_names[] = {
	"another frame's return address", "a random address behind a call",
	"the start of a function", "the return address + 1..15", "0", "a stack address",
	"a CFA that is off by 8..128",
};

/*
 * How many of ten thousand may be taken for whole although they are of other
 * functions.  Frames that are joined by calls of which the code says nothing (a
 * value that two ways have brought, a table of objects) cannot be told apart; the
 * bounds keep what is reached.  A few idle threads weigh single frames heavily: there
 * it is twice as many, and for random addresses a hundred.  What names the same functions is counted apart: two calls of g() in
 * f(), one after the other, make stacks that nothing can tell apart.
 */
static const unsigned most_accepted[] = { 50, 50, 0, 0, 0, 0, 50 };
static const unsigned most_of_few[] = { 100, 100, 0, 0, 0, 0, 100 };

enum { MUTATE_EVERY = 40, MAX_SHOWN = 30, FEW = 1000 };

struct trace {
	uint64_t pc[4096], start[4096];
	unsigned nr;
};

struct replay {
	struct process *process;
	struct process_source source;
	struct record none;
	struct stacks stacks;
	struct state state;
	struct memory memory;
	char *maps;
	uint64_t words[2];     /* entry, start of the stack */
	struct counts counts;
	unsigned long mutants[NR_KINDS], accepted[NR_KINDS], same[NR_KINDS];
	uint64_t random;
	unsigned shown;
	unsigned rounds;       /* of spoiling each state; 0: one in MUTATE_EVERY, once */
};

/* ---- the recorded process ------------------------------------------------------ */

static bool read_memory(void *arg, uint64_t addr, void *to, size_t size)
{
	const struct replay *r = arg;
	uint8_t *out = to;

	while (size) {
		const struct line *line = memory_find(&r->memory, addr & ~(uint64_t)(LINE - 1));
		size_t in = addr % LINE, part = LINE - in < size ? LINE - in : size;

		if (!line)
			return false;
		memcpy(out, line->bytes + in, part);
		out += part;
		addr += part;
		size -= part;
	}
	return true;
}

static void write_word(struct replay *r, uint64_t addr, uint64_t value)
{
	for (unsigned i = 0; i < 8; i++) {
		struct line *line = memory_find(&r->memory, (addr + i) & ~(uint64_t)(LINE - 1));

		if (line)
			line->bytes[(addr + i) % LINE] = (uint8_t)(value >> (8 * i));
	}
}

static struct err *open_file(void *arg, const struct map *map, struct image **image)
{
	(void)arg;
	return image_open_part(map->path, image);
}

static struct err *read_maps(void *arg, struct maps *maps)
{
	const struct replay *r = arg;

	return maps_parse(mem_strdup(r->maps), maps);
}

static void begin(struct replay *r)
{
	struct process from = { .arch = arch_host(), .pid = getpid(), .entry = r->words[0],
				.start_stack = r->words[1] };
	struct err *err;

	r->source = (struct process_source){ r, read_memory, open_file, read_maps };
	err = read_maps(r, &from.maps);
	if (!err) {
		r->process = process_from(&r->source, &from);
		err = stacks_init(&r->stacks, r->process, &r->none);
	}
	if (err) {
		printf("not ok 1 - %s\n1..1\n", err->msg);
		exit(1);
	}
}

/* ---- walks --------------------------------------------------------------------- */

static bool note(void *arg, const struct unwind_frame *frame)
{
	struct trace *trace = arg;

	if (trace->nr < ARRAY_SIZE(trace->pc)) {
		trace->start[trace->nr] = frame->start;
		trace->pc[trace->nr++] = frame->pc;
	}
	return true;
}

static enum unwind_reason walk(struct replay *r, struct trace *trace)
{
	trace->nr = 0;
	return stacks_walk(&r->stacks, &r->state.regs, note, trace);
}

static uint64_t next_random(struct replay *r)
{
	r->random ^= r->random << 13;
	r->random ^= r->random >> 7;
	r->random ^= r->random << 17;
	return r->random;
}

/* An address of the program's or a library's code. */
static uint64_t random_code(struct replay *r, const struct unwind_code **code)
{
	const struct object *object =
		r->process->objects[next_random(r) % r->process->nr_objects];

	*code = &object->code[0];
	return (*code)->start + next_random(r) % ((*code)->end - (*code)->start);
}

static uint64_t random_call(struct replay *r)
{
	for (unsigned tries = 0; tries < 100000; tries++) {
		const struct unwind_code *code;
		uint64_t addr = random_code(r, &code);
		const uint8_t *bytes = addr - code->start < ARCH_INSN_MAX ? NULL :
			code->bytes(code, addr - ARCH_INSN_MAX, ARCH_INSN_MAX);

		if (bytes && r->process->arch->follows_call(bytes, ARCH_INSN_MAX))
			return addr;
	}
	return 1;
}

static uint64_t random_function(struct replay *r)
{
	for (unsigned tries = 0; tries < 1000; tries++) {
		const struct unwind_code *code;
		uint64_t addr = random_code(r, &code);
		struct eh_fde fde;
		bool found = false;

		if (code->eh.data)
			err_free(eh_find(&code->eh, addr - code->bias, &fde, &found));
		if (found)
			return fde.pc_begin + code->bias;
	}
	return 1;
}

/* The name of a function without ".cold" and its like; "" if none is known. */
static void base_name(struct replay *r, uint64_t addr, char name[128])
{
	const struct unwind_code *code = process_code_at(r->process, addr);
	const struct object *object = code ? code->owner : NULL;

	name[0] = 0;
	if (!object)
		return;
	object_load_symbols(object);
	for (size_t i = 0; i < object->image->symtab.nr; i++) {
		const struct symbol *sym = &object->image->symtab.symbols[i];

		if (sym->value + object->bias == addr && sym->size)
			snprintf(name, 128, "%s", sym->name);
	}
	name[strcspn(name, ".")] = 0;
}

static bool is_same_function(struct replay *r, uint64_t a, uint64_t b)
{
	char x[128], y[128];

	if (a == b)
		return true;
	base_name(r, a, x);
	base_name(r, b, y);
	return *x && !strcmp(x, y);
}

/* The trace is of the same functions as the true one: no patch could see a difference. */
static bool is_same_trace(struct replay *r, const struct trace *truth, const struct trace *got)
{
	if (truth->nr != got->nr)
		return false;
	for (unsigned i = 0; i < got->nr; i++)
		if (!is_same_function(r, truth->start[i], got->start[i]))
			return false;
	return true;
}

/* ---- mutants -------------------------------------------------------------------- */

static uint64_t mutate(struct replay *r, enum kind kind, unsigned frame)
{
	uint64_t ra = r->state.calls[frame].ra;

	switch (kind) {
	case OTHER_FRAME: return r->state.calls[next_random(r) % r->state.depth].ra;
	case RANDOM_CALL: return random_call(r);
	case FUNCTION_START: return random_function(r);
	case RA_PLUS: return ra + 1 + next_random(r) % 15;
	case STACK_ADDRESS: return r->state.calls[frame].slot + 64;
	default: return 0;
	}
}

static void count(struct replay *r, enum kind kind, const struct trace *truth)
{
	static struct trace got;

	r->mutants[kind]++;
	if (walk(r, &got) != UNWIND_OK)
		return;
	if (is_same_trace(r, truth, &got)) {
		r->same[kind]++;
		return;
	}
	r->accepted[kind]++;
	if (!getenv("REPLAY_SHOW") || r->shown++ > MAX_SHOWN)
		return;
	printf("# accepted: %s\n", kind_names[kind]);
	for (unsigned i = 0; i < got.nr || i < truth->nr; i++)
		printf("#   %#18" PRIx64 " %#18" PRIx64 "\n", i < got.nr ? got.pc[i] : 0,
		       i < truth->nr ? truth->pc[i] : 0);
}

static void spoil_return(struct replay *r, enum kind kind, unsigned frame,
			 const struct trace *truth)
{
	struct call call = r->state.calls[frame];
	uint64_t value = mutate(r, kind, frame);

	if (value == call.ra || !call.slot)
		return;
	write_word(r, call.slot, value);
	count(r, kind, truth);
	write_word(r, call.slot, call.ra);
}

/* Wrong call frame information: the row of one frame has another CFA. */
static void spoil_row(struct replay *r, unsigned frame, const struct trace *truth)
{
	unsigned depth = truth->nr - 1 - frame;
	struct unwinder *u = &r->stacks.unwinder;
	int64_t off = (int64_t)(8 + 8 * (next_random(r) % 16)) * (next_random(r) & 1 ? 1 : -1);
	const struct cfi_row *row;
	struct cfi_row *bent;
	struct site *site;

	if (rows_site(u, u->cache, truth->pc[depth], depth > 0, &site) || !site->row ||
	    site->row->is_signal || site->row->cfa_expr.ops)
		return;
	row = site->row;
	bent = mem_dup(row, cfi_row_size(row));
	bent->cfa_off += off;
	site->row = bent;
	count(r, CFA_OFF, truth);
	/* the site may have been filled anew meanwhile */
	if (site->row == bent)
		site->row = row;
	free(bent);
}

static void mutate_all(struct replay *r, const struct trace *truth)
{
	for (unsigned frame = 0; frame < r->state.depth; frame++) {
		for (unsigned kind = 0; kind < CFA_OFF; kind++)
			spoil_return(r, (enum kind)kind, frame, truth);
		spoil_row(r, frame, truth);
	}
}

/* Every library can be hit, not only those that a stack has shown so far. */
static void open_all(struct replay *r)
{
	for (size_t i = 0; i < r->process->maps.nr; i++)
		if (r->process->maps.map[i].exec && r->process->maps.map[i].path[0] == '/')
			process_code_at(r->process, r->process->maps.map[i].start);
}

static void show_refused(struct replay *r, const struct trace *trace, enum unwind_reason reason)
{
	const struct object *object = process_object_at(r->process, trace->pc[trace->nr - 1]);

	if (getenv("REPLAY_SHOW"))
		printf("# %s at frame %u of %u: %s+%#" PRIx64 " under %#" PRIx64 "\n",
		       unwind_reason_name(reason), trace->nr - 1, r->state.depth,
		       object ? object->name : "?",
		       object ? trace->pc[trace->nr - 1] - object->bias : 0, trace->pc[0]);
}

static void try_state(struct replay *r)
{
	static struct trace trace;
	enum unwind_reason reason = walk(r, &trace);
	enum verdict verdict = judge(&r->state, trace.pc, trace.nr, reason == UNWIND_OK);

	counts_add(&r->counts, verdict, reason);
	if (verdict == REFUSED)
		show_refused(r, &trace, reason);
	if (verdict != RIGHT || (!r->rounds && r->counts.states % MUTATE_EVERY))
		return;
	open_all(r);
	for (unsigned i = 0; i < (r->rounds ? r->rounds : 1); i++)
		mutate_all(r, &trace);
}

/* ---- the recording --------------------------------------------------------------- */

static void take(struct replay *r, char tag, const uint8_t *data, uint32_t size)
{
	struct line line;

	switch (tag) {
	case 'P':
		memcpy(r->words, data, sizeof(r->words));
		break;
	case 'M':
		free(r->maps);
		r->maps = mem_fmt("%.*s", (int)size, (const char *)data);
		if (r->process)
			err_free(process_refresh(r->process));
		else
			begin(r);
		break;
	case 'L':
		memcpy(&line, data, sizeof(line));
		*memory_add(&r->memory, line.addr) = line;
		break;
	case 'R':
		memcpy(r->state.regs.bytes, data, sizeof(r->state.regs.bytes));
		break;
	case 'S':
		r->state.depth = size / (uint32_t)sizeof(struct call);
		r->state.calls = mem_resize(r->state.calls, size + 1);
		memcpy(r->state.calls, data, size);
		try_state(r);
		break;
	}
}

static void replay_file(struct replay *r, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st = { 0 };
	const uint8_t *data;
	uint32_t size;
	size_t at = 0;

	if (fd < 0 || fstat(fd, &st)) {
		perror(path);
		exit(1);
	}
	data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	while (data != MAP_FAILED && at + 5 <= (size_t)st.st_size) {
		memcpy(&size, data + at + 1, sizeof(size));
		take(r, (char)data[at], data + at + 5, size);
		at += 5 + size;
	}
	close(fd);
}

static void end(struct replay *r, struct replay *sum)
{
	for (unsigned i = 0; i < NR_KINDS; i++) {
		sum->mutants[i] += r->mutants[i];
		sum->accepted[i] += r->accepted[i];
		sum->same[i] += r->same[i];
	}
	for (unsigned i = 0; i < ARRAY_SIZE(r->counts.reasons); i++)
		sum->counts.reasons[i] += r->counts.reasons[i];
	sum->counts.states += r->counts.states;
	sum->counts.right += r->counts.right;
	sum->counts.refused += r->counts.refused;
	sum->counts.truncated += r->counts.truncated;
	sum->counts.wrong += r->counts.wrong;
	stacks_done(&r->stacks);
	process_close(r->process);
	memory_done(&r->memory);
	free(r->maps);
	free(r->state.calls);
}

static void report(const struct replay *sum, uint64_t ms)
{
	counts_print("all", &sum->counts);
	printf("# in %" PRIu64 " ms\n", ms);
	ok(sum->counts.states > (sum->rounds ? 0 : 10000), "%lu states", sum->counts.states);
	ok(!sum->counts.truncated && !sum->counts.wrong, "nothing silently truncated or wrong");
	ok(sum->counts.refused * 1000 <= sum->counts.states, "%lu refused, at most 0.1 %%",
	   sum->counts.refused);
	for (unsigned i = 0; i < NR_KINDS; i++)
		ok(sum->mutants[i] > 100 && sum->accepted[i] * 10000 <=
		   sum->mutants[i] * (sum->rounds ? most_of_few : most_accepted)[i],
		   "%s: of %lu spoilt stacks %lu (%.3f %%) taken for whole, %lu of the same "
		   "functions", kind_names[i], sum->mutants[i], sum->accepted[i],
		   100.0 * (double)sum->accepted[i] / (double)sum->mutants[i], sum->same[i]);
}

int main(int argc, char **argv)
{
	struct replay sum = { 0 };
	uint64_t start = clock_ms();

	sum.rounds = argc > 1 && !strcmp(argv[1], "--all") ? FEW / 5 : 0;
	for (int i = 1 + (sum.rounds > 0); i < argc; i++) {
		struct replay *r = mem_alloc(sizeof(*r));
		const char *slash = strrchr(argv[i], '/');

		r->random = 88172645463325252;
		r->rounds = sum.rounds;
		replay_file(r, argv[i]);
		counts_print(slash ? slash + 1 : argv[i], &r->counts);
		end(r, &sum);
		free(r);
	}
	report(&sum, clock_ms() - start);
	return tap_done();
}
