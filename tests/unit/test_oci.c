/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/images.h"

#include "store/image_config.h"
#include "store/oci.h"

#include <zstd.h>

#define MANIFEST_TYPE "application/vnd.oci.image.manifest.v1+json"
#define INDEX_TYPE    "application/vnd.oci.image.index.v1+json"
#define CONFIG_TYPE   "application/vnd.oci.image.config.v1+json"
#define LAYER_TYPE    "application/vnd.oci.image.layer.v1.tar"

/* An archive under way. A test changes one thing in it. */
struct bundle {
	struct buf tar;
	struct buf layer; /* uncompressed */
	struct buf config;
	char diff_id[DIGEST_TEXT_BYTES];
};

static void put_file(struct buf *tar, const char *path, const void *bytes, size_t count)
{
	tar_put(tar, &(struct tar_entry){ .path = path, .mode = S_IFREG | 0644, .size = count }, bytes);
}

static void put_text(struct buf *tar, const char *path, const char *text)
{
	put_file(tar, path, text, strlen(text));
}

/* Puts a blob; its digest goes into @digest of DIGEST_TEXT_BYTES. */
static void put_blob(struct buf *tar, const void *bytes, size_t count, char *digest)
{
	struct digest d;
	char path[100];

	assert_int_equal(digest_of(bytes, count, &d), 0);
	digest_format(&d, digest);
	snprintf(path, sizeof(path), "blobs/sha256/%s", digest + 7);
	put_file(tar, path, bytes, count);
}

static void start(struct bundle *b)
{
	struct digest d;

	*b = (struct bundle){ 0 };
	tar_dir(&b->layer, "etc");
	tar_file(&b->layer, "etc/motd", "hello");
	tar_end(&b->layer);
	assert_int_equal(digest_of(b->layer.data, b->layer.len, &d), 0);
	digest_format(&d, b->diff_id);
	buf_addf(&b->config,
		 "{\"architecture\":\"%s\",\"os\":\"linux\",\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"%s\"]}}",
		 platform_architecture(), b->diff_id);
}

static void bundle_release(struct bundle *b)
{
	buf_release(&b->tar);
	buf_release(&b->layer);
	buf_release(&b->config);
}

static void descriptor(struct buf *out, const char *type, const char *digest, size_t bytes, const char *more)
{
	buf_addf(out, "{\"mediaType\":\"%s\",\"digest\":\"%s\",\"size\":%zu%s}", type, digest, bytes, more);
}

/* The layer, the config and the manifest as blobs; the manifest's descriptor is appended to @out. */
static void put_manifest(struct bundle *b, const char *layer_type, const char *more, struct buf *out)
{
	AUTO(buf_release) struct buf manifest = { 0 };
	char digest[DIGEST_TEXT_BYTES];

	put_blob(&b->tar, b->config.data, b->config.len, digest);
	buf_adds(&manifest, "{\"schemaVersion\":2,\"config\":");
	descriptor(&manifest, CONFIG_TYPE, digest, b->config.len, "");
	put_blob(&b->tar, b->layer.data, b->layer.len, digest);
	buf_adds(&manifest, ",\"layers\":[");
	descriptor(&manifest, layer_type, digest, b->layer.len, "");
	buf_adds(&manifest, "]}");
	put_blob(&b->tar, manifest.data, manifest.len, digest);
	descriptor(out, MANIFEST_TYPE, digest, manifest.len, more);
}

static void put_index(struct bundle *b, const char *descriptors)
{
	AUTO(buf_release) struct buf index = { 0 };

	buf_addf(&index, "{\"schemaVersion\":2,\"manifests\":[%s]}", descriptors);
	put_text(&b->tar, "oci-layout", "{\"imageLayoutVersion\":\"1.0.0\"}");
	put_text(&b->tar, "index.json", buf_str(&index));
	tar_end(&b->tar);
}

