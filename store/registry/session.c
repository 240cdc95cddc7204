/* SPDX-License-Identifier: Apache-2.0 */
#include "store/registry/session.h"

#include "store/base/auto.h"
#include "store/base/buf.h"
#include "store/registry/challenge.h"

#include <jansson.h>
#include <pthread.h>
#include <string.h>

/*
 * Who we are is found out by asking: a request goes out with what worked last,
 * and an answer of 401 says what is wanted instead.  Threads share that
 * knowledge; a generation number tells a thread whose request was refused whether another
 * one has logged in anew meanwhile.
 */

enum {
	REDIRECTS_MAX = 10,
	LOGINS_MAX = 2, /* for one request: a token may also want another scope */
	ERROR_MAX_BYTES = 64 * 1024,
	BACKOFF_MS = 200,
	BACKOFF_MAX_MS = 10000,
	RETRY_AFTER_MAX_S = 60,
};

struct session {
	const struct registry_options *options; /* borrowed */
	char *host, *repository;		/* owned; repository may be NULL */
	char *name;				/* owned */
	char *base;				/* owned: "https://registry-1.docker.io" */
	char *origin;				/* owned: who gets the credentials */
	char *scopes[3];			/* owned; NULL-terminated */

	pthread_mutex_t lock;
	/* Under @lock: */
	bool asked_credentials;
	struct credentials credentials;
	struct challenge challenge;
	char *authorization; /* owned: the header; NULL: none yet */
	int64_t expires_s;   /* 0: never */
	unsigned generation;
};

const char *session_name(const struct session *s)
{
	return s->name;
}

void session_close(struct session *s)
{
	if (!s)
		return;
	credentials_release(&s->credentials);
	challenge_release(&s->challenge);
	if (s->authorization)
		explicit_bzero(s->authorization, strlen(s->authorization));
	free(s->authorization);
	for (size_t i = 0; i < ARRAY_SIZE(s->scopes); i++)
		free(s->scopes[i]);
	pthread_mutex_destroy(&s->lock);
	free(s->host);
	free(s->repository);
	free(s->name);
	free(s->base);
	free(s->origin);
	free(s);
}

void session_closep(struct session **s)
{
	session_close(*s);
}

/* ---- which scheme ---- */

static int set_base(struct session *s, const char *scheme)
{
	/* The registry of that name is elsewhere. */
	const char *host = strcmp(s->host, "docker.io") == 0 ? "registry-1.docker.io" : s->host;

	free(s->base);
	free(s->origin);
	s->origin = NULL;
	if (asprintf(&s->base, "%s://%s", scheme, host) < 0) {
		s->base = NULL;
		return -ENOMEM;
	}
	s->origin = url_origin(s->base);
	return s->origin ? 0 : -EINVAL;
}

/* Where both are allowed HTTPS is tried first, and only what speaks no TLS is believed to have none. */
static int find_scheme(struct session *s, struct http *http, struct diag *diag)
{
	AUTO(exchange_freep) struct exchange *e = NULL;
	AUTO(freep) char *url = NULL;
	struct http_request request = { .method = "GET", .body_fd = -1 };
	struct diag quiet = { 0 };
	int r = set_base(s, "https");

	if (r < 0 || !(s->options->insecure || host_is_loopback(s->host)))
		return r;
	if (asprintf(&url, "%s/v2/", s->base) < 0) {
		url = NULL;
		return -ENOMEM;
	}
	request.url = url;
	r = http_begin(http, &request, &quiet, &e);
	if (r == -EPROTO || http_is_transient(r))
		return set_base(s, "http");
	return r < 0 ? diag_set(diag, r, "%s", diag_text(&quiet, r)) : 0;
}

int session_want_scope(struct session *s, const char *repository)
{
	size_t n = s->scopes[0] ? 1 : 0;

	if (s->scopes[n])
		return 0;
	if (asprintf(&s->scopes[n], "repository:%s:pull", repository) < 0) {
		s->scopes[n] = NULL;
		return -ENOMEM;
	}
	return 0;
}

