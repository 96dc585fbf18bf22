/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "explain.h"

#include <ctype.h>
#include <dwarf.h>
#include <stdlib.h>
#include <string.h>

#include "debug.h"
#include "diff.h"
#include "mem.h"

enum { MAX_DEPTH = 64 };

/* A line of a hunk; number is that of the old file if it was removed. */
struct diff_line {
	char sign;
	unsigned number[2];    /* in the old and the new file; 0: it is not in that */
	char *text;
	bool has_code;
	char **functions;      /* that carry it */
	size_t nr_functions;
};

struct diff_file {
	char *name;
	struct diff_line *lines;
	size_t nr;
};

/* What is known of a function that is carried. */
struct explained {
	const struct unit *unit;
	char *name;
	bool is_direct;        /* a changed line is its own */
	char **inlined;        /* functions with changed lines that are part of it */
	size_t nr_inlined;
};

/* ---- the diff ----------------------------------------------------------------------- */

static void add_name(char ***names, size_t *nr, const char *name)
{
	for (size_t i = 0; i < *nr; i++)
		if (!strcmp((*names)[i], name))
			return;
	*ARRAY_ADD(*names, *nr) = mem_strdup(name);
}

static void add_line(struct diff_file *file, const char *line, size_t size, unsigned next[2])
{
	char sign = size ? *line : ' ';
	struct diff_line *to;

	if (sign != ' ' && sign != '+' && sign != '-')
		return; /* \ No newline at end of file */
	to = ARRAY_ADD(file->lines, file->nr);
	*to = (struct diff_line){ .sign = sign };
	to->text = mem_fmt("%.*s", size ? (int)size - 1 : 0, line + 1);
	if (sign != '+')
		to->number[0] = next[0]++;
	if (sign != '-')
		to->number[1] = next[1]++;
}

void explain_diff(struct explain *explain, const char *diff, unsigned strip)
{
	struct diff_part part;
	size_t at = 0;

	while (diff_next(diff, &at, strip, &part)) {
		struct diff_file *file = ARRAY_ADD(explain->files, explain->nr_files);
		struct diff_hunk hunk = { 0 };
		const char *end;

		*file = (struct diff_file){ .name = part.name };
		for (const char *line = part.text; line < part.text + part.size; line = end + 1) {
			end = strchrnul(line, '\n');
			if (diff_hunk_line(*line == '\n' ? ' ' : *line, &hunk))
				add_line(file, line, (size_t)(end - line), hunk.next);
			else
				diff_hunk_begin(line, &hunk);
		}
	}
}

/* ---- where code is ------------------------------------------------------------------- */

/* One name ends with the other, at a folder's beginning. */
static bool is_same_file(const char *a, const char *b)
{
	size_t x, y;

	while (!strncmp(a, "./", 2))
		a += 2;
	while (!strncmp(b, "./", 2))
		b += 2;
	x = strlen(a), y = strlen(b);
	if (!x || !y)
		return false;
	if (x < y)
		return !strcmp(b + y - x, a) && b[y - x - 1] == '/';
	return !strcmp(a + x - y, b) && (x == y || a[x - y - 1] == '/');
}

static struct diff_file *find_file(const struct explain *explain, const char *name)
{
	for (size_t i = 0; i < explain->nr_files; i++)
		if (is_same_file(name, explain->files[i].name))
			return &explain->files[i];
	return NULL;
}

/* Lines are in order of either number. */
static struct diff_line *find_line(const struct diff_file *file, unsigned number, bool is_new)
{
	for (size_t i = 0; i < file->nr; i++)
		if (file->lines[i].number[is_new] == number)
			return &file->lines[i];
	return NULL;
}

static struct explained *function_of(struct explain *explain, const struct unit *unit,
				     const char *name)
{
	struct explained *f;

	for (size_t i = 0; i < explain->nr_functions; i++)
		if (explain->functions[i].unit == unit &&
		    !strcmp(explain->functions[i].name, name))
			return &explain->functions[i];
	f = ARRAY_ADD(explain->functions, explain->nr_functions);
	*f = (struct explained){ .unit = unit, .name = mem_strdup(name) };
	return f;
}

static bool is_carried(const struct compare *c, const char *name)
{
	const struct symbol *sym = unit_find_symbol(c->b, name);
	enum part_state state = sym && sym->section < c->b->image->nr_sections ?
				c->state[sym->section] : STATE_IGNORED;

	return state == STATE_CHANGED || state == STATE_NEW;
}

/* A function's source, from its first line to the next function's. */
struct body {
	const struct diff_file *file;
	unsigned line;
	const char *name, *linkage; /* in the debug information */
};

/* The code of one is part of another. */
struct inlining {
	char *function, *inlined;   /* its linkage name */
};