/* What an index puts a descriptor's nested list into. */
static void nest(struct bundle *b, struct buf *descriptors)
{
	AUTO(buf_release) struct buf index = { 0 };
	char digest[DIGEST_TEXT_BYTES];

	buf_addf(&index, "{\"schemaVersion\":2,\"manifests\":[%s]}", buf_str(descriptors));
	put_blob(&b->tar, index.data, index.len, digest);
	buf_release(descriptors);
	descriptor(descriptors, INDEX_TYPE, digest, index.len, "");
}

static void save(struct bundle *b, const char *path)
{
	write_file(path, b->tar.data, b->tar.len);
}

/* What was told, line by line. */
static void on_end(const char *digest, enum layer_outcome outcome, void *arg)
{
	buf_addf(arg, "layer %s\n", outcome == LAYER_EXISTED ? "existed" : "added");
}

static void on_image(const char *tag, const struct digest *id, void *arg)
{
	buf_addf(arg, "image %s\n", tag);
}

static void expect_load(struct store *store, const char *path, const char *expected)
{
	AUTO(buf_release) struct buf out = { 0 };
	struct load_events events = { .layer_end = on_end, .image = on_image, .arg = &out };

	assert_done(image_load(store, path, NULL, &events, &diag));
	assert_string_equal(buf_str(&out), expected);
}

static void expect_files(struct store *store, const char *ref)
{
	struct image_id image;

	assert_done(image_find(store, ref, &diag, &image));
	expect_tree(store, image, 0, "/etc 40755\n/etc/motd 100644 hello\n");
}

/* The load fails, says @words, and leaves a store without images and layers. */
static void expect_failure(const char *store_dir, const char *path, int result, const char *words)
{
	AUTO(store_closep) struct store *store = open_store(store_dir);
	struct diag diag = { 0 };
	struct image_info *images;
	struct gc_result removed;
	size_t count;
	int r = image_load(store, path, NULL, NULL, &diag);

	if (r != result || !strstr(diag.text, words))
		print_error("%d: %s\n", r, diag.text);
	assert_int_equal(r, result);
	assert_non_null(strstr(diag.text, words));
	diag = (struct diag){ 0 };
	assert_int_equal(image_list(store, &diag, &images, &count), 0);
	assert_int_equal(count, 0);
	image_list_free(images, count);
	assert_int_equal(store_gc(store, &diag, &removed), 0);
	assert_int_equal(removed.layers, 0);
}

#define TAG(name) ",\"annotations\":{\"org.opencontainers.image.ref.name\":\"" name "\"}"

static void make_layout(struct bundle *b, const char *path)
{
	AUTO(buf_release) struct buf list = { 0 };

	start(b);
	put_manifest(b, LAYER_TYPE, TAG("base:1"), &list);
	put_index(b, buf_str(&list));
	save(b, path);
}

static void a_layout_is_loaded_from_a_tar_and_its_layers_once(void **state)
{
	AUTO(store_closep) struct store *store = open_store("s1");
	AUTO(bundle_release) struct bundle b;

	make_layout(&b, "layout.tar");
	expect_load(store, "layout.tar", "layer added\nimage base:1\n");
	expect_files(store, "base:1");
	expect_load(store, "layout.tar", "layer existed\nimage base:1\n");
}

static void a_compressed_archive_is_loaded(void **state)
{
	AUTO(store_closep) struct store *store = open_store("s2");
	AUTO(bundle_release) struct bundle b;
	AUTO(freep) char *out = NULL;
	size_t room, bytes;

	make_layout(&b, "layout2.tar");
	room = ZSTD_compressBound(b.tar.len);
	out = malloc(room);
	bytes = ZSTD_compress(out, room, b.tar.data, b.tar.len, 1);
	write_file("layout.tar.zst", out, bytes);
	expect_load(store, "layout.tar.zst", "layer added\nimage base:1\n");
	expect_files(store, "base:1");
}

static void a_folder_is_loaded(void **state)
{
	AUTO(store_closep) struct store *store = open_store("s3");
	AUTO(bundle_release) struct bundle b;

	make_layout(&b, "layout3.tar");
	assert_int_equal(mkdir("folder", 0755), 0);
	assert_int_equal(system("tar -xf layout3.tar -C folder"), 0);
	expect_load(store, "folder", "layer added\nimage base:1\n");
	expect_files(store, "base:1");
}

