/* SPDX-License-Identifier: Apache-2.0 */
#include "store/registry.h"

#include "store/base/auto.h"
#include "store/heal.h"
#include "store/load.h"
#include "store/registry/blob.h"
#include "store/registry/transfer.h"

#include <string.h>

/*
 * A pull: the manifest, or the index and one manifest of it; the config; then
 * the layers that the store lacks, several at a time, each straight from the
 * connection into an ingest; at last the image with its tag, in one transaction.
 *
 * Nothing is believed before its digest was compared: a manifest asked for by tag has
 * the digest that the registry tells in Docker-Content-Digest, everything further in has
 * one in what led to it.
 */

struct pull {
	struct store *store;			/* borrowed */
	const struct registry_options *options; /* borrowed */
	struct diag *diag;			/* borrowed */
	struct remote_name name;		/* owned */
	struct http *http;			/* owned: of the main thread */
	struct session *session;		/* owned */
	struct load load;			/* owned: the one image */
	struct writer *writer;			/* owned */
	struct layer_id *layers;		/* owned: of the image, lowest first; 0: not there yet */

	struct transfers transfers; /* of layers */
	uint64_t left_out;	    /* under its lock */
};

static void pull_release(struct pull *p)
{
	load_release(&p->load);
	writer_close(p->writer);
	session_close(p->session);
	http_free(p->http);
	remote_name_release(&p->name);
	free(p->layers);
	transfers_release(&p->transfers);
}

void pull_result_release(struct pull_result *result)
{
	free(result->tag);
	result->tag = NULL;
}

/* ---- JSON ---- */

