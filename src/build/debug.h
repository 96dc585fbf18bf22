/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The debug information (DWARF) of an object file, with its relocations applied.
 *
 * It only ever adds to what is said about a patch: code is compared by its bytes, so an
 * object without debug information is no error here.
 */
#ifndef STITCH_BUILD_DEBUG_H
#define STITCH_BUILD_DEBUG_H

#include <elfutils/libdwfl.h>
#include <stdbool.h>

struct debug {
	Dwfl *dwfl;
	Dwfl_Module *module;
	Dwarf *dwarf;
	Dwarf_Addr bias; /* added to addresses in dwarf: the module's */
};

/* False: there is none. */
bool debug_open(const char *file, struct debug *debug);
void debug_close(struct debug *debug);
#define AUTO_DEBUG __attribute__((cleanup(debug_close)))

/* The compilation units one after the other; die is the last, zeroed before the first. */
struct debug_units {
	Dwarf_CU *cu;
	Dwarf_Die die;
};

bool debug_next_unit(const struct debug *debug, struct debug_units *units);

/* The type that a die names; false: none. */
bool debug_type_of(Dwarf_Die *die, Dwarf_Die *type);
/* What a type is without its typedefs and qualifiers; false: void. */
bool debug_bare_type(Dwarf_Die *die, Dwarf_Die *type);

#endif
