/* SPDX-License-Identifier: Apache-2.0 */
#include "store/frozen.h"

#include "store/base/io.h"
#include "store/store_priv.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

/*
 * A live commit of a container of image I, and what a crash after each step leaves:
 *
 *   1. fresh/ made, with work/links-INO	an empty folder, which the next one removes
 *   2. upper/ renamed to frozen.I/		no upper/: container_lock() takes step 3
 *   3. fresh/ renamed to upper/, synced	I + frozen.I + an empty upper: the same tree
 *   4. the driver told			the same; what is changed from now on is in upper/
 *   5. frozen.I/ has become a layer, and with I the image J: the container is of J
 *
 * Step 5 is one row of the index, and frozen.I is what is to become a layer only as
 * long as the container is of I: so each state is told by the names alone, and from 3
 * on who mounts the container or commits it again begins with 5.  The driver goes on
 * with I and frozen.I, which are J.  The folder is removed when the mount has ended.
 *
 * links-INO is the index that the driver keeps for the upper whose inode number is INO
 * (fs/index.c); the first upper's is work/links.
 */

enum { NAME_BYTES = 80 };

#define LOCK_NAME "lock.commit"

static const char *path_in(const struct container_info *container, const char *name, char path[static NAME_BYTES])
{
	snprintf(path, NAME_BYTES, "containers/%s/%s", container->id, name);
	return path;
}

