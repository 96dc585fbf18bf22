/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "build.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "emit.h"
#include "files.h"
#include "mem.h"
#include "work.h"

static bool is_same(const struct pair *a, const struct pair *b)
{
	if (a->is_new != b->is_new)
		return false;
	if (a->is_new)
		return !strcmp(a->new->cwd, b->new->cwd) &&
		       !strcmp(a->new->source, b->new->source);
	return a->locate.first && a->locate.first == b->locate.first;
}

/* One source compiled twice to the same code (libtool): once is enough. */
static bool is_twice(const struct job *job, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (job->pairs[i].in_image && is_same(&job->pairs[i], &job->pairs[n]))
			return true;
	return false;
}

static bool may_change(const struct job *job, const char *type)
{
	for (size_t i = 0; i < job->o->nr_layouts; i++)
		if (!strcmp(job->o->layouts[i], type))
			return true;
	return false;
}

/* Types that differ between the two, in an object that is carried. */
static void compare_types(struct job *job, size_t i)
{
	AUTO_FREE char *a = work_path(job, "3-sections/%zu-a.o", i);
	AUTO_FREE char *b = work_path(job, "3-sections/%zu-b.o", i);

	if (job->pairs[i].a && compare_is_changed(&job->pairs[i].compare))
		types_compare(a, b, &job->types);
}

static void explain(struct job *job, struct emit *emit, size_t i)
{
	AUTO_FREE char *a = work_path(job, "3-sections/%zu-a.o", i);
	AUTO_FREE char *b = work_path(job, "3-sections/%zu-b.o", i);
	const struct pair *pair = &job->pairs[i];

	if (compare_is_changed(&pair->compare))
		explain_unit(&emit->explain, pair->a ? a : NULL, b, &pair->compare);
}

static const struct type_change *find_change(const struct job *job, const char *name)
{
	for (size_t i = 0; i < job->types.nr; i++)
		if (!strcmp(job->types.list[i].name, name))
			return &job->types.list[i];
	return NULL;
}

/* A structure that grew in another: what the diff changes, and not all that it is in. */
static const struct type_change *innermost(const struct job *job, const struct type_change *type)
{
	const struct type_change *inner = type;

	for (size_t depth = 0; inner && depth <= job->types.nr; depth++) {
		type = inner;
		inner = type->inner ? find_change(job, type->inner) : NULL;
		if (inner && (inner->kind != TYPE_LAYOUT || may_change(job, inner->name)))
			inner = NULL;
	}
	return type;
}

static struct err *refuse_layout(const struct type_change *type)
{
	return err_new(ERR_UNSUPPORTED, "changed-layout", "%s: %s. The running process has "
		       "objects of the old layout: keep what is new beside them, in shadow "
		       "variables (docs/writing-patches.md), or say --allow-layout '%s' if "
		       "none of them outlives the change", type->name, type->text, type->name);
}

static struct err *answer_types(const struct job *job, struct emit *emit)
{
	for (size_t i = 0; i < job->types.nr; i++) {
		const struct type_change *type = &job->types.list[i];

		if (type->kind == TYPE_MEMBER)
			emit_note(emit, "changed-member", "%s: %s; where the change needs "
				  "more, set it in a callback", type->name, type->text);
		else if (type->kind == TYPE_ENUM)
			emit_note(emit, "changed-enum", "%s: %s; what is stored has the old "
				  "values", type->name, type->text);
		else if (type->kind == TYPE_STACK_ONLY || may_change(job, type->name))
			emit_note(emit, "changed-layout", "%s: %s; %s", type->name, type->text,
				  type->kind == TYPE_STACK_ONLY ? "its objects are on stacks "
				  "only" : "allowed by --allow-layout");
		else
			return refuse_layout(innermost(job, type));
	}
	return NULL;
}

