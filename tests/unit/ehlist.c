/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * libgcc's list, read off the code of Debian 12's __register_frame_info_bases(), of every
 * port; and code that does something else.
 */
#include "ehlist.h"
#include "mem.h"
#include "tap.h"

static const struct row {
	const struct arch *arch;
	uint64_t addr, head, flag;
	const char *code;
} rows[] = {
	{ &arch_x86_64, 0x18a90, 0x1f278, 0x1f268,
	  "f30f1efa4885ff0f8483000000448b074585c0747b55534889f34883ec08488b2d1365000048"
	  "c706ffffffff4889560848894e1048897e1848c74620f80700004885ed740c488d3d64670000"
	  "e81fa8feff488b059067000048891d89670000488943288b056f67000085c0742b4885ed7416"
	  "4883c408488d3d336700005b5de9eca6feff0f1f40004883c4085b5dc390c30f1f8000000000"
	  "c70536670000010000004885ed75cbebdf" },
	{ &arch_aarch64, 0xff74, 0x30270, 0x30278,
	  "400500b4fd7bbda9fd030091f35301a9f30301aa010040b981030034f51300f9040080921501"
	  "0090b5ea47f901ff80d2640a00a9140100b0630201a9611200f9950000b480e2089100200091"
	  "e0caff9780e20891014040b9021c40f9621600f9131c00f981010034f50000b4f51340f980e2"
	  "0891f35341a900200091fd7bc3a8dbcaff17f51340f9f35341a9fd7bc3a8c0035fd600000191"
	  "21008052010000b975feffb5f8ffff17c0035fd6" },
	{ &arch_s390x, 0xb790, 0x10198, 0x101a0,
	  "b9020022078ee31020000012078eebaff0500024e34030080024e35030100024e32030180024"
	  "a51c1fe0e31030200024e5483000ffffc01000002411e3f0ff60ff71b90400b3e3a010000002"
	  "a7840008c020000024c8c0e5ffffb4edc418000024d6e310b0280024c4bb000024d0c0100000"
	  "24d1e31010000012a7840013b90200aaa784000bc020000024adebaff0f00004c0f4ffffb44f"
	  "ebaff0f0000407fec010000024b8e54c10000001b90200aaa774ffeba7f4fff2" },
	{ &arch_ppc64le, 0xf700, 0x50030, 0x50038,
	  "03004c3c008642380000232c2000824d000023810000092c2000824da602087ce8ffa1fb8882"
	  "a2ebffff4039f8072039f0ffc1fbf8ffe1fb78239f7c0800a4f81000c4f800003d2c180064f8"
	  "000044f9200024f97882c2eb100001f8c1ff21f81000824108007e385939ff4b180041e83800"
	  "5e8130003ee93000fefb00000a2c28003ff93c00824100003d2c1000824108007e38ad3bff4b"
	  "180041e840002138100001e8e8ffa1ebf0ffc1ebf8ffe1eba603087c2000804e000000600000"
	  "426000003d2c0100203938003e91c4ff8240ccffff4b000000000000000180030000" },
};

static size_t bytes_of(const char *hex, uint8_t *out)
{
	size_t n = 0;

	for (unsigned byte; sscanf(hex + 2 * n, "%2x", &byte) == 1; n++)
		out[n] = (uint8_t)byte;
	return n;
}

/* On ppc64le the variables are found through the table of addresses. */
static bool read_word(void *arg, uint64_t addr, uint64_t *word)
{
	(void)arg;
	(void)addr;
	*word = 0x50000;
	return true;
}

static void test_row(const struct row *row)
{
	struct ehlist list = { .arch = row->arch, .read = read_word };
	const char *name = row->arch->name;
	uint8_t code[512];
	size_t size = bytes_of(row->code, code);

	ok(ehlist_learn(&list, code, size, row->addr) && list.head == row->head &&
	   list.next_off == 40, "%s: head and next", name);
	ok(list.flag == row->flag && list.flag_size == 4, "%s: the flag", name);
	ok(ehlist_learn(&list, code, size, row->addr + 0x40000) &&
	   (list.head == row->head || list.head == row->head + 0x40000), "%s: elsewhere", name);
	ok(!ehlist_learn(&list, code, size / 2, row->addr), "%s: half of it", name);
}

/* What is stored must be what the head was, and only one head may there be. */
static void test_others(void)
{
	static const struct { const char *what, *code; } others[] = {
		/* mov head,%rax; mov %rsi,other; mov %rax,40(%rsi); ret */
		{ "two variables", "488b0500000000" "48893500010000" "48894628" "c3" },
		/* mov %rsi,head; ret */
		{ "no next", "48893500000000" "c3" },
		{ "nothing", "c3" },
	};
	uint8_t code[64];

	for (unsigned i = 0; i < ARRAY_SIZE(others); i++) {
		struct ehlist list = { .arch = &arch_x86_64, .read = read_word };
		size_t size = bytes_of(others[i].code, code);

		ok(!ehlist_learn(&list, code, size, 0x1000), "another: %s", others[i].what);
	}
}

int main(void)
{
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
		test_row(&rows[i]);
	test_others();
	return tap_done();
}
