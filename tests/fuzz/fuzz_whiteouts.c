/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an upper hides: the input is a list of things to make in one, and that is written as a layer.  Each line is a letter and a
 * path, or, for an xattr of what came before, its name and value:
 *	dPATH  a folder	 fPATH  a file	wPATH  a 0:0 device (where we may)  lPATH  a symlink  xNAME=VALUE
 * With an S at the beginning all is squashed into one layer.
 */
#include "fuzz.h"

#include "store/base/buf.h"
#include "store/commit.h"
#include "store/stage.h"
#include "store/tarread.h"
#include "store/unpack.h"
#include "store/uppertar.h"
#include "store/view.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

enum { LINES_MAX = 100 };

struct making {
	int rootfd;	/* borrowed: the upper */
	char last[600]; /* /proc/self/fd/N/NAME of what came last; "" */
	int lastfd;	/* owned: the folder that it is in */
};

static bool is_name(const char *name)
{
	return *name && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

/* Folders on the way are made; a symlink is never followed. Return: the last one, with the rest in *@ret_name; -1. */
static int go_to(struct making *m, char *path, const char **ret_name)
{
	AUTO(closep) int fd = fcntl(m->rootfd, F_DUPFD_CLOEXEC, 0);
	char *save = NULL, *name = strtok_r(path, "/", &save), *next;

	for (; name && is_name(name) && (next = strtok_r(NULL, "/", &save)); name = next) {
		int below;

		(void)mkdirat(fd, name, 0755);
		below = openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (below < 0)
			return -1;
		close(fd);
		fd = below;
	}
	if (!name || !is_name(name))
		return -1;
	*ret_name = name;
	return TAKE_FD(fd);
}

static void make_one(struct making *m, char kind, char *path)
{
	const char *name;
	int fd = go_to(m, path, &name);

	if (fd < 0)
		return;
	if (kind == 'd')
		(void)mkdirat(fd, name, 0755);
	else if (kind == 'f')
		close(openat(fd, name, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644));
	else if (kind == 'w')
		(void)mknodat(fd, name, S_IFCHR, makedev(0, 0));
	else if (symlinkat("/nowhere", fd, name) < 0)
		errno = 0;
	closep(&m->lastfd);
	m->lastfd = fd;
	snprintf(m->last, sizeof(m->last), "/proc/self/fd/%d/%s", fd, name);
}

static void make_xattr(struct making *m, char *text)
{
	char *value = strchr(text, '=');

	if (!value || !m->last[0])
		return;
	*value++ = '\0';
	(void)lsetxattr(m->last, text, value, strlen(value), 0);
}

static void make_upper(int rootfd, char *text)
{
	struct making m = { .rootfd = rootfd, .lastfd = -1 };
	char *save = NULL;
	int lines = 0;

	for (char *line = strtok_r(text, "\n", &save); line && lines < LINES_MAX; line = strtok_r(NULL, "\n", &save)) {
		lines++;
		if (*line == 'x')
			make_xattr(&m, line + 1);
		else if (*line && strchr("dfwl", *line))
			make_one(&m, *line, line + 1);
	}
	closep(&m.lastfd);
}

/* An empty archive, and over it an upper with something to hide. */
static struct image_id make_base(struct store *store, const char *upper, int upperfd)
{
	static const uint8_t tar[1024];
	const struct ingest_options from = { .name = "base", .blob_bytes = -1 };
	const struct commit_options options = { .created = 0 };
	char below[] = "fa\nfd/a\nfd/b/c\nfd/b/d\nld/l\nfe/f/g/h\nde/f/i";
	char digest[DIGEST_TEXT_BYTES];
	AUTO(freep) char *config = NULL;
	AUTO(writer_closep) struct writer *writer = NULL;
	struct input in = { tar, sizeof(tar) };
	struct ingest_result layer;
	struct image_id empty, base;

	MUST(writer_open(store, NULL, &writer) == 0);
	MUST(ingest_tar(writer, (struct byte_source){ input_read, &in }, &from, NULL, &layer) == 0);
	MUST(asprintf(
		     &config,
		     "{\"architecture\":\"amd64\",\"os\":\"linux\",\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"%s\"]}}",
		     digest_format(&layer.diff_id, digest)) > 0);
	MUST(image_add(writer, config, strlen(config), &layer.layer, 1, "empty", NULL, &empty) == 0);
	writer_close(TAKE(writer));
	make_upper(upperfd, below);
	MUST(upper_commit(store, empty, upper, &options, NULL, &base, &layer) == 0);
	check_layer_back(store, &layer);
	return base;
}

static int ignore_change(char kind, const char *path, void *arg)
{
	return 0;
}

static int add_bytes(const void *bytes, size_t count, void *arg)
{
	buf_add(arg, bytes, count);
	return 0;
}

/* What is written is a layer. */
static void read_back(const struct buf *tar)
{
	const struct ingest_options options = { .name = "layer", .blob_bytes = -1 };
	struct input in = { (const uint8_t *)tar->data, tar->len };
	AUTO(db_closep) struct db *db = NULL;
	AUTO(unpack_freep) struct unpack *unpack = NULL;
	struct diag diag = { 0 };
	struct tree_totals totals;
	int r;

	MUST(stage_rows_open(":memory:", &db) == 0);
	MUST(unpack_new((struct byte_source){ input_read, &in }, &options, NULL, &unpack) == 0);
	r = tar_read_rows(&(struct stage){ .db = db }, unpack, "layer", &diag, &totals);
	if (r < 0)
		fprintf(stderr, "%s\n", diag.text);
	MUST(r == 0);
}

static void check_upper(struct store *store, struct image_id base, const char *upper, bool squash)
{
	AUTO(view_closep) struct view *view = NULL;
	AUTO(buf_release) struct buf tar = { 0 };
	struct diag diag = { 0 }, why = { 0 };
	int r;

	MUST(view_open(store, base, 0, NULL, &view) == 0);
	r = upper_tar(store, view, upper, squash, add_bytes, &tar, &diag);
	MUST(r == 0 || diag.text[0]);
	if (r == 0 && buf_error(&tar) == 0)
		read_back(&tar);
	r = upper_diff(store, base, upper, ignore_change, NULL, &why);
	MUST(r == 0 || why.text[0]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct store *store;
	static struct image_id base;
	static char upper[4096];
	AUTO(freep) char *text = strndup((const char *)data, size);
	AUTO(closep) int upperfd = -1;
	bool squash;

	MUST(text != NULL);
	if (!store) {
		store = fuzz_store();
		snprintf(upper, sizeof(upper), "%s/upper", fuzz_dir());
	}
	(void)io_remove_tree(AT_FDCWD, upper);
	MUST(mkdir(upper, 0755) == 0);
	upperfd = open(upper, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	MUST(upperfd >= 0);
	if (base.value == 0) {
		base = make_base(store, upper, upperfd);
		return 0;
	}
	squash = text[0] == 'S';
	make_upper(upperfd, text + squash);
	check_upper(store, base, upper, squash);
	return 0;
}
