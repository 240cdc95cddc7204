/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_STORE_HTTP_H
#define NACRE_STORE_HTTP_H

/*
 * One HTTP exchange at a time over libcurl, read as a stream: the caller takes
 * the body in its own pace, and what it does not take yet waits in the socket.
 * Nothing here follows redirects, retries or knows credentials: session.c does.
 */

#include "store/registry.h"

#include <sys/types.h>

/* Connections of one thread; they are kept open between its requests. */
struct http;

/**
 * http_new() - first of all that is here: libcurl is loaded by it
 * @options: borrowed; @cancelled: makes what is under way fail with -ECANCELED; borrowed, may be NULL
 */
int http_new(const struct registry_options *options, const atomic_bool *cancelled, struct diag *diag,
	     struct http **ret);
void http_free(struct http *http);
void http_freep(struct http **http);

/** http_options() - as given to http_new(); borrowed. */
const struct registry_options *http_options(const struct http *http);

/** http_wait() - sleep. Return: 0, or -ECANCELED. */
int http_wait(struct http *http, unsigned ms);

struct http_request {
	const char *method;
	const char *url;
	const char *authorization;			   /* the header's value; NULL: none */
	const char *accept, *content_type, *content_range; /* likewise */
	uint64_t range_from;				   /* of the answer; 0: all of it */
	/* The body: bytes in memory, or of a file; none for NULL and -1. */
	const void *body;
	int body_fd;
	uint64_t body_offset, body_bytes;
	void (*sent)(uint64_t bytes, void *arg); /* told of the body's progress; may be NULL */
	void *sent_arg;
	bool once; /* session_send(): a second attempt would do harm */
};

struct exchange;

/**
 * http_begin() - send a request and wait for the answer's headers
 * @request: borrowed for the call, its body until exchange_free()
 *
 * Return: 0, whatever the status; -ETIMEDOUT, -ECONNREFUSED, -EHOSTUNREACH, -ECONNRESET: the network;
 * -EPROTO: no TLS, or no HTTP; -ENOKEY: the certificate; -ECANCELED.
 */
int http_begin(struct http *http, const struct http_request *request, struct diag *diag, struct exchange **ret);
void exchange_free(struct exchange *exchange);
void exchange_freep(struct exchange **exchange);

long exchange_status(const struct exchange *exchange);
const char *exchange_url(const struct exchange *exchange);
/** exchange_header() - the n-th of a name, from 0; NULL: there is none. Borrowed until the next call. */
const char *exchange_header(struct exchange *exchange, const char *name, size_t n);

/** exchange_retry_after() - seconds the server wants us to wait; 0: it does not say. */
unsigned exchange_retry_after(const struct exchange *exchange);

/** exchange_read() - some of the body; 0 at its end; errors as http_begin(). */
ssize_t exchange_read(struct exchange *exchange, void *buf, size_t bytes, struct diag *diag);
/** exchange_text() - the rest of the body; *@ret is owned and NUL-terminated. -EFBIG over @limit. */
int exchange_text(struct exchange *exchange, size_t limit, struct diag *diag, char **ret, size_t *ret_bytes);

/** http_is_transient() - may the same request succeed a little later? */
bool http_is_transient(int err);

/** url_origin() - "https://host:port" of a URL, port always there; NULL: not http or https. A string to free(). */
char *url_origin(const char *url);
/** url_join() - @relative seen from @base. A string to free(); NULL: not a URL. */
char *url_join(const char *base, const char *relative);
/** host_is_loopback() - localhost, 127.0.0.0/8, [::1]; a port may follow. */
bool host_is_loopback(const char *host);

#endif
