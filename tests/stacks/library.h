/* SPDX-License-Identifier: GPL-2.0-or-later */
int library_function(void (*f)(void));