/* The same source compiled another time, for what is not patched. */
static bool has_sibling(const struct job *job, size_t n)
{
	for (size_t i = 0; i < job->nr_pairs; i++)
		if (job->pairs[i].in_image && job->pairs[i].b && job->pairs[n].b &&
		    !strcmp(job->pairs[i].b->file, job->pairs[n].b->file))
			return true;
	return false;
}

/* The units of one object. */
static struct err *gather_object(struct job *job, struct emit *emit, size_t object)
{
	const char *name = emit->objects[object].name;
	struct err *err = NULL;
	size_t siblings = 0;

	work_locate_pairs(job, emit->objects[object].match->from, &err);
	if (!err)
		err = work_locate_new(job, object ? job->more[object - 1].link : job->link,
				      object == 0);
	for (size_t i = 0; i < job->nr_pairs && !err; i++) {
		struct pair *pair = &job->pairs[i];
		struct emit_unit *unit;

		if (pair->in_image && is_twice(job, i))
			continue;
		if (!pair->in_image) {
			if (job->nr_more || job->o->is_other || pair->gone)
				continue;
			if (has_sibling(job, i))
				siblings++;
			else
				emit_note(emit, "not-in-image", "%s %s but is not in %s",
					  pair->name, pair->is_new ? "is new" : "changes",
					  name);
			continue;
		}
		if (pair->refusal) {
			err = err_wrap(pair->refusal, "%s", pair->name);
			pair->refusal = NULL;
			return err;
		}
		unit = ARRAY_ADD(emit->units, emit->nr_units);
		unit->name = pair->name;
		unit->object = object;
		unit->compare = pair->compare;
		unit->locate = pair->locate;
		unit->is_new = pair->is_new;
		compare_types(job, i);
		explain(job, emit, i);
	}
	if (siblings)
		emit_note(emit, "not-in-image", "%zu more object%s of the same sources change%s "
			  "and %s not in %s", siblings, siblings == 1 ? "" : "s",
			  siblings == 1 ? "s" : "", siblings == 1 ? "is" : "are", name);
	return err;
}

static void add_object(struct emit *emit, const char *name, const struct match *match)
{
	struct emit_object *object = ARRAY_ADD(emit->objects, emit->nr_objects);

	object->name = name;
	object->match = match;
	startup_find(match->from, &object->startup);
}

static struct err *gather(struct job *job, struct emit *emit)
{
	struct err *err = NULL;

	add_object(emit, job->running_name, &job->match);
	for (size_t i = 0; i < job->nr_more; i++)
		add_object(emit, job->more[i].running_name, &job->more[i].match);
	for (size_t i = 0; i < emit->nr_objects && !err; i++)
		err = gather_object(job, emit, i);
	return err ? err : answer_types(job, emit);
}

static char *default_name(const char *output)
{
	char *name = mem_strdup(files_last_part(output));
	char *dot = strrchr(name, '.');

	if (dot && dot != name)
		*dot = 0;
	return name;
}

static void note_lines(struct emit *emit)
{
	if (emit->nr_line)
		emit_note(emit, "line-numbers", "%zu function%s differ%s only by line numbers "
			  "(__LINE__) and %s left as %s", emit->nr_line,
			  emit->nr_line == 1 ? "" : "s", emit->nr_line == 1 ? "s" : "",
			  emit->nr_line == 1 ? "is" : "are",
			  emit->nr_line == 1 ? "it is" : "they are");
}

static struct err *write_patch(struct job *job)
{
	AUTO_FREE char *name = job->o->name ? mem_strdup(job->o->name) :
					      default_name(job->o->output);
	struct emit emit = { .patch_name = name,
			     .replace = job->o->replace,
			     .description = job->o->description ? job->o->description : "",
			     .created_by = job->o->created_by };
	AUTO_FREE char *diff = files_read(job->o->patch);
	AUTO_FREE char *list = work_path(job, "2-patched/left-out");
	AUTO_FREE char *left_out = files_read(list);
	struct err *err;