/* Compressed layers: the blob's digest is of the compressed bytes, the diff ID of the others. */
static void a_compressed_layer_is_loaded(void **state)
{
	AUTO(store_closep) struct store *store = open_store("s4");
	AUTO(bundle_release) struct bundle b;
	AUTO(buf_release) struct buf list = { 0 };
	AUTO(freep) char *out = NULL;
	size_t room;

	start(&b);
	room = ZSTD_compressBound(b.layer.len);
	out = malloc(room);
	room = ZSTD_compress(out, room, b.layer.data, b.layer.len, 1);
	b.layer.len = 0;
	buf_add(&b.layer, out, room);
	put_manifest(&b, LAYER_TYPE "+zstd", TAG("z:1"), &list);
	put_index(&b, buf_str(&list));
	save(&b, "zlayer.tar");
	expect_load(store, "zlayer.tar", "layer added\nimage z:1\n");
	expect_files(store, "z:1");
}

#define PLATFORM(os, arch) ",\"platform\":{\"os\":\"" os "\",\"architecture\":\"" arch "\"}"

static void of_several_platforms_this_machines_is_taken(void **state)
{
	AUTO(store_closep) struct store *store = open_store("s5");
	AUTO(bundle_release) struct bundle b;
	AUTO(buf_release) struct buf list = { 0 };
	AUTO(buf_release) struct buf platform = { 0 };
	const char *nowhere = "sha256:0000000000000000000000000000000000000000000000000000000000000000";

	start(&b);
	buf_addf(&platform, ",\"platform\":{\"os\":\"linux\",\"architecture\":\"%s\"}", platform_architecture());
	descriptor(&list, MANIFEST_TYPE, nowhere, 1, PLATFORM("linux", "pdp11"));
	buf_adds(&list, ",");
	put_manifest(&b, LAYER_TYPE, buf_str(&platform), &list);
	buf_adds(&list, ",");
	descriptor(&list, MANIFEST_TYPE, nowhere, 1, PLATFORM("unknown", "unknown"));
	nest(&b, &list);
	put_index(&b, buf_str(&list));
	save(&b, "multi.tar");
	expect_load(store, "multi.tar", "layer added\nimage \n");
}

static void a_platform_that_is_not_there_is_an_error(void **state)
{
	AUTO(bundle_release) struct bundle b;
	AUTO(buf_release) struct buf list = { 0 };
	const char *nowhere = "sha256:0000000000000000000000000000000000000000000000000000000000000000";

	start(&b);
	descriptor(&list, MANIFEST_TYPE, nowhere, 1, PLATFORM("linux", "pdp11"));
	buf_adds(&list, ",");
	descriptor(&list, MANIFEST_TYPE, nowhere, 1, PLATFORM("linux", "pdp10"));
	put_index(&b, buf_str(&list));
	save(&b, "alien.tar");
	expect_failure("s6", "alien.tar", -ENOTSUP, "has no image for linux/");
}

static void indexes_within_indexes_end_somewhere(void **state)
{
	AUTO(bundle_release) struct bundle b;
	AUTO(buf_release) struct buf list = { 0 };

	start(&b);
	put_manifest(&b, LAYER_TYPE, "", &list);
	for (int i = 0; i < 10; i++)
		nest(&b, &list);
	put_index(&b, buf_str(&list));
	save(&b, "deep.tar");
	expect_failure("s7", "deep.tar", -EBADMSG, "indexes within each other");
}

static void flip(struct bundle *b, const char *text)
{
	char *at = memmem(b->tar.data, b->tar.len, text, strlen(text));

	assert_non_null(at);
	*at ^= 1;
}

