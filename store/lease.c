/* SPDX-License-Identifier: Apache-2.0 */
#include "store/lease.h"

#include "store/base/buf.h"
#include "store/base/io.h"
#include "store/leaseask.h"
#include "store/store_priv.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

/*
 * A lease's file:
 *	image ID\n
 *	layers ID ID ...\n
 *	what TEXT
 *
 * It names the layers too, because the image's rows may go (rmi under way while the mount began);
 * the layers are what must stay.  One of layers alone has 0 for the image, which none has.
 */
enum { LEASE_MAX_BYTES = 1024 * 1024 };

struct lease {
	char *path; /* owned; NULL: a lease without a trace */
	int fd;	    /* owned */
};

static int lease_text(struct store *store, struct image_id image, const char *what, struct diag *diag, struct buf *text)
{
	struct image_info info = { 0 };
	int r = image_info(store, image, diag, &info);

	if (r < 0)
		return r;
	buf_addf(text, "image %" PRId64 "\nlayers", image.value);
	for (size_t i = 0; i < info.layer_count; i++)
		buf_addf(text, " %" PRId64, info.layers[i].value);
	buf_addf(text, "\nwhat %s", what);
	image_info_release(&info);
	return buf_error(text);
}

static int lease_write(struct store *store, struct lease *lease, const struct buf *text)
{
	if (asprintf(&lease->path, "%s/leases/XXXXXX", store->dir) < 0) {
		lease->path = NULL;
		return -ENOMEM;
	}
	lease->fd = mkostemp(lease->path, O_CLOEXEC);
	if (lease->fd < 0) {
		int err = errno;

		free(TAKE(lease->path));
		return -err;
	}
	if (fchmod(lease->fd, 0644) < 0 || flock(lease->fd, LOCK_EX) < 0)
		return -errno;
	return io_write_full(lease->fd, text->data, text->len);
}

/* A store that may only be read cannot be collected by anybody who sees this lease. */
static bool leaves_no_trace(int err)
{
	return err == -EROFS || err == -EACCES || err == -EPERM || err == -ENOENT;
}

static int layer_lease_text(struct store *store, struct layer_id layer, const char *what, struct buf *text)
{
	struct layer_info info;
	int r = layer_info(store, layer, &info);

	if (r < 0)
		return r;
	buf_addf(text, "image 0\nlayers %" PRId64 "\nwhat %s", layer.value, what);
	return buf_error(text);
}

/* Of @layer, or else of @image. */
static int take(struct store *store, const struct layer_id *layer, struct image_id image, const char *what,
		struct diag *diag, struct lease **ret)
{
	struct lease *lease = calloc(1, sizeof(*lease));
	AUTO(buf_release) struct buf text = { 0 };
	AUTO(closep) int lock = -1;
	int r;

	if (!lease)
		return -ENOMEM;
	lease->fd = -1;
	/* gc holds this lock while it decides, so the image is either leased before that or gone after it. */
	r = store_lock(store, LOCK_SH, &lock);
	if (r == 0 || leaves_no_trace(r))
		r = layer ? layer_lease_text(store, *layer, what, &text) : lease_text(store, image, what, diag, &text);
	if (r == 0 && lock >= 0) {
		r = lease_write(store, lease, &text);
		if (leaves_no_trace(r))
			r = 0;
	}
	if (r < 0) {
		lease_drop(lease);
		return diag_errno(diag, r, "cannot lease the image");
	}
	*ret = lease;
	return 0;
}

int lease_take(struct store *store, struct image_id image, const char *what, struct diag *diag, struct lease **ret)
{
	return take(store, NULL, image, what, diag, ret);
}

int lease_take_layer(struct store *store, struct layer_id layer, const char *what, struct lease **ret)
{
	return take(store, &layer, (struct image_id){ 0 }, what, NULL, ret);
}

void lease_drop(struct lease *lease)
{
	if (!lease)
		return;
	if (lease->path)
		unlink(lease->path);
	closep(&lease->fd);
	free(lease->path);
	free(lease);
}

/* ---- seen from gc ---- */

static int parse_layers(char *text, struct layer_id **ret, size_t *ret_count)
{
	size_t room = strlen(text) / 2 + 1; /* a digit and a space each, at least */
	char *save = NULL;

	*ret_count = 0;
	*ret = calloc(room, sizeof(**ret));
	if (!*ret)
		return -ENOMEM;
	for (char *word = strtok_r(text, " ", &save); word; word = strtok_r(NULL, " ", &save))
		(*ret)[(*ret_count)++].value = strtoll(word, NULL, 10);
	return 0;
}

static int lease_parse(char *text, lease_fn fn, void *arg)
{
	AUTO(freep) struct layer_id *layers = NULL;
	struct lease_view view = { .what = "" };
	char *line2 = strchr(text, '\n'), *line3;
	int r;

	if (!line2 || strncmp(text, "image ", 6) != 0 || strncmp(line2, "\nlayers", 7) != 0)
		return 0; /* its writer died before it had a mount */
	view.image.value = strtoll(text + 6, NULL, 10);
	line2 += 7;
	line3 = strchr(line2, '\n');
	if (line3) {
		*line3 = '\0';
		view.what = strncmp(line3 + 1, "what ", 5) == 0 ? line3 + 6 : "";
	}
	r = parse_layers(line2, &layers, &view.layer_count);
	view.layers = layers;
	return r < 0 ? r : fn(&view, arg);
}

static int lease_one(int dir, const char *name, bool sweep, lease_fn fn, void *arg)
{
	AUTO(closep) int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	AUTO(freep) char *text = NULL;
	int r;

	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	if (flock(fd, LOCK_SH | LOCK_NB) == 0) { /* nobody has it */
		if (sweep)
			unlinkat(dir, name, 0);
		return 0;
	}
	if (errno != EWOULDBLOCK)
		return -errno;
	r = io_read_file(dir, name, LEASE_MAX_BYTES, &text, NULL);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	return lease_parse(text, fn, arg);
}

int lease_each(struct store *store, bool sweep, lease_fn fn, void *arg)
{
	int fd = openat(store->dirfd, "leases", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	AUTO(closedirp) DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *de;
	int r = 0;

	if (!dir) {
		r = -errno;
		closep(&fd);
		return r;
	}
	while (r == 0 && (de = readdir(dir))) {
		if (de->d_name[0] != '.')
			r = lease_one(fd, de->d_name, sweep, fn, arg);
		else if (sweep && strncmp(de->d_name, LEASE_ASK_PREFIX, strlen(LEASE_ASK_PREFIX)) == 0)
			unlinkat(fd, de->d_name, 0); /* who asked was killed */
	}
	return r;
}
