/* SPDX-License-Identifier: Apache-2.0 */
#include "store/save.h"

#include "store/base/auto.h"
#include "store/base/io.h"
#include "store/image_config.h"
#include "store/layerfile.h"
#include "store/outgoing.h"
#include "store/reference.h"
#include "store/saveout.h"

#include <string.h>

/*
 * The lists of images, manifest.json and index.json, come last: a layer that is
 * compressed on the way has its digest only then.
 */
struct save {
	struct store *store;		    /* borrowed */
	const struct save_options *options; /* borrowed */
	struct diag *diag;		    /* borrowed */
	struct saveout out;		    /* owned */
	json_t *list;			    /* owned */
};

static void save_release(struct save *s)
{
	saveout_release(&s->out);
	json_decref(s->list);
}

enum { NAME_BYTES = 128 };

static void blob_name(const struct digest *digest, char name[NAME_BYTES])
{
	char text[DIGEST_TEXT_BYTES];

	snprintf(name, NAME_BYTES, "blobs/sha256/%s", digest_format(digest, text) + strlen("sha256:"));
}

/* ---- layers ---- */

struct stream {
	struct saveout *out;	 /* borrowed */
	struct digest_ctx *hash; /* owned */
};

static int on_stream(void *arg, const void *bytes, size_t len)
{
	struct stream *s = arg;

	digest_update(s->hash, bytes, len);
	return saveout_write(s->out, bytes, len);
}

static int write_plain(struct save *s, const struct layer_info *info, const char *name)
{
	AUTO(digest_ctx_freep) struct digest_ctx *hash = digest_ctx_new();
	struct stream stream = { &s->out, hash };
	char text[DIGEST_TEXT_BYTES];
	struct digest found;
	int r = hash ? saveout_begin(&s->out, name, info->tar_bytes) : -ENOMEM;

	if (r != 0)
		return r < 0 ? r : 0;
	r = layer_write_tar(s->store, info->id, on_stream, &stream, s->diag);
	if (r == 0)
		r = saveout_end(&s->out);
	if (r < 0)
		return diag_errno(s->diag, r, "layer %s cannot be written", digest_format(&info->diff_id, text));
	digest_final(hash, &found);
	if (!digest_eq(&found, &info->diff_id))
		return diag_set(s->diag, -EIO,
				"layer %s: what the store has of it has another digest (" DIAG_VERIFY ")",
				digest_format(&info->diff_id, text));
	return 0;
}

static int copy_file(struct save *s, const struct layerfile *file, const char *name)
{
	AUTO(freep) char *part = malloc(128 * 1024);
	int r = part ? saveout_begin(&s->out, name, file->bytes) : -ENOMEM;
	uint64_t at = 0;

	if (r != 0)
		return r < 0 ? r : 0;
	while (r == 0 && at < file->bytes) {
		ssize_t n = io_pread_full(file->fd, part, 128 * 1024, (off_t)at);

		if (n <= 0)
			return n < 0 ? (int)n : -EIO;
		r = saveout_write(&s->out, part, (size_t)n);
		at += (uint64_t)n;
	}
	return r < 0 ? r : saveout_end(&s->out);
}

static int write_oci_layer(struct save *s, struct outgoing_layer *layer)
{
	AUTO(layerfile_release) struct layerfile file = { .fd = -1 };
	bool plain = !s->options->gzip || (layer->named && digest_eq(&layer->wanted.digest, &layer->info.diff_id));
	const char *type = plain ? OUTGOING_TAR_TYPE : OUTGOING_GZIP_TYPE;
	char name[NAME_BYTES];
	int r;

	if (plain) {
		blob_name(&layer->info.diff_id, name);
		r = outgoing_set(layer, &layer->info.diff_id, layer->info.tar_bytes, type);
		return r < 0 ? r : write_plain(s, &layer->info, name);
	}
	r = layerfile_make(s->store, layer->info.id, true, NULL, s->diag, &file);
	if (r < 0)
		return r;
	blob_name(&file.digest, name);
	r = outgoing_set(layer, &file.digest, file.bytes, type);
	return r < 0 ? r : copy_file(s, &file, name);
}

/* ---- images ---- */

static int write_blob(struct save *s, const void *bytes, size_t count, struct digest *ret)
{
	char name[NAME_BYTES];
	int r = digest_of(bytes, count, ret);

	if (r < 0)
		return r;
	blob_name(ret, name);
	return saveout_file(&s->out, name, bytes, count);
}

/* containerd's annotation has the whole name, OCI's the tag alone: that is how docker writes them. */
static json_t *index_entry(const struct origin_manifest *manifest, const struct digest *digest, const char *tag)
{
	char text[DIGEST_TEXT_BYTES];
	json_t *entry = json_pack("{s:s, s:s, s:I}", "mediaType", manifest->media_type, "digest",
				  digest_format(digest, text), "size", (json_int_t)manifest->bytes);

	if (entry && tag &&
	    json_object_set_new(entry, "annotations",
				json_pack("{s:s, s:s}", "io.containerd.image.name", tag,
					  "org.opencontainers.image.ref.name", strrchr(tag, ':') + 1)) < 0) {
		json_decref(entry);
		return NULL;
	}
	return entry;
}

