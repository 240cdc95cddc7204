/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/passthrough.h"

/*
 * The kernel keeps an inode in one of two modes while anybody has it open: all who do
 * read and write through the pages of the mount, or all through one and the same backing
 * file.  An answer that does not fit fails there with EIO.  So each file that is open
 * has a record here, made by its first open and removed by its last release, which the
 * kernel sends after it has left the mode:
 *
 *   first open     it is decided which mode it is (fs/open.c says what can be passed)
 *   further opens  get the same answer
 *   last release   the kernel forgets the backing file
 *
 * Where the kernel writes to a file it tells us nothing.  What was written it knows,
 * and asks for attributes again; of a mapping it does not, so those of a file that
 * somebody opened for both are not kept.  A mapping outlives the open file it was made
 * of: they are not kept until the kernel forgets the inode.
 *
 * The pages of the mount grow stale meanwhile, and are dropped when they are next used.
 */

#include "fs/ops_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/vfs.h>
#include <unistd.h>

enum { BUCKETS = 1024 };

/* As the kernel's linux/fuse.h has it from 6.9 on; libfuse's calls need a request that has not been answered. */
struct backing_map {
	int32_t fd;
	uint32_t flags;
	uint64_t padding;
};
#define IOC_BACKING_OPEN  _IOW(229, 1, struct backing_map)
#define IOC_BACKING_CLOSE _IOW(229, 2, uint32_t)

struct open_file {
	struct open_file *next; /* opens->lock */
	struct node *node;	/* borrowed: who has it open knows it */
	unsigned users;		/* opens->lock */
	pthread_mutex_t lock;	/* guards the rest, once made; held over system calls */
	bool decided;
	int backing_id; /* 0: through the pages of the mount */
	bool drop_pages;
};

struct opens {
	pthread_mutex_t lock;
	struct open_file *buckets[BUCKETS];
};

struct opens *opens_new(void)
{
	struct opens *opens = calloc(1, sizeof(*opens));

	if (opens)
		pthread_mutex_init(&opens->lock, NULL);
	return opens;
}

static void open_file_free(struct open_file *file)
{
	if (!file)
		return;
	pthread_mutex_destroy(&file->lock);
	free(file);
}

void opens_free(struct opens *opens)
{
	if (!opens)
		return;
	for (size_t i = 0; i < BUCKETS; i++) {
		while (opens->buckets[i]) {
			struct open_file *file = opens->buckets[i];

			opens->buckets[i] = file->next;
			open_file_free(file);
		}
	}
	pthread_mutex_destroy(&opens->lock);
	free(opens);
}

const char *passthrough_refusal(void)
{
	unsigned first, shown, count;
	FILE *map;
	int n;

	if (geteuid() != 0)
		return "only root may have the kernel use files in the place of the driver's";
	map = fopen("/proc/self/uid_map", "re");
	n = map ? fscanf(map, "%u %u %u", &first, &shown, &count) : 0;
	if (map)
		fclose(map);
	if (n == 3 && (first != 0 || shown != 0 || count != UINT32_MAX))
		return "root of a user namespace may not have the kernel use files in the place of the driver's";
	return NULL;
}

static bool is_stacked(const char *path)
{
	enum { OVERLAY_MAGIC = 0x794c7630, FUSE_MAGIC = 0x65735546, ECRYPTFS_MAGIC = 0xf15f };
	struct statfs st;

	return path && statfs(path, &st) == 0 &&
	       (st.f_type == OVERLAY_MAGIC || st.f_type == FUSE_MAGIC || st.f_type == ECRYPTFS_MAGIC);
}

bool passthrough_is_stacked(const struct fs_options *options)
{
	for (size_t i = 0; i < options->lower_count; i++) {
		if (is_stacked(options->lowers[i]))
			return true;
	}
	return is_stacked(options->upper) || is_stacked(options->store);
}

static struct open_file **bucket(struct opens *opens, const struct node *node)
{
	return &opens->buckets[((uintptr_t)node >> 6) % BUCKETS];
}

