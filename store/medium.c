/* SPDX-License-Identifier: Apache-2.0 */
#include "store/medium.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

/* Not in linux/magic.h; each from the file system's own source. */
enum {
	CEPH_MAGIC = 0x00c36400,
	GFS2_MAGIC = 0x01161970,
	LUSTRE_MAGIC = 0x0bd00bd0,
	GPFS_MAGIC = 0x47504653,
};

bool medium_is_shared(int fd)
{
	struct statfs st;

	if (fstatfs(fd, &st) < 0)
		return false;
	switch ((uint32_t)st.f_type) {
	case NFS_SUPER_MAGIC:
	case SMB_SUPER_MAGIC:
	case CIFS_SUPER_MAGIC:
	case SMB2_SUPER_MAGIC:
	case AFS_SUPER_MAGIC:
	case AFS_FS_MAGIC:
	case CODA_SUPER_MAGIC:
	case V9FS_MAGIC:
	case OCFS2_SUPER_MAGIC:
	case FUSE_SUPER_MAGIC: /* sshfs, GlusterFS, virtiofs: it does not tell */
	case CEPH_MAGIC:
	case GFS2_MAGIC:
	case LUSTRE_MAGIC:
	case GPFS_MAGIC:
		return true;
	default:
		return false;
	}
}

/* They have no sync_fs() in the kernel, or none that the server hears of: FUSE has FUSE_SYNCFS for virtiofs alone. */
bool medium_syncs_as_whole(int fd)
{
	struct statfs st;

	if (fstatfs(fd, &st) < 0)
		return false;
	switch ((uint32_t)st.f_type) {
	case FUSE_SUPER_MAGIC:
	case V9FS_MAGIC:
	case SMB_SUPER_MAGIC:
	case CIFS_SUPER_MAGIC:
	case SMB2_SUPER_MAGIC:
	case CODA_SUPER_MAGIC:
		return false;
	default:
		return true;
	}
}

static bool has_bytes(int dirfd, const char *name)
{
	struct stat st;

	return fstatat(dirfd, name, &st, 0) == 0 && st.st_size > 0;
}

enum medium_log medium_log(int dirfd)
{
	if (has_bytes(dirfd, "index.db-journal"))
		return MEDIUM_TORN;
	return has_bytes(dirfd, "index.db-wal") ? MEDIUM_WAL : MEDIUM_NO_LOG;
}

int medium_set_journal(struct db *db, bool shared)
{
	AUTO(db_resetp) sqlite3_stmt *stmt = NULL;
	const char *mode;
	bool fits;
	int r = db_stmt(db, "PRAGMA journal_mode", &stmt);

	if (r == 0)
		r = db_step(stmt);
	if (r <= 0)
		return r;
	mode = (const char *)sqlite3_column_text(stmt, 0);
	fits = (strcmp(mode ? mode : "", "wal") == 0) != shared;
	db_reset(TAKE(stmt));
	if (fits)
		return 0;
	r = db_exec(db, shared ? "PRAGMA journal_mode=DELETE" : "PRAGMA journal_mode=WAL");
	return r == -EBUSY ? 0 : r;
}
