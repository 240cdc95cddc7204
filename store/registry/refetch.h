/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_STORE_REGISTRY_REFETCH_H
#define NACRE_STORE_REGISTRY_REFETCH_H

/*
 * What came from a registry once, from there again: for repair.c, one blob at a time.
 */

#include "store/origin.h"
#include "store/registry.h"
#include "store/registry/blob.h"

/* Connected to one repository; a new one is connected to when it is wanted. */
struct refetch {
	const struct registry_options *options; /* borrowed */
	struct http *http;			/* owned */
	struct session *session;		/* owned; NULL: none yet */
	char *source;				/* owned: "HOST/REPOSITORY" of the session */
};

void refetch_init(struct refetch *refetch, const struct registry_options *options);
void refetch_release(struct refetch *refetch);

/** refetch_blob() - ready to be read; @source: as struct origin_blob has it. blob_release() it. */
int refetch_blob(struct refetch *refetch, const char *source, const struct digest *digest, uint64_t bytes,
		 struct diag *diag, struct blob *ret);

/** refetch_text() - a small blob, or a manifest, whole, its digest checked; @ret: owned. -EKEYREJECTED: it is another. */
int refetch_text(struct refetch *refetch, const char *source, bool is_manifest, const struct digest *digest,
		 struct diag *diag, char **ret, size_t *ret_bytes);

#endif
