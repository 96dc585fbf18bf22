/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "types.h"

#include <dwarf.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "debug.h"
#include "mem.h"

enum { MAX_DEPTH = 64 };

struct member {
	const char *name;       /* in the debug information */
	int64_t at, size;       /* bits; of an enumerator: at is its value */
	Dwarf_Off type;         /* of the aggregate that it is, or is an array of; 0: none */
};

struct layout {
	char *name;
	Dwarf_Off die;
	bool is_enum;
	int64_t size;           /* bytes */
	struct member *members;
	size_t nr;
	bool is_local;          /* some are variables of functions */
	bool outlives;          /* may be elsewhere than on a stack */
};

struct layouts {
	struct debug debug;
	struct layout *list;    /* by name */
	struct layout **by_die; /* the same by their place in the debug information */
	size_t nr;
};

/* ---- what a file's types are ------------------------------------------------------ */

static bool is_aggregate(Dwarf_Die *die)
{
	int tag = dwarf_tag(die);

	return tag == DW_TAG_structure_type || tag == DW_TAG_class_type ||
	       tag == DW_TAG_union_type;
}

/* A size, a place or an enumerator's value; what is below 0 has a form with a sign. */
static int64_t number_of(Dwarf_Die *die, unsigned name, int64_t other)
{
	Dwarf_Attribute attr;
	Dwarf_Word value;

	return dwarf_attr(die, name, &attr) && !dwarf_formudata(&attr, &value) ?
	       (int64_t)value : other;
}

static bool is_said(Dwarf_Die *die, unsigned name)
{
	Dwarf_Attribute attr;

	return dwarf_attr(die, name, &attr) != NULL;
}

/* Bits from the beginning of the aggregate; DWARF 5, section 5.7.6. */
static int64_t place_of(Dwarf_Die *die)
{
	int64_t at = 8 * number_of(die, DW_AT_data_member_location, 0);

	return number_of(die, DW_AT_data_bit_offset, at);
}

static int64_t bits_of(Dwarf_Die *die)
{
	Dwarf_Die type;
	Dwarf_Word size;

	if (is_said(die, DW_AT_bit_size))
		return number_of(die, DW_AT_bit_size, 0);
	if (!debug_type_of(die, &type) || dwarf_aggregate_size(&type, &size))
		return 0;
	return 8 * (int64_t)size;
}

/* The aggregate that a die's type is or leads to, through arrays and pointers. */
static bool leads_to(Dwarf_Die *die, Dwarf_Die *type, unsigned *pointers)
{
	*pointers = 0;
	if (!debug_type_of(die, type))
		return false;
	for (int i = 0; i < MAX_DEPTH; i++) {
		int tag;

		if (!debug_bare_type(type, type))
			return false;
		tag = dwarf_tag(type);
		if (is_aggregate(type))
			return true;
		if (tag == DW_TAG_pointer_type || tag == DW_TAG_reference_type ||
		    tag == DW_TAG_rvalue_reference_type)
			++*pointers;
		else if (tag != DW_TAG_array_type)
			return false;
		if (!debug_type_of(type, type))
			return false;
	}
	return false;
}

static Dwarf_Off aggregate_of(Dwarf_Die *die)
{
	Dwarf_Die type;
	unsigned pointers;

	return leads_to(die, &type, &pointers) && !pointers ? dwarf_dieoffset(&type) : 0;
}

/* Those of members without a name are the aggregate's own. */
static void add_members(struct layout *layout, Dwarf_Die *die, int64_t from, int depth)
{
	Dwarf_Die child, type;

	if (depth > MAX_DEPTH || dwarf_child(die, &child))
		return;
	do {
		const char *name = dwarf_diename(&child);
		int tag = dwarf_tag(&child);

		if (tag == DW_TAG_inheritance && debug_type_of(&child, &type))
			name = dwarf_diename(&type);
		else if (tag != DW_TAG_member || is_said(&child, DW_AT_external))
			continue;
		if (name)
			*ARRAY_ADD(layout->members, layout->nr) = (struct member){
				name, from + place_of(&child), bits_of(&child),
				aggregate_of(&child) };
		else if (debug_type_of(&child, &type) && debug_bare_type(&type, &type) &&
			 is_aggregate(&type))
			add_members(layout, &type, from + place_of(&child), depth + 1);
	} while (!dwarf_siblingof(&child, &child));
}