int session_open(const char *host, const char *repository, const char *actions, struct http *http, struct diag *diag,
		 struct session **ret)
{
	AUTO(session_closep) struct session *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	pthread_mutex_init(&s->lock, NULL);
	s->options = http_options(http);
	s->host = strdup(host);
	s->repository = repository ? strdup(repository) : NULL;
	if (!s->host || (repository && !s->repository) ||
	    asprintf(&s->name, "%s%s%s", host, repository ? "/" : "", repository ? repository : "") < 0)
		return -ENOMEM;
	if (repository && asprintf(&s->scopes[0], "repository:%s:%s", repository, actions) < 0)
		return -ENOMEM;
	r = find_scheme(s, http, diag);
	if (r < 0)
		return diag_context(diag, r, "%s", s->name);
	*ret = TAKE(s);
	return 0;
}

/* ---- who we are ---- */

static int find_credentials(struct session *s, struct diag *diag)
{
	int r;

	if (s->asked_credentials)
		return 0;
	r = credentials_find(s->options->authfile, s->host, s->repository ? s->repository : "", diag, &s->credentials);
	s->asked_credentials = r == 0;
	return r;
}

static int read_challenge(struct exchange *e, struct challenge *ret)
{
	const char *header;

	for (size_t n = 0; (header = exchange_header(e, "WWW-Authenticate", n)); n++) {
		int r = challenge_parse(header, ret);

		if (r < 0 || ret->kind != CHALLENGE_NONE)
			return r;
	}
	return 0;
}

static void set_authorization(struct session *s, char *header, int64_t expires_s)
{
	if (s->authorization)
		explicit_bzero(s->authorization, strlen(s->authorization));
	free(s->authorization);
	s->authorization = header;
	s->expires_s = expires_s;
	s->generation++;
}

static int log_in_basic(struct session *s, struct diag *diag)
{
	char *header;

	if (!s->credentials.user)
		return diag_set(diag, -EACCES, "%s wants a name and a password, and no credentials file has them",
				s->host);
	if (s->authorization && strncmp(s->authorization, "Basic ", 6) == 0)
		return diag_set(diag, -EACCES, "%s refuses the name and password from %s", s->host,
				s->credentials.source);
	header = basic_header(&s->credentials);
	if (!header)
		return -ENOMEM;
	set_authorization(s, header, 0);
	return 0;
}

static int log_in_bearer(struct session *s, struct http *http, struct diag *diag)
{
	struct token token = { 0 };
	int r = token_fetch(http, &s->challenge, &s->credentials, (const char *const *)s->scopes, diag, &token);

	if (r == 0)
		set_authorization(s, token.header, token.expires_s);
	return r;
}

static int log_in_locked(struct session *s, struct http *http, struct diag *diag)
{
	int r = find_credentials(s, diag);

	if (r < 0)
		return r;
	return s->challenge.kind == CHALLENGE_BASIC ? log_in_basic(s, diag) : log_in_bearer(s, http, diag);
}

/* After a 401. Return: 0: try again; -ENODATA: it does not say what it wants, or what we do not know. */
static int log_in(struct session *s, struct http *http, struct exchange *e, unsigned generation, struct diag *diag)
{
	struct challenge challenge = { 0 };
	int r = read_challenge(e, &challenge);

	if (r < 0 || challenge.kind == CHALLENGE_NONE)
		return r < 0 ? r : -ENODATA;
	pthread_mutex_lock(&s->lock);
	if (s->generation == generation) {
		challenge_release(&s->challenge);
		s->challenge = challenge;
		challenge = (struct challenge){ 0 };
		r = log_in_locked(s, http, diag);
	}
	pthread_mutex_unlock(&s->lock);
	challenge_release(&challenge);
	return r;
}

