/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "bycode.h"

#include <string.h>

#include "mem.h"

enum { MAX_PATHS = 32, MAX_INSNS = 256, MAX_KNOWN = 20, NEAR = 16 };

/* Where a register's value has come from by now. */
struct origin {
	uint8_t col, how;  /* CFI_OFFSET: from sp at pc + off; CFI_REGISTER: of column off */
	int64_t off;
};

struct path {
	uint64_t at;
	int64_t sp;        /* from what it was at pc */
	bool lost_link;    /* a call has taken the link register since */
	unsigned nr;
	struct origin origin[MAX_KNOWN];
};

struct search {
	const struct bycode *where;
	struct path paths[MAX_PATHS];
	unsigned nr_paths;
	struct { uint64_t at; int64_t sp; } seen[MAX_INSNS];
	unsigned nr_seen;
	bool has_result;
	struct path result;
};

static const struct arch *arch_of(const struct search *s)
{
	return s->where->unwinder->arch;
}

static struct origin *origin_of(struct path *path, unsigned col)
{
	for (unsigned i = 0; i < path->nr; i++)
		if (path->origin[i].col == col)
			return &path->origin[i];
	return NULL;
}

static bool set_origin(struct path *path, unsigned col, enum cfi_how how, int64_t off)
{
	struct origin *origin = origin_of(path, col);

	if (!origin && path->nr == MAX_KNOWN)
		return false;
	if (!origin)
		origin = &path->origin[path->nr++];
	*origin = (struct origin){ (uint8_t)col, (uint8_t)how, off };
	return true;
}

/* What this way itself put on the stack is what the register holds now. */
static struct origin *true_origin(struct path *path, unsigned col)
{
	struct origin *origin = origin_of(path, col);

	return origin && origin->how == CFI_OFFSET && origin->off < 0 ? NULL : origin;
}

static bool same_origin(struct path *a, struct path *b, unsigned col)
{
	struct origin *x = true_origin(a, col), *y = true_origin(b, col);

	return x && y ? x->how == y->how && x->off == y->off : x == y;
}

/* A way has come to a return, or leaves for another function in its place. */
static bool at_return(struct search *s, struct path *path)
{
	const struct arch *arch = arch_of(s);

	if (path->sp < 0 || (arch->unwind->ra_in_register && path->lost_link &&
			     !origin_of(path, arch->ra_col)))
		return false;
	if (!s->has_result) {
		s->has_result = true;
		s->result = *path;
		return true;
	}
	if (s->result.sp != path->sp)
		return false;
	for (unsigned col = 0; col < arch->nr_cols; col++)
		if ((cfi_known(arch->unwind->kept, col) || col == arch->ra_col) &&
		    !same_origin(&s->result, path, col))
			return false;
	return true;
}

/* The beginning of a function that has call frame information. */
static bool is_function(const struct search *s, uint64_t addr)
{
	const struct unwind_code *code = s->where->code;
	struct eh_fde fde;
	bool found = false;

	if (!code->eh.data || addr < code->start || addr >= code->end)
		return false;
	err_free(eh_find(&code->eh, addr - code->bias, &fde, &found));
	return found && fde.pc_begin + code->bias == addr;
}

static bool add_path(struct search *s, const struct path *path, uint64_t at)
{
	if (s->nr_paths == MAX_PATHS)
		return false;
	s->paths[s->nr_paths] = *path;
	s->paths[s->nr_paths++].at = at;
	return true;
}

static bool jump_to(struct search *s, struct path *path, uint64_t target)
{
	if (target >= s->where->start && target < s->where->end)
		return add_path(s, path, target);
	return is_function(s, target) && at_return(s, path);
}

static bool take_effect(struct search *s, struct path *path, const struct insn_effect *e)
{
	const struct arch *arch = arch_of(s);
	struct origin *from;

	if (e->is_lost)
		return false;
	for (unsigned i = 0; i < e->nr_loads; i++)
		if (!set_origin(path, e->loads[i].col, CFI_OFFSET, path->sp + e->loads[i].off))
			return false;
	path->sp += e->sp_add;
	if (e->has_move) {
		from = origin_of(path, e->move_from);
		if (!set_origin(path, e->move_to, from ? from->how : CFI_REGISTER,
				from ? from->off : e->move_from))
			return false;
	}
	if (e->flow == FLOW_CALL)
		path->lost_link = true;
	return !(e->nr_loads && origin_of(path, arch->sp_col) && e->sp_add);
}