static void add_enumerators(struct layout *layout, Dwarf_Die *die)
{
	Dwarf_Die child;

	if (dwarf_child(die, &child))
		return;
	do {
		if (dwarf_tag(&child) == DW_TAG_enumerator && dwarf_diename(&child))
			*ARRAY_ADD(layout->members, layout->nr) = (struct member){
				dwarf_diename(&child),
				number_of(&child, DW_AT_const_value, 0), 0, 0 };
	} while (!dwarf_siblingof(&child, &child));
}

static void add_layout(struct layouts *layouts, Dwarf_Die *die, char *name)
{
	struct layout *layout;

	if (is_said(die, DW_AT_declaration)) {
		free(name);
		return;
	}
	layout = ARRAY_ADD(layouts->list, layouts->nr);
	*layout = (struct layout){ .name = name, .die = dwarf_dieoffset(die),
				   .is_enum = dwarf_tag(die) == DW_TAG_enumeration_type,
				   .size = number_of(die, DW_AT_byte_size, 0) };
	if (layout->is_enum)
		add_enumerators(layout, die);
	else
		add_members(layout, die, 0, 0);
}

static const char *kind_of(int tag)
{
	return tag == DW_TAG_structure_type ? "struct " : tag == DW_TAG_union_type ? "union " :
	       tag == DW_TAG_enumeration_type ? "enum " : "";
}

/* A type of a name of its own, or that a typedef gives it. */
static void note_type(struct layouts *layouts, Dwarf_Die *die, const char *scope)
{
	const char *name = dwarf_diename(die);
	int tag = dwarf_tag(die);
	Dwarf_Die type = *die;

	if (!name || (tag == DW_TAG_typedef && !debug_type_of(die, &type)))
		return;
	if (tag == DW_TAG_typedef && (dwarf_diename(&type) ||
	    (!is_aggregate(&type) && dwarf_tag(&type) != DW_TAG_enumeration_type)))
		return;
	add_layout(layouts, &type, mem_fmt("%s%s%s", kind_of(tag), scope, name));
}

static bool is_scope(int tag)
{
	return tag == DW_TAG_namespace || tag == DW_TAG_subprogram ||
	       tag == DW_TAG_lexical_block || tag == DW_TAG_structure_type ||
	       tag == DW_TAG_class_type || tag == DW_TAG_union_type;
}

static void collect(struct layouts *layouts, Dwarf_Die *parent, const char *scope, int depth)
{
	Dwarf_Die child;

	if (depth > MAX_DEPTH || dwarf_child(parent, &child))
		return;
	do {
		int tag = dwarf_tag(&child);
		const char *name = dwarf_diename(&child);

		if (is_aggregate(&child) || tag == DW_TAG_enumeration_type ||
		    tag == DW_TAG_typedef)
			note_type(layouts, &child, scope);
		if (is_scope(tag) && dwarf_haschildren(&child)) {
			AUTO_FREE char *inner = name ? mem_fmt("%s%s::", scope, name) :
						       mem_strdup(scope);

			collect(layouts, &child, inner, depth + 1);
		}
	} while (!dwarf_siblingof(&child, &child));
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct layout *)a)->name, ((const struct layout *)b)->name);
}

static bool layouts_open(const char *file, struct layouts *layouts)
{
	struct debug_units units = { 0 };

	if (!debug_open(file, &layouts->debug))
		return false;
	while (debug_next_unit(&layouts->debug, &units))
		collect(layouts, &units.die, "", 0);
	if (layouts->nr)
		qsort(layouts->list, layouts->nr, sizeof(*layouts->list), by_name);
	return true;
}

static void layouts_close(struct layouts *layouts)
{
	for (size_t i = 0; i < layouts->nr; i++) {
		free(layouts->list[i].name);
		free(layouts->list[i].members);
	}
	free(layouts->list);
	free(layouts->by_die);
	debug_close(&layouts->debug);
}

