/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_FS_XATTRSCAN_H
#define NACRE_FS_XATTRSCAN_H

/*
 * Whether the lowers of a read-only mount have any xattr to show: see xattrscan.c.
 */

#include <stdbool.h>

struct fs;
struct xattr_scan;

/** xattr_scan_new() - of @fs, whose layers are there; NULL: out of memory. */
struct xattr_scan *xattr_scan_new(struct fs *fs);
/** xattr_scan_free() - NULL is fine. */
void xattr_scan_free(struct xattr_scan *scan);
/** xattr_scan_go_on() - look at a few more files. Any thread; does nothing while another one does it, and for NULL. */
void xattr_scan_go_on(struct xattr_scan *scan);
/** xattr_scan_found_none() - has all of it been looked at, and nothing found? NULL: no. */
bool xattr_scan_found_none(const struct xattr_scan *scan);
/** xattr_scan_give_up() - the layers are going to change: find no more. Return: has it not found that there are none? */
bool xattr_scan_give_up(struct xattr_scan *scan);

#endif
