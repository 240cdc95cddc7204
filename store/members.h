/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_STORE_MEMBERS_H
#define NACRE_STORE_MEMBERS_H

/*
 * The files of an image archive by name, in any order: a folder, or a tar.
 *
 * A plain tar in a file is indexed by one pass over its headers and read in
 * place.  What is compressed, or comes through a pipe, is first written out
 * uncompressed to an unnamed file in STORE/ingest/, which the kernel removes
 * whatever happens.
 */

#include "store/ingest.h"

struct members;

/** members_open() - @path: a folder, a file, or "-" for standard input. -EBADMSG: no archive. */
int members_open(struct store *store, const char *path, struct diag *diag, struct members **ret);
void members_close(struct members *members);
void members_closep(struct members **members);

/** members_source() - what messages call it: the path, or "standard input" */
const char *members_source(const struct members *members);

/** members_folder() - is it a folder, and no tar? */
bool members_folder(const struct members *members);

/* Where a member's bytes are. */
struct member {
	int fd;	    /* readable */
	bool owned; /* the caller closes it */
	uint64_t offset, bytes;
	uint64_t done; /* by member_read() */
};

/**
 * members_find() - links within the archive are followed
 *
 * Return: 0; -ENOENT: there is none; -EBADMSG: it is no regular file, or the archive is cut off in it.
 */
int members_find(struct members *members, const char *name, struct diag *diag, struct member *ret);
void member_release(struct member *member);

/**
 * members_each_folder() - call @fn with the name of each folder at the top, some maybe twice
 *
 * Return: 0; what @fn returned, if that was another number, after which it is not called again; -errno.
 */
int members_each_folder(struct members *members, int (*fn)(const char *name, void *arg), void *arg, struct diag *diag);

/** members_whole() - the tar itself, uncompressed; not of a folder */
int members_whole(struct members *members, struct diag *diag, struct member *ret);

/** members_load() - a small member whole; *@ret is owned and NUL-terminated. -EBADMSG over @limit bytes. */
int members_load(struct members *members, const char *name, size_t limit, struct diag *diag, char **ret,
		 size_t *ret_bytes);

/** member_source() - a member as a source of bytes; @member is borrowed */
struct byte_source member_source(struct member *member);

#endif
