/* SPDX-License-Identifier: Apache-2.0 */
#include "store/registry/http.h"

#include "store/base/auto.h"
#include "store/base/buf.h"
#include "store/base/io.h"
#include "store/registry/libcurl.h"
#include "store/registry/trust.h"

#include <pthread.h>
#include <string.h>
#include <time.h>

enum {
	BODY_ROOM = 256 * 1024,
	CHUNK_BYTES = 128 * 1024, /* the most that libcurl hands over at once */
	POLL_MS = 100,		  /* so soon a cancellation is seen */
	CONNECT_SECONDS = 30,
	STALL_SECONDS = 60, /* without a byte */
};

struct http {
	const struct registry_options *options; /* borrowed */
	const atomic_bool *cancelled;		/* borrowed; may be NULL */
	CURLM *multi;				/* owned */
};

struct exchange {
	struct http *http;	     /* borrowed */
	struct http_request request; /* its body is borrowed; its texts end with http_begin() */
	CURL *easy;		     /* owned; in http->multi */
	struct curl_slist *headers;  /* owned */
	char *url;		     /* owned */
	uint64_t sent;

	uint8_t *data; /* owned, of BODY_ROOM: what came and was not taken */
	size_t start, len;
	bool paused, answered, done;
	CURLcode code; /* once done */
	char error[CURL_ERROR_SIZE];
};

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;

static void curl_init(void)
{
	curl_global_init(CURL_GLOBAL_DEFAULT);
}

int http_new(const struct registry_options *options, const atomic_bool *cancelled, struct diag *diag, struct http **ret)
{
	AUTO(http_freep) struct http *http = calloc(1, sizeof(*http));
	int r = libcurl_load(diag);

	if (r < 0)
		return r;
	pthread_once(&curl_once, curl_init);
	if (!http)
		return -ENOMEM;
	http->options = options;
	http->cancelled = cancelled;
	http->multi = curl_multi_init();
	if (!http->multi)
		return -ENOMEM;
	*ret = TAKE(http);
	return 0;
}

void http_free(struct http *http)
{
	if (!http)
		return;
	if (http->multi)
		curl_multi_cleanup(http->multi);
	free(http);
}

void http_freep(struct http **http)
{
	http_free(*http);
}

const struct registry_options *http_options(const struct http *http)
{
	return http->options;
}

static bool is_cancelled(const struct http *http)
{
	return http->cancelled && atomic_load(http->cancelled);
}

int http_wait(struct http *http, unsigned ms)
{
	while (ms > 0 && !is_cancelled(http)) {
		unsigned part = ms < POLL_MS ? ms : POLL_MS;
		struct timespec ts = { .tv_nsec = part * 1000000L };

		nanosleep(&ts, NULL);
		ms -= part;
	}
	return is_cancelled(http) ? -ECANCELED : 0;
}

/* ---- libcurl's callbacks ---- */

static size_t on_body(char *bytes, size_t one, size_t count, void *arg)
{
	struct exchange *e = arg;

	e->answered = true;
	if (e->start > 0 && e->start + e->len + count > BODY_ROOM) {
		memmove(e->data, e->data + e->start, e->len);
		e->start = 0;
	}
	if (e->start + e->len + count > BODY_ROOM) {
		e->paused = true;
		return CURL_WRITEFUNC_PAUSE;
	}
	memcpy(e->data + e->start + e->len, bytes, count);
	e->len += count;
	return count;
}

/* The empty line ends the headers; those of an interim answer (1xx) do not count. */
static size_t on_header(char *bytes, size_t one, size_t count, void *arg)
{
	struct exchange *e = arg;

	if (count <= 2 && (count == 0 || bytes[0] == '\r' || bytes[0] == '\n') && exchange_status(e) >= 200)
		e->answered = true;
	return count;
}

static size_t on_upload(char *to, size_t one, size_t room, void *arg)
{
	struct exchange *e = arg;
	const struct http_request *q = &e->request;
	uint64_t left = q->body_bytes - e->sent;
	size_t n = left < room ? (size_t)left : room;

	if (q->body) {
		memcpy(to, (const char *)q->body + e->sent, n);
	} else {
		ssize_t got = io_pread_full(q->body_fd, to, n, (off_t)(q->body_offset + e->sent));

		if (got != (ssize_t)n)
			return CURL_READFUNC_ABORT;
	}
	e->sent += n;
	if (q->sent)
		q->sent(e->sent, q->sent_arg);
	return n;
}

