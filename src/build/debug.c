/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "debug.h"

#include <dwarf.h>

#include "mem.h"

enum { MAX_TYPES = 100 }; /* in a row, of a file that is not to be trusted */

static const Dwfl_Callbacks callbacks = {
	.find_elf = dwfl_build_id_find_elf,
	.find_debuginfo = dwfl_standard_find_debuginfo,
	.section_address = dwfl_offline_section_address,
};

bool debug_open(const char *file, struct debug *debug)
{
	*debug = (struct debug){ .dwfl = dwfl_begin(&callbacks) };
	if (!debug->dwfl)
		return false;
	debug->module = dwfl_report_offline(debug->dwfl, file, file, -1);
	dwfl_report_end(debug->dwfl, NULL, NULL);
	debug->dwarf = debug->module ? dwfl_module_getdwarf(debug->module, &debug->bias) : NULL;
	if (debug->dwarf)
		return true;
	debug_close(debug);
	return false;
}

void debug_close(struct debug *debug)
{
	if (debug->dwfl)
		dwfl_end(debug->dwfl);
	*debug = (struct debug){ 0 };
}

bool debug_next_unit(const struct debug *debug, struct debug_units *units)
{
	uint8_t type;

	while (dwarf_get_units(debug->dwarf, units->cu, &units->cu, NULL, &type, &units->die,
			       NULL) == 0)
		if (type == DW_UT_compile || type == DW_UT_partial || type == DW_UT_type)
			return true;
	return false;
}

bool debug_type_of(Dwarf_Die *die, Dwarf_Die *type)
{
	Dwarf_Attribute attr;

	return dwarf_attr_integrate(die, DW_AT_type, &attr) && dwarf_formref_die(&attr, type);
}

bool debug_bare_type(Dwarf_Die *die, Dwarf_Die *type)
{
	Dwarf_Die at = *die;

	for (int i = 0; i < MAX_TYPES; i++) {
		switch (dwarf_tag(&at)) {
		case DW_TAG_typedef:
		case DW_TAG_const_type:
		case DW_TAG_volatile_type:
		case DW_TAG_restrict_type:
		case DW_TAG_atomic_type:
			if (!debug_type_of(&at, type))
				return false;
			at = *type;
			break;
		default:
			*type = at;
			return true;
		}
	}
	return false;
}
