/* SPDX-License-Identifier: Apache-2.0 */
#include "store/export.h"

#include "store/base/auto.h"
#include "store/base/io.h"
#include "store/outfile.h"
#include "store/uppertar.h"

#include <string.h>

enum { BUFFER_BYTES = 256 * 1024 };

/* Where all of it goes: headers are small and many, so they are gathered. */
struct sink {
	struct outfile out;		      /* owned */
	const struct export_options *options; /* borrowed */
	struct diag *diag;		      /* borrowed */
	struct digest_ctx *hash;	      /* owned; NULL: nobody asks for the digest */
	char *buffer;			      /* owned, of BUFFER_BYTES */
	size_t used;
	uint64_t bytes;
};

static void sink_release(struct sink *s)
{
	outfile_release(&s->out);
	digest_ctx_free(s->hash);
	free(s->buffer);
}

static int sink_open(struct sink *s, const struct export_options *options, struct diag *diag)
{
	s->options = options;
	s->diag = diag;
	s->buffer = malloc(BUFFER_BYTES);
	return s->buffer ? outfile_open(&s->out, options->path, diag) : -ENOMEM;
}

static int write_out(struct sink *s, const void *bytes, size_t count)
{
	int r = io_write_full(s->out.fd, bytes, count);

	if (r < 0)
		return outfile_error(&s->out, r, s->diag);
	s->bytes += count;
	if (s->options->progress)
		s->options->progress(s->bytes, s->options->progress_arg);
	return 0;
}

static int flush(struct sink *s)
{
	size_t count = s->used;

	s->used = 0;
	return count ? write_out(s, s->buffer, count) : 0;
}

static int sink_write(const void *bytes, size_t count, void *arg)
{
	struct sink *s = arg;
	int r = 0;

	if (s->hash)
		digest_update(s->hash, bytes, count);
	if (count > BUFFER_BYTES - s->used)
		r = flush(s);
	if (r == 0 && count >= BUFFER_BYTES)
		return write_out(s, bytes, count);
	if (r == 0) {
		memcpy(s->buffer + s->used, bytes, count);
		s->used += count;
	}
	return r;
}

static int sink_finish(struct sink *s)
{
	int r = flush(s);

	return r < 0 ? r : outfile_finish(&s->out, s->diag);
}

static void lease_dropp(struct lease **lease)
{
	lease_drop(*lease);
}

/* On a full disk an export is what one wants most: without a lease, a missing file is told of when it is read. */
static int take_lease(struct store *store, struct image_id image, struct diag *diag, struct lease **ret)
{
	struct diag why = { 0 };
	AUTO(freep) char *what = NULL;
	int r;

	if (asprintf(&what, "being exported by process %d", (int)getpid()) < 0) {
		what = NULL;
		return -ENOMEM;
	}
	r = lease_take(store, image, what, &why, ret);

	if (r == -ENOSPC || r == -EDQUOT)
		return 0;
	return r < 0 ? diag_set(diag, r, "%s", diag_text(&why, r)) : 0;
}

int image_export(struct store *store, struct image_id image, size_t layers, const char *upper,
		 const struct export_options *options, struct diag *diag)
{
	AUTO(lease_dropp) struct lease *lease = NULL;
	AUTO(view_closep) struct view *view = NULL;
	AUTO(sink_release) struct sink sink = { .out = { .fd = -1 } };
	int r = take_lease(store, image, diag, &lease);

	if (r == 0)
		r = view_open(store, image, layers, diag, &view);
	if (r == 0)
		r = sink_open(&sink, options, diag);
	if (r == 0)
		r = upper_tar(store, view, upper, true, sink_write, &sink, diag);
	return r < 0 ? r : sink_finish(&sink);
}

static int on_stream(void *arg, const void *bytes, size_t len)
{
	return sink_write(bytes, len, arg);
}

static int export_stream(struct store *store, const struct layer_info *info, struct sink *sink)
{
	char text[DIGEST_TEXT_BYTES];
	struct digest found;
	int r;

	sink->hash = digest_ctx_new();
	if (!sink->hash)
		return -ENOMEM;
	r = layer_write_tar(store, info->id, on_stream, sink, sink->diag);
	if (r < 0)
		return r;
	digest_final(sink->hash, &found);
	if (!digest_eq(&found, &info->diff_id))
		return diag_set(sink->diag, -EIO, "what the store has of layer %s has another digest (" DIAG_VERIFY ")",
				digest_format(&info->diff_id, text));
	return 0;
}

static void image_info_releasep(struct image_info *info)
{
	image_info_release(info);
}

int layer_export(struct store *store, struct image_id image, size_t number, const struct export_options *options,
		 struct diag *diag)
{
	AUTO(lease_dropp) struct lease *lease = NULL;
	AUTO(image_info_releasep) struct image_info info = { 0 };
	AUTO(sink_release) struct sink sink = { .out = { .fd = -1 } };
	struct layer_info layer = { 0 };
	int r = take_lease(store, image, diag, &lease);

	if (r == 0)
		r = image_info(store, image, diag, &info);
	if (r == 0)
		r = layer_info(store, info.layers[number - 1], &layer);
	if (r == 0)
		r = sink_open(&sink, options, diag);
	if (r == 0)
		r = export_stream(store, &layer, &sink);
	return r < 0 ? r : sink_finish(&sink);
}