/* A connection that was kept may turn out to be closed; libcurl then begins again. */
static int on_seek(void *arg, curl_off_t offset, int origin)
{
	struct exchange *e = arg;

	if (origin != SEEK_SET || offset < 0 || (uint64_t)offset > e->request.body_bytes)
		return CURL_SEEKFUNC_FAIL;
	e->sent = (uint64_t)offset;
	return CURL_SEEKFUNC_OK;
}

/* ---- errors ---- */

static int code_to_errno(CURLcode code)
{
	switch (code) {
	case CURLE_OK:
		return 0;
	case CURLE_OUT_OF_MEMORY:
		return -ENOMEM;
	case CURLE_OPERATION_TIMEDOUT:
		return -ETIMEDOUT;
	case CURLE_COULDNT_CONNECT:
		return -ECONNREFUSED;
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_RESOLVE_PROXY:
		return -EHOSTUNREACH;
	case CURLE_PEER_FAILED_VERIFICATION:
		return -ENOKEY;
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_UNSUPPORTED_PROTOCOL:
	case CURLE_URL_MALFORMAT:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_WEIRD_SERVER_REPLY:
		return -EPROTO;
	case CURLE_ABORTED_BY_CALLBACK:
		return -EIO;
	default:
		return -ECONNRESET;
	}
}

bool http_is_transient(int err)
{
	return err == -ETIMEDOUT || err == -ECONNREFUSED || err == -ECONNRESET || err == -EHOSTUNREACH;
}

static int transport_error(struct exchange *e, struct diag *diag)
{
	AUTO(freep) char *origin = url_origin(e->url);
	int err = code_to_errno(e->code);
	const char *why = e->error[0] ? e->error : curl_easy_strerror(e->code);

	return diag_set(diag, err, "%s: %s", origin ? origin : e->url, why);
}

/* ---- one exchange ---- */

/* Let libcurl work until something happened, or for a moment. */
static int step(struct exchange *e)
{
	bool was_answered = e->answered;
	CURLMsg *message;
	int running, left;

	if (is_cancelled(e->http))
		return -ECANCELED;
	if (curl_multi_perform(e->http->multi, &running) != CURLM_OK)
		return -ECONNRESET;
	while ((message = curl_multi_info_read(e->http->multi, &left))) {
		if (message->msg == CURLMSG_DONE && message->easy_handle == e->easy) {
			e->done = true;
			e->code = message->data.result;
		}
	}
	if (!e->done && e->len == 0 && !e->paused && e->answered == was_answered)
		curl_multi_poll(e->http->multi, NULL, 0, POLL_MS, NULL);
	return 0;
}

static int add_header(struct exchange *e, const char *name, const char *value)
{
	AUTO(freep) char *line = NULL;
	struct curl_slist *list;

	if (!value)
		return 0;
	if (asprintf(&line, "%s: %s", name, value) < 0) {
		line = NULL;
		return -ENOMEM;
	}
	list = curl_slist_append(e->headers, line);
	if (!list)
		return -ENOMEM;
	e->headers = list;
	return 0;
}

static int add_headers(struct exchange *e)
{
	const struct http_request *q = &e->request;
	/* Not waiting for "100 Continue": many servers never send it, and libcurl then waits a second. */
	struct curl_slist *list = curl_slist_append(e->headers, "Expect:");
	int r = list ? 0 : -ENOMEM;

	if (list)
		e->headers = list;
	if (r == 0)
		r = add_header(e, "Accept", q->accept);
	if (r == 0)
		r = add_header(e, "Content-Type", q->content_type);
	if (r == 0)
		r = add_header(e, "Content-Range", q->content_range);
	if (r == 0)
		r = add_header(e, "Authorization", q->authorization);
	if (r == 0)
		curl_easy_setopt(e->easy, CURLOPT_HTTPHEADER, e->headers);
	return r;
}