static void every_blob_is_checked(void **state)
{
	AUTO(bundle_release) struct bundle b;
	AUTO(bundle_release) struct bundle c;
	AUTO(bundle_release) struct bundle d;

	make_layout(&b, "x");
	flip(&b, "hello");
	save(&b, "bad_layer.tar");
	expect_failure("s8", "bad_layer.tar", -EKEYREJECTED, "sha256:");
	make_layout(&c, "x");
	flip(&c, "linux");
	save(&c, "bad_config.tar");
	expect_failure("s8", "bad_config.tar", -EKEYREJECTED, "its content has the digest");
	make_layout(&d, "x");
	flip(&d, "schemaVersion");
	save(&d, "bad_manifest.tar");
	expect_failure("s8", "bad_manifest.tar", -EKEYREJECTED, "its content has the digest");
}

static void a_layer_that_is_not_what_the_config_says_is_refused(void **state)
{
	AUTO(bundle_release) struct bundle b;
	AUTO(buf_release) struct buf list = { 0 };
	char *at;

	start(&b);
	at = strstr(b.config.data, "sha256:") + 7;
	*at = *at == '0' ? '1' : '0';
	put_manifest(&b, LAYER_TYPE, "", &list);
	put_index(&b, buf_str(&list));
	save(&b, "bad_diff_id.tar");
	expect_failure("s9", "bad_diff_id.tar", -EKEYREJECTED, "layer sha256:");
}

static void an_unknown_media_type_is_refused(void **state)
{
	AUTO(bundle_release) struct bundle b;
	AUTO(buf_release) struct buf list = { 0 };

	start(&b);
	put_manifest(&b, LAYER_TYPE "+encrypted", "", &list);
	put_index(&b, buf_str(&list));
	save(&b, "encrypted.tar");
	expect_failure("s10", "encrypted.tar", -ENOTSUP, "+encrypted, which is not known");
}

/* An artifact: a manifest whose config and layers have these media types. */
static void put_artifact(struct bundle *b, const char *config_type, const char *layer_type, struct buf *out)
{
	AUTO(buf_release) struct buf manifest = { 0 };
	char digest[DIGEST_TEXT_BYTES];

	put_blob(&b->tar, "{}", 2, digest);
	buf_adds(&manifest, "{\"schemaVersion\":2,\"config\":");
	descriptor(&manifest, config_type, digest, 2, "");
	buf_adds(&manifest, ",\"layers\":[");
	descriptor(&manifest, layer_type, digest, 2, "");
	buf_adds(&manifest, "]}");
	put_blob(&b->tar, manifest.data, manifest.len, digest);
	descriptor(out, MANIFEST_TYPE, digest, manifest.len, "");
}

static void what_is_no_image_is_passed_by_where_there_is_one(void **state)
{
	AUTO(bundle_release) struct bundle b;
	AUTO(bundle_release) struct bundle none = { 0 };
	AUTO(bundle_release) struct bundle other = { 0 };
	AUTO(store_closep) struct store *store = open_store("artifacts");
	AUTO(buf_release) struct buf list = { 0 };

	start(&b);
	put_artifact(&b, "application/vnd.oci.empty.v1+json", "text/plain", &list);
	buf_adds(&list, ",");
	put_manifest(&b, LAYER_TYPE, TAG("hello:1"), &list);
	buf_adds(&list, ",");
	put_artifact(&b, CONFIG_TYPE, "application/vnd.dev.cosign.simplesigning.v1+json", &list);
	buf_adds(&list, ",");
	descriptor(&list, "application/vnd.example.unknown", b.diff_id, 7, "");
	put_index(&b, buf_str(&list));
	save(&b, "artifacts.tar");
	expect_load(store, "artifacts.tar", "layer added\nimage hello:1\n");
	expect_files(store, "hello:1");

	buf_release(&list);
	put_artifact(&none, "application/vnd.example+json", "text/plain", &list);
	put_index(&none, buf_str(&list));
	save(&none, "none.tar");
	expect_failure("no1", "none.tar", -ENOTSUP,
		       "media type application/vnd.example+json, so it is no container image");
	buf_release(&list);
	put_artifact(&other, CONFIG_TYPE, "text/plain", &list);
	put_index(&other, buf_str(&list));
	save(&other, "other.tar");
	expect_failure("no2", "other.tar", -ENOTSUP,
		       "layers have the media type text/plain, so it is no container image");
}

