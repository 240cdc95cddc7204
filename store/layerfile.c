/* SPDX-License-Identifier: Apache-2.0 */
#include "store/layerfile.h"

#include "store/base/auto.h"
#include "store/base/io.h"

#include <fcntl.h>
#include <string.h>
#include <zlib.h>

enum { OUT_BYTES = 256 * 1024, GZIP_LEVEL = 6 };

/* One file being written. */
struct making {
	struct layerfile *file;	 /* borrowed */
	const atomic_bool *stop; /* borrowed; may be NULL */
	struct digest_ctx *diff; /* owned */
	struct digest_ctx *hash; /* owned; of the file */
	bool gzip;
	z_stream z;
	uint8_t *out; /* owned, of OUT_BYTES */
};

static void making_release(struct making *m)
{
	digest_ctx_free(m->diff);
	digest_ctx_free(m->hash);
	if (m->gzip)
		deflateEnd(&m->z);
	free(m->out);
}

void layerfile_release(struct layerfile *file)
{
	closep(&file->fd);
	file->fd = -1;
}

static int open_temporary(struct diag *diag)
{
	const char *dir = getenv("TMPDIR");
	int fd;

	if (!dir || !*dir)
		dir = "/var/tmp";
	fd = io_unnamed_file(dir);
	return fd < 0 ? diag_errno(diag, fd, "cannot make a file in %s", dir) : fd;
}

static int put(struct making *m, const void *bytes, size_t len)
{
	digest_update(m->hash, bytes, len);
	m->file->bytes += len;
	return io_write_full(m->file->fd, bytes, len);
}

static int squeeze(struct making *m, const void *bytes, size_t len, int flush)
{
	int code, r = 0;

	m->z.next_in = (Bytef *)bytes;
	m->z.avail_in = (uInt)len;
	do {
		m->z.next_out = m->out;
		m->z.avail_out = OUT_BYTES;
		code = deflate(&m->z, flush);
		if (code == Z_STREAM_ERROR)
			return -EIO;
		r = put(m, m->out, OUT_BYTES - m->z.avail_out);
	} while (r == 0 && m->z.avail_out == 0 && code != Z_STREAM_END);
	return r;
}

static int on_stream(void *arg, const void *bytes, size_t len)
{
	struct making *m = arg;

	if (m->stop && atomic_load(m->stop))
		return -ECANCELED;
	digest_update(m->diff, bytes, len);
	return m->gzip ? squeeze(m, bytes, len, Z_NO_FLUSH) : put(m, bytes, len);
}

static int making_init(struct making *m, bool gzip)
{
	m->diff = digest_ctx_new();
	m->hash = digest_ctx_new();
	m->out = malloc(OUT_BYTES);
	if (!m->diff || !m->hash || !m->out)
		return -ENOMEM;
	if (gzip && deflateInit2(&m->z, GZIP_LEVEL, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
		return -ENOMEM;
	m->gzip = gzip;
	return 0;
}

int layerfile_make(struct store *store, struct layer_id layer, bool gzip, const atomic_bool *stop, struct diag *diag,
		   struct layerfile *ret)
{
	AUTO(layerfile_release) struct layerfile file = { .fd = -1 };
	AUTO(making_release) struct making m = { .file = &file, .stop = stop };
	struct layer_info info;
	struct digest diff;
	char text[DIGEST_TEXT_BYTES];
	int r = layer_info(store, layer, &info);

	if (r == 0)
		r = file.fd = open_temporary(diag);
	if (r < 0)
		return r;
	r = making_init(&m, gzip);
	if (r == 0)
		r = layer_write_tar(store, layer, on_stream, &m, diag);
	if (r == 0 && gzip)
		r = squeeze(&m, "", 0, Z_FINISH);
	if (r < 0)
		return diag_errno(diag, r, "layer %s: cannot be written out", digest_format(&info.diff_id, text));
	digest_final(m.diff, &diff);
	digest_final(m.hash, &file.digest);
	if (!digest_eq(&diff, &info.diff_id))
		return diag_set(diag, -EIO, "layer %s: what the store has of it has another digest (" DIAG_VERIFY ")",
				digest_format(&info.diff_id, text));
	*ret = file;
	file.fd = -1;
	return 0;
}
