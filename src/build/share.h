/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Work that is of many equal parts, done by as many processes as there are processors. */
#ifndef STITCH_BUILD_SHARE_H
#define STITCH_BUILD_SHARE_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Calls part(arg, i) for each i below nr, each once, in processes of its own that end with the
 * tool: what it does to memory is not seen by anybody.  False if one of them returned false,
 * after which its process does no other, or if a process could not be made.
 */
bool share_work(size_t nr, bool (*part)(void *arg, size_t i), void *arg);

#endif
