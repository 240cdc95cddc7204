/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/namelist.h"

#include "store/base/auto.h"

#include <string.h>

/* A name's place is where it ends in the list, after "." and "..". */
static size_t add_names(fuse_req_t req, fuse_ino_t ino, const char *names, size_t bytes, off_t offset, bool plus,
			char *buf, size_t size)
{
	const char *name = offset == 0 ? "." : offset == 1 ? ".." : names + offset - 2;
	size_t used = 0, need;

	while (offset < 2 || name < names + bytes) {
		struct fuse_entry_param e = { .attr = { .st_ino = ino } };

		offset = offset < 2 ? offset + 1 : (off_t)(name + strlen(name) + 1 - names) + 2;
		need = plus ? fuse_add_direntry_plus(req, buf + used, size - used, name, &e, offset)
			    : fuse_add_direntry(req, buf + used, size - used, name, &e.attr, offset);
		if (need > size - used)
			break;
		used += need;
		name = offset == 1 ? ".." : names + offset - 2;
	}
	return used;
}

void namelist_reply(fuse_req_t req, fuse_ino_t ino, const char *names, size_t bytes, size_t size, off_t offset,
		    bool plus)
{
	AUTO(freep) char *buf = malloc(size);

	/* The list may be another one than the last time: on with the next whole name. */
	while (offset > 2 && (size_t)offset - 2 < bytes && names[offset - 3] != '\0')
		offset++;
	if (!buf)
		fuse_reply_err(req, ENOMEM);
	else if (offset >= 2 && (size_t)offset - 2 >= bytes) /* the end */
		fuse_reply_buf(req, NULL, 0);
	else
		fuse_reply_buf(req, buf, add_names(req, ino, names, bytes, offset, plus, buf, size));
}