struct pass {
	struct explain *explain;
	struct debug debug;
	const struct compare *compare;
	bool is_new;
	struct body *bodies;
	size_t nr_bodies;
};

/* Of either build: one in which all of it was folded away does not say so any more. */
struct inlinings {
	struct inlining *list;
	size_t nr;
};

/* A function and its .cold part are one for who reads the source. */
static char *whole_name(const char *name)
{
	size_t size;

	return unit_is_cold(name, &size) ? mem_fmt("%.*s", (int)size, name) : mem_strdup(name);
}

static const char *linkage_of(Dwarf_Die *die)
{
	Dwarf_Attribute attr;
	const char *name = dwarf_attr_integrate(die, DW_AT_linkage_name, &attr) ?
			   dwarf_formstring(&attr) : NULL;

	return name ? name : dwarf_diename(die);
}

static void note_body(struct pass *pass, Dwarf_Die *die)
{
	const char *file = dwarf_decl_file(die), *name = dwarf_diename(die);
	Dwarf_Attribute attr;
	Dwarf_Word line;
	const struct diff_file *found = file && name ? find_file(pass->explain, file) : NULL;

	if (found && dwarf_attr_integrate(die, DW_AT_decl_line, &attr) &&
	    !dwarf_formudata(&attr, &line))
		*ARRAY_ADD(pass->bodies, pass->nr_bodies) =
			(struct body){ found, (unsigned)line, name, linkage_of(die) };
}

static const struct body *body_at(const struct pass *pass, const struct diff_file *file,
				  unsigned line)
{
	const struct body *best = NULL;

	for (size_t i = 0; i < pass->nr_bodies; i++) {
		const struct body *body = &pass->bodies[i];

		if (body->file == file && body->line <= line &&
		    (!best || body->line > best->line))
			best = body;
	}
	return best;
}

static char *symbol_at(const struct pass *pass, Dwarf_Addr addr)
{
	const char *symbol = dwfl_module_addrname(pass->debug.module,
						  addr + pass->debug.bias);

	return symbol ? whole_name(symbol) : NULL;
}

/* All that is inlined in a function, however deep. */
static void note_inlined(struct inlinings *inlinings, Dwarf_Die *parent, const char *function,
			 int depth)
{
	Dwarf_Die child;

	if (depth > MAX_DEPTH || dwarf_child(parent, &child))
		return;
	do {
		if (dwarf_tag(&child) == DW_TAG_inlined_subroutine && linkage_of(&child))
			*ARRAY_ADD(inlinings->list, inlinings->nr) = (struct inlining){
				mem_strdup(function), mem_strdup(linkage_of(&child)) };
		note_inlined(inlinings, &child, function, depth + 1);
	} while (!dwarf_siblingof(&child, &child));
}

static void note_functions(struct pass *pass, Dwarf_Die *parent, struct inlinings *inlinings,
			   int depth)
{
	Dwarf_Die child;

	if (depth > MAX_DEPTH || dwarf_child(parent, &child))
		return;
	do {
		AUTO_FREE char *symbol = NULL;
		Dwarf_Addr low;

		if (dwarf_tag(&child) != DW_TAG_subprogram) {
			note_functions(pass, &child, inlinings, depth + 1);
			continue;
		}
		note_body(pass, &child);
		if (!dwarf_entrypc(&child, &low) && (symbol = symbol_at(pass, low)) &&
		    is_carried(pass->compare, symbol))
			note_inlined(inlinings, &child, symbol, 0);
	} while (!dwarf_siblingof(&child, &child));
}

/* "foo" for "foo.part.0": a clone has its function's source. */
static bool is_of(const char *symbol, const struct body *body)
{
	size_t size = strcspn(symbol + 1, ".") + 1;

	return strlen(body->linkage) == size && !memcmp(symbol, body->linkage, size);
}

/* A function that is carried has the line's code in it. */
static void note_carrier(const struct pass *pass, const struct diff_file *file,
			 struct diff_line *line, const char *name)
{
	const struct body *body = body_at(pass, file, line->number[pass->is_new]);
	struct explained *f;

	add_name(&line->functions, &line->nr_functions, name);
	if (line->sign == ' ')
		return;
	f = function_of(pass->explain, pass->compare->b, name);
	if (body && !is_of(name, body))
		add_name(&f->inlined, &f->nr_inlined, body->name);
	else
		f->is_direct = true;
}

static void note_row(const struct pass *pass, Dwarf_Line *row, const struct diff_file *file)
{
	AUTO_FREE char *name = NULL;
	struct diff_line *line;
	bool is_end = true;
	Dwarf_Addr addr;
	int number = 0;

	if (dwarf_lineendsequence(row, &is_end) || is_end || dwarf_lineno(row, &number) ||
	    number <= 0 || dwarf_lineaddr(row, &addr) ||
	    !(line = find_line(file, (unsigned)number, pass->is_new)))
		return;
	line->has_code = true;
	name = symbol_at(pass, addr);
	if (name && is_carried(pass->compare, name))
		note_carrier(pass, file, line, name);
}

