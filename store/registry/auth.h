/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_STORE_REGISTRY_AUTH_H
#define NACRE_STORE_REGISTRY_AUTH_H

/*
 * Credentials, read from where podman, skopeo and docker keep them
 * (containers-auth.json(5), docker's config.json).  Nothing is ever written.
 */

#include "store/base/diag.h"

#include <stddef.h>

struct credentials {
	char *user, *password; /* owned; NULL: there are none */
	char *identity_token;  /* owned: an OAuth2 refresh token in their place; else NULL */
	char *source;	       /* owned: the file they are from */
};

/** credentials_release() - the secrets are wiped from memory */
void credentials_release(struct credentials *credentials);

/**
 * credentials_find() - for a repository of a registry
 * @authfile: the only file to look in, which must be there; NULL: $REGISTRY_AUTH_FILE likewise; else
 *	      $XDG_RUNTIME_DIR/containers/auth.json, ~/.config/containers/auth.json, ~/.docker/config.json
 *
 * Of the keys of a file the longest that leads to HOST/REPOSITORY counts.
 * Return: 0, also if there are none; -ENOENT; -EBADMSG: a file is damaged; -EIO: a credential helper failed.
 */
int credentials_find(const char *authfile, const char *host, const char *repository, struct diag *diag,
		     struct credentials *ret);

/** credential_helper_get() - ask the program docker-credential-NAME about a key. -ENOENT: it knows none. */
int credential_helper_get(const char *name, const char *key, struct diag *diag, struct credentials *ret);

/** base64_encode() - a string to free(); NULL: no memory */
char *base64_encode(const void *bytes, size_t len);

#endif
