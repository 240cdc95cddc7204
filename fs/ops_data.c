/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/ops_internal.h"

/*
 * Requests on what is in files.
 */

#include "fs/listing.h"
#include "fs/passthrough.h"
#include "fs/ring.h"
#include "fs/seek.h"
#include "fs/stats.h"
#include "store/base/auto.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>

/* One buffer for each thread: as large as these are, malloc would give each back, and fault it in again. */
static char *read_buffer(fuse_req_t req)
{
	struct mount *mount = mount_of(req);
	char *buf = mount->rings ? rings_buffer(mount->rings, READ_BUFFER_BYTES) : NULL;

	if (!buf)
		buf = pthread_getspecific(mount->read_buffer);
	if (!buf) {
		buf = malloc(READ_BUFFER_BYTES);
		if (buf && pthread_setspecific(mount->read_buffer, buf) != 0) {
			free(buf);
			buf = NULL;
		}
	}
	return buf;
}

static void read_copied(fuse_req_t req, struct fs *fs, struct node *node, size_t size, off_t offset)
{
	AUTO(freep) char *larger = size > READ_BUFFER_BYTES ? malloc(size) : NULL;
	char *buf = size > READ_BUFFER_BYTES ? larger : read_buffer(req);
	ssize_t n = buf ? fs_read(fs, node, buf, size, offset) : -ENOMEM;

	if (n < 0)
		fuse_reply_err(req, (int)-n);
	else
		fuse_reply_buf(req, buf, (size_t)n);
}

/*
 * From the file's pages in the kernel to those of the mount by way of a pipe: one copy
 * rather than two.  What the pipe costs is more than the copy of a few pages, and an
 * answer that no pipe can hold would be copied after all, through a buffer of libfuse's.
 */
static bool worth_splicing(const struct mount *mount, size_t size)
{
	return mount->splice && size >= SPLICE_MIN_BYTES && size <= SPLICE_MAX_BYTES;
}

static void read_spliced(fuse_req_t req, struct fs *fs, struct node *node, size_t size, off_t offset)
{
	struct fs_data data;
	int r = fs_data_get(fs, node, size, offset, &data);

	if (r < 0) {
		fuse_reply_err(req, -r);
		return;
	}
	if (data.bytes == 0) {
		fuse_reply_buf(req, NULL, 0);
	} else {
		struct fuse_bufvec bufv = FUSE_BUFVEC_INIT(data.bytes);

		bufv.buf[0].flags = FUSE_BUF_IS_FD | FUSE_BUF_FD_SEEK;
		bufv.buf[0].fd = data.fd;
		bufv.buf[0].pos = data.offset;
		fuse_reply_data(req, &bufv, 0);
		/* It has gone on to where the copy ended: behind the one buffer, or within it where the file ends. */
		stats_add(fs_stats(fs), STAT_BYTES_READ, (int64_t)(bufv.idx ? data.bytes : bufv.off));
	}
	fs_data_put(fs, &data);
}

void ops_read(fuse_req_t req, struct fs *fs, struct node *node, size_t size, off_t offset)
{
	if (worth_splicing(mount_of(req), size))
		read_spliced(req, fs, node, size, offset);
	else
		read_copied(req, fs, node, size, offset);
}

void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
	if (offset == 0) /* somebody opened it, and will close it */
		listing_asked(mount_of(req), ino, false);
	ops_read(req, fs_of(req, ino), node_of(req, ino), size, offset);
}

/* With the write-back cache the kernel keeps the times, of O_DIRECT writes too. */
static unsigned keep_mtime(fuse_req_t req)
{
	return mount_of(req)->writeback ? FS_WRITE_KEEP_MTIME : 0;
}

/* Is it a write of somebody without CAP_FSETID? */
static bool kills_priv(fuse_req_t req, const struct fuse_file_info *fi)
{
#ifdef HAVE_FUSE_KILL_SUIDGID
	if (fi)
		return fi->kill_suidgid;
#endif
	/* libfuse before 3.18.3 does not pass on what the kernel says, nor does the kernel say it of all requests. */
	return fuse_req_ctx(req)->uid != 0;
}

