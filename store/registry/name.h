/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_STORE_REGISTRY_NAME_H
#define NACRE_STORE_REGISTRY_NAME_H

/* What an image is called outside: registry.h has the words for users. */

#include "store/base/diag.h"
#include "store/base/digest.h"

#include <stdbool.h>

struct remote_name {
	char *host;	  /* owned: "docker.io", "localhost:5000"; what credentials are listed under */
	char *repository; /* owned: "library/alpine" */
	char *tag;	  /* owned; NULL: the digest alone was given */
	bool has_digest;
	struct digest digest;
	char *local; /* owned: "alpine:latest", the name here; NULL: the digest alone was given */
};

/** remote_name_parse() - HOST/REPO[:TAG][@DIGEST], "docker://" may stand before it. -EINVAL; -ENOTSUP: the digest. */
int remote_name_parse(const char *text, struct diag *diag, struct remote_name *ret);
void remote_name_release(struct remote_name *name);

/** remote_name_host_length() - of the registry's name at the beginning of @text; 0: it has none */
size_t remote_name_host_length(const char *text);

/** remote_name_text() - what the registry is asked for: the digest, else the tag; borrowed or in @text */
const char *remote_name_wanted(const struct remote_name *name, char text[DIGEST_TEXT_BYTES]);

#endif
