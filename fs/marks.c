/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/marks.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
	MARK_FILE_MODE = S_IFREG | 0444, /* as AUFS makes them */
	MARK_NO = (int)0x80000000,	 /* in an opaque mark's number, which the folder's own makes unique */
};

static const char *const opaque_xattrs[] = { "trusted.overlay.opaque", "user.overlay.opaque" };

static void mark_fill(struct mark *mark, uint32_t mode, uint32_t no, int64_t mtime_ns)
{
	mark->row = (struct layer_entry){
		.name = mark->name,
		.name_len = (uint32_t)strlen(mark->name),
		.no = no,
		.mode = mode,
		.nlink = 1,
		.mtime_ns = mtime_ns,
	};
	mark->found = (struct found){ .name = mark->name, .mode = mode, .row = &mark->row };
}

bool mark_of_whiteout(const struct fs *fs, const struct found *whiteout, struct mark *ret)
{
	bool named = fs->options->whiteouts == FS_WHITEOUTS_MARK;

	if (fs->options->whiteouts == FS_WHITEOUTS_HIDE || !whiteout->row)
		return false;
	/* Of an upper that was committed the name may have no room for the prefix. */
	if (named && strlen(OVL_WH_PREFIX) + strlen(whiteout->name) >= sizeof(ret->name))
		named = false;
	snprintf(ret->name, sizeof(ret->name), "%s%s", named ? OVL_WH_PREFIX : "", whiteout->name);
	mark_fill(ret, named ? MARK_FILE_MODE : S_IFCHR, whiteout->row->no, whiteout->row->mtime_ns);
	return true;
}

bool mark_of_opaque(const struct fs *fs, const struct dirnode *dir, struct mark *ret)
{
	if (fs->options->whiteouts != FS_WHITEOUTS_MARK || !node_is(&dir->node, NODE_ROW_OPAQUE))
		return false;
	snprintf(ret->name, sizeof(ret->name), "%s", OVL_WH_OPAQUE);
	mark_fill(ret, MARK_FILE_MODE, dir->node.row.no | (uint32_t)MARK_NO, dir->node.row.mtime_ns);
	return true;
}

const char *mark_xattr(const struct fs *fs, const struct node *node)
{
	if (fs->options->whiteouts != FS_WHITEOUTS_DEVICE || !node_is(node, NODE_ROW_OPAQUE))
		return NULL;
	return opaque_xattrs[fs->owner_uid == 0 ? 0 : 1];
}

bool mark_xattr_is(const struct fs *fs, const struct node *node, const char *shown)
{
	if (!mark_xattr(fs, node))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(opaque_xattrs); i++)
		if (strcmp(shown, opaque_xattrs[i]) == 0)
			return true;
	return false;
}
