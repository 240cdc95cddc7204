/* SPDX-License-Identifier: Apache-2.0 */
#include "store/registry/auth.h"

#include "store/base/auto.h"
#include "store/base/io.h"

#include <fcntl.h>
#include <jansson.h>
#include <string.h>

enum { AUTH_FILE_MAX_BYTES = 4 * 1024 * 1024 };

static void wipe(char *text)
{
	if (text)
		explicit_bzero(text, strlen(text));
	free(text);
}

void credentials_release(struct credentials *c)
{
	wipe(c->user);
	wipe(c->password);
	wipe(c->identity_token);
	free(c->source);
	*c = (struct credentials){ 0 };
}

/* ---- base64 ---- */

static const char base64_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

char *base64_encode(const void *bytes, size_t len)
{
	char *text = malloc((len + 2) / 3 * 4 + 1), *to = text;
	const uint8_t *from = bytes;

	if (!text)
		return NULL;
	for (; len > 0; from += 3) {
		unsigned part = len < 3 ? (unsigned)len : 3;
		uint32_t bits = (uint32_t)from[0] << 16 | (part > 1 ? from[1] << 8 : 0) | (part > 2 ? from[2] : 0);

		*to++ = base64_digits[bits >> 18];
		*to++ = base64_digits[bits >> 12 & 63];
		*to++ = part > 1 ? base64_digits[bits >> 6 & 63] : '=';
		*to++ = part > 2 ? base64_digits[bits & 63] : '=';
		len -= part;
	}
	*to = '\0';
	return text;
}

/* A string to free(); NULL: not base64, or no memory. */
static char *base64_decode(const char *text)
{
	size_t len = strlen(text), padding = 0, n = 0;
	uint32_t bits = 0;
	char *bytes;

	if (len == 0 || len % 4 != 0 || len > AUTH_FILE_MAX_BYTES)
		return NULL;
	while (padding < 2 && text[len - 1 - padding] == '=')
		padding++;
	bytes = malloc(len / 4 * 3 + 1);
	for (size_t i = 0; bytes && i < len; i++) {
		const char *digit = i < len - padding ? strchr(base64_digits, text[i]) : base64_digits;

		if (!digit) {
			free(bytes);
			return NULL;
		}
		bits = bits << 6 | (uint32_t)(digit - base64_digits);
		if (i % 4 == 3) {
			bytes[n++] = (char)(bits >> 16);
			bytes[n++] = (char)(bits >> 8);
			bytes[n++] = (char)bits;
		}
	}
	if (bytes)
		bytes[n - padding] = '\0';
	return bytes;
}

/* ---- one file ---- */

/* Where we look for whom. */
struct lookup {
	const char *path;
	const char *host, *repository;
	struct diag *diag;
};

/* How much of HOST/REPOSITORY a key names; 0: it is another's. docker wrote whole addresses once. */
static size_t key_match(const struct lookup *l, const char *key)
{
	size_t host_len = strlen(l->host), len;

	if (strncmp(key, "https://", 8) == 0 || strncmp(key, "http://", 7) == 0) {
		key = strstr(key, "://") + 3;
		len = strcspn(key, "/");
		if (strcmp(l->host, "docker.io") == 0 &&
		    ((len == 15 && strncmp(key, "index.docker.io", len) == 0) ||
		     (len == 20 && strncmp(key, "registry-1.docker.io", len) == 0)))
			return host_len;
		return len == host_len && strncmp(key, l->host, len) == 0 ? host_len : 0;
	}
	if (strcmp(l->host, "docker.io") == 0 && strcmp(key, "index.docker.io") == 0)
		return host_len;
	if (strncmp(key, l->host, host_len) != 0 || (key[host_len] != '\0' && key[host_len] != '/'))
		return 0;
	if (key[host_len] == '\0' || strcmp(key + host_len, "/") == 0)
		return host_len + 1; /* before the old forms */
	key += host_len + 1;
	len = strlen(key);
	if (strncmp(l->repository, key, len) != 0 || (l->repository[len] != '\0' && l->repository[len] != '/'))
		return 0;
	return host_len + 1 + len;
}

static const char *find_key(const struct lookup *l, const json_t *object, const json_t **ret)
{
	const char *key, *best = NULL;
	size_t best_len = 0;
	json_t *value;

	json_object_foreach((json_t *)object, key, value)
	{
		size_t len = key_match(l, key);

		if (len > best_len) {
			best_len = len;
			best = key;
			*ret = value;
		}
	}
	return best;
}

static int bad_entry(const struct lookup *l, const char *key, const char *what)
{
	return diag_set(l->diag, -EBADMSG, "%s: the credentials for %s %s", l->path, key, what);
}

