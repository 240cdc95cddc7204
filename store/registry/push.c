/* SPDX-License-Identifier: Apache-2.0 */
#include "store/registry.h"

#include "store/base/auto.h"
#include "store/layerfile.h"
#include "store/outgoing.h"
#include "store/registry/transfer.h"
#include "store/registry/upload.h"

#include <string.h>

/*
 * A push: the layers, several at a time; the config; the manifest, which makes
 * it an image.
 *
 * A layer goes out under a name it has had before wherever that needs no upload: because the
 * repository has that blob, or another repository of the registry can lend it.  Else it is
 * compressed anew, which gives the blob that an earlier push made.  When all layers go
 * out as the manifest that came with the image says, that one goes out too, byte for byte.
 */

struct push {
	struct store *store;			/* borrowed */
	const struct registry_options *options; /* borrowed */
	struct diag *diag;			/* borrowed */
	struct remote_name name;		/* owned */
	struct http *http;			/* owned: of the main thread */
	struct session *session;		/* owned */
	struct outgoing out;			/* owned */

	struct transfers transfers; /* of layers */
};

static void push_release(struct push *p)
{
	outgoing_release(&p->out);
	session_close(p->session);
	http_free(p->http);
	remote_name_release(&p->name);
	transfers_release(&p->transfers);
}

/* Of the compressed bytes, as a part of the uncompressed ones. */
struct sending {
	struct transfer *transfer; /* borrowed */
	uint64_t bytes, shown_bytes;
};

static void tell_sent(uint64_t bytes, void *arg)
{
	const struct sending *s = arg;

	if (s->bytes > 0)
		transfers_progress(s->transfer->all, s->transfer->no,
				   (uint64_t)((double)bytes / (double)s->bytes * (double)s->shown_bytes));
}

/* ---- a layer ---- */

/* "HOST/REPOSITORY" of our registry, but not our repository: that repository; else NULL. */
static const char *neighbour(const struct push *p, const char *source)
{
	size_t len = strlen(p->name.host);

	if (!source || strncmp(source, p->name.host, len) != 0 || source[len] != '/')
		return NULL;
	return strcmp(source + len + 1, p->name.repository) == 0 ? NULL : source + len + 1;
}

/* Where a blob was seen: the manifest does not say it, the other list does. */
static const char *source_of(const struct outgoing_layer *layer, const struct origin_blob *blob)
{
	for (size_t i = 0; !blob->source && i < layer->known_count; i++)
		if (digest_eq(&layer->known[i].digest, &blob->digest))
			return layer->known[i].source;
	return blob->source;
}

/* Without an upload. Return: 1: done, as @ret_result says; 0: no; -errno. */
static int try_known(struct transfer *t, struct outgoing_layer *layer, const struct origin_blob *blob,
		     struct diag *diag, enum transfer_result *ret_result)
{
	struct push *p = t->all->arg;
	const char *from = neighbour(p, source_of(layer, blob));
	int r = upload_exists(p->session, t->http, p->name.repository, &blob->digest, diag);

	*ret_result = TRANSFER_EXISTS;
	if (r == 0 && from) {
		*ret_result = TRANSFER_MOUNTED;
		r = upload_mount(p->session, t->http, p->name.repository, &blob->digest, from, diag);
	}
	if (r <= 0)
		return r;
	r = outgoing_set(layer, &blob->digest, (uint64_t)blob->bytes, blob->media_type);
	return r < 0 ? r : 1;
}

static int try_all_known(struct transfer *t, struct outgoing_layer *layer, struct diag *diag,
			 enum transfer_result *ret_result)
{
	int r = layer->named ? try_known(t, layer, &layer->wanted, diag, ret_result) : 0;

	for (size_t i = 0; r == 0 && i < layer->known_count; i++) {
		if (layer->named && digest_eq(&layer->known[i].digest, &layer->wanted.digest))
			continue;
		r = try_known(t, layer, &layer->known[i], diag, ret_result);
	}
	return r;
}

static int upload_file(struct transfer *t, struct outgoing_layer *layer, const struct layerfile *file,
		       struct diag *diag, enum transfer_result *ret_result)
{
	struct push *p = t->all->arg;
	struct sending sending = { t, file->bytes, layer->info.tar_bytes };
	struct upload upload = {
		.fd = file->fd, .count = file->bytes, .digest = file->digest, .sent = tell_sent, .sent_arg = &sending
	};
	int r = upload_exists(p->session, t->http, p->name.repository, &file->digest, diag);

	if (r != 0)
		return r < 0 ? r : 0;
	*ret_result = TRANSFER_DONE;
	return upload_blob(p->session, t->http, p->name.repository, &upload, diag);
}

static int send_layer(struct transfer *t, struct diag *diag, enum transfer_result *ret_result, void *arg)
{
	struct push *p = arg;
	struct outgoing_layer *layer = &p->out.layers[t->no];
	AUTO(layerfile_release) struct layerfile file = { .fd = -1 };
	/* Of an uncompressed blob the digest is the diff ID, and the manifest that says so can be kept. */
	bool plain = layer->named && digest_eq(&layer->wanted.digest, &layer->info.diff_id);
	bool same;
	int r;

	transfers_begin(t->all, t->no, &layer->info.diff_id, layer->info.tar_bytes);
	r = try_all_known(t, layer, diag, ret_result);
	if (r != 0)
		return r < 0 ? r : 0;
	r = layerfile_make(p->store, layer->info.id, !plain, &p->transfers.stop, diag, &file);
	if (r < 0)
		return r;
	*ret_result = TRANSFER_EXISTS;
	same = layer->named && digest_eq(&layer->wanted.digest, &file.digest);
	r = outgoing_set(layer, &file.digest, file.bytes, same ? layer->wanted.media_type : OUTGOING_GZIP_TYPE);
	return r < 0 ? r : upload_file(t, layer, &file, diag, ret_result);
}