static void layers_that_come_from_elsewhere(void **state)
{
	static const char *const types[] = {
		"application/vnd.docker.image.rootfs.foreign.diff.tar",
		"application/vnd.oci.image.layer.nondistributable.v1.tar",
	};

	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		AUTO(bundle_release) struct bundle b;
		AUTO(bundle_release) struct bundle bare = { 0 };
		AUTO(store_closep) struct store *store = open_store(i ? "foreign1" : "foreign0");
		AUTO(buf_release) struct buf list = { 0 };
		AUTO(buf_release) struct buf manifest = { 0 };
		char digest[DIGEST_TEXT_BYTES];

		/* It may be there all the same. */
		start(&b);
		put_manifest(&b, types[i], TAG("hello:1"), &list);
		put_index(&b, buf_str(&list));
		save(&b, "foreign.tar");
		expect_load(store, "foreign.tar", "layer added\nimage hello:1\n");
		expect_files(store, "hello:1");

		buf_release(&list);
		put_blob(&bare.tar, b.config.data, b.config.len, digest);
		buf_adds(&manifest, "{\"schemaVersion\":2,\"config\":");
		descriptor(&manifest, CONFIG_TYPE, digest, b.config.len, "");
		buf_adds(&manifest, ",\"layers\":[");
		descriptor(&manifest, types[i], b.diff_id, b.layer.len, ",\"urls\":[\"https://example.org/layer\"]");
		buf_adds(&manifest, "]}");
		put_blob(&bare.tar, manifest.data, manifest.len, digest);
		descriptor(&list, MANIFEST_TYPE, digest, manifest.len, "");
		put_index(&bare, buf_str(&list));
		save(&bare, "bare.tar");
		expect_failure(i ? "no3" : "no4", "bare.tar", -ENOENT, "to be had from https://example.org/layer");
	}
}

static void a_missing_blob_is_named(void **state)
{
	AUTO(bundle_release) struct bundle b;
	AUTO(buf_release) struct buf list = { 0 };

	start(&b);
	descriptor(&list, MANIFEST_TYPE, b.diff_id, 10, "");
	put_index(&b, buf_str(&list));
	save(&b, "missing.tar");
	expect_failure("s11", "missing.tar", -ENOENT, "is not in it");
}

static void expect_bad_index(const char *descriptors, int result, const char *words)
{
	AUTO(bundle_release) struct bundle b;

	start(&b);
	put_index(&b, descriptors);
	save(&b, "bad_index.tar");
	expect_failure("s12", "bad_index.tar", result, words);
}

static void json_of_wrong_types_is_refused(void **state)
{
	expect_bad_index("1", -EBADMSG, "not an object");
	expect_bad_index("{}", -EBADMSG, "has no digest");
	expect_bad_index("{\"digest\":1}", -EBADMSG, "digest is not a string");
	expect_bad_index("{\"digest\":\"sha256:12\",\"size\":1}", -EBADMSG, "not a digest: sha256:12");
	expect_bad_index("{\"digest\":\"sha512:12\",\"size\":1}", -ENOTSUP, "algorithm");
	expect_bad_index("{\"digest\":\"sha256:../../../../etc/passwd\",\"size\":1}", -EBADMSG, "not a digest");
	expect_bad_index("{\"digest\":\"sha256:0000000000000000000000000000000000000000000000000000000000000000\","
			 "\"size\":-1,\"mediaType\":\"" MANIFEST_TYPE "\"}",
			 -EBADMSG, "its size is not a number");
	expect_bad_index("", -EBADMSG, "has no images");
	expect_bad_index("]", -EBADMSG, "not JSON");
}

static void what_is_no_archive_is_refused(void **state)
{
	AUTO(bundle_release) struct bundle b;

	write_text("text", "this is no archive, but it is longer than nothing");
	expect_failure("s13", "text", -EBADMSG, "not a tar archive");
	write_text("empty", "");
	expect_failure("s13", "empty", -EBADMSG, "empty");
	expect_failure("s13", "absent", -ENOENT, "cannot open absent");
	assert_int_equal(mkdir("bare", 0755), 0);
	expect_failure("s13", "bare", -EBADMSG, "neither an OCI image layout");
	make_layout(&b, "cut.tar");
	assert_int_equal(truncate("cut.tar", (off_t)b.tar.len / 2 / 512 * 512 + 100), 0);
	expect_failure("s13", "cut.tar", -EBADMSG, "cut.tar");
}