/* {"auth": base64 of USER:PASSWORD} or {"username":, "password":}, or {"identitytoken":}. */
static int read_entry(const struct lookup *l, const char *key, const json_t *entry, struct credentials *ret)
{
	const char *auth = json_string_value(json_object_get(entry, "auth"));
	const char *token = json_string_value(json_object_get(entry, "identitytoken"));
	const char *user = json_string_value(json_object_get(entry, "username"));
	const char *password = json_string_value(json_object_get(entry, "password"));
	AUTO(freep) char *both = NULL;
	char *colon;

	if (token && *token) {
		ret->identity_token = strdup(token);
		if (!ret->identity_token)
			return -ENOMEM;
	}
	if (auth && *auth) {
		both = base64_decode(auth);
		colon = both ? strchr(both, ':') : NULL;
		if (!colon)
			return bad_entry(l, key, "are no base64 of USER:PASSWORD");
		*colon = '\0';
		ret->user = strdup(both);
		ret->password = strdup(colon + 1);
		explicit_bzero(colon + 1, strlen(colon + 1));
	} else if (user && password) {
		ret->user = strdup(user);
		ret->password = strdup(password);
	} else {
		return ret->identity_token ? 0 : -ENOENT;
	}
	return ret->user && ret->password ? 0 : -ENOMEM;
}

/* As docker: a helper for the registry, the entry itself, a helper for all. -ENOENT: nothing in it. */
static int find_in(const struct lookup *l, const json_t *root, struct credentials *ret)
{
	const json_t *value = NULL;
	const char *store = json_string_value(json_object_get(root, "credsStore")), *key;
	int r = -ENOENT;

	key = find_key(l, json_object_get(root, "credHelpers"), &value);
	if (key && json_is_string(value))
		return credential_helper_get(json_string_value(value), key, l->diag, ret);
	key = find_key(l, json_object_get(root, "auths"), &value);
	if (key)
		r = read_entry(l, key, value, ret);
	if (r != -ENOENT || !store || !*store)
		return r;
	if (!key)
		key = strcmp(l->host, "docker.io") == 0 ? "https://index.docker.io/v1/" : l->host;
	return credential_helper_get(store, key, l->diag, ret);
}

static int read_file(const struct lookup *l, struct credentials *ret)
{
	AUTO(json_decrefp) json_t *root = NULL;
	AUTO(freep) char *text = NULL;
	json_error_t error;
	size_t bytes;
	int r = io_read_file(AT_FDCWD, l->path, AUTH_FILE_MAX_BYTES, &text, &bytes);

	if (r == -ENOENT || r == -ENOTDIR)
		return -ENOENT;
	if (r < 0)
		return diag_errno(l->diag, r, "cannot read the credentials in %s", l->path);
	root = json_loadb(text, bytes, 0, &error);
	explicit_bzero(text, bytes);
	if (!json_is_object(root))
		return diag_set(l->diag, -EBADMSG, "%s: not a file of credentials: line %d: %s", l->path,
				root ? 1 : error.line, root ? "no JSON object" : error.text);
	r = find_in(l, root, ret);
	if (r == 0) {
		ret->source = strdup(l->path);
		return ret->source ? 0 : -ENOMEM;
	}
	return r;
}

/* ---- all files ---- */

static int read_below(struct lookup *l, const char *dir, const char *name, struct credentials *ret)
{
	AUTO(freep) char *path = NULL;

	if (!dir || !*dir)
		return -ENOENT;
	if (asprintf(&path, "%s/%s", dir, name) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	l->path = path;
	return read_file(l, ret);
}

int credentials_find(const char *authfile, const char *host, const char *repository, struct diag *diag,
		     struct credentials *ret)
{
	const char *config_home = getenv("XDG_CONFIG_HOME"), *docker = getenv("DOCKER_CONFIG");
	const char *home = getenv("HOME");
	struct lookup l = { .host = host, .repository = repository, .diag = diag };
	int r;

	*ret = (struct credentials){ 0 };
	l.path = authfile ? authfile : getenv("REGISTRY_AUTH_FILE");
	if (l.path && *l.path) {
		if (access(l.path, F_OK) < 0)
			return diag_errno(diag, -errno, "cannot read the credentials in %s", l.path);
		r = read_file(&l, ret);
		return r == -ENOENT ? 0 : r;
	}
	r = read_below(&l, getenv("XDG_RUNTIME_DIR"), "containers/auth.json", ret);
	if (r == -ENOENT && config_home && *config_home)
		r = read_below(&l, config_home, "containers/auth.json", ret);
	else if (r == -ENOENT)
		r = read_below(&l, home, ".config/containers/auth.json", ret);
	if (r == -ENOENT)
		r = docker && *docker ? read_below(&l, docker, "config.json", ret)
				      : read_below(&l, home, ".docker/config.json", ret);
	if (r < 0)
		credentials_release(ret);
	return r == -ENOENT ? 0 : r;
}
