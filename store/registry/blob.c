/* SPDX-License-Identifier: Apache-2.0 */
#include "store/registry/blob.h"

#include "store/base/auto.h"

#include <inttypes.h>
#include <string.h>

enum { PROGRESS_BYTES = 1024 * 1024 /* after so much a failure is the first in a row again */ };

int blob_init(struct blob *b, struct session *session, struct http *http, const char *repository,
	      const struct digest *digest, uint64_t bytes)
{
	char text[DIGEST_TEXT_BYTES];

	*b = (struct blob){ .session = session, .http = http, .bytes = bytes };
	digest_format(digest, text);
	if (asprintf(&b->path, "/v2/%s/blobs/%s", repository, text) < 0) {
		b->path = NULL;
		return -ENOMEM;
	}
	if (asprintf(&b->what, "blob %s", text) < 0) {
		b->what = NULL;
		return -ENOMEM;
	}
	return 0;
}

void blob_release(struct blob *b)
{
	exchange_free(b->exchange);
	free(b->path);
	free(b->what);
	*b = (struct blob){ 0 };
}

/* Servers that know no Range send all of it again. */
static int skip_again(struct blob *b)
{
	char part[16 * 1024];
	uint64_t left = b->at;

	while (left > 0) {
		ssize_t n =
			exchange_read(b->exchange, part, left < sizeof(part) ? (size_t)left : sizeof(part), &b->diag);

		if (n <= 0)
			return n < 0 ? (int)n : -ECONNRESET;
		left -= (uint64_t)n;
	}
	return 0;
}

/* Is what comes now what we asked for? */
static int check_range(struct blob *b)
{
	const char *range = exchange_header(b->exchange, "Content-Range", 0);
	uint64_t from;

	if (b->at == 0)
		return 0;
	if (exchange_status(b->exchange) != 206)
		return skip_again(b);
	if (!range || sscanf(range, "bytes %" SCNu64 "-", &from) != 1 || from != b->at)
		return diag_set(&b->diag, -EPROTO,
				"%s: %s: asked for it from byte %" PRIu64 " on, the registry sends %s",
				session_name(b->session), b->what, b->at, range ? range : "something else");
	return 0;
}

static int reopen(struct blob *b)
{
	struct http_request request = { .method = "GET", .url = b->path, .range_from = b->at, .body_fd = -1 };
	int r = session_send(b->session, b->http, &request, b->what, &b->diag, &b->exchange);

	return r < 0 ? r : check_range(b);
}

/* After a failure in the middle. Return: 0: go on; else the failure. */
static int again(struct blob *b, int err)
{
	unsigned retries = http_options(b->http)->retries;

	exchange_free(TAKE(b->exchange));
	if (!http_is_transient(err))
		return err;
	if (b->at - b->last_failure_at >= PROGRESS_BYTES)
		b->failures = 0;
	b->last_failure_at = b->at;
	if (++b->failures > retries)
		return diag_context(&b->diag, err, "%s: %s: broken off at byte %" PRIu64 " of %" PRIu64,
				    session_name(b->session), b->what, b->at, b->bytes);
	b->diag.text[0] = '\0';
	return session_pause(b->http, b->failures, 0);
}

static ssize_t blob_read(void *arg, void *buf, size_t bytes)
{
	struct blob *b = arg;

	for (;;) {
		ssize_t n;

		if (!b->exchange) {
			int r = reopen(b);

			/* session_send() has tried often enough; but what broke off after it may be tried again. */
			if (r < 0 && (!b->exchange || (r = again(b, r)) < 0))
				return r;
			continue;
		}
		n = exchange_read(b->exchange, buf, bytes, &b->diag);
		if (n == 0 && b->at < b->bytes)
			n = diag_set(&b->diag, -ECONNRESET, "the connection ended early");
		if (n >= 0) {
			b->at += (uint64_t)n;
			return n;
		}
		n = again(b, (int)n);
		if (n < 0)
			return n;
	}
}

struct byte_source blob_source(struct blob *b)
{
	return (struct byte_source){ .read = blob_read, .arg = b };
}