/* docker save, before 25: folders of layers, some of them links to the first with the same content. */
static void make_docker_archive(struct bundle *b, const char *path, const char *tags, const char *layer)
{
	AUTO(buf_release) struct buf manifest = { 0 };
	struct digest d;
	char id[DIGEST_TEXT_BYTES], name[100];

	start(b);
	assert_int_equal(digest_of(b->config.data, b->config.len, &d), 0);
	digest_format(&d, id);
	snprintf(name, sizeof(name), "%s.json", id + 7);
	put_file(&b->tar, name, b->config.data, b->config.len);
	put_file(&b->tar, "1111/layer.tar", b->layer.data, b->layer.len);
	tar_link(&b->tar, "2222/layer.tar", "../1111/layer.tar", false);
	tar_link(&b->tar, "3333/layer.tar", "2222/layer.tar", true);
	tar_link(&b->tar, "loop/layer.tar", "layer.tar", false);
	put_text(&b->tar, "repositories", "{}");
	buf_addf(&manifest, "[{\"Config\":\"%s\",\"RepoTags\":%s,\"Layers\":[\"%s\"]}]", name, tags, layer);
	put_text(&b->tar, "manifest.json", buf_str(&manifest));
	tar_end(&b->tar);
	save(b, path);
}

static void a_docker_archive_is_loaded_with_all_its_tags(void **state)
{
	AUTO(store_closep) struct store *store = open_store("s14");
	AUTO(bundle_release) struct bundle b;

	make_docker_archive(&b, "docker.tar", "[\"app:1\",\"app:latest\",\"Not A Tag\"]", "1111/layer.tar");
	expect_load(store, "docker.tar", "layer added\nimage app:1\nimage app:latest\n");
	expect_files(store, "app:1");
	expect_files(store, "app:latest");
}

static void links_in_a_docker_archive_are_followed(void **state)
{
	AUTO(store_closep) struct store *store = open_store("s15");
	AUTO(bundle_release) struct bundle b;

	make_docker_archive(&b, "links.tar", "null", "3333/layer.tar");
	expect_load(store, "links.tar", "layer added\nimage \n");
}

static void bad_docker_archives_are_refused(void **state)
{
	AUTO(bundle_release) struct bundle a;
	AUTO(bundle_release) struct bundle b;
	AUTO(bundle_release) struct bundle c;
	AUTO(bundle_release) struct bundle d;
	AUTO(bundle_release) struct bundle e;

	make_docker_archive(&a, "da.tar", "1", "1111/layer.tar");
	expect_failure("s16", "da.tar", -EBADMSG, "RepoTags is no list");
	make_docker_archive(&b, "db.tar", "null", "4444/layer.tar");
	expect_failure("s16", "db.tar", -ENOENT, "4444/layer.tar");
	make_docker_archive(&c, "dc.tar", "null", "loop/layer.tar");
	expect_failure("s16", "dc.tar", -EBADMSG, "too many links");
	make_docker_archive(&d, "dd.tar", "null", "1111/layer.tar");
	flip(&d, "linux");
	save(&d, "dd.tar");
	expect_failure("s16", "dd.tar", -EKEYREJECTED, "its content has the digest");
	make_docker_archive(&e, "de.tar", "null", "1111/layer.tar");
	flip(&e, "hello");
	save(&e, "de.tar");
	expect_failure("s16", "de.tar", -EKEYREJECTED, "layer sha256:");
}

