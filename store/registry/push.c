/* SPDX-License-Identifier: Apache-2.0 */
#include "store/registry.h"

#include "store/base/auto.h"
#include "store/layerfile.h"
#include "store/outgoing.h"
#include "store/registry/upload.h"

#include <pthread.h>
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

enum { JOBS = 3, JOBS_MAX = 16 };

struct push {
	struct store *store;			/* borrowed */
	const struct registry_options *options; /* borrowed */
	const struct transfer_events *events;	/* borrowed; may be NULL */
	struct diag *diag;			/* borrowed */
	struct remote_name name;		/* owned */
	struct http *http;			/* owned: of the main thread */
	struct session *session;		/* owned */
	struct outgoing out;			/* owned */

	atomic_bool stop; /* a layer failed */
	pthread_mutex_t lock;
	/* Under @lock: */
	size_t next;	 /* layer */
	int result;	 /* the first failure */
	struct diag why; /* of it */
};

static void push_release(struct push *p)
{
	outgoing_release(&p->out);
	session_close(p->session);
	http_free(p->http);
	remote_name_release(&p->name);
	pthread_mutex_destroy(&p->lock);
}

/* What a thread works with. */
struct worker {
	struct push *push; /* borrowed */
	struct http *http; /* owned */
	size_t no;	   /* of the layer it is at */
	pthread_t thread;
};

/* ---- events ---- */

static void tell_begin(struct push *p, size_t no)
{
	char text[DIGEST_TEXT_BYTES];

	if (!p->events || !p->events->begin)
		return;
	pthread_mutex_lock(&p->lock);
	p->events->begin(no, digest_format(&p->out.layers[no].info.diff_id, text), p->out.layers[no].info.tar_bytes,
			 p->events->arg);
	pthread_mutex_unlock(&p->lock);
}

/* Of the compressed bytes, as a part of the uncompressed ones. */
struct sending {
	struct worker *worker; /* borrowed */
	uint64_t bytes, shown_bytes;
};

static void tell_sent(uint64_t bytes, void *arg)
{
	const struct sending *s = arg;
	struct push *p = s->worker->push;

	if (!p->events || !p->events->progress || s->bytes == 0)
		return;
	pthread_mutex_lock(&p->lock);
	p->events->progress(s->worker->no, (uint64_t)((double)bytes / (double)s->bytes * (double)s->shown_bytes),
			    p->events->arg);
	pthread_mutex_unlock(&p->lock);
}

