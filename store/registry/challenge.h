/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_STORE_REGISTRY_CHALLENGE_H
#define NACRE_STORE_REGISTRY_CHALLENGE_H

/* WWW-Authenticate (RFC 9110, 11.6.1), and the token that Bearer asks for (docker's registry, token.md). */

#include "store/registry/auth.h"
#include "store/registry/http.h"

enum challenge_kind {
	CHALLENGE_NONE,
	CHALLENGE_BASIC,
	CHALLENGE_BEARER,
};

struct challenge {
	enum challenge_kind kind;
	char *realm, *service, *scope; /* owned; NULL: not said */
};

void challenge_release(struct challenge *challenge);

/** challenge_parse() - the first one that we know of a header. Return: 0, kind may be NONE; -ENOMEM. */
int challenge_parse(const char *header, struct challenge *ret);

struct token {
	char *header;	   /* owned: "Bearer ..." */
	int64_t expires_s; /* on the monotonic clock: after that it is better asked for anew */
};

/**
 * token_fetch() - ask the realm of @challenge for a token
 * @credentials: of the registry; may be empty: then it is asked without a name
 * @scopes: NULL-terminated; more that are wanted beside that of the challenge
 */
int token_fetch(struct http *http, const struct challenge *challenge, const struct credentials *credentials,
		const char *const *scopes, struct diag *diag, struct token *ret);

/** basic_header() - "Basic ..." of user and password; to free(), NULL: no memory */
char *basic_header(const struct credentials *credentials);

/** monotonic_s() */
int64_t monotonic_s(void);

#endif
