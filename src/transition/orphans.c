/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "orphans.h"

#include <string.h>

#include "mem.h"
#include "redirect.h"

bool orphans_has_object(const struct process *process, const struct record_func *func)
{
	const struct object *object = process_object_at(process, func->site);
	AUTO_FREE char *id = object ? image_build_id_hex(object->image) : NULL;

	return id && !strcmp(id, func->build_id);
}

bool orphans_is_one(const struct process *process, const struct record *record,
		    const struct record_patch *patch)
{
	for (size_t i = 0; patch->state == PATCH_APPLIED && i < patch->nr_funcs; i++) {
		const struct record_func *func = &patch->funcs[i];
		enum redirect_entry look = ENTRY_OTHER;

		if (func->nop || record_top(record, func->site, NULL) != func)
			continue;
		if (!orphans_has_object(process, func))
			return true;
		err_free(redirect_look(process, func, &look));
		if (look == ENTRY_OLD)
			return true;
	}
	return false;
}
