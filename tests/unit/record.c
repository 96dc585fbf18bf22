/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <sodium.h>
#include <stdlib.h>

#include "compare.h"
#include "mem.h"
#include "record.h"
#include "tap.h"
#include "unit.h"
#include "wrapper.h"

static void test_parse(void)
{
	static const struct {
		const char *text;
		bool good;
	} rows[] = {
		{ "{\"patches\":[],\"runtime\":\"0x0\"}", true },
		{ "{\"patches\":[]}", false },
		{ "{}", false },
		{ "", false },
		{ "{\"patches\":[{}],\"runtime\":\"0x0\"}", false },
		{ "{\"patches\":[{\"name\":5}],\"runtime\":\"0x0\"}", false },
		{ "{\"patches\":{}}", false },
		{ "{\"patches\":[],\"patches\":[]}", false },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		struct record record = { 0 };
		struct err *err = record_parse(rows[i].text, strlen(rows[i].text), &record);

		ok(!err == rows[i].good, "record %s", rows[i].text);
		ok(!err || !strcmp(err->reason, "bad-record"), "with its reason");
		err_free(err);
		record_done(&record);
	}
}

static void add_func(struct record *record, const char *name, enum patch_state state,
		     uint64_t new_addr)
{
	struct record_patch *patch = record_add(record);

	patch->name = mem_strdup(name);
	patch->state = state;
	*ARRAY_ADD(patch->funcs, patch->nr_funcs) =
		(struct record_func){ .site = 0x1000, .new_addr = new_addr };
}

static void test_top(void)
{
	struct record record = { 0 };

	add_func(&record, "a", PATCH_APPLIED, 1);
	add_func(&record, "b", PATCH_APPLIED, 2);
	add_func(&record, "c", PATCH_RETAINED, 3);
	ok(record_top(&record, 0x1000, NULL)->new_addr == 2, "the newest in effect is on top");
	ok(record_top(&record, 0x1000, record.patches[1])->new_addr == 1, "below it the older");
	ok(!record_top(&record, 0x1000, record.patches[0]), "below that the original");
	ok(!record_top(&record, 0x2000, NULL), "another function has none");
	record_remove(&record, record.patches[0]);
	ok(record.nr_patches == 2 && !strcmp(record.patches[0]->name, "b"), "removed");
	record_done(&record);
}

static void test_names(void)
{
	size_t size;

	ok(unit_is_numbered("count.12", &size) && size == 5, "a static local");
	ok(!unit_is_numbered("f.cold", &size) && !unit_is_numbered("x.", &size) &&
	   !unit_is_numbered(".5", &size), "no static local");
	ok(unit_same_base("n.1", "n.22") && !unit_same_base("n.1", "m.1") &&
	   !unit_same_base("n", "n.1"), "bases");
	ok(unit_is_cold("f.cold", &size) && size == 1 && unit_is_cold("f.cold.3", &size) &&
	   !unit_is_cold("f.colder", &size) && !unit_is_cold("f", &size), "cold parts");
}

static void test_wrapper(void)
{
	static const struct {
		const char *arg;
		enum wrapper_arg kind;
	} rows[] = {
		{ "-c", ARG_COMPILE }, { "-E", ARG_NO_OBJECT }, { "-MM", ARG_NO_OBJECT },
		{ "-MD", ARG_DEPEND }, { "-MF", ARG_DEPEND_VALUE }, { "-o", ARG_OUTPUT },
		{ "-ofile", ARG_OUTPUT }, { "-I", ARG_VALUE }, { "-Iinclude", ARG_OTHER },
		{ "a.c", ARG_SOURCE }, { "dir.x/a.cc", ARG_SOURCE }, { "a.o", ARG_INPUT },
		{ "lib.so.1", ARG_INPUT }, { "-O2", ARG_OTHER }, { "@args", ARG_OTHER },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
		ok(wrapper_classify(rows[i].arg) == rows[i].kind, "argument %s", rows[i].arg);
	setenv(WRAPPER_CAPTURE, "/x", 1);
	ok(wrapper_is_wanted("gcc") && wrapper_is_wanted("/a/cc") &&
	   wrapper_is_wanted("gcc-12") && wrapper_is_wanted("x86_64-linux-gnu-g++-12") &&
	   wrapper_is_wanted("clang++-14") && !wrapper_is_wanted("stitch") &&
	   !wrapper_is_wanted("gcc-ar") && !wrapper_is_wanted("ccache"), "compilers' names");
}

int main(void)
{
	if (sodium_init() < 0)
		return 1;
	test_parse();
	test_top();
	test_names();
	test_wrapper();
	return tap_done();
}
