/* SPDX-License-Identifier: GPL-2.0-or-later */
/* SIZE tells one build from another: frames and addresses differ. */
#include "library.h"

__attribute__((noinline)) int library_function(void (*f)(void))
{
	volatile char room[SIZE];

	room[0] = 1;
	for (int i = 1; i < SIZE; i++)
		room[i] = (char)(room[i - 1] * 3 + SIZE);
	f();
	return room[SIZE / 2];
}