/* ---- whose objects are only ever on stacks ------------------------------------------ */

static int by_die(const void *a, const void *b)
{
	Dwarf_Off x = (*(struct layout *const *)a)->die, y = (*(struct layout *const *)b)->die;

	return x < y ? -1 : x > y;
}

static struct layout *layout_at(struct layouts *layouts, Dwarf_Off die)
{
	struct layout like = { .die = die }, *key = &like;
	struct layout **at = bsearch(&key, layouts->by_die, layouts->nr, sizeof(*at), by_die);

	return at ? *at : NULL;
}

static bool is_static(Dwarf_Die *die)
{
	Dwarf_Attribute attr;
	Dwarf_Op *ops;
	size_t nr = 0;

	return is_said(die, DW_AT_external) ||
	       (dwarf_attr(die, DW_AT_location, &attr) &&
		!dwarf_getlocation(&attr, &ops, &nr) && nr && ops[0].atom == DW_OP_addr);
}

/*
 * May what the die names be, or lead to, an object that no frame holds?  A parameter leads
 * to its caller's, which is asked for itself, but through two pointers it may be given a new
 * one; a variable that is a pointer leads to anything.
 */
static void note_use(struct layout *layout, Dwarf_Die *die, bool in_function, unsigned pointers)
{
	switch (dwarf_tag(die)) {
	case DW_TAG_formal_parameter:
		layout->outlives |= pointers > 1;
		break;
	case DW_TAG_variable:
		if (pointers || !in_function || is_static(die))
			layout->outlives = true;
		else
			layout->is_local = true;
		break;
	case DW_TAG_subprogram:
		layout->outlives |= pointers > 0;
		break;
	default:
		layout->outlives = true; /* a member of something else, a base class, ... */
	}
}

static void note_uses(struct layouts *layouts, Dwarf_Die *parent, bool in_function, int depth)
{
	Dwarf_Die child, type;
	unsigned pointers;

	if (depth > MAX_DEPTH || dwarf_child(parent, &child))
		return;
	do {
		int tag = dwarf_tag(&child);
		bool names = tag == DW_TAG_formal_parameter || tag == DW_TAG_variable ||
			     tag == DW_TAG_subprogram || tag == DW_TAG_member ||
			     tag == DW_TAG_inheritance;

		if (names && leads_to(&child, &type, &pointers)) {
			struct layout *layout = layout_at(layouts, dwarf_dieoffset(&type));

			if (layout)
				note_use(layout, &child, in_function, pointers);
		}
		note_uses(layouts, &child, in_function || tag == DW_TAG_subprogram, depth + 1);
	} while (!dwarf_siblingof(&child, &child));
}

static void note_all_uses(struct layouts *layouts)
{
	struct debug_units units = { 0 };

	layouts->by_die = mem_alloc(layouts->nr * sizeof(*layouts->by_die));
	for (size_t i = 0; i < layouts->nr; i++)
		layouts->by_die[i] = &layouts->list[i];
	qsort(layouts->by_die, layouts->nr, sizeof(*layouts->by_die), by_die);
	while (debug_next_unit(&layouts->debug, &units))
		note_uses(layouts, &units.die, false, 0);
}

/* ---- what differs ----------------------------------------------------------------- */

static const struct member *find_member(const struct layout *layout, const char *name)
{
	for (size_t i = 0; i < layout->nr; i++)
		if (!strcmp(layout->members[i].name, name))
			return &layout->members[i];
	return NULL;
}

static const struct member *member_at(const struct layout *layout, const struct member *like)
{
	for (size_t i = 0; i < layout->nr; i++)
		if (layout->members[i].at == like->at && layout->members[i].size == like->size)
			return &layout->members[i];
	return NULL;
}

/* Of the first that moved; NULL: none did.  *grown: the type that grew in its place, or 0. */
static char *text_of_moved(const struct layout *a, const struct layout *b, Dwarf_Off *grown)
{
	*grown = 0;
	for (size_t i = 0; i < a->nr; i++) {
		const struct member *x = &a->members[i], *y = find_member(b, x->name);

		if (y && x->at == y->at && x->size != y->size)
			*grown = y->type;
		if (y && (x->at != y->at || x->size != y->size))
			return mem_fmt("its member %s was at byte %" PRId64 " (%" PRId64
				       " bytes) and is at byte %" PRId64 " (%" PRId64 ")",
				       x->name, x->at / 8, (x->size + 7) / 8, y->at / 8,
				       (y->size + 7) / 8);
	}
	return a->size == b->size ? NULL :
	       mem_fmt("it had %" PRId64 " bytes and has %" PRId64, a->size, b->size);
}