static void note_rows(const struct pass *pass, Dwarf_Die *unit)
{
	struct diff_file *file = NULL;
	const char *last = NULL;
	Dwarf_Lines *lines;
	size_t nr;

	if (dwarf_getsrclines(unit, &lines, &nr))
		return;
	for (size_t i = 0; i < nr; i++) {
		Dwarf_Line *row = dwarf_onesrcline(lines, i);
		const char *name = dwarf_linesrc(row, NULL, NULL);

		if (name != last)
			file = name ? find_file(pass->explain, name) : NULL;
		last = name;
		if (file)
			note_row(pass, row, file);
	}
}

/* Optimized code may keep no row of a line in each function that has it inlined. */
static void note_inlined_lines(const struct pass *pass, const struct inlinings *inlinings)
{
	for (size_t i = 0; i < pass->explain->nr_files; i++) {
		struct diff_file *file = &pass->explain->files[i];

		for (size_t n = 0; n < file->nr; n++) {
			struct diff_line *line = &file->lines[n];
			const struct body *body = line->has_code && line->sign != ' ' ?
				body_at(pass, file, line->number[pass->is_new]) : NULL;

			for (size_t k = 0; body && k < inlinings->nr; k++)
				if (!strcmp(inlinings->list[k].inlined, body->linkage))
					note_carrier(pass, file, line,
						     inlinings->list[k].function);
		}
	}
}

static void pass_begin(struct pass *pass, const char *file, struct inlinings *inlinings)
{
	struct debug_units units = { 0 };

	if (file && debug_open(file, &pass->debug))
		while (debug_next_unit(&pass->debug, &units))
			note_functions(pass, &units.die, inlinings, 0);
}

static void pass_end(struct pass *pass, const struct inlinings *inlinings)
{
	struct debug_units units = { 0 };

	if (pass->debug.dwarf) {
		while (debug_next_unit(&pass->debug, &units))
			note_rows(pass, &units.die);
		note_inlined_lines(pass, inlinings);
	}
	debug_close(&pass->debug);
	free(pass->bodies);
}

void explain_unit(struct explain *explain, const char *old_file, const char *new_file,
		  const struct compare *compare)
{
	struct pass old = { .explain = explain, .compare = compare, .is_new = false };
	struct pass new = { .explain = explain, .compare = compare, .is_new = true };
	struct inlinings inlinings = { 0 };

	pass_begin(&old, old_file, &inlinings);
	pass_begin(&new, new_file, &inlinings);
	pass_end(&old, &inlinings);
	pass_end(&new, &inlinings);
	for (size_t i = 0; i < inlinings.nr; i++) {
		free(inlinings.list[i].function);
		free(inlinings.list[i].inlined);
	}
	free(inlinings.list);
}

/* ---- why ------------------------------------------------------------------------------ */

static char *join(char *const *names, size_t nr)
{
	char *all = mem_strdup("");

	for (size_t i = 0; i < nr; i++) {
		char *more = mem_fmt("%s%s%s", all, i ? ", " : "", names[i]);

		free(all);
		all = more;
	}
	return all;
}

static char *reason_of(const struct explained *f, const struct compare *compare,
		       const struct symbol *sym)
{
	AUTO_FREE char *inlined = f ? join(f->inlined, f->nr_inlined) : NULL;
	char *refers;

	if (f && f->is_direct)
		return f->nr_inlined ? mem_fmt("changed, and %s inlined in it", inlined) :
				       mem_strdup("changed");
	if (f && f->nr_inlined)
		return mem_fmt("%s, which changed, is inlined in it", inlined);
	refers = compare_reference(compare, sym);
	return refers ? refers : mem_strdup("a type, a macro or what the compiler knows of "
					    "other functions changed");
}

char *explain_reason(const struct explain *explain, const struct compare *compare,
		     const struct symbol *sym)
{
	const char *dot = strchr(sym->name, '.');
	const struct explained *f = NULL;
	AUTO_FREE char *reason = NULL;

	for (size_t i = 0; i < explain->nr_functions && !f; i++)
		if (explain->functions[i].unit == compare->b &&
		    !strcmp(explain->functions[i].name, sym->name))
			f = &explain->functions[i];
	reason = reason_of(f, compare, sym);
	return dot && dot != sym->name ?
	       mem_fmt("clone of %.*s: %s", (int)(dot - sym->name), sym->name, reason) :
	       mem_strdup(reason);
}

/* ---- what became of each line ------------------------------------------------------------ */

static bool is_blank(const char *text)
{
	while (isspace((unsigned char)*text))
		text++;
	return !*text;
}

