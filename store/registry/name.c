/* SPDX-License-Identifier: Apache-2.0 */
#include "store/registry/name.h"

#include "store/base/auto.h"
#include "store/image.h"

#include <string.h>

/* Source: github.com/distribution/reference, normalize.go. */

size_t remote_name_host_length(const char *text)
{
	size_t len = strcspn(text, "/");

	if (text[len] != '/')
		return 0;
	if (memchr(text, '.', len) || memchr(text, ':', len) || (len == 9 && memcmp(text, "localhost", 9) == 0))
		return len;
	return 0;
}

void remote_name_release(struct remote_name *name)
{
	free(name->host);
	free(name->repository);
	free(name->tag);
	free(name->local);
	*name = (struct remote_name){ 0 };
}

static int split_digest(const char *text, struct diag *diag, struct remote_name *ret, char **ret_rest)
{
	const char *at = strchr(text, '@');
	int r;

	*ret_rest = strndup(text, at ? (size_t)(at - text) : strlen(text));
	if (!*ret_rest)
		return -ENOMEM;
	if (!at)
		return 0;
	r = strchr(at, ':') ? digest_parse(at + 1, &ret->digest) : -EINVAL;
	if (r == -ENOTSUP)
		return diag_set(diag, r, "\"%s\": its digest is of an algorithm that is not known; sha256 is", text);
	if (r < 0)
		return diag_set(diag, r, "\"%s\" has no valid digest after its @: sha256: and 64 hexadecimal digits",
				text);
	ret->has_digest = true;
	return 0;
}

/* The registry, and what is behind it; docker.io's old names mean the same. */
static int split_host(const char *full, struct remote_name *ret, const char **ret_path)
{
	size_t len = remote_name_host_length(full);
	const char *host = full;

	*ret_path = len ? full + len + 1 : full;
	if (len == 0 || (len == strlen("index.docker.io") && strncmp(full, "index.docker.io", len) == 0)) {
		host = "docker.io";
		len = strlen(host);
	}
	ret->host = strndup(host, len);
	return ret->host ? 0 : -ENOMEM;
}

static int set_repository(const char *path, size_t len, struct remote_name *ret)
{
	bool official = strcmp(ret->host, "docker.io") == 0 && !memchr(path, '/', len);

	if (asprintf(&ret->repository, "%s%.*s", official ? "library/" : "", (int)len, path) < 0) {
		ret->repository = NULL;
		return -ENOMEM;
	}
	return 0;
}

int remote_name_parse(const char *text, struct diag *diag, struct remote_name *ret)
{
	AUTO(remote_name_release) struct remote_name name = { 0 };
	AUTO(freep) char *given = NULL;
	AUTO(freep) char *full = NULL;
	const char *path = NULL, *colon, *slash;
	bool has_tag;
	int r;

	if (strncmp(text, "docker://", strlen("docker://")) == 0)
		text += strlen("docker://");
	r = split_digest(text, diag, &name, &given);
	if (r == 0)
		r = reference_check(given, diag, &full);
	if (r == 0)
		r = split_host(full, &name, &path);
	if (r < 0)
		return r;
	colon = strrchr(path, ':');
	r = set_repository(path, (size_t)(colon - path), &name);
	if (r < 0)
		return r;
	slash = strrchr(given, '/');
	has_tag = strchr(slash ? slash : given, ':') || !name.has_digest;
	if (has_tag) {
		name.tag = strdup(colon + 1);
		name.local = TAKE(full);
		if (!name.tag)
			return -ENOMEM;
	}
	*ret = name;
	name = (struct remote_name){ 0 };
	return 0;
}

const char *remote_name_wanted(const struct remote_name *name, char text[DIGEST_TEXT_BYTES])
{
	return name->has_digest ? digest_format(&name->digest, text) : name->tag;
}
