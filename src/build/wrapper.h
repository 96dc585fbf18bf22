/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The compiler wrapper: stitch under the name of a compiler.
 *
 * stitch build puts a folder of such names first in the build command's PATH.
 * The real compiler is run with just the arguments that it was given, with the
 * question what it reads, where ccache wants to know, and with a seed in place
 * of the time of day where code counts its runs (--coverage, -fprofile-generate);
 * so what is built is what would have been built.  Each object file and each
 * linked image is then kept in the capture folder, with the command that made
 * it, but for what configure's tests make.
 */
#ifndef STITCH_BUILD_WRAPPER_H
#define STITCH_BUILD_WRAPPER_H

#include <jansson.h>
#include <stdbool.h>

#include "err.h"

#define WRAPPER_CAPTURE "STITCH_CAPTURE"  /* folder to keep things in */
#define WRAPPER_PATH "STITCH_REAL_PATH"   /* PATH without the wrapper's folder */
#define WRAPPER_CACHE "STITCH_CCACHE"     /* ccache to run compilers with, if any */

/* True if argv0 is a compiler's name and a capture is going on. */
bool wrapper_is_wanted(const char *argv0);
int wrapper_main(char **argv);

/* Makes the folder anew: each compiler's name in PATH, a link to the program self. */
struct err *wrapper_install(const char *folder, const char *self)
	__attribute__((warn_unused_result));

/* What an argument of a compiler's command line is. */
enum wrapper_arg {
	ARG_OTHER,
	ARG_COMPILE,   /* -c */
	ARG_NO_OBJECT, /* -E, -S, -M...: makes no object file */
	ARG_OUTPUT,    /* -o; the next is the file, unless it is part of it */
	ARG_VALUE,     /* the next argument belongs to it */
	ARG_DEPEND,    /* writes dependency files: -MD, -MMD, -MP */
	ARG_DEPEND_VALUE, /* -MF, -MT, -MQ */
	ARG_SOURCE,    /* a source file */
	ARG_INPUT,     /* an object, archive or library */
};

enum wrapper_arg wrapper_classify(const char *arg);

#endif