/* Of layers that an image has several times the first one counts. */
static size_t first_of(const struct push *p, size_t no)
{
	size_t first = 0;

	while (p->out.layers[first].info.id.value != p->out.layers[no].info.id.value)
		first++;
	return first;
}

static bool is_first(size_t no, void *arg)
{
	return first_of(arg, no) == no;
}

static int send_layers(struct push *p)
{
	size_t count = p->out.image.layer_count;
	int r;

	p->transfers.wanted = is_first;
	p->transfers.move = send_layer;
	p->transfers.arg = p;
	r = transfers_run(&p->transfers, count, count, p->diag);
	for (size_t i = 0; r == 0 && i < count; i++) {
		const struct origin_blob *out = &p->out.layers[first_of(p, i)].out;

		if (first_of(p, i) != i)
			r = outgoing_set(&p->out.layers[i], &out->digest, (uint64_t)out->bytes, out->media_type);
	}
	return r;
}

/* ---- config and manifest ---- */

static int send_config(struct push *p)
{
	struct upload upload = {
		.bytes = p->out.image.config, .fd = -1, .count = p->out.image.config_bytes, .digest = p->out.id
	};
	int r = upload_exists(p->session, p->http, p->name.repository, &p->out.id, p->diag);

	if (r != 0)
		return r < 0 ? r : 0;
	return upload_blob(p->session, p->http, p->name.repository, &upload, p->diag);
}

static int send_manifest(struct push *p, const struct origin_manifest *manifest, struct push_result *ret)
{
	AUTO(exchange_freep) struct exchange *e = NULL;
	AUTO(freep) char *path = NULL;
	AUTO(freep) char *what = NULL;
	struct http_request request = {
		.method = "PUT",
		.content_type = manifest->media_type,
		.body = manifest->text,
		.body_fd = -1,
		.body_bytes = manifest->bytes,
	};

	if (asprintf(&path, "/v2/%s/manifests/%s", p->name.repository, p->name.tag) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	if (asprintf(&what, "manifest %s", p->name.tag) < 0) {
		what = NULL;
		return -ENOMEM;
	}
	request.url = path;
	int r = digest_of(manifest->text, manifest->bytes, &ret->manifest);

	if (r == 0)
		r = session_send(p->session, p->http, &request, what, p->diag, &e);
	return r;
}

/* The next push of these layers finds them by name. The image is out, so a failure is none. */
static void keep_origin(struct push *p, const struct origin_manifest *manifest, bool kept)
{
	AUTO(txn_abortp) struct txn *txn = NULL;
	int r = txn_begin(p->store, &txn);

	if (r == 0 && !kept)
		r = origin_keep(txn, p->out.image.id, manifest);
	for (size_t i = 0; r == 0 && i < p->out.image.layer_count; i++) {
		struct origin_blob blob = p->out.layers[i].out;

		blob.source = (char *)session_name(p->session);
		r = origin_keep_blob(txn, p->out.layers[i].info.id, &blob);
	}
	if (r == 0)
		(void)txn_commit(TAKE(txn));
}

static int send_image(struct push *p, struct push_result *ret)
{
	AUTO(origin_manifest_release) struct origin_manifest manifest = { 0 };
	int r = send_layers(p);

	if (r == 0)
		r = send_config(p);
	if (r == 0)
		r = outgoing_manifest(&p->out, &manifest, &ret->kept);
	if (r == 0)
		r = send_manifest(p, &manifest, ret);
	if (r == 0)
		keep_origin(p, &manifest, ret->kept);
	return r;
}

/* Tokens for the repository that may lend layers are asked for from the beginning. */
static int want_neighbours(struct push *p)
{
	for (size_t i = 0; i < p->out.image.layer_count; i++) {
		const struct outgoing_layer *layer = &p->out.layers[i];

		for (size_t j = 0; j < layer->known_count; j++) {
			const char *from = neighbour(p, layer->known[j].source);

			if (from)
				return session_want_scope(p->session, from);
		}
	}
	return 0;
}

int image_push(struct store *store, const char *ref, const char *name, const struct registry_options *options,
	       const struct transfer_events *events, struct diag *diag, struct push_result *ret)
{
	AUTO(push_release) struct push p = { .store = store, .options = options, .diag = diag };
	struct image_id image;
	int r;

	*ret = (struct push_result){ 0 };
	transfers_init(&p.transfers, options, events);
	r = remote_name_parse(name, diag, &p.name);
	if (r == 0 && p.name.has_digest)
		r = diag_set(diag, -EINVAL, "\"%s\": a push goes to a tag; the digest comes out of it", name);
	if (r == 0)
		r = image_find(store, ref, diag, &image);
	if (r == 0)
		r = outgoing_init(store, image, diag, &p.out);
	if (r == 0)
		r = http_new(options, &p.transfers.stop, diag, &p.http);
	if (r == 0)
		r = session_open(p.name.host, p.name.repository, "pull,push", p.http, diag, &p.session);
	if (r == 0)
		r = want_neighbours(&p);
	return r < 0 ? r : send_image(&p, ret);
}
