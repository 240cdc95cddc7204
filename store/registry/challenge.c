/* SPDX-License-Identifier: Apache-2.0 */
#include "store/registry/challenge.h"

#include "store/base/auto.h"
#include "store/base/buf.h"

#include <jansson.h>
#include <string.h>
#include <strings.h>
#include <time.h>

enum {
	TOKEN_MAX_BYTES = 1024 * 1024,
	TOKEN_SECONDS = 60, /* where the answer says nothing (token.md) */
};

void challenge_release(struct challenge *c)
{
	free(c->realm);
	free(c->service);
	free(c->scope);
	*c = (struct challenge){ 0 };
}

/* ---- the header ---- */

static const char *skip(const char *p, const char *set)
{
	return p + strspn(p, set);
}

static bool is_token_char(char c)
{
	return c && (strchr("!#$%&'*+-.^_`|~", c) || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
		     (c >= 'A' && c <= 'Z'));
}

static size_t token_length(const char *p)
{
	size_t n = 0;

	while (is_token_char(p[n]))
		n++;
	return n;
}

/* A value, "quoted" or bare. Return: what follows it. */
static const char *read_value(const char *p, struct buf *ret)
{
	if (*p != '"') {
		size_t n = strcspn(p, ", \t");

		buf_add(ret, p, n);
		return p + n;
	}
	for (p++; *p && *p != '"'; p++) {
		if (*p == '\\' && p[1])
			p++;
		buf_add(ret, p, 1);
	}
	return *p ? p + 1 : p;
}

static int keep_value(struct challenge *c, const char *name, size_t name_len, struct buf *value)
{
	char **place = NULL;

	if (name_len == 5 && strncasecmp(name, "realm", 5) == 0)
		place = &c->realm;
	else if (name_len == 7 && strncasecmp(name, "service", 7) == 0)
		place = &c->service;
	else if (name_len == 5 && strncasecmp(name, "scope", 5) == 0)
		place = &c->scope;
	if (!place || *place)
		return 0;
	buf_add(value, "", 0);
	*place = buf_take(value);
	return *place ? 0 : -ENOMEM;
}

/* name=value, name=value ... up to the next scheme, which is a word without '='. */
static int read_parameters(const char **at, struct challenge *c)
{
	const char *p = *at;
	int r = 0;

	while (r == 0) {
		AUTO(buf_release) struct buf value = { 0 };
		size_t n;

		p = skip(p, " \t,");
		n = token_length(p);
		if (n == 0 || *skip(p + n, " \t") != '=')
			break;
		const char *name = p;
		p = read_value(skip(skip(p + n, " \t") + 1, " \t"), &value);
		r = keep_value(c, name, n, &value);
	}
	*at = p;
	return r;
}

int challenge_parse(const char *header, struct challenge *ret)
{
	const char *p = skip(header, " \t,");

	*ret = (struct challenge){ 0 };
	while (token_length(p) > 0) {
		AUTO(challenge_release) struct challenge c = { 0 };
		size_t n = token_length(p);
		int r;

		if (n == 6 && strncasecmp(p, "Bearer", n) == 0)
			c.kind = CHALLENGE_BEARER;
		else if (n == 5 && strncasecmp(p, "Basic", n) == 0)
			c.kind = CHALLENGE_BASIC;
		p += n;
		/* token68, as after Negotiate: nobody's here */
		r = read_parameters(&p, &c);
		if (r < 0)
			return r;
		if (c.kind == CHALLENGE_BASIC || (c.kind == CHALLENGE_BEARER && c.realm)) {
			*ret = c;
			c = (struct challenge){ 0 };
			return 0;
		}
		if (token_length(p) == 0)
			p = skip(p + strcspn(p, ","), " \t,");
	}
	return 0;
}

/* ---- tokens ---- */

char *basic_header(const struct credentials *c)
{
	AUTO(buf_release) struct buf both = { 0 };
	AUTO(freep) char *encoded = NULL;
	char *header = NULL;

	buf_addf(&both, "%s:%s", c->user, c->password);
	if (buf_error(&both) < 0)
		return NULL;
	encoded = base64_encode(both.data, both.len);
	explicit_bzero(both.data, both.len);
	if (!encoded || asprintf(&header, "Basic %s", encoded) < 0)
		return NULL;
	return header;
}

int64_t monotonic_s(void)
{
	struct timespec ts = { 0 };

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec;
}

static void add_parameter(struct buf *text, const char *name, const char *value, size_t len)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~/:,";

	buf_adds(text, name);
	for (size_t i = 0; i < len; i++) {
		if (value[i] && strchr(plain, value[i]))
			buf_add(text, &value[i], 1);
		else
			buf_addf(text, "%%%02X", (unsigned char)value[i]);
	}
}

static void add_scopes(struct buf *text, const struct challenge *c, const char *const *scopes)
{
	/* One header may ask for several, divided by spaces. */
	for (const char *p = c->scope; p && *p; p = skip(p, " ")) {
		size_t n = strcspn(p, " ");

		add_parameter(text, "&scope=", p, n);
		p += n;
	}
	for (; scopes && *scopes; scopes++)
		if (!c->scope || strcmp(*scopes, c->scope) != 0)
			add_parameter(text, "&scope=", *scopes, strlen(*scopes));
}

