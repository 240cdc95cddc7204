/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_STORE_TARBACK_H
#define NACRE_STORE_TARBACK_H

#include "store/restore.h"

/**
 * tarback_write() - layer_write_tar(), with other contents in the place of some; @pairs may be NULL for none
 * @ret_no: may be NULL; with -EIO the inode whose content it was, 0 for the framing
 */
int tarback_write(struct store *store, struct layer_id id, const struct content_pair *pairs, size_t count,
		  tar_write_fn fn, void *arg, struct diag *diag, uint64_t *ret_no);

/* The files of a layer by the numbers of their inodes. */
struct tarback_files {
	int64_t *contents; /* owned: content ids; 0: not known */
	uint64_t *bytes;   /* owned: how many the stream has of them, as tarback_write_files() found */
	size_t count;
};
void tarback_files_release(struct tarback_files *files);
/** tarback_files_note() - @no is of @content; more room is made. */
int tarback_files_note(struct tarback_files *files, uint64_t no, int64_t content);

/** tarback_write_files() - whatever the rows say; zeros stand in for contents that are not known. @files: grows. */
int tarback_write_files(struct store *store, struct layer_id id, struct tarback_files *files, tar_write_fn fn,
			void *arg, struct diag *diag);

#endif