/* Without the blanks at its end. */
static size_t trimmed(const char *text)
{
	size_t size = strlen(text);

	while (size && isspace((unsigned char)text[size - 1]))
		size--;
	return size;
}

/* The next line goes on with what this one says. */
static bool goes_on(const char *text)
{
	size_t size = trimmed(text);

	return size && !strchr(";{}:", text[size - 1]) && text[0] != '#' &&
	       (size < 2 || memcmp(text + size - 2, "*/", 2));
}

/* The line above, in the file of the same side; NULL: the diff does not have it. */
static const struct diff_line *line_above(const struct diff_file *file,
					  const struct diff_line *line, bool is_new)
{
	const struct diff_line *above = line;

	while (above > file->lines && !above[-1].number[is_new])
		above--;
	if (above == file->lines || above[-1].number[is_new] + 1 != line->number[is_new])
		return NULL;
	return above - 1;
}

/* A line without code of its own that goes on with a statement is where that is. */
static const struct diff_line *statement_of(const struct diff_file *file, size_t n)
{
	const struct diff_line *at = &file->lines[n];
	bool is_new = at->sign == '+';

	while (!at->has_code) {
		const struct diff_line *above = line_above(file, at, is_new);

		if (!above || !goes_on(above->text) || is_blank(at->text))
			return &file->lines[n];
		at = above;
	}
	return at;
}

static bool ends_in_backslash(const char *text)
{
	size_t size = trimmed(text);

	return size && text[size - 1] == '\\';
}

/* A macro's definition: its code is counted as that of the lines that use it. */
static bool is_macro(const struct diff_file *file, size_t n)
{
	const struct diff_line *line = &file->lines[n], *above;
	const char *text = line->text;

	while (isspace((unsigned char)*text))
		text++;
	if (*text == '#') {
		text++;
		text += strspn(text, " \t");
		return !strncmp(text, "define", 6);
	}
	above = line_above(file, line, line->sign == '+');
	return ends_in_backslash(text) || (above && ends_in_backslash(above->text));
}

static json_t *functions_of(const struct diff_line *line)
{
	json_t *names = json_array();

	for (size_t i = 0; i < line->nr_functions; i++)
		json_array_append_new(names, json_string(line->functions[i]));
	return names;
}

/* The row goes on with this line; taken over if so. */
static bool extend(json_t *last, const char *file, unsigned number, bool removed, bool macro,
		   const json_t *functions)
{
	if (!last || strcmp(json_string_value(json_object_get(last, "file")), file) ||
	    json_integer_value(json_object_get(last, "last")) + 1 != number ||
	    json_is_true(json_object_get(last, "removed")) != removed ||
	    json_is_true(json_object_get(last, "macro")) != macro ||
	    !json_equal(json_object_get(last, "functions"), functions))
		return false;
	json_object_set_new(last, "last", json_integer(number));
	return true;
}

static void put_line(json_t *rows, const struct diff_file *file, size_t n)
{
	const struct diff_line *line = &file->lines[n];
	bool removed = line->sign == '-';
	unsigned number = line->number[!removed];
	json_t *functions = functions_of(statement_of(file, n));
	json_t *last = json_array_get(rows, json_array_size(rows) - 1), *row;
	bool macro = !json_array_size(functions) && is_macro(file, n);

	if (extend(last, file->name, number, removed, macro, functions)) {
		json_decref(functions);
		return;
	}
	row = json_pack("{ss,si,si,sb,so}", "file", file->name, "first", number, "last", number,
			"removed", removed, "functions", functions);
	if (macro)
		json_object_set_new(row, "macro", json_true());
	json_array_append_new(rows, row);
}

json_t *explain_lines(const struct explain *explain)
{
	json_t *rows = json_array();

	for (size_t i = 0; i < explain->nr_files; i++)
		for (size_t n = 0; n < explain->files[i].nr; n++)
			if (explain->files[i].lines[n].sign != ' ' &&
			    !is_blank(explain->files[i].lines[n].text))
				put_line(rows, &explain->files[i], n);
	return rows;
}

static void names_done(char **names, size_t nr)
{
	for (size_t i = 0; i < nr; i++)
		free(names[i]);
	free(names);
}

static void file_done(struct diff_file *file)
{
	for (size_t i = 0; i < file->nr; i++) {
		names_done(file->lines[i].functions, file->lines[i].nr_functions);
		free(file->lines[i].text);
	}
	free(file->lines);
	free(file->name);
}

void explain_done(struct explain *explain)
{
	for (size_t i = 0; i < explain->nr_files; i++)
		file_done(&explain->files[i]);
	free(explain->files);
	for (size_t i = 0; i < explain->nr_functions; i++) {
		names_done(explain->functions[i].inlined, explain->functions[i].nr_inlined);
		free(explain->functions[i].name);
	}
	free(explain->functions);
	*explain = (struct explain){ 0 };
}