static void tell_end(struct push *p, size_t no, enum transfer_result result)
{
	if (!p->events || !p->events->end)
		return;
	pthread_mutex_lock(&p->lock);
	p->events->end(no, result, p->events->arg);
	pthread_mutex_unlock(&p->lock);
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
static int try_known(struct worker *w, struct outgoing_layer *layer, const struct origin_blob *blob, struct diag *diag,
		     enum transfer_result *ret_result)
{
	struct push *p = w->push;
	const char *from = neighbour(p, source_of(layer, blob));
	int r = upload_exists(p->session, w->http, p->name.repository, &blob->digest, diag);

	*ret_result = TRANSFER_EXISTS;
	if (r == 0 && from) {
		*ret_result = TRANSFER_MOUNTED;
		r = upload_mount(p->session, w->http, p->name.repository, &blob->digest, from, diag);
	}
	if (r <= 0)
		return r;
	r = outgoing_set(layer, &blob->digest, (uint64_t)blob->bytes, blob->media_type);
	return r < 0 ? r : 1;
}

static int try_all_known(struct worker *w, struct outgoing_layer *layer, struct diag *diag,
			 enum transfer_result *ret_result)
{
	int r = layer->named ? try_known(w, layer, &layer->wanted, diag, ret_result) : 0;

	for (size_t i = 0; r == 0 && i < layer->known_count; i++) {
		if (layer->named && digest_eq(&layer->known[i].digest, &layer->wanted.digest))
			continue;
		r = try_known(w, layer, &layer->known[i], diag, ret_result);
	}
	return r;
}

static int upload_file(struct worker *w, struct outgoing_layer *layer, const struct layerfile *file, struct diag *diag,
		       enum transfer_result *ret_result)
{
	struct push *p = w->push;
	struct sending sending = { w, file->bytes, layer->info.tar_bytes };
	struct upload upload = {
		.fd = file->fd, .count = file->bytes, .digest = file->digest, .sent = tell_sent, .sent_arg = &sending
	};
	int r = upload_exists(p->session, w->http, p->name.repository, &file->digest, diag);

	if (r != 0)
		return r < 0 ? r : 0;
	*ret_result = TRANSFER_DONE;
	return upload_blob(p->session, w->http, p->name.repository, &upload, diag);
}

static int send_layer(struct worker *w, struct diag *diag, enum transfer_result *ret_result)
{
	struct push *p = w->push;
	struct outgoing_layer *layer = &p->out.layers[w->no];
	AUTO(layerfile_release) struct layerfile file = { .fd = -1 };
	/* Of an uncompressed blob the digest is the diff ID, and the manifest that says so can be kept. */
	bool plain = layer->named && digest_eq(&layer->wanted.digest, &layer->info.diff_id);
	bool same;
	int r = try_all_known(w, layer, diag, ret_result);

	if (r != 0)
		return r < 0 ? r : 0;
	r = layerfile_make(p->store, layer->info.id, !plain, &p->stop, diag, &file);
	if (r < 0)
		return r;
	*ret_result = TRANSFER_EXISTS;
	same = layer->named && digest_eq(&layer->wanted.digest, &file.digest);
	r = outgoing_set(layer, &file.digest, file.bytes, same ? layer->wanted.media_type : OUTGOING_GZIP_TYPE);
	return r < 0 ? r : upload_file(w, layer, &file, diag, ret_result);
}

/* Of layers that an image has several times the first one counts. */
static size_t first_of(const struct push *p, size_t no)
{
	size_t first = 0;

	while (p->out.layers[first].info.id.value != p->out.layers[no].info.id.value)
		first++;
	return first;
}

static bool take_layer(struct worker *w)
{
	struct push *p = w->push;
	bool found = false;

	pthread_mutex_lock(&p->lock);
	while (!found && p->result == 0 && p->next < p->out.image.layer_count) {
		w->no = p->next++;
		found = first_of(p, w->no) == w->no;
	}
	pthread_mutex_unlock(&p->lock);
	return found;
}

static void fail(struct push *p, int err, const struct diag *why)
{
	pthread_mutex_lock(&p->lock);
	if (p->result == 0) {
		p->result = err;
		p->why = *why;
		atomic_store(&p->stop, true);
	}
	pthread_mutex_unlock(&p->lock);
}

static void *work(void *arg)
{
	struct worker *w = arg;
	struct push *p = w->push;

	while (take_layer(w)) {
		enum transfer_result result = TRANSFER_DONE;
		struct diag why = { 0 };
		int r;

		tell_begin(p, w->no);
		r = send_layer(w, &why, &result);
		if (r < 0)
			fail(p, r, &why);
		else
			tell_end(p, w->no, result);
	}
	return NULL;
}

static int send_layers(struct push *p)
{
	struct worker workers[JOBS_MAX];
	unsigned jobs = p->options->jobs ? p->options->jobs : JOBS, started = 0;
	int r = 0;

	if (jobs > JOBS_MAX)
		jobs = JOBS_MAX;
	if (jobs > p->out.image.layer_count)
		jobs = (unsigned)p->out.image.layer_count;
	while (r == 0 && started < jobs) {
		struct worker *w = &workers[started];

		*w = (struct worker){ .push = p };
		r = http_new(p->options, &p->stop, p->diag, &w->http);
		if (r == 0)
			r = -pthread_create(&w->thread, NULL, work, w);
		if (r == 0)
			started++;
		else
			http_free(w->http);
	}
	if (r < 0)
		fail(p, r, &(struct diag){ 0 });
	for (unsigned i = 0; i < started; i++) {
		pthread_join(workers[i].thread, NULL);
		http_free(workers[i].http);
	}
	if (p->result < 0)
		return diag_set(p->diag, p->result, "%s", diag_text(&p->why, p->result));
	for (size_t i = 0; r == 0 && i < p->out.image.layer_count; i++) {
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
	AUTO(push_release) struct push p = { .store = store, .options = options, .events = events, .diag = diag };
	struct image_id image;
	int r;

	*ret = (struct push_result){ 0 };
	pthread_mutex_init(&p.lock, NULL);
	r = remote_name_parse(name, diag, &p.name);
	if (r == 0 && p.name.has_digest)
		r = diag_set(diag, -EINVAL, "\"%s\": a push goes to a tag; the digest comes out of it", name);
	if (r == 0)
		r = image_find(store, ref, diag, &image);
	if (r == 0)
		r = outgoing_init(store, image, diag, &p.out);
	if (r == 0)
		r = http_new(options, &p.stop, diag, &p.http);
	if (r == 0)
		r = session_open(p.name.host, p.name.repository, "pull,push", p.http, diag, &p.session);
	if (r == 0)
		r = want_neighbours(&p);
	return r < 0 ? r : send_image(&p, ret);
}
