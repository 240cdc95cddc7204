/* SPDX-License-Identifier: Apache-2.0 */
#include "store/registry.h"

#include "store/base/auto.h"
#include "store/registry/session.h"

#include <jansson.h>
#include <string.h>

enum { PAGE_MAX_BYTES = 16 * 1024 * 1024, PAGES_MAX = 100000 };

/* One list of a registry, page by page. */
struct listing {
	struct session *session; /* borrowed */
	struct http *http;	 /* borrowed */
	const char *what;	 /* for messages */
	const char *key;	 /* of the list in each page */
	registry_name_fn fn;
	void *arg;
};

/* Where the next page is: Link: <URL>; rel="next" (RFC 8288). NULL in *@ret: this was the last. */
static int next_page(struct exchange *e, char **ret)
{
	const char *link = exchange_header(e, "Link", 0);
	const char *begin = link ? strchr(link, '<') : NULL, *end = begin ? strchr(begin, '>') : NULL;
	AUTO(freep) char *relative = NULL;

	*ret = NULL;
	if (!end || !strstr(end, "next"))
		return 0;
	relative = strndup(begin + 1, (size_t)(end - begin - 1));
	if (!relative)
		return -ENOMEM;
	*ret = url_join(exchange_url(e), relative);
	return 0;
}

static int tell_names(struct listing *l, const char *text, size_t bytes, struct diag *diag)
{
	json_t *json = json_loadb(text, bytes, 0, NULL), *name;
	const json_t *list = json_object_get(json, l->key);
	size_t i;
	int r = 0;

	/* A registry with nothing in it may say null. */
	if (!json || !(json_is_array(list) || json_is_null(list)))
		r = diag_set(diag, -EBADMSG, "%s: %s: the registry's answer is no list", session_name(l->session),
			     l->what);
	json_array_foreach(list, i, name)
	{
		if (r == 0 && json_is_string(name))
			r = l->fn(json_string_value(name), l->arg);
	}
	json_decref(json);
	return r;
}

static int read_pages(struct listing *l, const char *path, struct diag *diag)
{
	AUTO(freep) char *at = strdup(path);
	int r = at ? 0 : -ENOMEM;

	for (unsigned n = 0; r == 0 && at; n++) {
		AUTO(exchange_freep) struct exchange *e = NULL;
		AUTO(freep) char *text = NULL;
		struct http_request request = {
			.method = "GET", .url = at, .accept = "application/json", .body_fd = -1
		};
		char *next = NULL;
		size_t bytes;

		if (n == PAGES_MAX)
			return diag_set(diag, -ELOOP, "%s: %s has no end", session_name(l->session), l->what);
		r = session_text(l->session, l->http, &request, l->what, PAGE_MAX_BYTES, diag, &text, &bytes, &e);
		if (r == 0)
			r = tell_names(l, text, bytes, diag);
		if (r == 0)
			r = next_page(e, &next);
		if (next && strcmp(next, at) == 0)
			free(TAKE(next));
		free(at);
		at = next;
	}
	return r;
}

bool registry_has_host(const char *name)
{
	return remote_name_host_length(name) > 0;
}

int registry_repositories(const char *host, const struct registry_options *options, registry_name_fn fn, void *arg,
			  struct diag *diag)
{
	AUTO(http_freep) struct http *http = NULL;
	AUTO(session_closep) struct session *session = NULL;
	struct listing l = { .what = "the catalogue", .key = "repositories", .fn = fn, .arg = arg };
	int r;

	if (strcmp(host, "docker.io") == 0)
		return diag_set(diag, -ENOTSUP, "docker.io has no catalogue that could be searched");
	r = http_new(options, NULL, diag, &http);
	if (r == 0)
		r = session_open(host, NULL, NULL, http, diag, &session);
	l.session = session;
	l.http = http;
	return r < 0 ? r : read_pages(&l, "/v2/_catalog?n=100", diag);
}

int registry_tags(const char *name, const struct registry_options *options, registry_name_fn fn, void *arg,
		  struct diag *diag)
{
	AUTO(remote_name_release) struct remote_name remote = { 0 };
	AUTO(http_freep) struct http *http = NULL;
	AUTO(session_closep) struct session *session = NULL;
	AUTO(freep) char *path = NULL;
	struct listing l = { .what = "the list of tags", .key = "tags", .fn = fn, .arg = arg };
	int r = remote_name_parse(name, diag, &remote);

	if (r == 0)
		r = http_new(options, NULL, diag, &http);
	if (r == 0)
		r = session_open(remote.host, remote.repository, "pull", http, diag, &session);
	if (r < 0)
		return r;
	if (asprintf(&path, "/v2/%s/tags/list?n=100", remote.repository) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	l.session = session;
	l.http = http;
	return read_pages(&l, path, diag);
}