/* What to send, to free(); NULL: nothing. A token near its end is asked for anew first. */
static int authorization(struct session *s, struct http *http, struct diag *diag, char **ret, unsigned *ret_generation)
{
	int r = 0;

	*ret = NULL;
	pthread_mutex_lock(&s->lock);
	if (s->authorization && s->expires_s && monotonic_s() >= s->expires_s)
		r = log_in_locked(s, http, diag);
	if (r == 0 && s->authorization) {
		*ret = strdup(s->authorization);
		r = *ret ? 0 : -ENOMEM;
	}
	*ret_generation = s->generation;
	pthread_mutex_unlock(&s->lock);
	return r;
}

/* ---- one request ---- */

static bool is_ours(const struct session *s, const char *url)
{
	AUTO(freep) char *origin = url_origin(url);

	return origin && strcmp(origin, s->origin) == 0;
}

static bool is_redirect(long status)
{
	return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

static int follow(struct session *s, struct exchange *e, unsigned no, struct diag *diag, char **url)
{
	const char *location = exchange_header(e, "Location", 0);
	char *next;

	if (no > REDIRECTS_MAX)
		return diag_set(diag, -ELOOP, "the registry sends us on more than %d times", REDIRECTS_MAX);
	if (!location)
		return diag_set(diag, -EPROTO, "the registry sends us on, but not where");
	next = url_join(*url, location);
	if (!next)
		return diag_set(diag, -EPROTO, "the registry sends us on to what is no address: %.200s", location);
	if (strncmp(*url, "https:", 6) == 0 && strncmp(next, "https:", 6) != 0 && !s->options->insecure) {
		diag_set(diag, -EPROTO, "the registry sends us on from HTTPS to %.200s", next);
		free(next);
		return -EPROTO;
	}
	free(*url);
	*url = next;
	return 0;
}

/* Small bodies are read to their end, so that the connection can be used again. */
static void drain(struct exchange *e)
{
	AUTO(freep) char *text = NULL;

	(void)exchange_text(e, ERROR_MAX_BYTES, NULL, &text, NULL);
}

/* One attempt, with whatever logins and redirects it takes. */
static int send_once(struct session *s, struct http *http, const struct http_request *request, struct diag *diag,
		     struct exchange **ret)
{
	bool can_follow = strcmp(request->method, "GET") == 0 || strcmp(request->method, "HEAD") == 0;
	AUTO(freep) char *url = NULL;
	unsigned logins = 0, redirects = 0;

	if (asprintf(&url, "%s%s", *request->url == '/' ? s->base : "", request->url) < 0) {
		url = NULL;
		return -ENOMEM;
	}
	for (;;) {
		AUTO(exchange_freep) struct exchange *e = NULL;
		AUTO(freep) char *header = NULL;
		struct http_request q = *request;
		bool ours = is_ours(s, url);
		unsigned generation = 0;
		int r = ours ? authorization(s, http, diag, &header, &generation) : 0;

		q.url = url;
		q.authorization = header;
		if (r == 0)
			r = http_begin(http, &q, diag, &e);
		if (r < 0)
			return r;
		if (exchange_status(e) == 401 && ours && logins++ < LOGINS_MAX) {
			drain(e);
			r = log_in(s, http, e, generation, diag);
			if (r == 0)
				continue;
			if (r != -ENODATA)
				return r;
		} else if (can_follow && is_redirect(exchange_status(e))) {
			drain(e);
			r = follow(s, e, ++redirects, diag, &url);
			if (r < 0)
				return r;
			continue;
		}
		*ret = TAKE(e);
		return 0;
	}
}

/* ---- answers that are none ---- */

static void add_errors(struct buf *text, const char *body, size_t bytes)
{
	json_t *json = json_loadb(body, bytes, 0, NULL), *error;
	size_t i;

	json_array_foreach(json_object_get(json, "errors"), i, error)
	{
		const char *code = json_string_value(json_object_get(error, "code"));
		const char *message = json_string_value(json_object_get(error, "message"));

		if (i < 3 && (code || message))
			buf_addf(text, "; %.80s%s%.300s", code ? code : "", code && message ? ": " : "",
				 message ? message : "");
	}
	json_decref(json);
}

/* distribution-spec: errors are {"errors": [{"code":, "message":}]}; a proxy between answers as it likes. */
static int status_error(struct session *s, struct exchange *e, const char *what, struct diag *diag)
{
	AUTO(buf_release) struct buf text = { 0 };
	AUTO(freep) char *body = NULL;
	long status = exchange_status(e);
	size_t bytes = 0;
	int err = status == 404			   ? -ENOENT
		  : status == 401 || status == 403 ? -EACCES
		  : status == 413		   ? -EFBIG
		  : status == 416		   ? -ERANGE
						   : -EREMOTEIO;

	if (exchange_text(e, ERROR_MAX_BYTES, NULL, &body, &bytes) == 0)
		add_errors(&text, body, bytes);
	if (text.len == 0 && status == 429)
		buf_adds(&text, "; too many requests");
	else if (status == 416)
		buf_adds(&text, "; it has fewer bytes than the manifest says");
	return diag_set(diag, err, "%s: %s: the registry answers with HTTP %ld%s", s->name, what, status,
			buf_str(&text));
}

static bool may_pass(long status)
{
	return status == 429 || status == 408 || (status >= 500 && status != 501 && status != 505);
}

int session_pause(struct http *http, unsigned no, unsigned retry_after_s)
{
	unsigned ms = no < 8 ? BACKOFF_MS << (no - 1) : BACKOFF_MAX_MS;

	if (ms > BACKOFF_MAX_MS)
		ms = BACKOFF_MAX_MS;
	if (retry_after_s > RETRY_AFTER_MAX_S)
		retry_after_s = RETRY_AFTER_MAX_S;
	if (retry_after_s * 1000 > ms)
		ms = retry_after_s * 1000;
	return http_wait(http, ms);
}

int session_send(struct session *s, struct http *http, const struct http_request *request, const char *what,
		 struct diag *diag, struct exchange **ret)
{
	for (unsigned no = 1;; no++) {
		AUTO(exchange_freep) struct exchange *e = NULL;
		struct diag attempt = { 0 };
		bool last = request->once || no > s->options->retries;
		unsigned wait_s = 0;
		int r = send_once(s, http, request, &attempt, &e);
		long status = r == 0 ? exchange_status(e) : 0;

		if (r == 0 && status >= 200 && status < 300) {
			*ret = TAKE(e);
			return 0;
		}
		if (r == 0 && (last || !may_pass(status))) {
			r = status_error(s, e, what, diag);
			return request->once && may_pass(status) ? -EAGAIN : r;
		}
		if (r < 0 && (last || !http_is_transient(r)))
			return diag_set(diag, r, "%s: %s: %s", s->name, what, diag_text(&attempt, r));
		if (e) {
			wait_s = exchange_retry_after(e);
			drain(e);
		}
		r = session_pause(http, no, wait_s);
		if (r < 0)
			return r;
	}
}

int session_text(struct session *s, struct http *http, const struct http_request *request, const char *what,
		 size_t limit, struct diag *diag, char **ret, size_t *ret_bytes, struct exchange **ret_exchange)
{
	for (unsigned no = 1;; no++) {
		AUTO(exchange_freep) struct exchange *e = NULL;
		struct diag attempt = { 0 };
		int r = session_send(s, http, request, what, diag, &e);

		if (r < 0)
			return r;
		r = exchange_text(e, limit, &attempt, ret, ret_bytes);
		if (r == 0) {
			if (ret_exchange)
				*ret_exchange = TAKE(e);
			return 0;
		}
		if (!http_is_transient(r) || no > s->options->retries)
			return diag_set(diag, r, "%s: %s: %s", s->name, what, diag_text(&attempt, r));
		r = session_pause(http, no, 0);
		if (r < 0)
			return r;
	}
}
