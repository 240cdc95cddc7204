/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_BASE_DIAG_H
#define NACRE_BASE_DIAG_H

/*
 * What went wrong, in words.  Libraries neither print nor exit: a function
 * whose failure a user must be able to place takes a struct diag and says
 * which object, where in it, and why.  The program prints it, once.
 */

#include <stdarg.h>

struct diag {
	char text[1024]; /* empty until something failed */
};

/**
 * diag_set() - say what failed
 * @diag: may be NULL: then only the code is passed on
 * @err: a negative errno; returned unchanged, so that a caller can write
 *       `return diag_set(diag, -EINVAL, "...")`
 * @fmt: printf format; no final newline or full stop.  Bytes that are not
 *       printable are escaped, since names come from strangers.
 *
 * The first text stays: the place nearest to the fault knows most.
 * Return: @err.
 */
int diag_set(struct diag *diag, int err, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/** diag_context() - put "text: " before what was said; nothing if all is well. Return: @err. */
int diag_context(struct diag *diag, int err, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/** diag_errno() - as diag_set(), with ": " and diag_strerror() put behind the text. */
int diag_errno(struct diag *diag, int err, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* What a user can do when something of the store is damaged: to be put in brackets at the end of a text. */
#define DIAG_VERIFY "'nacre verify' tells what is damaged, with --repair it mends what it can"

/** diag_strerror() - strerror(-err), in words that say more of a damaged index. */
const char *diag_strerror(int err);

/** diag_text() - what to print: the text, or diag_strerror() where none was set. */
const char *diag_text(const struct diag *diag, int err);

#endif
