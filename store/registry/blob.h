/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_STORE_REGISTRY_BLOB_H
#define NACRE_STORE_REGISTRY_BLOB_H

#include "store/registry/session.h"

/*
 * A blob as a stream.  When the connection breaks it goes on where it was
 * (a Range request); nothing is checked here but that no byte is missing or
 * too much: who reads it hashes it.
 */
struct blob {
	struct session *session;   /* borrowed */
	struct http *http;	   /* borrowed */
	struct exchange *exchange; /* owned; NULL: to be asked for */
	char *path, *what;	   /* owned */
	uint64_t bytes, at;	   /* announced, read */
	uint64_t last_failure_at;
	unsigned failures; /* in a row */
	struct diag diag;  /* what went wrong */
};

int blob_init(struct blob *blob, struct session *session, struct http *http, const char *repository,
	      const struct digest *digest, uint64_t bytes);
void blob_release(struct blob *blob);
/** blob_source() - @blob is borrowed */
struct byte_source blob_source(struct blob *blob);

#endif