static void set_method(struct exchange *e)
{
	const struct http_request *q = &e->request;
	bool has_body = strcmp(q->method, "PUT") == 0 || strcmp(q->method, "POST") == 0 ||
			strcmp(q->method, "PATCH") == 0;

	if (strcmp(q->method, "HEAD") == 0)
		curl_easy_setopt(e->easy, CURLOPT_NOBODY, 1L);
	if (has_body) {
		curl_easy_setopt(e->easy, CURLOPT_UPLOAD, 1L);
		curl_easy_setopt(e->easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)q->body_bytes);
		curl_easy_setopt(e->easy, CURLOPT_READFUNCTION, on_upload);
		curl_easy_setopt(e->easy, CURLOPT_READDATA, e);
		curl_easy_setopt(e->easy, CURLOPT_SEEKFUNCTION, on_seek);
		curl_easy_setopt(e->easy, CURLOPT_SEEKDATA, e);
		curl_easy_setopt(e->easy, CURLOPT_UPLOAD_BUFFERSIZE, (long)CHUNK_BYTES);
	}
	if (has_body || strcmp(q->method, "DELETE") == 0)
		curl_easy_setopt(e->easy, CURLOPT_CUSTOMREQUEST, q->method);
	if (q->range_from > 0) {
		char range[32];

		snprintf(range, sizeof(range), "%llu-", (unsigned long long)q->range_from);
		curl_easy_setopt(e->easy, CURLOPT_RANGE, range);
	}
}

static int set_options(struct exchange *e, struct diag *diag)
{
	AUTO(freep) char *origin = url_origin(e->url);
	CURL *c = e->easy;
	const char *host;

	if (!origin)
		return diag_set(diag, -EPROTO, "%s: not an HTTP address", e->url);
	host = strstr(origin, "://") + strlen("://");
	curl_easy_setopt(c, CURLOPT_URL, e->url);
	curl_easy_setopt(c, CURLOPT_ERRORBUFFER, e->error);
	curl_easy_setopt(c, CURLOPT_USERAGENT, "nacre/" NACRE_VERSION);
	curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_SECONDS);
	curl_easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, 1L);
	curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME, (long)STALL_SECONDS);
	curl_easy_setopt(c, CURLOPT_BUFFERSIZE, (long)CHUNK_BYTES);
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(c, CURLOPT_WRITEDATA, e);
	curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(c, CURLOPT_HEADERDATA, e);
	/* A proxy from the environment cannot reach this machine's own addresses. */
	if (host_is_loopback(host))
		curl_easy_setopt(c, CURLOPT_NOPROXY, "*");
	set_method(e);
	return strncmp(origin, "https:", 6) == 0 ? trust_apply(c, e->http->options, host, diag) : 0;
}

int http_begin(struct http *http, const struct http_request *request, struct diag *diag, struct exchange **ret)
{
	AUTO(exchange_freep) struct exchange *e = calloc(1, sizeof(*e));
	int r;

	if (!e)
		return -ENOMEM;
	e->http = http;
	e->request = *request;
	e->url = strdup(request->url);
	e->data = malloc(BODY_ROOM);
	e->easy = curl_easy_init();
	if (!e->url || !e->data || !e->easy)
		return -ENOMEM;
	r = set_options(e, diag);
	if (r == 0)
		r = add_headers(e);
	if (r < 0)
		return r;
	if (curl_multi_add_handle(http->multi, e->easy) != CURLM_OK)
		return -ENOMEM;
	while (r == 0 && !e->answered && !e->done)
		r = step(e);
	if (r == 0 && e->done && e->code != CURLE_OK && !e->answered)
		r = transport_error(e, diag);
	if (r < 0)
		return r;
	*ret = TAKE(e);
	return 0;
}

void exchange_free(struct exchange *e)
{
	if (!e)
		return;
	if (e->easy) {
		curl_multi_remove_handle(e->http->multi, e->easy);
		curl_easy_cleanup(e->easy);
	}
	curl_slist_free_all(e->headers);
	free(e->data);
	free(e->url);
	free(e);
}

void exchange_freep(struct exchange **e)
{
	int saved = errno;

	exchange_free(*e);
	errno = saved;
}

long exchange_status(const struct exchange *e)
{
	long status = 0;

	curl_easy_getinfo(e->easy, CURLINFO_RESPONSE_CODE, &status);
	return status;
}

