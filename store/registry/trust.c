/* SPDX-License-Identifier: Apache-2.0 */
#include "store/registry/trust.h"

#include "store/base/auto.h"
#include "store/base/buf.h"
#include "store/base/io.h"

#include <fcntl.h>
#include <string.h>

enum { CERTIFICATES_MAX_BYTES = 16 * 1024 * 1024 };

static int add_file(struct buf *pem, int dirfd, const char *name, struct diag *diag)
{
	AUTO(freep) char *text = NULL;
	size_t bytes;
	int r = io_read_file(dirfd, name, CERTIFICATES_MAX_BYTES, &text, &bytes);

	if (r < 0)
		return diag_errno(diag, r, "cannot read the CA certificates in %s", name);
	if (!strstr(text, "-----BEGIN "))
		return diag_set(diag, -EINVAL, "%s has no certificate in it (PEM is wanted)", name);
	buf_add(pem, text, bytes);
	buf_adds(pem, "\n");
	return 0;
}

static bool has_suffix(const char *name, const char *suffix)
{
	size_t len = strlen(name), suffix_len = strlen(suffix);

	return len > suffix_len && strcmp(name + len - suffix_len, suffix) == 0;
}

static void show_certificate(CURL *easy, const char *dir, const char *name)
{
	AUTO(freep) char *cert = NULL;
	AUTO(freep) char *key = NULL;
	int stem = (int)(strlen(name) - strlen(".cert"));

	if (asprintf(&cert, "%s/%s", dir, name) < 0)
		cert = NULL;
	if (asprintf(&key, "%s/%.*s.key", dir, stem, name) < 0)
		key = NULL;
	if (!cert || !key)
		return;
	curl_easy_setopt(easy, CURLOPT_SSLCERT, cert);
	curl_easy_setopt(easy, CURLOPT_SSLKEY, key);
}

/* -ENOENT, without words: there is no such folder. */
static int read_folder(CURL *easy, struct buf *pem, const char *path, struct diag *diag)
{
	AUTO(closedirp) DIR *dir = opendir(path);
	struct dirent *entry;
	int r = 0;

	if (!dir)
		return errno == ENOENT || errno == ENOTDIR
			       ? -ENOENT
			       : diag_errno(diag, -errno, "cannot read the folder %s", path);
	while (r == 0 && (entry = readdir(dir))) {
		if (has_suffix(entry->d_name, ".crt"))
			r = add_file(pem, dirfd(dir), entry->d_name, diag);
		else if (has_suffix(entry->d_name, ".cert"))
			show_certificate(easy, path, entry->d_name);
	}
	return diag_context(diag, r, "%s", path);
}

static int read_certs_d(CURL *easy, struct buf *pem, const char *host, struct diag *diag)
{
	AUTO(freep) char *own = NULL;
	const char *home = getenv("HOME");
	const char *places[] = { "", "/etc/containers/certs.d", "/etc/docker/certs.d" };
	/* The port is part of the folder's name where the image's name has it; a default one is not. */
	const char *colon = strrchr(host, ':');
	int bare = colon && strcmp(colon, ":443") == 0 ? (int)(colon - host) : 0;

	if (home && asprintf(&own, "%s/.config/containers/certs.d", home) < 0)
		return -ENOMEM;
	places[0] = own ? own : "";
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		for (int with_port = 1; with_port >= (bare ? 0 : 1); with_port--) {
			AUTO(freep) char *path = NULL;
			int r;

			if (!*places[i])
				continue;
			if (asprintf(&path, "%s/%.*s", places[i], with_port ? (int)strlen(host) : bare, host) < 0) {
				path = NULL;
				return -ENOMEM;
			}
			r = read_folder(easy, pem, path, diag);
			if (r != -ENOENT || (diag && diag->text[0]))
				return r;
		}
	}
	return 0;
}

/*
 * Our CAs beside the system's: libcurl takes ours from memory and the system's
 * from its folder; where it has only a file of them, that joins ours.
 */
static int set_cas(CURL *easy, struct buf *pem, struct diag *diag)
{
	const curl_version_info_data *info = curl_version_info(CURLVERSION_NOW);
	struct curl_blob blob = { .flags = CURL_BLOB_COPY };
	int r = 0;

	if (pem->len == 0)
		return buf_error(pem);
	if (!info->capath && info->cainfo)
		r = add_file(pem, AT_FDCWD, info->cainfo, diag);
	if (r == 0)
		r = buf_error(pem);
	if (r < 0)
		return r;
	blob.data = pem->data;
	blob.len = pem->len;
	return curl_easy_setopt(easy, CURLOPT_CAINFO_BLOB, &blob) == CURLE_OK ? 0 : -ENOMEM;
}

int trust_apply(CURL *easy, const struct registry_options *options, const char *host, struct diag *diag)
{
	AUTO(buf_release) struct buf pem = { 0 };
	int r = 0;

	if (options->insecure) {
		curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L);
		curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L);
	}
	if (options->cacert)
		r = add_file(&pem, AT_FDCWD, options->cacert, diag);
	if (r == 0 && options->cert_dir) {
		r = read_folder(easy, &pem, options->cert_dir, diag);
		if (r == -ENOENT)
			r = diag_set(diag, r, "there is no folder %s", options->cert_dir);
	} else if (r == 0) {
		r = read_certs_d(easy, &pem, host, diag);
	}
	return r < 0 ? r : set_cas(easy, &pem, diag);
}
