/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The JSON around images.  The input is three texts with "\n---\n" between them: an index or docker's manifest.json,
 * a manifest, a config.  The first is loaded as both, and all three once more as the files of an archive of docker
 * before 1.10: "repositories" and the json of two layers, 000...0 and 111...1.  In the first and in the manifest DIGEST and SIZE stand for what the
 * text after it has, so that the digests, which no mutation could guess, do not stop everything at the door.
 */
#include "fuzz.h"

#include "store/base/buf.h"
#include "store/base/digest.h"
#include "store/image_config.h"
#include "store/load.h"

static void write_member(const char *name, const char *text, size_t len)
{
	AUTO(freep) char *path = NULL;
	AUTO(closep) int fd = -1;

	MUST(asprintf(&path, "%s/%s", fuzz_dir(), name) > 0);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	MUST(fd >= 0 && io_write_full(fd, text, len) == 0);
}

static void remove_member(const char *name)
{
	AUTO(freep) char *path = NULL;

	MUST(asprintf(&path, "%s/%s", fuzz_dir(), name) > 0);
	unlink(path);
}

static void blob_name(const struct buf *text, char digest[DIGEST_TEXT_BYTES], char name[128])
{
	struct digest d;

	MUST(digest_of(buf_str(text), text->len, &d) == 0);
	digest_format(&d, digest);
	snprintf(name, 128, "blobs/sha256/%s", digest + strlen("sha256:"));
}

/* @text with DIGEST and SIZE replaced by those of @next. */
static void fill(const char *text, size_t len, const struct buf *next, struct buf *ret)
{
	char digest[DIGEST_TEXT_BYTES], name[128];

	blob_name(next, digest, name);
	for (size_t i = 0; i < len;) {
		if (len - i >= 6 && memcmp(text + i, "DIGEST", 6) == 0) {
			buf_adds(ret, digest);
			i += 6;
		} else if (len - i >= 4 && memcmp(text + i, "SIZE", 4) == 0) {
			buf_addf(ret, "%zu", next->len);
			i += 4;
		} else {
			buf_add(ret, text + i++, 1);
		}
	}
}

static void collect(struct store *store, int (*fn)(struct load *))
{
	struct diag diag = { 0 };
	AUTO(members_closep) struct members *members = NULL;
	struct load load = { .diag = &diag };
	int r;

	MUST(members_open(store, fuzz_dir(), NULL, &members) == 0);
	load.members = members;
	r = fn(&load);
	MUST(r == 0 || r == -ENOMEM || diag.text[0]);
	load_release(&load);
}

static void write_v1_layer(char digit, const struct buf *json)
{
	char name[80];

	memset(name, digit, 64);
	snprintf(name + 64, sizeof(name) - 64, "/json");
	write_member(name, buf_str(json), json->len);
	snprintf(name + 64, sizeof(name) - 64, "/layer.tar");
	write_member(name, "", 0);
}

static void make_folder(const char *name)
{
	AUTO(freep) char *path = NULL;

	MUST(asprintf(&path, "%s/%s", fuzz_dir(), name) > 0);
	MUST(io_mkdirs(path, 0700) == 0);
}

static void change_config(const struct buf *text)
{
	json_t *config = NULL;
	struct diag diag = { 0 };
	struct digest *ids = NULL;
	size_t count = 0, bytes;
	bool cmd_set = false;
	char *out = NULL;

	if (image_json_parse(buf_str(text), text->len, "config", &diag, &config) < 0)
		return;
	if (image_config_diff_ids(config, "config", &diag, &ids, &count) == 0) {
		const struct digest none = { 0 };
		const struct image_history history = { .created = 1, .author = "a", .comment = "c" };

		(void)image_config_change(config, "ENV A=$PATH", &cmd_set, &diag);
		(void)image_config_change(config, "ENTRYPOINT [\"a\"]", &cmd_set, &diag);
		(void)image_config_change(config, "WORKDIR below", &cmd_set, &diag);
		(void)image_config_add_layer(config, &none, &history, &diag);
		if (image_config_text(config, &out, &bytes) == 0)
			free(out);
	}
	free(ids);
	json_decref(config);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct store *store;
	AUTO(buf_release) struct buf index = { 0 }, manifest = { 0 }, config = { 0 };
	char digest[DIGEST_TEXT_BYTES], manifest_name[128], config_name[128];
	const char *parts[3] = { (const char *)data, "", "" };
	size_t lens[3] = { size, 0, 0 };

	if (!store) {
		store = fuzz_store();
		make_folder("blobs/sha256");
		make_folder("0000000000000000000000000000000000000000000000000000000000000000");
		make_folder("1111111111111111111111111111111111111111111111111111111111111111");
		write_member("oci-layout", "{\"imageLayoutVersion\":\"1.0.0\"}", 30);
	}
	for (size_t i = 0; i < 2; i++) {
		const char *gap = lens[i] ? memmem(parts[i], lens[i], "\n---\n", 5) : NULL;

		if (!gap)
			break;
		parts[i + 1] = gap + 5;
		lens[i + 1] = lens[i] - (size_t)(gap + 5 - parts[i]);
		lens[i] = (size_t)(gap - parts[i]);
	}
	buf_add(&config, parts[2], lens[2]);
	fill(parts[1], lens[1], &config, &manifest);
	fill(parts[0], lens[0], &manifest, &index);
	blob_name(&config, digest, config_name);
	blob_name(&manifest, digest, manifest_name);
	write_member(config_name, buf_str(&config), config.len);
	write_member(manifest_name, buf_str(&manifest), manifest.len);
	write_member("config.json", buf_str(&config), config.len);
	write_member("index.json", buf_str(&index), index.len);
	write_member("manifest.json", buf_str(&index), index.len);
	collect(store, layout_collect);
	collect(store, docker_archive_collect);
	write_member("repositories", buf_str(&index), index.len);
	write_v1_layer('0', &manifest);
	write_v1_layer('1', &config);
	collect(store, docker_v1_collect);
	change_config(&config);
	remove_member(config_name);
	remove_member(manifest_name);
	return 0;
}
