/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_STORE_REGISTRY_SESSION_H
#define NACRE_STORE_REGISTRY_SESSION_H

/*
 * Talking to one registry: which scheme it has, who we are to it, redirects,
 * repeated attempts, and its errors in words.
 */

#include "store/registry/http.h"
#include "store/registry/name.h"

/* What one is ready to take where a manifest is asked for. */
#define REGISTRY_MANIFEST_TYPES                                  \
	"application/vnd.oci.image.manifest.v1+json, "           \
	"application/vnd.oci.image.index.v1+json, "              \
	"application/vnd.docker.distribution.manifest.v2+json, " \
	"application/vnd.docker.distribution.manifest.list.v2+json"

struct session;

/**
 * session_open()
 * @host: as in struct remote_name
 * @repository: NULL: the registry as a whole
 * @actions: "pull", "pull,push"; what tokens are asked for
 * @http: for the first question, whether it speaks HTTPS, where plain HTTP is allowed too
 */
int session_open(const char *host, const char *repository, const char *actions, struct http *http, struct diag *diag,
		 struct session **ret);
void session_close(struct session *session);
void session_closep(struct session **session);

/** session_want_scope() - tokens from now on are also for "repository:NAME:pull"; before threads share the session. */
int session_want_scope(struct session *session, const char *repository);

/** session_name() - "HOST/REPOSITORY" for messages; borrowed */
const char *session_name(const struct session *session);

/**
 * session_send() - http_begin() as one wants it from a registry
 * @request: its url is a path, "/v2/...", or a whole URL that the registry gave; authorization is not looked at
 * @what: what messages call it: "manifest latest"
 *
 * Any thread, each with its own @http.  Tries again, with longer and longer pauses, after 429,
 * 5xx and failures of the network; logs in where that is asked for; follows redirects of GET
 * and HEAD, and gives no credentials to another host.
 * Return: 0 with a status of 2xx; -ENOENT: 404; -EACCES: 401, 403; -EFBIG: 413; -ERANGE: 416; -EREMOTEIO: another status (-EAGAIN
 * for one that may pass, if the request says `once`); errors of http_begin().
 */
int session_send(struct session *session, struct http *http, const struct http_request *request, const char *what,
		 struct diag *diag, struct exchange **ret);

/**
 * session_text() - session_send() with the body taken whole; what breaks off is asked for again
 * @ret: owned and NUL-terminated
 * @ret_exchange: for its headers; may be NULL
 * Return: likewise; -EFBIG: longer than @limit.
 */
int session_text(struct session *session, struct http *http, const struct http_request *request, const char *what,
		 size_t limit, struct diag *diag, char **ret, size_t *ret_bytes, struct exchange **ret_exchange);

/** session_pause() - before attempt @no (from 1) of something; -ECANCELED */
int session_pause(struct http *http, unsigned no, unsigned retry_after_s);

#endif
