/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_STORE_SAVEOUT_H
#define NACRE_STORE_SAVEOUT_H

#include "store/outfile.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Files with names on their way into a tar or a folder; each name once. */
struct saveout {
	struct outfile file; /* owned: the tar; of a folder its descriptor and name */
	bool folder;
	int filefd;	/* owned: of the file under way, in a folder */
	uint64_t left;	/* of the file under way */
	uint64_t bytes; /* of it */
	char **names;	/* owned: those that are there */
	size_t name_count;
};

int saveout_open(struct saveout *out, const char *path, bool folder, struct diag *diag);
/** saveout_finish() - all is written and in its place */
int saveout_finish(struct saveout *out, struct diag *diag);
/** saveout_release() - what is not finished goes */
void saveout_release(struct saveout *out);

/** saveout_begin() - a file of exactly so many bytes. Return: 1: it is there already; 0; -errno. */
int saveout_begin(struct saveout *out, const char *name, uint64_t bytes);
int saveout_write(struct saveout *out, const void *bytes, size_t count);
int saveout_end(struct saveout *out);
/** saveout_file() - all three */
int saveout_file(struct saveout *out, const char *name, const void *bytes, size_t count);

#endif