/* The record of the node, with one user more; NULL: out of memory. */
static struct open_file *file_get(struct opens *opens, struct node *node)
{
	struct open_file **head = bucket(opens, node);
	struct open_file *file;

	pthread_mutex_lock(&opens->lock);
	for (file = *head; file && file->node != node; file = file->next)
		;
	if (!file && (file = calloc(1, sizeof(*file)))) {
		pthread_mutex_init(&file->lock, NULL);
		file->node = node;
		file->next = *head;
		*head = file;
	}
	if (file)
		file->users++;
	pthread_mutex_unlock(&opens->lock);
	return file;
}

/* Return: the backing file that the kernel is to forget; 0: none. */
static int file_put(struct opens *opens, struct open_file *file)
{
	struct open_file **at = bucket(opens, file->node);
	int backing_id = 0;
	bool last;

	pthread_mutex_lock(&opens->lock);
	last = --file->users == 0;
	if (last) {
		while (*at != file)
			at = &(*at)->next;
		*at = file->next;
		backing_id = file->backing_id;
		fs_pass_end(file->node, file->drop_pages);
	}
	pthread_mutex_unlock(&opens->lock);
	if (last)
		open_file_free(file);
	return backing_id;
}

/* @file->lock is held. What cannot be passed, for whatever reason, is asked for here, and will get its error here. */
static void decide(struct mount *mount, struct open_file *file)
{
	struct fs_data data;

	if (file->decided)
		return;
	file->decided = true;
	if (fs_backing_get(mount->fs, file->node, &data) == 0) {
		struct backing_map map = { .fd = data.fd };
		int id = ioctl(fuse_session_fd(mount->session), IOC_BACKING_OPEN, &map);

		file->backing_id = id > 0 ? id : 0;
		fs_data_put(mount->fs, &data);
	}
	file->drop_pages = !file->backing_id && fs_pages_are_stale(file->node);
}

/* Not every file system can, and one that cannot says so at open(2). */
static int check_direct(struct fs *fs, struct node *node)
{
	struct fs_data data;
	char path[32];
	int fd, r = 0;

	if (fs_backing_get(fs, node, &data) < 0)
		return 0;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", data.fd);
	fd = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
	if (fd < 0 && errno == EINVAL)
		r = -EINVAL;
	if (fd >= 0)
		close(fd);
	fs_data_put(fs, &data);
	return r;
}

/* The kernel is going to change the file by itself. */
static void note_writer(struct mount *mount, fuse_ino_t ino, struct node *node, bool may_map)
{
	enum { ATTRIBUTES_ONLY = -1 };

	if (fs_pass_begin(node, may_map) && may_map)
		fuse_lowlevel_notify_inval_inode(mount->session, ino, ATTRIBUTES_ONLY, 0);
}

int passthrough_open(struct mount *mount, fuse_ino_t ino, struct node *node, unsigned write_flags,
		     struct fuse_file_info *fi)
{
	int access = fi->flags & O_ACCMODE;
	struct open_file *file;
	int r = fs_open(mount->fs, node, fi->flags, write_flags);

	if (r < 0)
		return r;
	file = file_get(mount->opens, node);
	if (!file)
		return -ENOMEM;
	pthread_mutex_lock(&file->lock);
	decide(mount, file);
	fi->fh = (uint64_t)(uintptr_t)file;
	fi->backing_id = file->backing_id;
	fi->keep_cache = !file->backing_id && !file->drop_pages;
	pthread_mutex_unlock(&file->lock);
	if (fi->backing_id && fi->flags & O_DIRECT)
		r = check_direct(mount->fs, node);
	if (r == 0 && fi->backing_id && access != O_RDONLY)
		note_writer(mount, ino, node, access == O_RDWR);
	if (r < 0)
		passthrough_release(mount, fi->fh);
	return r;
}

void passthrough_release(struct mount *mount, uint64_t fh)
{
	uint32_t backing_id = (uint32_t)file_put(mount->opens, (struct open_file *)(uintptr_t)fh);

	if (backing_id)
		ioctl(fuse_session_fd(mount->session), IOC_BACKING_CLOSE, &backing_id);
}