/* What the change of data that is asked for takes from the mode. @fi is NULL where the kernel does not say. */
static unsigned killed(fuse_req_t req, fuse_ino_t ino, const struct fuse_file_info *fi)
{
	if (!kills_priv(req, fi))
		return 0;
	return FS_WRITE_KILL_PRIV | (ops_outside_group(req, ino) ? FS_WRITE_KILL_SGID : 0);
}

/*
 * After a write the kernel asks again for size, blocks and times, but trusts the mode
 * that it has.  The request that changed it has not been answered yet: nobody who
 * waits for it sees the old one.
 */
static void tell_mode(fuse_req_t req, fuse_ino_t ino, struct node *node)
{
	enum { ATTRIBUTES_ONLY = -1 };

	if (fs_mode_changed(node))
		fuse_lowlevel_notify_inval_inode(mount_of(req)->session, ino, ATTRIBUTES_ONLY, 0);
}

/* Not sent again after the first ENOSYS; see the top of ops.c. */
void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct mount *mount = mount_of(req); /* the answer frees the request */
	struct node *node = node_of(req, ino);
	int r;

	if (!mount->opens) {
		fuse_reply_err(req, ENOSYS);
		return;
	}
	r = passthrough_open(mount, ino, node, fi->flags & O_TRUNC ? killed(req, ino, NULL) : 0, fi);
	tell_mode(req, ino, node);
	if (r < 0)
		fuse_reply_err(req, -r);
	else if (fuse_reply_open(req, fi) < 0)
		passthrough_release(mount, fi->fh);
}

void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	if (fi->fh)
		passthrough_release(mount_of(req), fi->fh);
	fuse_reply_err(req, 0);
}

void op_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t offset, struct fuse_file_info *fi)
{
	struct node *node = node_of(req, ino);
	unsigned flags = keep_mtime(req) | (fi->writepage ? FS_WRITE_BACK : killed(req, ino, fi));
	int r = fs_write(fs_of(req, ino), node, buf, size, offset, flags);

	tell_mode(req, ino, node);
	if (r < 0)
		fuse_reply_err(req, -r);
	else
		fuse_reply_write(req, size);
}

void op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	const struct mount *mount = mount_of(req);
	unsigned flags = (datasync ? FS_FSYNC_DATA : 0) | (mount->opens ? FS_FSYNC_PASSED : 0);

	/* The kernel goes on to write back what it has, tells of errors in that, and says "done" without asking again. */
	if (mount->fs && !fs_syncs(mount->fs))
		fuse_reply_err(req, ENOSYS);
	else
		fuse_reply_err(req, -fs_fsync(fs_of(req, ino), node_of(req, ino), flags));
}

void op_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t offset, off_t length, struct fuse_file_info *fi)
{
	struct node *node = node_of(req, ino);
	int r = fs_fallocate(fs_of(req, ino), node, mode, offset, length, keep_mtime(req) | killed(req, ino, NULL));

	tell_mode(req, ino, node);
	fuse_reply_err(req, -r);
}

static void reply_seek(fuse_req_t req, off_t result)
{
	if (result < 0)
		fuse_reply_err(req, (int)-result);
	else
		fuse_reply_lseek(req, result);
}

void op_lseek(fuse_req_t req, fuse_ino_t ino, off_t offset, int whence, struct fuse_file_info *fi)
{
	struct seek seek = {
		.mount = mount_of(req),
		.fs = fs_of(req, ino),
		.node = node_of(req, ino),
		.req = req,
		.ino = ino,
		.offset = offset,
		.whence = whence,
		.done = reply_seek,
	};

	seek_start(&seek);
}

void op_copy_file_range(fuse_req_t req, fuse_ino_t in, off_t in_offset, struct fuse_file_info *in_fi, fuse_ino_t out,
			off_t out_offset, struct fuse_file_info *out_fi, size_t len, int flags)
{
	struct node *to = node_of(req, out);
	ssize_t n = -EXDEV;

	if (trees_number(in) == trees_number(out))
		n = fs_copy_range(fs_of(req, out), node_of(req, in), in_offset, to, out_offset, len,
				  keep_mtime(req) | killed(req, out, NULL));
	tell_mode(req, out, to);
	if (n < 0)
		fuse_reply_err(req, (int)-n);
	else
		fuse_reply_write(req, (size_t)n);
}