const char *exchange_url(const struct exchange *e)
{
	return e->url;
}

const char *exchange_header(struct exchange *e, const char *name, size_t n)
{
	struct curl_header *header;

	return curl_easy_header(e->easy, name, n, CURLH_HEADER, -1, &header) == CURLHE_OK ? header->value : NULL;
}

unsigned exchange_retry_after(const struct exchange *e)
{
	curl_off_t seconds = 0;

	curl_easy_getinfo(e->easy, CURLINFO_RETRY_AFTER, &seconds);
	return seconds < 0 ? 0 : seconds > 3600 ? 3600 : (unsigned)seconds;
}

ssize_t exchange_read(struct exchange *e, void *buf, size_t bytes, struct diag *diag)
{
	while (e->len == 0) {
		int r;

		if (e->done)
			return e->code == CURLE_OK ? 0 : transport_error(e, diag);
		e->start = 0;
		if (e->paused) {
			e->paused = false;
			curl_easy_pause(e->easy, CURLPAUSE_CONT);
			continue;
		}
		r = step(e);
		if (r < 0)
			return r;
	}
	if (bytes > e->len)
		bytes = e->len;
	memcpy(buf, e->data + e->start, bytes);
	e->start += bytes;
	e->len -= bytes;
	return (ssize_t)bytes;
}

int exchange_text(struct exchange *e, size_t limit, struct diag *diag, char **ret, size_t *ret_bytes)
{
	AUTO(buf_release) struct buf text = { 0 };
	char part[4096];
	ssize_t n;

	while ((n = exchange_read(e, part, sizeof(part), diag)) > 0) {
		buf_add(&text, part, (size_t)n);
		if (text.len > limit)
			return diag_set(diag, -EFBIG, "%s: the answer is longer than %zu bytes", e->url, limit);
	}
	if (n < 0)
		return (int)n;
	buf_add(&text, "", 0);
	if (ret_bytes)
		*ret_bytes = text.len;
	*ret = text.len > 0 ? buf_take(&text) : strdup("");
	return *ret ? 0 : -ENOMEM;
}

/* ---- addresses ---- */

static void url_freep(CURLU **u)
{
	if (*u)
		curl_url_cleanup(*u);
	*u = NULL;
}

static CURLU *url_new(const char *text)
{
	CURLU *u = libcurl_load(NULL) == 0 ? curl_url() : NULL;

	if (u && curl_url_set(u, CURLUPART_URL, text, 0) != CURLUE_OK)
		url_freep(&u);
	return u;
}

static char *url_part(CURLU *u, CURLUPart part, unsigned flags)
{
	char *text = NULL, *copy = NULL;

	if (curl_url_get(u, part, &text, flags) == CURLUE_OK)
		copy = strdup(text);
	curl_free(text);
	return copy;
}

char *url_origin(const char *url)
{
	AUTO(url_freep) CURLU *u = url_new(url);
	AUTO(freep) char *scheme = NULL;
	AUTO(freep) char *host = NULL;
	AUTO(freep) char *port = NULL;
	char *origin = NULL;

	if (!u)
		return NULL;
	scheme = url_part(u, CURLUPART_SCHEME, 0);
	host = url_part(u, CURLUPART_HOST, 0);
	port = url_part(u, CURLUPART_PORT, CURLU_DEFAULT_PORT);
	if (!scheme || !host || !port || (strcmp(scheme, "https") != 0 && strcmp(scheme, "http") != 0))
		return NULL;
	return asprintf(&origin, "%s://%s:%s", scheme, host, port) < 0 ? NULL : origin;
}

char *url_join(const char *base, const char *relative)
{
	AUTO(url_freep) CURLU *u = url_new(base);

	if (!u || curl_url_set(u, CURLUPART_URL, relative, 0) != CURLUE_OK)
		return NULL;
	return url_part(u, CURLUPART_URL, 0);
}

bool host_is_loopback(const char *host)
{
	size_t len = strcspn(host, ":");

	if (strncmp(host, "[::1]", 5) == 0 && (host[5] == '\0' || host[5] == ':'))
		return true;
	if (len == 9 && strncmp(host, "localhost", 9) == 0)
		return true;
	return strncmp(host, "127.", 4) == 0 && strspn(host, "0123456789.") == len;
}
