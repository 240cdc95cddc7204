/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_TESTS_IMAGES_H
#define NACRE_TESTS_IMAGES_H

/* Small images for tests: layers from tars that are built in memory, and an image's tree as text. */

#include "tests/unit/unit.h"

#include "store/base/buf.h"
#include "store/image.h"
#include "store/tarwrite.h"
#include "store/view.h"

/* What a call said, for messages of failed tests. */
#define assert_done(call)                                               \
	do {                                                            \
		struct diag diag = { 0 };                               \
		int result_ = (call);                                   \
		if (result_ < 0)                                        \
			print_error("%s\n", diag_text(&diag, result_)); \
		assert_int_equal(result_, 0);                           \
	} while (0)

/* Every entry has owner 0:0 and this time, unless the test says otherwise. */
#define T0_NS 1600000000000000000ll

static inline void tar_put(struct buf *tar, const struct tar_entry *entry, const char *content)
{
	static const char zeros[TAR_BLOCK_BYTES];

	assert_int_equal(tar_header(tar, entry), 0);
	if (entry->size > 0) {
		buf_add(tar, content, entry->size);
		buf_add(tar, zeros, tar_padding(entry->size));
	}
}

static inline void tar_file(struct buf *tar, const char *path, const char *content)
{
	tar_put(tar,
		&(struct tar_entry){ .path = path, .mode = S_IFREG | 0644, .size = strlen(content), .mtime_ns = T0_NS },
		content);
}

static inline void tar_dir(struct buf *tar, const char *path)
{
	tar_put(tar, &(struct tar_entry){ .path = path, .mode = S_IFDIR | 0755, .mtime_ns = T0_NS }, NULL);
}

static inline void tar_link(struct buf *tar, const char *path, const char *target, bool hard)
{
	tar_put(tar,
		&(struct tar_entry){ .path = path,
				     .target = target,
				     .hard_link = hard,
				     .mode = hard ? S_IFREG | 0644 : S_IFLNK | 0777,
				     .mtime_ns = T0_NS },
		NULL);
}

struct memory_source {
	const char *data;
	size_t left;
};

static inline ssize_t memory_read(void *arg, void *buf, size_t bytes)
{
	struct memory_source *m = arg;
	size_t n = bytes < m->left ? bytes : m->left;

	memcpy(buf, m->data, n);
	m->data += n;
	m->left -= n;
	return (ssize_t)n;
}

/* @tars, lowest first, become the layers of an image; each is ended here. */
static inline struct image_id add_image(struct store *store, struct buf *tars, size_t count, const char *tag)
{
	AUTO(writer_closep) struct writer *writer = NULL;
	AUTO(buf_release) struct buf config = { 0 };
	struct layer_id layers[64];
	struct image_id id = { 0 };

	assert_true(count <= ARRAY_SIZE(layers));
	assert_done(writer_open(store, &diag, &writer));
	buf_adds(&config, "{\"os\":\"linux\",\"config\":{},\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[");
	for (size_t i = 0; i < count; i++) {
		struct ingest_options options = { .name = "layer", .blob_bytes = -1 };
		struct ingest_result result;
		struct memory_source memory;
		char text[DIGEST_TEXT_BYTES];

		tar_end(&tars[i]);
		memory = (struct memory_source){ tars[i].data, tars[i].len };
		assert_done(ingest_tar(writer, (struct byte_source){ memory_read, &memory }, &options, &diag, &result));
		layers[i] = result.layer;
		buf_addf(&config, "%s\"%s\"", i ? "," : "", digest_format(&result.diff_id, text));
		buf_release(&tars[i]);
	}
	buf_adds(&config, "]}}");
	assert_done(image_add(writer, config.data, config.len, layers, count, tag, &diag, &id));
	return id;
}

struct dump {
	struct store *store;
	struct view *view;
	struct buf *out;
	const char *path;
};

static inline void dump_content(struct dump *d, const struct layer_entry *e)
{
	struct content_place place;
	char text[256];

	if (!S_ISREG(e->mode) || e->size == 0)
		return;
	assert_int_equal(content_open(d->store, e->content, &place), 0);
	assert_true(place.bytes == e->size && e->size < sizeof(text));
	assert_int_equal(io_pread_full(place.fd, text, place.bytes, (off_t)place.offset), place.bytes);
	buf_addf(d->out, " %.*s", (int)place.bytes, text);
	if (place.owned)
		close(place.fd);
}

static inline int dump_xattr(const char *name, const void *value, size_t bytes, void *arg)
{
	buf_addf(arg, " %s=%.*s", name, (int)bytes, (const char *)value);
	return 0;
}

/* One line an entry: path, type and mode, then owner, time, nlink, target, content, xattrs where they say something. */
static inline int dump_node(const struct view_node *node, void *arg)
{
	struct dump *d = arg, below;
	const struct layer_entry *e = view_entry(node);
	AUTO(freep) char *path = NULL;

	assert_true(asprintf(&path, "%s/%s", d->path, e->name) >= 0);
	buf_addf(d->out, "%s %o", path, e->mode);
	if (e->uid || e->gid)
		buf_addf(d->out, " %u:%u", e->uid, e->gid);
	if (e->mtime_ns != T0_NS)
		buf_addf(d->out, " @%lld", (long long)e->mtime_ns);
	if (!S_ISDIR(e->mode) && e->nlink != 1)
		buf_addf(d->out, " nlink=%u", e->nlink);
	if (e->rdev)
		buf_addf(d->out, " rdev=%llx", (unsigned long long)e->rdev);
	if (e->target)
		buf_addf(d->out, " -> %s", e->target);
	dump_content(d, e);
	if (e->flags & LAYER_XATTRS)
		assert_int_equal(
			layer_xattrs(d->store, view_layer_id(d->view, view_layer(node)), e->no, dump_xattr, d->out), 0);
	buf_adds(d->out, "\n");
	below = *d;
	below.path = path;
	return S_ISDIR(e->mode) ? view_children(d->view, node, dump_node, &below) : 0;
}

/* The merged tree of the first @layers layers (0: all) is, line by line, @expected. */
static inline void expect_tree(struct store *store, struct image_id image, size_t layers, const char *expected)
{
	AUTO(view_closep) struct view *view = NULL;
	AUTO(buf_release) struct buf out = { 0 };
	struct dump dump = { .store = store, .out = &out, .path = "" };

	assert_done(view_open(store, image, layers, &diag, &view));
	dump.view = view;
	assert_int_equal(view_children(view, view_root(view), dump_node, &dump), 0);
	assert_string_equal(buf_str(&out), expected);
}

/* A store in the scratch folder. */
static inline struct store *open_store(const char *dir)
{
	struct store *store = NULL;

	assert_done(store_open(dir, STORE_WRITE, &diag, &store));
	return store;
}

#endif
