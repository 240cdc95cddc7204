/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_STORE_REGISTRY_UPLOAD_H
#define NACRE_STORE_REGISTRY_UPLOAD_H

#include "store/registry/session.h"

/*
 * Blobs to a registry (distribution-spec, "Pushing blobs").  Any thread, each
 * with its own @http.
 */

/** upload_exists() - does the repository have this blob? Return: 1, 0, -errno. */
int upload_exists(struct session *session, struct http *http, const char *repository, const struct digest *digest,
		  struct diag *diag);

/** upload_mount() - from another repository of the registry. Return: 1: done; 0: the registry did not want to. */
int upload_mount(struct session *session, struct http *http, const char *repository, const struct digest *digest,
		 const char *from, struct diag *diag);

struct upload {
	const void *bytes; /* borrowed; or, if it is NULL, */
	int fd;		   /* a file, from its beginning */
	uint64_t count;
	struct digest digest;
	void (*sent)(uint64_t bytes, void *arg); /* may be NULL */
	void *sent_arg;
};

/** upload_blob() - when it breaks off it goes on where it was, if the registry has kept that, else it begins anew */
int upload_blob(struct session *session, struct http *http, const char *repository, const struct upload *upload,
		struct diag *diag);

#endif
