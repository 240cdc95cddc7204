// SPDX-License-Identifier: Apache-2.0
#include "tools/cli.h"

#include "store/base/auto.h"
#include "store/base/io.h"
#include "tools/imageconf.h"
#include "tools/treepath.h"
#include "tools/ui.h"

#include <string.h>

enum { COPY_BYTES = 256 * 1024 };

static int copy_out(int fd, uint64_t offset, uint64_t bytes)
{
	AUTO(freep) char *buf = ui_need(malloc(COPY_BYTES));

	while (bytes > 0) {
		size_t want = bytes < COPY_BYTES ? (size_t)bytes : COPY_BYTES;
		ssize_t n = io_pread_full(fd, buf, want, (off_t)offset);

		if (n < 0)
			return (int)n;
		if ((size_t)n < want)
			return -EIO;
		int r = io_write_full(STDOUT_FILENO, buf, want);
		if (r < 0)
			return r;
		offset += want;
		bytes -= want;
	}
	return 0;
}

static int print_file(struct store *store, const struct layer_entry *entry, struct diag *diag)
{
	struct content_place place = { .fd = -1 };

	if (S_ISDIR(entry->mode))
		return diag_set(diag, -EISDIR, "it is a directory");
	if (!S_ISREG(entry->mode))
		return diag_set(diag, -EINVAL, "it is not a regular file");
	if (entry->size == 0)
		return 0;
	int r = content_open(store, entry->content, &place);
	if (r < 0)
		return r == -EIO ? diag_set(diag, r, "its content is not in the store (" DIAG_VERIFY ")")
				 : diag_errno(diag, r, "cannot open its content");
	r = copy_out(place.fd, place.offset, place.bytes);
	if (place.owned)
		close(place.fd);
	return r < 0 ? diag_errno(diag, r, "cannot copy its content") : 0;
}

static int print_path(struct store *store, struct view *view, const char *path, struct diag *diag)
{
	AUTO(freep) char *resolved = NULL;
	const struct view_node *node = NULL;
	int r = tree_resolve(view, path, true, &node, &resolved);

	if (r < 0)
		return diag_set(diag, r, "%s", strerror(-r));
	return print_file(store, view_entry(node), diag);
}

int cmd_cat(struct cli *cli, const struct args *args)
{
	AUTO(image_info_releasep) struct image_info image = { 0 };
	AUTO(view_closep) struct view *view = NULL;
	const char *ref = args_operand(args, 0);
	struct diag diag = { 0 };
	int status = DONE;

	if (cli_open(cli, STORE_READ) < 0 || image_open_at(cli->store, ref, "read", &image) < 0)
		return FAILED;
	int r = view_open(cli->store, image.id, image.layer_count, &diag, &view);
	if (r < 0)
		return ui_fail(r, &diag, NULL, "cannot read %s", ref);
	for (size_t i = 1; i < args->operand_count; i++) {
		diag = (struct diag){ 0 };
		r = print_path(cli->store, view, args->operands[i], &diag);
		if (r < 0)
			status = ui_fail(r, &diag, r == -ENOENT ? "'nacre ls' shows what is there" : NULL,
					 "cannot print %s of %s", args->operands[i], ref);
	}
	return status;
}
