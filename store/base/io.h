/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_BASE_IO_H
#define NACRE_BASE_IO_H

/* Whole reads and writes: they go on after a short count and after EINTR. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/**
 * io_keep_standard() - first thing in main(): descriptors 0 to 2 that are closed become ones that can only fail
 *
 * Else a file that is opened later is taken for standard output, and gets what is printed.
 */
void io_keep_standard(void);

/** io_is_zero() - are the @count bytes all zeros, and is there one at all? */
bool io_is_zero(const void *buf, size_t count);

/** io_read_full() - read until @count bytes or end of file. Return: bytes read, or -errno. */
ssize_t io_read_full(int fd, void *buf, size_t count);

/** io_pread_full() - the same at @offset; a short count means end of file. */
ssize_t io_pread_full(int fd, void *buf, size_t count, off_t offset);

/** io_write_full() - write all of @count. Return: 0, or -errno with part of it written. */
int io_write_full(int fd, const void *buf, size_t count);

/** io_pwrite_full() - the same at @offset. */
int io_pwrite_full(int fd, const void *buf, size_t count, off_t offset);

/** Who syncs what is copied says so before: it goes to the disk meanwhile, so that the sync waits for the rest only. */
enum io_copy { IO_COPY, IO_COPY_TO_SYNC };

/**
 * io_copy_range() - copy @bytes from @in at @in_offset to @out at @out_offset
 *
 * Tries copy_file_range(2) (which reflinks where the file system can), then
 * plain reads and writes.  Does not look for holes.
 * Return: 0, -EIO if @in ends early, or -errno of the call that failed.
 */
int io_copy_range(int in, off_t in_offset, int out, off_t out_offset, uint64_t bytes, enum io_copy how);

/**
 * io_copy_sparse() - copy a whole file of @bytes, holes kept
 *
 * Tries FICLONE first.  @out must be empty; its size is @bytes afterwards.
 * Return: 0, -EIO if @in is shorter, or -errno.
 */
int io_copy_sparse(int in, int out, uint64_t bytes, enum io_copy how);

/**
 * io_make_file() - a new file, which nobody else can read until it is given a mode
 * @fill: writes it, at the descriptor's start; its value other than 0 is returned, and the file is gone again
 *
 * Return: 0; -EEXIST; -errno, also of the close, where a full disk or a quota may be told of only then.
 */
int io_make_file(int dirfd, const char *name, int (*fill)(int fd, void *arg), void *arg);

/** io_copy_to_end() - what @in still has goes to @out. Return: 0, -ENOMEM, or -errno of the call that failed. */
int io_copy_to_end(int in, int out);

/** io_unnamed_file() - to read and write, in the folder @dir; nobody has to remove it. Return: fd, owned; -errno. */
int io_unnamed_file(const char *dir);

/** io_read_file() - a small file whole; *@ret is NUL-terminated and owned by the caller.
 * Return: 0, -EFBIG beyond @limit bytes, or -errno. */
int io_read_file(int dirfd, const char *path, size_t limit, char **ret, size_t *ret_bytes);

/** io_mkdirs() - mkdir -p; every folder it makes gets @mode. Return: 0 or -errno. */
int io_mkdirs(const char *path, mode_t mode);

/**
 * io_remove_tree() - rm -rf of @name under @dirfd, on one file system
 *
 * Follows no symlink.  Gives directories it owns write permission where that
 * is missing.  Others may remove the same at the same time.
 * Return: 0 (also if there was nothing), -EBUSY: something is mounted in it; or the first -errno.
 */
int io_remove_tree(int dirfd, const char *name);

/** io_check_empty() - 0, -ENOTEMPTY when something is in the folder @dirfd, or why it cannot be told. */
int io_check_empty(int dirfd);

#endif
