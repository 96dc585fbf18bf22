/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One entry point for libFuzzer, or, where that is not, for a driver that
 * changes the given files at random for a while (driver.c).
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