static int open_folder(struct store *store, const char *path, int *ret)
{
	*ret = openat(store->dirfd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return *ret < 0 ? -errno : 0;
}

static int sync_folder(struct store *store, const char *path)
{
	AUTO(closep) int fd = -1;
	int r = open_folder(store, path, &fd);

	if (r < 0)
		return r;
	return fsync(fd) < 0 ? -errno : 0;
}

static int rename_in(int folder, const char *from, const char *to)
{
	return renameat(folder, from, folder, to) < 0 ? -errno : 0;
}

static bool is_there(int folder, const char *name)
{
	struct stat st;

	return fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* What a crash after step 2 leaves. */
static int put_right(int folder)
{
	if (is_there(folder, "upper") || !is_there(folder, "fresh"))
		return 0;
	return rename_in(folder, "fresh", "upper");
}

/* Who removes it has the lock until then. */
static int check_is_there(struct store *store, const char *id, int lock)
{
	struct stat ours, named;
	char path[NAME_BYTES];

	snprintf(path, sizeof(path), "containers/%s/" LOCK_NAME, id);
	if (fstat(lock, &ours) < 0 || fstatat(store->dirfd, path, &named, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	return ours.st_ino == named.st_ino && ours.st_dev == named.st_dev ? 0 : -ENOENT;
}

static int lock_container(struct store *store, const char *id, int operation, struct diag *diag, int *ret_fd)
{
	AUTO(closep) int folder = -1, fd = -1;
	char path[NAME_BYTES];
	int r;

	snprintf(path, sizeof(path), "containers/%s", id);
	r = open_folder(store, path, &folder);
	/* A file, open for writing: NFS locks nothing else. */
	if (r == 0 && (fd = openat(folder, LOCK_NAME, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600)) < 0)
		r = -errno;
	if (r == 0 && flock(fd, operation) < 0)
		r = errno == EWOULDBLOCK ? -EBUSY : -errno;
	if (r == 0)
		r = check_is_there(store, id, fd);
	if (r == 0)
		r = put_right(folder);
	if (r < 0)
		return diag_errno(diag, r, "container %s cannot be locked", id);
	*ret_fd = TAKE_FD(fd);
	return 0;
}

int container_lock(struct store *store, const char *id, struct diag *diag, int *ret_fd)
{
	return lock_container(store, id, LOCK_EX, diag, ret_fd);
}

int container_try_lock(struct store *store, const char *id, struct diag *diag, int *ret_fd)
{
	return lock_container(store, id, LOCK_EX | LOCK_NB, diag, ret_fd);
}

/* ---- freezing ---- */

static int index_name(int folder, const char *upper, char name[static NAME_BYTES])
{
	struct stat st;

	if (fstatat(folder, upper, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	snprintf(name, NAME_BYTES, "work/links-%" PRIx64, (uint64_t)st.st_ino);
	return 0;
}

static int make_fresh(int folder)
{
	char index[NAME_BYTES];
	int r = io_remove_tree(folder, "fresh");

	if (r == 0 && mkdirat(folder, "fresh", 0755) < 0)
		r = -errno;
	if (r == 0)
		r = index_name(folder, "fresh", index);
	if (r == 0) /* of an upper that is no more and had the same number */
		r = io_remove_tree(folder, index);
	if (r == 0 && mkdirat(folder, index, 0700) < 0)
		r = -errno;
	return r;
}

static int freeze_in(struct store *store, const struct container_info *container, int folder, const char *frozen)
{
	char path[NAME_BYTES];
	int r = make_fresh(folder);

	if (r == 0)
		r = sync_folder(store, path_in(container, "fresh", path));
	if (r == 0)
		r = sync_folder(store, path_in(container, "work", path));
	if (r == 0)
		r = rename_in(folder, "upper", frozen);
	if (r == 0)
		r = rename_in(folder, "fresh", "upper");
	if (r == 0)
		r = fsync(folder) < 0 ? -errno : 0;
	return r;
}

int container_freeze(struct store *store, struct container_info *container, struct diag *diag)
{
	AUTO(freep) char *frozen = container_frozen_path(store, container);
	AUTO(closep) int folder = -1;
	char path[NAME_BYTES];
	int r = frozen ? open_folder(store, path_in(container, ".", path), &folder) : -ENOMEM;

	if (r == 0)
		r = freeze_in(store, container, folder, strrchr(frozen, '/') + 1);
	if (r < 0) {
		if (folder >= 0)
			(void)put_right(folder);
		return diag_errno(diag, r, "the upper of container %s cannot be put aside", container->id);
	}
	container->frozen = TAKE(frozen);
	return 0;
}

int container_thaw(struct store *store, struct container_info *container)
{
	AUTO(closep) int folder = -1;
	char path[NAME_BYTES], index[NAME_BYTES];
	int r = open_folder(store, path_in(container, ".", path), &folder);

	if (r == 0)
		r = index_name(folder, "upper", index);
	if (r == 0)
		r = rename_in(folder, "upper", "fresh");
	if (r == 0) {
		r = rename_in(folder, strrchr(container->frozen, '/') + 1, "upper");
		if (r < 0)
			(void)put_right(folder);
	}
	if (r < 0)
		return r;
	free(TAKE(container->frozen));
	unlinkat(folder, "fresh", AT_REMOVEDIR);
	unlinkat(folder, index, AT_REMOVEDIR);
	return fsync(folder) < 0 ? -errno : 0;
}

/* ---- afterwards ---- */

static int change_image(struct db *db, const struct container_info *container, struct image_id image)
{
	sqlite3_stmt *stmt;
	int r = db_stmt(db,
			"UPDATE container SET image = ?1 WHERE id = ?2 AND image = ?3"
			" AND EXISTS (SELECT 1 FROM image WHERE id = ?1)",
			&stmt);

	if (r < 0)
		return r;
	db_bind_int(stmt, 1, image.value);
	db_bind_text(stmt, 2, container->id);
	db_bind_int(stmt, 3, container->image.value);
	r = db_run(stmt);
	return r == 0 && sqlite3_changes(db_handle(db)) == 0 ? -ENOENT : r;
}

int container_set_image(struct store *store, struct container_info *container, struct image_id image)
{
	AUTO(txn_abortp) struct txn *txn = NULL;
	int r = txn_begin(store, &txn);

	if (r == 0)
		r = change_image(txn_db(txn), container, image);
	if (r == 0)
		r = txn_commit(TAKE(txn));
	if (r < 0)
		return r;
	container->image = image;
	free(TAKE(container->frozen));
	return 0;
}

/* Removes what is called @prefix..., but @keep (NULL: nothing is kept). */
static int sweep_folder(int folder, const char *prefix, const char *keep)
{
	AUTO(closep) int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	AUTO(closedirp) DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *de;
	int r = 0;

	if (!dir)
		return -errno;
	(void)TAKE_FD(fd);
	while (r == 0 && (de = readdir(dir))) {
		if (strncmp(de->d_name, prefix, strlen(prefix)) == 0 && (!keep || strcmp(de->d_name, keep) != 0))
			r = io_remove_tree(folder, de->d_name);
	}
	return r;
}

int container_sweep(struct store *store, const struct container_info *container)
{
	const char *keep = container->frozen ? strrchr(container->frozen, '/') + 1 : NULL;
	AUTO(closep) int folder = -1, work = -1;
	char path[NAME_BYTES], index[NAME_BYTES];
	int r = open_folder(store, path_in(container, ".", path), &folder);

	if (r == 0)
		r = sweep_folder(folder, "frozen.", keep);
	if (r == 0)
		r = io_remove_tree(folder, "fresh");
	if (r == 0)
		r = index_name(folder, "upper", index);
	if (r < 0 || !is_there(folder, index)) /* the first upper's has the plain name, and there is no other */
		return r;
	r = open_folder(store, path_in(container, "work", path), &work);
	return r < 0 ? r : sweep_folder(work, "links", strchr(index, '/') + 1);
}