static void a_bad_image_keeps_the_good_one_of_its_archive_out(void **state)
{
	AUTO(bundle_release) struct bundle b;
	AUTO(buf_release) struct buf list = { 0 };
	const char *other = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

	start(&b);
	put_manifest(&b, LAYER_TYPE, TAG("good:1"), &list);
	buf_release(&b.layer);
	buf_adds(&b.layer, "no tar at all");
	buf_release(&b.config);
	buf_addf(&b.config, "{\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"%s\"]}}", other);
	buf_adds(&list, ",");
	put_manifest(&b, LAYER_TYPE, TAG("bad:1"), &list);
	put_index(&b, buf_str(&list));
	save(&b, "half.tar");
	expect_failure("s17", "half.tar", -EBADMSG, "half.tar");
}

static struct digest import(struct store *store, const char *path)
{
	struct image_id image;
	struct image_info info;
	struct digest id;

	assert_done(image_import(store, path, &(struct import_options){ .tag = "root:1" }, NULL, &diag, &image));
	assert_done(image_info(store, image, &diag, &info));
	id = info.digest;
	assert_int_equal(info.created, 1700000000);
	assert_non_null(strstr(info.config, "Imported from root.tar"));
	image_info_release(&info);
	return id;
}

static void a_root_file_system_is_imported_the_same_way_twice(void **state)
{
	AUTO(store_closep) struct store *one = open_store("s18");
	AUTO(store_closep) struct store *two = open_store("s19");
	AUTO(bundle_release) struct bundle b;
	struct digest x, y;

	start(&b);
	write_file("root.tar", b.layer.data, b.layer.len);
	assert_int_equal(setenv("SOURCE_DATE_EPOCH", "1700000000", 1), 0);
	x = import(one, "root.tar");
	y = import(two, "./root.tar");
	assert_true(digest_eq(&x, &y));
	expect_files(one, "root:1");
	unsetenv("SOURCE_DATE_EPOCH");
}

static void bad_imports_are_refused(void **state)
{
	AUTO(store_closep) struct store *store = open_store("s20");
	struct image_id image;
	struct diag diag = { 0 };

	write_text("junk", "this is no archive at all, whatever its name may be");
	assert_int_equal(image_import(store, "junk", &(struct import_options){ .tag = "a:1" }, NULL, &diag, &image),
			 -EBADMSG);
	assert_non_null(strstr(diag.text, "junk"));
	diag = (struct diag){ 0 };
	assert_int_equal(image_import(store, "absent", &(struct import_options){ 0 }, NULL, &diag, &image), -ENOENT);
	diag = (struct diag){ 0 };
	assert_int_equal(image_import(store, "junk", &(struct import_options){ .tag = "A B" }, NULL, &diag, &image),
			 -EINVAL);
	assert_int_equal(image_find(store, "a:1", NULL, &image), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_layout_is_loaded_from_a_tar_and_its_layers_once),
		cmocka_unit_test(a_compressed_archive_is_loaded),
		cmocka_unit_test(a_folder_is_loaded),
		cmocka_unit_test(a_compressed_layer_is_loaded),
		cmocka_unit_test(of_several_platforms_this_machines_is_taken),
		cmocka_unit_test(a_platform_that_is_not_there_is_an_error),
		cmocka_unit_test(indexes_within_indexes_end_somewhere),
		cmocka_unit_test(every_blob_is_checked),
		cmocka_unit_test(a_layer_that_is_not_what_the_config_says_is_refused),
		cmocka_unit_test(an_unknown_media_type_is_refused),
		cmocka_unit_test(what_is_no_image_is_passed_by_where_there_is_one),
		cmocka_unit_test(layers_that_come_from_elsewhere),
		cmocka_unit_test(a_missing_blob_is_named),
		cmocka_unit_test(json_of_wrong_types_is_refused),
		cmocka_unit_test(what_is_no_archive_is_refused),
		cmocka_unit_test(a_docker_archive_is_loaded_with_all_its_tags),
		cmocka_unit_test(links_in_a_docker_archive_are_followed),
		cmocka_unit_test(bad_docker_archives_are_refused),
		cmocka_unit_test(a_bad_image_keeps_the_good_one_of_its_archive_out),
		cmocka_unit_test(a_root_file_system_is_imported_the_same_way_twice),
		cmocka_unit_test(bad_imports_are_refused),
	};

	return cmocka_run_group_tests_name("oci", tests, scratch_setup, scratch_teardown);
}