static int fetch_text(struct pull *p, const char *kind, const char *wanted, struct diag *diag, char **ret,
		      size_t *ret_bytes, struct exchange **ret_exchange)
{
	bool is_manifest = strcmp(kind, "manifests") == 0;
	struct http_request request = { .method = "GET",
					.accept = is_manifest ? REGISTRY_MANIFEST_TYPES : NULL,
					.body_fd = -1 };
	AUTO(freep) char *path = NULL;
	AUTO(freep) char *what = NULL;

	if (asprintf(&path, "/v2/%s/%s/%s", p->name.repository, kind, wanted) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	if (asprintf(&what, "%s %s", is_manifest ? "manifest" : "config", wanted) < 0) {
		what = NULL;
		return -ENOMEM;
	}
	request.url = path;
	return session_text(p->session, p->http, &request, what, IMAGE_JSON_MAX_BYTES, diag, ret, ret_bytes,
			    ret_exchange);
}

/* load_blobs of a registry. */
static int blob_text(void *arg, const char *digest, bool is_manifest, struct diag *diag, char **ret, size_t *ret_bytes)
{
	return fetch_text(arg, is_manifest ? "manifests" : "blobs", digest, diag, ret, ret_bytes, NULL);
}

/* What the digest of the outermost manifest must be: as the user said, else as the registry does. */
static int check_digest(struct pull *p, struct exchange *e, const struct digest *found)
{
	const char *header = exchange_header(e, "Docker-Content-Digest", 0);
	char found_text[DIGEST_TEXT_BYTES], wanted_text[DIGEST_TEXT_BYTES];
	struct digest wanted;

	if (p->name.has_digest)
		wanted = p->name.digest;
	else if (!header || digest_parse(header, &wanted) < 0)
		return 0;
	if (digest_eq(found, &wanted))
		return 0;
	return diag_set(p->diag, -EKEYREJECTED, "%s: manifest %s: what came has the digest %s",
			session_name(p->session), digest_format(&wanted, wanted_text),
			digest_format(found, found_text));
}

static int collect(struct pull *p, struct pull_result *ret)
{
	AUTO(exchange_freep) struct exchange *e = NULL;
	char text[DIGEST_TEXT_BYTES];
	const char *wanted = remote_name_wanted(&p->name, text);
	char *manifest = NULL;
	size_t bytes;
	int r = fetch_text(p, "manifests", wanted, p->diag, &manifest, &bytes, &e);

	if (r < 0)
		return r;
	r = digest_of(manifest, bytes, &ret->manifest);
	if (r == 0)
		r = check_digest(p, e, &ret->manifest);
	if (r < 0) {
		free(manifest);
		return r;
	}
	return layout_collect_text(&p->load, manifest, bytes, exchange_header(e, "Content-Type", 0), wanted,
				   p->name.local);
}

/* ---- layers ---- */

static void tell_progress(uint64_t bytes, void *arg)
{
	const struct transfer *transfer = arg;

	transfers_progress(transfer->all, transfer->no, bytes);
}

static int ingest_layer(struct transfer *transfer, struct diag *diag, enum transfer_result *ret_result, void *arg)
{
	struct pull *p = arg;
	const struct load_layer *layer = &p->load.images[0].layers[transfer->no];
	AUTO(blob_release) struct blob blob = { 0 };
	AUTO(freep) char *name = NULL;
	char text[DIGEST_TEXT_BYTES];
	struct ingest_result result;
	struct ingest_options options = {
		.blob_digest = &layer->blob,
		.blob_bytes = layer->bytes,
		.diff_id = &layer->diff_id,
		.progress = tell_progress,
		.progress_arg = transfer,
	};
	int r = blob_init(&blob, p->session, transfer->http, p->name.repository, &layer->blob, (uint64_t)layer->bytes);

	if (r < 0)
		return r;
	transfers_begin(&p->transfers, transfer->no, &layer->blob, (uint64_t)layer->bytes);
	if (asprintf(&name, "%s: layer %s", session_name(p->session), digest_format(&layer->blob, text)) < 0) {
		name = NULL;
		return -ENOMEM;
	}
	options.name = name;
	r = ingest_tar(p->writer, blob_source(&blob), &options, diag, &result);
	if (r < 0 && blob.diag.text[0]) /* says more than that the layer could not be read */
		*diag = blob.diag;
	p->layers[transfer->no] = result.layer;
	if (r == 0 && result.repaired)
		*ret_result = TRANSFER_REPAIRED;
	pthread_mutex_lock(&p->transfers.lock);
	p->left_out += result.left_out;
	pthread_mutex_unlock(&p->transfers.lock);
	return r;
}

/* Of layers that an image has several times the first one counts. */
static size_t first_of(const struct load_image *image, size_t no)
{
	size_t first = 0;

	while (!digest_eq(&image->layers[first].diff_id, &image->layers[no].diff_id))
		first++;
	return first;
}

static bool is_missing(size_t no, void *arg)
{
	const struct pull *p = arg;

	return p->layers[no].value == 0 && first_of(&p->load.images[0], no) == no;
}

/* Which layers are there already? */
static int find_layers(struct pull *p, size_t *ret_missing)
{
	const struct load_image *image = &p->load.images[0];

	p->layers = calloc(image->layer_count + 1, sizeof(*p->layers));
	if (!p->layers)
		return -ENOMEM;
	*ret_missing = 0;
	for (size_t i = 0; i < image->layer_count; i++) {
		bool whole = false;
		int r = layer_find(p->store, &image->layers[i].diff_id, &p->layers[i]);

		if (r == 0)
			r = heal_look(p->store, p->layers[i], &whole);
		if (r < 0 && r != -ENOENT)
			return r;
		if (r == 0 && whole) {
			transfers_begin(&p->transfers, i, &image->layers[i].blob, (uint64_t)image->layers[i].bytes);
			transfers_end(&p->transfers, i, TRANSFER_EXISTS);
		} else {
			p->layers[i].value = 0; /* if it is there, it is damaged: it is fetched once more */
			(*ret_missing)++;
		}
	}
	return 0;
}

static int fetch_layers(struct pull *p)
{
	size_t missing, count = p->load.images[0].layer_count;
	int r = find_layers(p, &missing);

	p->transfers.wanted = is_missing;
	p->transfers.move = ingest_layer;
	p->transfers.arg = p;
	if (r == 0)
		r = transfers_run(&p->transfers, count, missing, p->diag);
	for (size_t i = 0; r == 0 && i < count; i++)
		p->layers[i] = p->layers[first_of(&p->load.images[0], i)];
	return r;
}

/* ---- all of it ---- */

static bool image_exists(struct store *store, const struct digest *id)
{
	char text[DIGEST_TEXT_BYTES];
	struct image_id image;

	return image_find(store, digest_format(id, text), NULL, &image) == 0;
}

static int add_image(struct pull *p, struct pull_result *ret)
{
	const struct load_image *image = &p->load.images[0];
	int r = digest_of(image->config, image->config_bytes, &ret->id);

	if (r < 0)
		return r;
	ret->existed = image_exists(p->store, &ret->id);
	r = image_add(p->writer, image->config, image->config_bytes, p->layers, image->layer_count, p->name.local,
		      p->diag, &ret->image);
	if (r == 0)
		load_keep_origin(p->store, image, ret->image, p->layers, session_name(p->session));
	if (r == 0)
		ret->tag = TAKE(p->name.local);
	ret->left_out = p->left_out;
	return r;
}

int image_pull(struct store *store, const char *name, const struct registry_options *options,
	       const struct transfer_events *events, struct diag *diag, struct pull_result *ret)
{
	AUTO(pull_release)
	struct pull p = { .store = store, .options = options, .diag = diag, .load = { .diag = diag } };
	int r;

	*ret = (struct pull_result){ 0 };
	transfers_init(&p.transfers, options, events);
	r = platform_init(options->platform, diag, &p.load.platform);
	if (r == 0)
		r = remote_name_parse(name, diag, &p.name);
	if (r == 0)
		r = writer_open(store, diag, &p.writer);
	if (r == 0)
		r = http_new(options, &p.transfers.stop, diag, &p.http);
	if (r == 0)
		r = session_open(p.name.host, p.name.repository, "pull", p.http, diag, &p.session);
	if (r < 0)
		return r;
	p.load.blobs = (struct load_blobs){ session_name(p.session), blob_text, &p };
	r = collect(&p, ret);
	if (r == 0)
		r = fetch_layers(&p);
	if (r == 0)
		r = add_image(&p, ret);
	return r;
}