/* One instruction of a way; the ways that go on are added. */
static bool step(struct search *s, struct path *path)
{
	const struct unwind_code *code = s->where->code;
	uint64_t left = s->where->end - path->at;
	size_t size = left < ARCH_INSN_MAX ? left : ARCH_INSN_MAX;
	const uint8_t *bytes = code->bytes(code, path->at, size);
	struct insn_effect e;

	if (!bytes || !arch_of(s)->unwind->effect(bytes, size, path->at, &e) ||
	    !take_effect(s, path, &e))
		return false;
	switch (e.flow) {
	case FLOW_RETURN:
		return at_return(s, path);
	case FLOW_STOP:
		return true;
	case FLOW_JUMP:
		return e.is_direct ? jump_to(s, path, e.target) : at_return(s, path);
	case FLOW_BRANCH:
		if (!(e.is_direct ? jump_to(s, path, e.target) : at_return(s, path)))
			return false;
		break;
	default:
		break;
	}
	/* Running into the function behind is as good as a jump to it. */
	return jump_to(s, path, path->at + e.size);
}

/* True if the way has been here; *same is false if it was otherwise then. */
static bool was_here(struct search *s, const struct path *path, bool *same)
{
	*same = true;
	for (unsigned i = 0; i < s->nr_seen; i++)
		if (s->seen[i].at == path->at) {
			*same = s->seen[i].sp == path->sp;
			return true;
		}
	if (s->nr_seen == MAX_INSNS) {
		*same = false;
		return true;
	}
	s->seen[s->nr_seen].at = path->at;
	s->seen[s->nr_seen++].sp = path->sp;
	return false;
}

static bool follow_all(struct search *s, uint64_t pc)
{
	struct path first = { .at = pc, .lost_link = s->where->is_call };
	bool same;

	add_path(s, &first, pc);
	while (s->nr_paths) {
		struct path path = s->paths[--s->nr_paths];

		if (was_here(s, &path, &same)) {
			if (!same)
				return false;
			continue;
		}
		if (!step(s, &path))
			return false;
	}
	return s->has_result;
}

static void add_rule(struct cfi_row *row, unsigned col, enum cfi_how how, int64_t off)
{
	row->rules[row->nr_rules++] = (struct cfi_rule){
		.col = (uint8_t)col, .how = (uint8_t)how, .off = off };
	row->is_plain &= how == CFI_OFFSET;
}

static void make_row(const struct search *s, struct cfi_row *row)
{
	const struct arch *arch = arch_of(s);
	const struct path *path = &s->result;
	int64_t cfa = path->sp + arch->unwind->cfa_above_sp - arch->unwind->ra_from_cfa;

	row->cfa_off = cfa;
	if (!arch->unwind->ra_in_register)
		add_rule(row, arch->ra_col, CFI_OFFSET, arch->unwind->ra_from_cfa);
	for (unsigned i = 0; i < path->nr; i++) {
		const struct origin *o = &path->origin[i];

		if (o->how == CFI_OFFSET && o->off < 0)
			continue;
		if (!cfi_known(arch->unwind->kept, o->col) &&
		    !(o->col == arch->ra_col && arch->unwind->ra_in_register))
			continue;
		row->has_sp |= o->col == arch->sp_col;
		add_rule(row, o->col, o->how, o->how == CFI_OFFSET ? o->off - cfa : o->off);
	}
}

static void from_frame(const struct arch *arch, const struct arch_frame *frame,
		       struct cfi_row *row)
{
	row->cfa_off = frame->cfa + arch->unwind->cfa_above_sp;
	for (unsigned i = 0; i < frame->nr_saved; i++) {
		row->has_sp |= frame->saved[i].col == arch->sp_col;
		add_rule(row, frame->saved[i].col, CFI_OFFSET,
			 frame->saved[i].off - row->cfa_off);
	}
}

static bool in_stub(const struct bycode *where, uint64_t pc, struct arch_frame *frame)
{
	const struct unwind_code *code = where->code;
	const struct arch *arch = where->unwinder->arch;
	const uint8_t *near;

	if (!arch->unwind->stub_frame || pc - code->start < NEAR)
		return false;
	near = code->bytes(code, pc - NEAR, 2 * NEAR);
	return near && arch->unwind->stub_frame(near, pc, frame);
}

bool bycode_row(const struct bycode *where, uint64_t pc, struct cfi_row *row)
{
	const struct arch *arch = where->unwinder->arch;
	struct search *s;
	struct arch_frame frame;
	bool good;

	memset(row, 0, sizeof(*row));
	row->cfa_col = (uint8_t)arch->sp_col;
	row->ra_col = (uint8_t)arch->ra_col;
	row->ra_signed = arch->unwind->strip != NULL;
	row->is_plain = true;
	if (in_stub(where, pc, &frame)) {
		from_frame(arch, &frame, row);
		return true;
	}
	s = mem_alloc(sizeof(*s));
	s->where = where;
	good = follow_all(s, pc);
	if (good)
		make_row(s, row);
	mem_freep(&s);
	return good;
}
