/* SPDX-License-Identifier: Apache-2.0 */
#include "store/registry/upload.h"

#include "store/base/auto.h"

#include <string.h>

static int make_path(char **ret, const char *repository, const char *rest, const char *digest)
{
	if (asprintf(ret, "/v2/%s/blobs/%s%s", repository, rest, digest) >= 0)
		return 0;
	*ret = NULL;
	return -ENOMEM;
}

int upload_exists(struct session *s, struct http *http, const char *repository, const struct digest *digest,
		  struct diag *diag)
{
	AUTO(exchange_freep) struct exchange *e = NULL;
	AUTO(freep) char *path = NULL;
	char text[DIGEST_TEXT_BYTES];
	struct diag attempt = { 0 };
	struct http_request request = { .method = "HEAD", .body_fd = -1 };
	int r = make_path(&path, repository, "", digest_format(digest, text));

	if (r < 0)
		return r;
	request.url = path;
	r = session_send(s, http, &request, "blob", &attempt, &e);
	if (r == -ENOENT)
		return 0;
	return r < 0 ? diag_set(diag, r, "%s", diag_text(&attempt, r)) : 1;
}

/* Where a new upload goes. Return: 1: nothing is to be uploaded any more; 0: *@ret_location; -errno. */
static int begin(struct session *s, struct http *http, const char *path, struct diag *diag, char **ret_location)
{
	AUTO(exchange_freep) struct exchange *e = NULL;
	struct http_request request = { .method = "POST", .url = path, .body = "", .body_fd = -1 };
	const char *location;
	int r = session_send(s, http, &request, "new upload", diag, &e);

	if (r < 0)
		return r;
	if (exchange_status(e) == 201)
		return 1;
	location = exchange_header(e, "Location", 0);
	*ret_location = location ? url_join(exchange_url(e), location) : NULL;
	if (!*ret_location)
		return diag_set(diag, -EPROTO, "%s: the registry does not say where to upload to", session_name(s));
	return 0;
}

int upload_mount(struct session *s, struct http *http, const char *repository, const struct digest *digest,
		 const char *from, struct diag *diag)
{
	AUTO(freep) char *location = NULL;
	AUTO(freep) char *path = NULL;
	char text[DIGEST_TEXT_BYTES];
	struct diag attempt = { 0 };
	int r;

	if (asprintf(&path, "/v2/%s/blobs/uploads/?mount=%s&from=%s", repository, digest_format(digest, text), from) <
	    0) {
		path = NULL;
		return -ENOMEM;
	}
	r = begin(s, http, path, &attempt, &location);
	/* Not being allowed to read there is no failure of the push. */
	if (r == -EACCES || r == -ENOENT || r == -EREMOTEIO)
		return 0;
	return r < 0 ? diag_set(diag, r, "%s", diag_text(&attempt, r)) : r;
}

static int put(struct session *s, struct http *http, const char *location, const struct upload *u, struct diag *diag)
{
	AUTO(exchange_freep) struct exchange *e = NULL;
	AUTO(freep) char *url = NULL;
	AUTO(freep) char *what = NULL;
	char text[DIGEST_TEXT_BYTES];
	struct http_request request = {
		.method = "PUT",
		.content_type = "application/octet-stream",
		.body = u->bytes,
		.body_fd = u->fd,
		.body_bytes = u->count,
		.sent = u->sent,
		.sent_arg = u->sent_arg,
		.once = true,
	};

	digest_format(&u->digest, text);
	if (asprintf(&url, "%s%sdigest=%s", location, strchr(location, '?') ? "&" : "?", text) < 0) {
		url = NULL;
		return -ENOMEM;
	}
	if (asprintf(&what, "upload of blob %s", text) < 0) {
		what = NULL;
		return -ENOMEM;
	}
	request.url = url;
	return session_send(s, http, &request, what, diag, &e);
}

int upload_blob(struct session *s, struct http *http, const char *repository, const struct upload *u, struct diag *diag)
{
	AUTO(freep) char *path = NULL;
	int r = make_path(&path, repository, "uploads/", "");

	for (unsigned no = 1; r == 0; no++) {
		AUTO(freep) char *location = NULL;
		struct diag attempt = { 0 };

		r = begin(s, http, path, diag, &location);
		if (r != 0)
			return r < 0 ? r : 0;
		r = put(s, http, location, u, &attempt);
		if (r == 0)
			return 0;
		/* What the registry has of it is not known: the upload begins anew. */
		if (!(http_is_transient(r) || r == -EAGAIN) || no > http_options(http)->retries)
			return diag_set(diag, r, "%s", diag_text(&attempt, r));
		r = session_pause(http, no, 0);
	}
	return r;
}
