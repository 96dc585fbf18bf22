/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Does this machine run an instruction?  What the kernel says of a processor in AT_HWCAP2
 * may leave out what works: under some hypervisors it does.
 */
#ifndef STITCH_TARGET_PROBE_H
#define STITCH_TARGET_PROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Calls code, a function without arguments, in a child of this process; true if it came
 * back.  Of whom SIGILL or another signal ended it is false, and so it is where no memory
 * may be made executable.
 */
bool probe_runs(const uint8_t *code, size_t size);

#endif