static int parse_token(const char *origin, const char *text, size_t bytes, struct diag *diag, struct token *ret)
{
	json_t *json = json_loadb(text, bytes, 0, NULL);
	const char *token = json_string_value(json_object_get(json, "token"));
	const json_t *expires = json_object_get(json, "expires_in");
	int64_t seconds = json_is_integer(expires) ? json_integer_value(expires) : TOKEN_SECONDS;
	int r = 0;

	if (!token || !*token)
		token = json_string_value(json_object_get(json, "access_token"));
	if (!token || !*token || strpbrk(token, "\r\n"))
		r = diag_set(diag, -EBADMSG, "%s: the token service's answer has no token in it", origin);
	else if (asprintf(&ret->header, "Bearer %s", token) < 0)
		r = -ENOMEM;
	/* A little before its end, so that it does not end on its way. */
	ret->expires_s = monotonic_s() + (seconds > 20 ? seconds - 10 : seconds / 2);
	json_decref(json);
	return r;
}

static int refused(struct exchange *e, const char *origin, const struct credentials *c, struct diag *diag)
{
	long status = exchange_status(e);
	/* What may be better a little later counts as the network's fault: session.c tries again. */
	int err = status == 401 || status == 403 ? -EACCES : status == 429 || status >= 500 ? -ECONNRESET : -EREMOTEIO;

	if (err == -EACCES && c->source)
		return diag_set(diag, err, "%s: the token service refuses the credentials from %s (HTTP %ld)", origin,
				c->source, status);
	return diag_set(diag, err, "%s: the token service answers with HTTP %ld", origin, status);
}

/* With a refresh token OAuth2's form is posted (docker's registry, oauth.md); else a query with Basic. */
static int make_request(const struct challenge *c, const struct credentials *credentials, const char *const *scopes,
			struct buf *text, struct http_request *ret, char **ret_header)
{
	bool refresh = credentials->identity_token != NULL;

	if (refresh) {
		buf_adds(text, "grant_type=refresh_token&client_id=nacre");
		add_parameter(text, "&refresh_token=", credentials->identity_token,
			      strlen(credentials->identity_token));
	} else {
		buf_addf(text, "%s%sclient_id=nacre", c->realm, strchr(c->realm, '?') ? "&" : "?");
	}
	if (c->service)
		add_parameter(text, "&service=", c->service, strlen(c->service));
	add_scopes(text, c, scopes);
	if (buf_error(text) < 0)
		return -ENOMEM;
	ret->method = refresh ? "POST" : "GET";
	ret->url = refresh ? c->realm : text->data;
	if (refresh) {
		ret->content_type = "application/x-www-form-urlencoded";
		ret->body = text->data;
		ret->body_bytes = text->len;
	} else if (credentials->user) {
		*ret_header = basic_header(credentials);
		if (!*ret_header)
			return -ENOMEM;
		ret->authorization = *ret_header;
	}
	return 0;
}

static int check_realm(const struct challenge *c, bool secret, bool insecure, struct diag *diag, char **ret_origin)
{
	char *origin = url_origin(c->realm);

	*ret_origin = origin;
	if (!origin)
		return diag_set(diag, -EPROTO, "the registry's token service has no valid address: %s", c->realm);
	/* A name and a password do not go over the net in the clear. */
	if (strncmp(origin, "http:", 5) == 0 && secret && !insecure && !host_is_loopback(origin + strlen("http://")))
		return diag_set(diag, -EACCES,
				"%s: the token service is not reached by HTTPS, so it gets no credentials", origin);
	return 0;
}

int token_fetch(struct http *http, const struct challenge *c, const struct credentials *credentials,
		const char *const *scopes, struct diag *diag, struct token *ret)
{
	AUTO(exchange_freep) struct exchange *e = NULL;
	AUTO(buf_release) struct buf text = { 0 };
	AUTO(freep) char *origin = NULL;
	AUTO(freep) char *header = NULL;
	AUTO(freep) char *answer = NULL;
	struct http_request request = { .accept = "application/json", .body_fd = -1 };
	size_t bytes;
	int r = check_realm(c, credentials->user || credentials->identity_token, http_options(http)->insecure, diag,
			    &origin);

	if (r == 0)
		r = make_request(c, credentials, scopes, &text, &request, &header);
	if (r == 0)
		r = http_begin(http, &request, diag, &e);
	if (r == 0 && exchange_status(e) != 200)
		r = refused(e, origin, credentials, diag);
	if (r == 0)
		r = exchange_text(e, TOKEN_MAX_BYTES, diag, &answer, &bytes);
	if (r == 0)
		r = parse_token(origin, answer, bytes, diag, ret);
	if (header)
		explicit_bzero(header, strlen(header));
	if (text.data)
		explicit_bzero(text.data, text.len);
	return r;
}
