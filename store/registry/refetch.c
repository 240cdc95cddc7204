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

int refetch_text(struct refetch *rf, const char *source, const struct digest *digest, struct diag *diag, char **ret,
		 size_t *ret_bytes)
{
	AUTO(blob_release) struct blob blob = { 0 };
	AUTO(freep) char *text = NULL;
	struct digest found;
	int r = refetch_blob(rf, source, digest, 0, diag, &blob);

	if (r == 0) {
		struct http_request request = { .method = "GET", .url = blob.path, .body_fd = -1 };

		r = session_text(rf->session, rf->http, &request, blob.what, IMAGE_JSON_MAX_BYTES, diag, &text,
				 ret_bytes, NULL);
	}
	if (r == 0)
		r = digest_of(text, *ret_bytes, &found);
	if (r < 0)
		return r;
	if (!digest_eq(&found, digest))
		return diag_set(diag, -EKEYREJECTED, "%s: what came has another digest", source);
	*ret = TAKE(text);
	return 0;
}
