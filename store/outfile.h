/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_STORE_OUTFILE_H
#define NACRE_STORE_OUTFILE_H

/*
 * A file that is written whole or not at all: until it is finished it has a
 * name of its own beside its place.  Pipes, devices and standard output are written as they are.
 */

#include "store/base/diag.h"

struct outfile {
	int fd;		  /* owned */
	const char *path; /* borrowed; "-" is standard output */
	char *temporary;  /* owned: its name until it is whole; NULL: it is in its place */
};

int outfile_open(struct outfile *out, const char *path, struct diag *diag);
/** outfile_finish() - all is written: on disk, and in its place */
int outfile_finish(struct outfile *out, struct diag *diag);
/** outfile_release() - what is not finished goes; a zeroed one with fd -1 is fine */
void outfile_release(struct outfile *out);
/** outfile_error() - "cannot write to PATH: ERR". Return: @err. */
int outfile_error(const struct outfile *out, int err, struct diag *diag);

#endif