	if (left_out && *left_out)
		emit_note(&emit, "left-out", "the diff's changes of %s do not apply and are left "
			  "out", left_out);
	explain_diff(&emit.explain, diff ? diff : "", job->o->strip);
	err = gather(job, &emit);
	for (size_t u = 0; u < emit.nr_units; u++)
		for (uint32_t n = 1; n < emit.units[u].compare.b->image->nr_sections; n++)
			emit.nr_line += unit_function(emit.units[u].compare.b, n) &&
					emit.units[u].compare.state[n] == STATE_LINE;
	note_lines(&emit);
	if (!err)
		err = emit_patch(&emit, job->o->output);
	for (size_t i = 0; i < emit.nr_objects; i++)
		startup_done(&emit.objects[i].startup);
	free(emit.objects);
	explain_done(&emit.explain);
	job->result->nr_funcs = emit.nr_funcs;
	job->result->nr_new = emit.nr_new;
	job->result->nr_line = emit.nr_line;
	for (size_t i = 0; i < emit.nr_notes; i++) {
		struct build_note *note = ARRAY_ADD(job->result->notes,
						    job->result->nr_notes);

		note->kind = mem_strdup(emit.notes[i].kind);
		note->text = mem_strdup(emit.notes[i].text);
	}
	emit_done(&emit);
	free(emit.units);
	return err;
}

static void job_done(struct job *job)
{
	for (size_t i = 0; i < job->nr_pairs; i++) {
		struct pair *pair = &job->pairs[i];

		if (pair->compared)
			compare_done(&pair->compare);
		unit_free(pair->plain);
		unit_free(pair->a);
		unit_free(pair->b);
		err_free(pair->refusal);
	}
	free(job->pairs);
	match_done(&job->match);
	for (size_t i = 0; i < job->nr_more; i++) {
		match_done(&job->more[i].match);
		image_free(job->more[i].linked);
		image_free(job->more[i].running);
		free(job->more[i].running_name);
	}
	free(job->more);
	types_done(&job->types);
	image_free(job->linked);
	image_free(job->running);
	free(job->running_name);
	free(job->fits);
	free(job->namesakes);
	free(job->unlike);
	capture_done(&job->old);
	capture_done(&job->new);
	if (job->lock >= 0)
		close(job->lock);
	free(job->work);
}

static struct err *set_up(struct job *job)
{
	AUTO_FREE char *beside = mem_fmt("%s.work", job->o->output);
	const char *work = job->o->work ? job->o->work : beside;
	char cwd[PATH_MAX];

	if (!files_exist(job->o->source))
		return err_new(ERR_FAILED, "no-such-file", "--source %s: no such folder",
			       job->o->source);
	if (!files_exist(job->o->patch))
		return err_new(ERR_FAILED, "no-such-file", "--patch %s: no such file",
			       job->o->patch);
	if (!getcwd(cwd, sizeof(cwd)))
		return err_sys(errno, "getcwd");
	job->work = *work == '/' ? mem_strdup(work) : mem_fmt("%s/%s", cwd, work);
	return NULL;
}

struct err *build_patch(const struct build_options *options, struct build_result *result)
{
	struct job job = { .o = options, .result = result, .lock = -1 };
	struct err *err;

	*result = (struct build_result){ 0 };
	if (!(err = set_up(&job)) && !(err = work_build_both(&job)) &&
	    !(err = work_find_pairs(&job)) && !(err = work_compare_pairs(&job)) &&
	    !(err = work_choose(&job)) && !(err = work_match(&job))) {
		work_note_others(&job);
		if (!(err = work_join_others(&job)))
			err = write_patch(&job);
	}
	job_done(&job);
	return err;
}

void build_result_done(struct build_result *result)
{
	for (size_t i = 0; i < result->nr_others; i++)
		free(result->others[i]);
	free(result->others);
	for (size_t i = 0; i < result->nr_notes; i++) {
		free(result->notes[i].kind);
		free(result->notes[i].text);
	}
	free(result->notes);
	free(result->object);
	free(result->matched);
	*result = (struct build_result){ 0 };
}
