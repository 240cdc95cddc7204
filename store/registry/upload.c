/* SPDX-License-Identifier: Apache-2.0 */
#include "store/registry/upload.h"

#include "store/base/auto.h"

#include <inttypes.h>
#include <string.h>

/*
 * A blob goes in one piece, as every registry takes it (a POST, then a PUT),
 * or in chunks (a PATCH for each, the rest with the PUT): when it is large, so that a connection that breaks costs
 * one chunk at most; when the registry, or a proxy before it, takes no more at once; and
 * when what was sent broke off and the registry has kept a part of it.
 * One that takes no PATCH gets the whole again.
 */
enum {
	MIB = 1024 * 1024,
	WHOLE_MAX_BYTES = 256 * MIB, /* larger ones go in chunks */
	CHUNK_BYTES = 64 * MIB,
	CHUNK_MIN_BYTES = MIB,
};

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

/* Where the upload goes on. */
static int read_location(struct session *s, struct exchange *e, struct diag *diag, char **ret)
{
	const char *location = exchange_header(e, "Location", 0);
	char *url = location ? url_join(exchange_url(e), location) : NULL;

	if (!url)
		return diag_set(diag, -EPROTO, "%s: the registry does not say where to upload to", session_name(s));
	free(*ret);
	*ret = url;
	return 0;
}

/*
 * Where a new upload goes. Return: 1: nothing is to be uploaded any more; 0: *@ret_location; -errno.
 * @ret_min: what a chunk must have at least; may be NULL
 */
static int begin(struct session *s, struct http *http, const char *path, struct diag *diag, char **ret_location,
		 uint64_t *ret_min)
{
	AUTO(exchange_freep) struct exchange *e = NULL;
	struct http_request request = { .method = "POST", .url = path, .body = "", .body_fd = -1 };
	const char *least;
	int r = session_send(s, http, &request, "new upload", diag, &e);

	if (r < 0)
		return r;
	if (exchange_status(e) == 201)
		return 1;
	least = exchange_header(e, "OCI-Chunk-Min-Length", 0);
	if (ret_min)
		*ret_min = least ? strtoull(least, NULL, 10) : 0;
	return read_location(s, e, diag, ret_location);
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
	r = begin(s, http, path, &attempt, &location, NULL);
	/* Not being allowed to read there is no failure of the push. */
	if (r == -EACCES || r == -ENOENT || r == -EREMOTEIO)
		return 0;
	return r < 0 ? diag_set(diag, r, "%s", diag_text(&attempt, r)) : r;
}

/* A blob on its way. */
struct sending {
	struct session *session; /* borrowed */
	struct http *http;	 /* borrowed */
	const struct upload *u;	 /* borrowed */
	char *path;		 /* owned: where uploads begin */
	char *what;		 /* owned: for messages */
	char *location;		 /* owned: where it goes on; NULL: it begins anew */
	uint64_t at;		 /* the registry has so much */
	uint64_t chunk;		 /* 0: in one */
	bool resumed;		 /* a part was sent before a failure */
	bool only_whole;	 /* the registry takes no chunks */
	uint64_t last_failure_at;
	unsigned failures; /* in a row */
};

static void sending_release(struct sending *sd)
{
	free(sd->path);
	free(sd->what);
	free(sd->location);
}

static void begin_anew(struct sending *sd)
{
	free(TAKE(sd->location));
	sd->at = 0;
	sd->resumed = false;
}

static void tell_sent(uint64_t bytes, void *arg)
{
	const struct sending *sd = arg;

	if (sd->u->sent)
		sd->u->sent(sd->at + bytes, sd->u->sent_arg);
}

/* Bytes from sd->at on. */
static int send_bytes(struct sending *sd, const char *method, const char *url, uint64_t bytes, struct diag *diag,
		      struct exchange **ret)
{
	const struct upload *u = sd->u;
	char range[64];
	struct http_request request = {
		.method = method,
		.url = url,
		.content_type = "application/octet-stream",
		.body = u->bytes ? (const char *)u->bytes + sd->at : NULL,
		.body_fd = u->fd,
		.body_offset = sd->at,
		.body_bytes = bytes,
		.sent = tell_sent,
		.sent_arg = sd,
		.once = true,
	};

	if (bytes < u->count) {
		snprintf(range, sizeof(range), "%" PRIu64 "-%" PRIu64, sd->at, sd->at + bytes - 1);
		request.content_range = range;
	}
	return session_send(sd->session, sd->http, &request, sd->what, diag, ret);
}

/* "0-1023", of what is there already. An upload without a byte is "0-0" too: then one byte is sent twice, and refused. */
static bool read_range(struct exchange *e, uint64_t *ret)
{
	const char *range = exchange_header(e, "Range", 0);
	uint64_t last;

	if (!range || sscanf(range + strspn(range, "bytes="), "0-%" SCNu64, &last) != 1)
		return false;
	*ret = last > 0 ? last + 1 : 0;
	return true;
}

static int send_chunk(struct sending *sd, struct diag *diag)
{
	AUTO(exchange_freep) struct exchange *e = NULL;
	uint64_t has = 0;
	int r = send_bytes(sd, "PATCH", sd->location, sd->chunk, diag, &e);

	if (r < 0)
		return r;
	sd->at += sd->chunk;
	if (read_range(e, &has) && has != sd->at)
		return diag_set(diag, -EPROTO, "%s: %s: the registry has %" PRIu64 " bytes of it instead of %" PRIu64,
				session_name(sd->session), sd->what, has, sd->at);
	return read_location(sd->session, e, diag, &sd->location);
}

