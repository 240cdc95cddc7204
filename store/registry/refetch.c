/* SPDX-License-Identifier: Apache-2.0 */
#include "store/registry/refetch.h"

#include "store/base/auto.h"
#include "store/image_config.h"

#include <string.h>

void refetch_init(struct refetch *rf, const struct registry_options *options)
{
	*rf = (struct refetch){ .options = options };
}

void refetch_release(struct refetch *rf)
{
	session_close(rf->session);
	http_free(rf->http);
	free(rf->source);
	*rf = (struct refetch){ 0 };
}

static const char *repository_of(const char *source)
{
	const char *slash = strchr(source, '/');

	return slash ? slash + 1 : "";
}

static int connect_to(struct refetch *rf, const char *source, struct diag *diag)
{
	AUTO(freep) char *host = strndup(source, strcspn(source, "/"));
	int r = 0;

	if (rf->session && strcmp(rf->source, source) == 0)
		return 0;
	session_close(TAKE(rf->session));
	free(TAKE(rf->source));
	rf->source = strdup(source);
	if (!host || !rf->source)
		return -ENOMEM;
	if (!rf->http)
		r = http_new(rf->options, NULL, diag, &rf->http);
	return r < 0 ? r : session_open(host, repository_of(source), "pull", rf->http, diag, &rf->session);
}

int refetch_blob(struct refetch *rf, const char *source, const struct digest *digest, uint64_t bytes, struct diag *diag,
		 struct blob *ret)
{
	int r = connect_to(rf, source, diag);

	return r < 0 ? r : blob_init(ret, rf->session, rf->http, repository_of(source), digest, bytes);
}

/* "/v2/REPOSITORY/blobs/DIGEST", and what messages call it */
static int text_request(const char *source, bool is_manifest, const struct digest *digest, char **ret_path,
			char **ret_what)
{
	char text[DIGEST_TEXT_BYTES];

	digest_format(digest, text);
	if (asprintf(ret_path, "/v2/%s/%s/%s", repository_of(source), is_manifest ? "manifests" : "blobs", text) < 0) {
		*ret_path = NULL;
		return -ENOMEM;
	}
	if (asprintf(ret_what, "%s %s", is_manifest ? "manifest" : "blob", text) < 0) {
		*ret_what = NULL;
		return -ENOMEM;
	}
	return 0;
}

int refetch_text(struct refetch *rf, const char *source, bool is_manifest, const struct digest *digest,
		 struct diag *diag, char **ret, size_t *ret_bytes)
{
	struct http_request request = { .method = "GET", .body_fd = -1 };
	AUTO(freep) char *path = NULL;
	AUTO(freep) char *what = NULL;
	AUTO(freep) char *text = NULL;
	struct digest found;
	int r = connect_to(rf, source, diag);

	if (r == 0)
		r = text_request(source, is_manifest, digest, &path, &what);
	if (r < 0)
		return r;
	request.url = path;
	request.accept = is_manifest ? REGISTRY_MANIFEST_TYPES : NULL;
	r = session_text(rf->session, rf->http, &request, what, IMAGE_JSON_MAX_BYTES, diag, &text, ret_bytes, NULL);
	if (r == 0)
		r = digest_of(text, *ret_bytes, &found);
	if (r < 0)
		return r;
	if (!digest_eq(&found, digest))
		return diag_set(diag, -EKEYREJECTED, "%s: what came has another digest", source);
	*ret = TAKE(text);
	return 0;
}