static int save_oci(struct save *s, struct outgoing *o, const char *tag)
{
	AUTO(origin_manifest_release) struct origin_manifest manifest = { 0 };
	struct digest digest;
	bool kept;
	int r = 0;

	for (size_t i = 0; r == 0 && i < o->image.layer_count; i++)
		r = write_oci_layer(s, &o->layers[i]);
	if (r == 0)
		r = write_blob(s, o->image.config, o->image.config_bytes, &digest);
	if (r == 0)
		r = outgoing_manifest(o, &manifest, &kept);
	if (r == 0)
		r = write_blob(s, manifest.text, manifest.bytes, &digest);
	if (r < 0)
		return r;
	return json_array_append_new(s->list, index_entry(&manifest, &digest, tag)) < 0 ? -ENOMEM : 0;
}

static int save_docker(struct save *s, struct outgoing *o, const char *tag)
{
	AUTO(json_decrefp) json_t *layers = json_array();
	AUTO(json_decrefp) json_t *tags = json_array();
	char name[NAME_BYTES], text[DIGEST_TEXT_BYTES];
	int r = 0;

	for (size_t i = 0; r == 0 && i < o->image.layer_count; i++) {
		digest_format(&o->layers[i].info.diff_id, text);
		snprintf(name, sizeof(name), "%s.tar", text + strlen("sha256:"));
		r = write_plain(s, &o->layers[i].info, name);
		if (r == 0 && json_array_append_new(layers, json_string(name)) < 0)
			r = -ENOMEM;
	}
	snprintf(name, sizeof(name), "%s.json", digest_format(&o->id, text) + strlen("sha256:"));
	if (r == 0)
		r = saveout_file(&s->out, name, o->image.config, o->image.config_bytes);
	if (r == 0 && tag && json_array_append_new(tags, json_string(tag)) < 0)
		r = -ENOMEM;
	if (r < 0)
		return r;
	return json_array_append_new(s->list, json_pack("{s:s, s:O, s:O}", "Config", name, "RepoTags", tags, "Layers",
							layers)) < 0
		       ? -ENOMEM
		       : 0;
}

static int find_image(struct save *s, const char *ref, struct image_id *ret, char **ret_tag)
{
	AUTO(db_loan_end) struct db_loan loan = { .store = s->store };
	enum reference_kind kind;
	int r = db_loan_begin(&loan);

	return r < 0 ? r : reference_find(loan.db, ref, s->diag, ret, &kind, ret_tag);
}

static int save_image(struct save *s, const char *ref)
{
	AUTO(outgoing_release) struct outgoing o = { 0 };
	AUTO(freep) char *tag = NULL;
	struct image_id image;
	int r = find_image(s, ref, &image, &tag);

	if (r == 0)
		r = outgoing_init(s->store, image, s->diag, &o);
	if (r < 0)
		return r;
	r = s->options->format == SAVE_DOCKER ? save_docker(s, &o, tag) : save_oci(s, &o, tag);
	return r < 0 ? outfile_error(&s->out.file, r, s->diag) : 0;
}

/* ---- all of it ---- */

static int write_list(struct save *s)
{
	static const char layout[] = "{\"imageLayoutVersion\":\"1.0.0\"}";
	bool docker = s->options->format == SAVE_DOCKER;
	AUTO(json_decrefp) json_t *index = NULL;
	AUTO(freep) char *text = NULL;
	size_t bytes;
	int r;

	index = docker ? json_incref(s->list)
		       : json_pack("{s:i, s:s, s:O}", "schemaVersion", 2, "mediaType",
				   "application/vnd.oci.image.index.v1+json", "manifests", s->list);
	if (!index)
		return -ENOMEM;
	r = image_config_text(index, &text, &bytes);
	if (r == 0 && !docker)
		r = saveout_file(&s->out, "oci-layout", layout, strlen(layout));
	if (r == 0)
		r = saveout_file(&s->out, docker ? "manifest.json" : "index.json", text, bytes);
	return r < 0 ? outfile_error(&s->out.file, r, s->diag) : 0;
}

int image_save(struct store *store, const char *const *refs, size_t count, const char *path,
	       const struct save_options *options, struct diag *diag)
{
	AUTO(save_release)
	struct save s = {
		.store = store, .options = options, .diag = diag, .out = { .file = { .fd = -1 }, .filefd = -1 }
	};
	int r = 0;

	/* Whatever is not there is said before anything is written. */
	for (size_t i = 0; r == 0 && i < count; i++) {
		AUTO(freep) char *tag = NULL;
		struct image_id image;

		r = find_image(&s, refs[i], &image, &tag);
	}
	s.list = json_array();
	if (r == 0 && !s.list)
		r = -ENOMEM;
	if (r == 0)
		r = saveout_open(&s.out, path, options->format == SAVE_OCI_FOLDER, diag);
	for (size_t i = 0; r == 0 && i < count; i++)
		r = save_image(&s, refs[i]);
	if (r == 0)
		r = write_list(&s);
	return r < 0 ? r : saveout_finish(&s.out, diag);
}
