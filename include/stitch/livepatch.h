/* SPDX-License-Identifier: MIT */
/*
 * What the source of a patch may say to stitch.
 *
 * Nothing here is needed for a patch that only changes code: that is an
 * ordinary diff.  A source that must behave otherwise when it is built as part
 * of a patch can ask for STITCH_LIVEPATCH.
 *
 * Callbacks, shadow variables and system states are not implemented yet; this
 * header will hold the kernel's structures for them (struct klp_patch and its
 * kin, Documentation/livepatch) when they are.
 */
#ifndef STITCH_LIVEPATCH_H
#define STITCH_LIVEPATCH_H

#define STITCH_LIVEPATCH_FORMAT 1

#endif
