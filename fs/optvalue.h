/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_FS_OPTVALUE_H
#define NACRE_FS_OPTVALUE_H

/*
 * Values of options.  Each function takes the option's name for its message and
 * returns 0, -EINVAL with @diag saying what is wrong, or another -errno.
 */

#include "fs/fs.h"

/** value_next() - the part up to an unescaped @end, escapes taken out; to be freed. *@at: what follows, NULL at the end. */
char *value_next(const char **at, char end);
/** value_folder() - a directory's path, absolute from now on; takes the place of *@ret. */
int value_folder(const char *name, const char *value, char **ret, struct diag *diag);
/** value_lowers() - "A:B::D", in place of the lowers so far. */
int value_lowers(struct fs_options *fs, const char *value, struct diag *diag);
/** value_lower() - one more lower, @data: data-only. */
int value_lower(struct fs_options *fs, const char *path, bool data, struct diag *diag);
int value_bool(const char *name, const char *value, bool *ret, struct diag *diag);
int value_id(const char *name, const char *value, int64_t *ret, struct diag *diag);
/** value_idmap() - "DISK:SHOWN:COUNT[:...]", added to @maps. */
int value_idmap(const char *name, const char *value, struct fs_idmap **maps, size_t *count, struct diag *diag);
/** value_layers() - "FIRST-LAST", or "LAST" for those from 1 on. */
int value_layers(const char *value, uint32_t *first, uint32_t *last, struct diag *diag);
/** value_whiteouts() - "hide", "mark" or "device". */
int value_whiteouts(const char *value, enum fs_whiteouts *ret, struct diag *diag);
/** value_trees() - "all" or "layers". */
int value_trees(const char *value, enum fs_trees *ret, struct diag *diag);
/** value_number() - a whole number from @min on. */
int value_number(const char *name, const char *value, uint64_t min, uint64_t *ret, struct diag *diag);
/** value_bytes() - the same with a suffix k, m, g or t. */
int value_bytes(const char *name, const char *value, uint64_t *ret, struct diag *diag);
int value_seconds(const char *name, const char *value, double *ret, struct diag *diag);

#endif
