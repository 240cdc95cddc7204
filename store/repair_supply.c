/* SPDX-License-Identifier: Apache-2.0 */
#include "store/imagearchive.h"
#include "store/base/auto.h"
#include "store/repair_priv.h"
#include "store/store_priv.h"

/* Layers that are read once more: out of archives that the user has given, and from registries. */

struct transfer {
	const struct transfer_events *events; /* borrowed; may be NULL */
	size_t no;
};

static void on_progress(uint64_t bytes, void *arg)
{
	const struct transfer *t = arg;

	if (t->events && t->events->progress)
		t->events->progress(t->no, bytes, t->events->arg);
}

static void tell_begin(const struct transfer *t, const struct digest *digest, uint64_t bytes)
{
	char text[DIGEST_TEXT_BYTES];

	if (t->events && t->events->begin)
		t->events->begin(t->no, digest_format(digest, text), bytes, t->events->arg);
}

static void tell_end(const struct transfer *t)
{
	if (t->events && t->events->end)
		t->events->end(t->no, TRANSFER_DONE, t->events->arg);
}

/* As ingest_tar() reads a layer; nothing of it is the store's yet. */
static int read_again(struct byte_source source, const struct ingest_options *options,
		      const struct store_limits *limits, struct stage *stage, struct diag *why,
		      struct repair_reading *ret)
{
	AUTO(unpack_freep) struct unpack *unpack = NULL;
	int r = unpack_new(source, options, limits, &unpack);

	if (r == 0)
		r = tar_read(stage, unpack, options->name, limits, why, &ret->tar);
	return r == 0 ? unpack_finish(unpack, why, &ret->stream) : r;
}

static int fetch_from_registry(struct repair *rp, const struct origin_blob *origin, struct ingest_options *options,
			       struct stage *stage, struct diag *why, struct repair_reading *ret)
{
	AUTO(blob_release) struct blob blob = { 0 };
	int r = refetch_blob(&rp->refetch, origin->source, &origin->digest, (uint64_t)origin->bytes, why, &blob);

	if (r < 0)
		return r;
	options->name = origin->source;
	options->blob_digest = &origin->digest;
	options->blob_bytes = origin->bytes;
	tell_begin(options->progress_arg, &origin->digest, (uint64_t)origin->bytes);
	r = read_again(blob_source(&blob), options, NULL, stage, why, ret);
	if (r < 0 && blob.diag.text[0]) /* says more than that the layer could not be read */
		*why = blob.diag;
	return r;
}

static int fetch_from_archive(struct repair *rp, struct image_archive *archive, struct ingest_options *options,
			      struct stage *stage, struct diag *why, struct repair_reading *ret)
{
	struct image_archive_layer layer;
	int r = image_archive_layer(archive, options->diff_id, why, &layer);

	if (r < 0)
		return r;
	options->name = image_archive_name(archive);
	options->blob_digest = layer.blob;
	options->blob_bytes = layer.bytes;
	tell_begin(options->progress_arg, layer.blob ? layer.blob : options->diff_id, layer.member.bytes);
	r = read_again(member_source(&layer.member), options, &rp->store->limits, stage, why, ret);
	member_release(&layer.member);
	return r;
}

int repair_fetch(struct repair *rp, const struct layer_info *layer, const struct repair_supply *supply,
		 struct diag *why, struct stage **ret, struct repair_reading *ret_reading)
{
	AUTO(stage_freep) struct stage *stage = NULL;
	struct transfer transfer = { rp->options->events, rp->transfers };
	struct ingest_options options = {
		.diff_id = &layer->diff_id,
		.progress = on_progress,
		.progress_arg = &transfer,
	};
	int r = stage_new(rp->store, why, &stage);

	if (r == 0)
		r = supply->archive ? fetch_from_archive(rp, supply->archive, &options, stage, why, ret_reading)
				    : fetch_from_registry(rp, supply->origin, &options, stage, why, ret_reading);
	if (r < 0)
		return r;
	rp->transfers++;
	tell_end(&transfer);
	*ret = TAKE(stage);
	return 0;
}

/* ---- which there are ---- */

void repair_supplies_release(struct repair_supplies *supplies)
{
	origin_blobs_free(supplies->blobs, supplies->blob_count);
	free(supplies->items);
	*supplies = (struct repair_supplies){ 0 };
}

int repair_supplies_of(struct repair *rp, const struct layer_info *layer, struct repair_supplies *ret)
{
	int r = origin_blobs(rp->store, layer->id, &ret->blobs, &ret->blob_count);

	if (r < 0)
		return r;
	ret->items = calloc(rp->options->archive_count + ret->blob_count + 1, sizeof(*ret->items));
	if (!ret->items)
		return -ENOMEM;
	for (size_t i = 0; i < rp->options->archive_count; i++)
		if (image_archive_has(rp->options->archives[i], &layer->diff_id))
			ret->items[ret->count++].archive = rp->options->archives[i];
	for (size_t i = 0; i < ret->blob_count; i++)
		if (ret->blobs[i].source && ret->blobs[i].bytes >= 0)
			ret->items[ret->count++].origin = &ret->blobs[i];
	return 0;
}

const char *repair_nobody(const struct repair *rp)
{
	return rp->options->archive_count
		       ? "neither an archive given by --from nor a registry that is known has it"
		       : "no registry is known that has it; an archive that has it can be given by --from";
}

void repair_note_supply(struct attempt *a, const struct repair_supply *supply, int err, const struct diag *why)
{
	const char *name = supply->archive ? image_archive_name(supply->archive) : supply->origin->source;

	if (err < 0)
		attempt_failed(a, name, diag_text(why, err));
	else
		attempt_note(a, supply->archive ? "read again from " : "fetched again from ", name, "");
}
