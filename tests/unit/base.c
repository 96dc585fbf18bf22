/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdlib.h>

#include "bytes.h"
#include "err.h"
#include "event.h"
#include "mem.h"
#include "tap.h"

static void test_numbers(void)
{
	const uint8_t b[] = { 0x12, 0x34, 0x56, 0x78 };
	uint8_t out[4];

	ok(bytes_get(b, 4, true) == 0x12345678, "big-endian");
	ok(bytes_get(b, 4, false) == 0x78563412, "little-endian");
	bytes_put(out, 4, 0x12345678, true);
	ok(!memcmp(b, out, 4), "put is get's opposite");
}

static void test_leb(void)
{
	static const struct {
		uint8_t bytes[10];
		size_t size;
		uint64_t u;
		int64_t s;
	} rows[] = { /* DWARF 5, tables 7.7 and 7.8 */
		{ { 2 }, 1, 2, 2 },
		{ { 0x7f }, 1, 127, -1 },
		{ { 0x80, 1 }, 2, 128, 128 },
		{ { 0x80, 0x7f }, 2, 16256, -128 },
		{ { 0xff, 0x7e }, 2, 16255, -129 },
		{ { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1 }, 10,
		  UINT64_MAX, -1 },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		struct cursor c = cursor_make(rows[i].bytes, rows[i].size, false);
		struct cursor d = c;

		ok(cursor_uleb(&c) == rows[i].u && !c.bad && !cursor_left(&c), "uleb %u", i);
		ok(cursor_sleb(&d) == rows[i].s && !d.bad, "sleb %u", i);
	}
}

static void test_cursor_end(void)
{
	const uint8_t b[] = { 1, 2, 3 };
	struct cursor c = cursor_make(b, 3, false);

	ok(cursor_get(&c, 4) == 0 && c.bad, "a read past the end is zero and bad");
	ok(cursor_get(&c, 1) == 0, "and so is every one after it");
	c = cursor_make("ab", 2, false);
	ok(!*cursor_str(&c) && c.bad, "a string without an end");
	c = cursor_make(b, 3, false);
	ok(!cursor_take(&c, UINT64_MAX) && c.bad, "an absurd size");
}

static void test_hex(void)
{
	uint8_t out[2];
	char *hex = bytes_to_hex("\x01\xfe", 2);

	ok(!strcmp(hex, "01fe"), "to hex");
	ok(bytes_from_hex("01Fe", out, 2) && out[1] == 0xfe, "from hex");
	ok(!bytes_from_hex("01f", out, 2) && !bytes_from_hex("01fg", out, 2), "bad hex");
	free(hex);
}

static void test_err(void)
{
	struct err *err = err_sys(ENOENT, "opening %s", "x");

	err = err_wrap(err, "step %d", 3);
	ok(!strcmp(err->msg, "step 3: opening x: No such file or directory"), "wrapped");
	ok(!err_is_gone(err) && !err_is_gone(NULL), "not gone");
	err_free(err);
	err = err_sys(ESRCH, "x");
	ok(err_is_gone(err), "ESRCH is gone");
	err_free(err);
	ok(!err_wrap(NULL, "x"), "no error stays none");
}

static void test_arrays(void)
{
	int *a = NULL;
	size_t nr = 0;

	for (int i = 0; i < 1000; i++)
		*ARRAY_ADD(a, nr) = i;
	ok(nr == 1000 && a[0] == 0 && a[999] == 999, "an array grows");
	free(a);
}

static void test_fault(void)
{
	struct err *err;

	setenv("STITCH_FAULT", "two:fail@2", 1);
	err = event_step("one");
	ok(!err, "another step passes");
	err = event_step("two");
	ok(!err, "the first time passes");
	err = event_step("two");
	ok(err && !strcmp(err->reason, "fault"), "the second fails");
	err_free(err);
	ok(!strcmp(event_steps_seen(), "one\ntwo\n"), "steps are noted once");
}

int main(void)
{
	test_numbers();
	test_leb();
	test_cursor_end();
	test_hex();
	test_err();
	test_arrays();
	test_fault();
	return tap_done();
}