static int send_rest(struct sending *sd, struct diag *diag)
{
	AUTO(exchange_freep) struct exchange *e = NULL;
	AUTO(freep) char *url = NULL;
	char text[DIGEST_TEXT_BYTES];

	digest_format(&sd->u->digest, text);
	if (asprintf(&url, "%s%sdigest=%s", sd->location, strchr(sd->location, '?') ? "&" : "?", text) < 0) {
		url = NULL;
		return -ENOMEM;
	}
	return send_bytes(sd, "PUT", url, sd->u->count - sd->at, diag, &e);
}

static int send_all(struct sending *sd, struct diag *diag)
{
	int r = 0;

	while (r == 0 && sd->chunk && sd->u->count - sd->at > sd->chunk)
		r = send_chunk(sd, diag);
	return r < 0 ? r : send_rest(sd, diag);
}

static int begin_sending(struct sending *sd, struct diag *diag)
{
	uint64_t least = 0;
	int r = begin(sd->session, sd->http, sd->path, diag, &sd->location, &least);

	if (r == 0 && sd->chunk && sd->chunk < least)
		sd->chunk = least;
	return r;
}

/* How much has arrived of what broke off? If the registry does not say, nothing. */
static void ask_how_far(struct sending *sd)
{
	AUTO(exchange_freep) struct exchange *e = NULL;
	struct http_request request = { .method = "GET", .url = sd->location, .body_fd = -1 };
	struct diag ignored = { 0 };
	uint64_t has;

	if (session_send(sd->session, sd->http, &request, sd->what, &ignored, &e) < 0 || !read_range(e, &has) ||
	    has == 0 || has >= sd->u->count || read_location(sd->session, e, &ignored, &sd->location) < 0) {
		begin_anew(sd);
		return;
	}
	sd->at = has;
	sd->resumed = true;
}

/* Less at once: the registry, or what is before it, said that it was too much. */
static bool take_less(struct sending *sd)
{
	uint64_t tried = sd->chunk ? sd->chunk : sd->u->count;

	if (sd->only_whole || tried <= CHUNK_MIN_BYTES)
		return false;
	sd->chunk = tried / 4 < CHUNK_BYTES ? tried / 4 : CHUNK_BYTES;
	if (sd->chunk < CHUNK_MIN_BYTES)
		sd->chunk = CHUNK_MIN_BYTES;
	begin_anew(sd);
	return true;
}

/* An answer that says no to chunks, or to what was resumed, is none to the blob. */
static bool try_otherwise(struct sending *sd)
{
	bool chunks = sd->chunk && sd->chunk < sd->u->count;

	if (!sd->resumed && !chunks)
		return false;
	if (!sd->resumed) {
		sd->only_whole = true;
		sd->chunk = 0;
	}
	begin_anew(sd);
	return true;
}

/* What we sent does not follow what it has: curl may have sent a request again after its connection was closed. */
static bool find_place(struct sending *sd)
{
	uint64_t thought = sd->at;
	bool resumed = sd->resumed;

	ask_how_far(sd);
	if (sd->at > thought)
		return true;
	sd->resumed = resumed;
	return try_otherwise(sd);
}

/* After a failure. Return: 0: try again; else the failure. */
static int again(struct sending *sd, int err)
{
	if (err == -EFBIG)
		return take_less(sd) ? 0 : err;
	if (err == -ERANGE)
		return find_place(sd) ? 0 : err;
	if (err == -EREMOTEIO || err == -EPROTO)
		return try_otherwise(sd) ? 0 : err;
	/* An upload that the registry knows no more begins anew. */
	if (!http_is_transient(err) && err != -EAGAIN && err != -ENOENT)
		return err;
	if (sd->at > sd->last_failure_at)
		sd->failures = 0;
	sd->last_failure_at = sd->at;
	if (++sd->failures > http_options(sd->http)->retries)
		return err;
	int r = session_pause(sd->http, sd->failures, 0);
	if (r < 0)
		return r;
	/* A second time without a byte of progress: a proxy that takes no more may just hang up. */
	if (sd->failures == 2 && !sd->chunk && take_less(sd))
		return 0;
	if (err == -ENOENT)
		begin_anew(sd);
	else
		ask_how_far(sd);
	return 0;
}

static uint64_t chunk_of(const struct upload *u, uint64_t wanted)
{
	if (wanted)
		return wanted;
	return u->count > WHOLE_MAX_BYTES ? CHUNK_BYTES : 0;
}

static int sending_init(struct sending *sd, const char *repository)
{
	char text[DIGEST_TEXT_BYTES];
	int r = make_path(&sd->path, repository, "uploads/", "");

	if (r == 0 && asprintf(&sd->what, "upload of blob %s", digest_format(&sd->u->digest, text)) < 0) {
		sd->what = NULL;
		r = -ENOMEM;
	}
	return r;
}

int upload_blob(struct session *s, struct http *http, const char *repository, const struct upload *u, struct diag *diag)
{
	AUTO(sending_release)
	struct sending sd = {
		.session = s, .http = http, .u = u, .chunk = chunk_of(u, http_options(http)->chunk_bytes)
	};
	int r = sending_init(&sd, repository);

	while (r == 0) {
		struct diag attempt = { 0 };

		if (!sd.location) {
			r = begin_sending(&sd, diag);
			if (r != 0)
				return r < 0 ? r : 0;
		}
		r = send_all(&sd, &attempt);
		if (r == 0)
			return 0;
		r = again(&sd, r);
		if (r < 0)
			diag_set(diag, r, "%s", diag_text(&attempt, r));
	}
	return r;
}