/* Something new in the same space; NULL: nothing. */
static char *text_of_members(const struct layout *a, const struct layout *b)
{
	for (size_t i = 0; i < b->nr; i++) {
		const struct member *y = &b->members[i], *was;

		if (find_member(a, y->name))
			continue;
		was = member_at(a, y);
		if (was && !find_member(b, was->name))
			return mem_fmt("its member %s is now %s", was->name, y->name);
		return mem_fmt("its new member %s lies where nothing was: objects that exist "
			       "have there what they were allocated with", y->name);
	}
	for (size_t i = 0; i < a->nr; i++)
		if (!find_member(b, a->members[i].name))
			return mem_fmt("its member %s is gone", a->members[i].name);
	return NULL;
}

static char *text_of_values(const struct layout *a, const struct layout *b)
{
	for (size_t i = 0; i < a->nr; i++) {
		const struct member *x = &a->members[i], *y = find_member(b, x->name);

		if (y && x->at != y->at)
			return mem_fmt("%s was %" PRId64 " and is %" PRId64, x->name, x->at,
				       y->at);
	}
	return NULL;
}

/* Takes the change over.  A type that is on stacks in one file may be elsewhere in another. */
static void add_change(struct type_changes *changes, const char *name, struct type_change change)
{
	for (size_t i = 0; i < changes->nr; i++) {
		struct type_change *known = &changes->list[i];

		if (strcmp(known->name, name))
			continue;
		if (change.kind == TYPE_LAYOUT)
			known->kind = TYPE_LAYOUT;
		free(change.text);
		free(change.inner);
		return;
	}
	change.name = mem_strdup(name);
	*ARRAY_ADD(changes->list, changes->nr) = change;
}

/* All that there are are variables of functions, and their parameters. */
static bool is_on_stacks(const struct layout *a, const struct layout *b)
{
	return a->is_local && b->is_local && !a->outlives && !b->outlives;
}

static void compare_layouts(const struct layout *a, const struct layout *b,
			    struct layouts *all, struct type_changes *changes)
{
	struct type_change change = { .kind = TYPE_ENUM };
	const struct layout *inner;
	Dwarf_Off grown;

	if (a->is_enum != b->is_enum)
		return;
	if (a->is_enum) {
		change.text = text_of_values(a, b);
	} else if ((change.text = text_of_moved(a, b, &grown))) {
		inner = grown ? layout_at(all, grown) : NULL;
		change.inner = inner ? mem_strdup(inner->name) : NULL;
		change.kind = is_on_stacks(a, b) ? TYPE_STACK_ONLY : TYPE_LAYOUT;
	} else {
		change.kind = TYPE_MEMBER;
		change.text = text_of_members(a, b);
	}
	if (change.text)
		add_change(changes, b->name, change);
}

void types_compare(const char *old_file, const char *new_file, struct type_changes *changes)
{
	struct layouts a = { 0 }, b = { 0 };

	if (layouts_open(old_file, &a) && layouts_open(new_file, &b) && a.nr && b.nr) {
		note_all_uses(&a);
		note_all_uses(&b);
		for (size_t i = 0; i < b.nr; i++) {
			const struct layout *old = bsearch(&b.list[i], a.list, a.nr,
							   sizeof(*a.list), by_name);

			if (old)
				compare_layouts(old, &b.list[i], &b, changes);
		}
	}
	layouts_close(&a);
	layouts_close(&b);
}

void types_done(struct type_changes *changes)
{
	for (size_t i = 0; i < changes->nr; i++) {
		free(changes->list[i].name);
		free(changes->list[i].text);
		free(changes->list[i].inner);
	}
	free(changes->list);
	*changes = (struct type_changes){ 0 };
}
