/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_STORE_TARCANON_H
#define NACRE_STORE_TARCANON_H

/*
 * Reading the canonical form (tarwrite.h) back: what a commit has written
 * becomes rows and contents of the stage.  The form has one way to say each
 * thing, so this is short, and a commit need not load the library that knows all others.
 */

#include "store/tarread.h"

/**
 * tar_read_canonical() - tar_read() for a stream of tar_header()s
 * Return: 0; -EBADMSG: not in that form; or the error of the source, which unpack_diag() has in words.
 */
int tar_read_canonical(struct stage *stage, struct unpack *unpack, const char *name, struct diag *diag,
		       struct tar_result *ret);

#endif
