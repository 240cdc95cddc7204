/* SPDX-License-Identifier: Apache-2.0 */
#include "store/saveout.h"

#include "store/base/auto.h"
#include "store/base/buf.h"
#include "store/base/io.h"
#include "store/tarwrite.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

void saveout_release(struct saveout *out)
{
	outfile_release(&out->file);
	closep(&out->filefd);
	for (size_t i = 0; i < out->name_count; i++)
		free(out->names[i]);
	free(out->names);
}

static bool is_empty(int fd)
{
	AUTO(closedirp) DIR *dir = NULL;
	int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent *entry;

	dir = copy < 0 ? NULL : fdopendir(copy);
	while (dir && (entry = readdir(dir)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			return false;
	return dir != NULL;
}

static int open_folder(struct saveout *out, struct diag *diag)
{
	int r = io_mkdirs(out->file.path, 0755);

	if (r < 0)
		return diag_errno(diag, r, "cannot make the folder %s", out->file.path);
	out->file.fd = open(out->file.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (out->file.fd < 0)
		return diag_errno(diag, -errno, "cannot open the folder %s", out->file.path);
	if (!is_empty(out->file.fd))
		return diag_set(diag, -ENOTEMPTY, "%s: there is something in it", out->file.path);
	if (mkdirat(out->file.fd, "blobs", 0755) < 0 || mkdirat(out->file.fd, "blobs/sha256", 0755) < 0)
		return diag_errno(diag, -errno, "cannot make folders in %s", out->file.path);
	return 0;
}

int saveout_open(struct saveout *out, const char *path, bool folder, struct diag *diag)
{
	*out = (struct saveout){ .file = { .fd = -1, .path = path }, .filefd = -1, .folder = folder };
	return folder ? open_folder(out, diag) : outfile_open(&out->file, path, diag);
}

int saveout_finish(struct saveout *out, struct diag *diag)
{
	AUTO(buf_release) struct buf end = { 0 };
	int r;

	if (out->folder)
		return 0;
	tar_end(&end);
	r = buf_error(&end);
	if (r == 0)
		r = io_write_full(out->file.fd, end.data, end.len);
	return r < 0 ? outfile_error(&out->file, r, diag) : outfile_finish(&out->file, diag);
}

static int keep_name(struct saveout *out, const char *name)
{
	char **names = realloc(out->names, (out->name_count + 1) * sizeof(*names));

	if (!names)
		return -ENOMEM;
	out->names = names;
	names[out->name_count] = strdup(name);
	if (!names[out->name_count])
		return -ENOMEM;
	out->name_count++;
	return 0;
}

static bool has_name(const struct saveout *out, const char *name)
{
	for (size_t i = 0; i < out->name_count; i++)
		if (strcmp(out->names[i], name) == 0)
			return true;
	return false;
}

static int write_header(struct saveout *out, const struct tar_entry *entry)
{
	AUTO(buf_release) struct buf header = { 0 };
	int r = tar_header(&header, entry);

	if (r == 0)
		r = buf_error(&header);
	return r < 0 ? r : io_write_full(out->file.fd, header.data, header.len);
}

/* skopeo gives a folder that the archive does not name to root, which a plain user may not. */
static int write_folders(struct saveout *out, const char *name)
{
	for (const char *slash = strchr(name, '/'); slash; slash = strchr(slash + 1, '/')) {
		AUTO(freep) char *folder = strndup(name, (size_t)(slash - name));
		const struct tar_entry entry = { .path = folder, .mode = S_IFDIR | 0755 };
		int r = folder ? 0 : -ENOMEM;

		if (r == 0 && has_name(out, folder))
			continue;
		if (r == 0)
			r = keep_name(out, folder);
		if (r == 0)
			r = write_header(out, &entry);
		if (r < 0)
			return r;
	}
	return 0;
}

int saveout_begin(struct saveout *out, const char *name, uint64_t bytes)
{
	const struct tar_entry entry = { .path = name, .mode = S_IFREG | 0644, .size = bytes };
	int r;

	if (has_name(out, name))
		return 1;
	r = keep_name(out, name);
	if (r < 0)
		return r;
	out->left = out->bytes = bytes;
	if (out->folder) {
		out->filefd = openat(out->file.fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
		return out->filefd < 0 ? -errno : 0;
	}
	r = write_folders(out, name);
	return r < 0 ? r : write_header(out, &entry);
}

int saveout_write(struct saveout *out, const void *bytes, size_t count)
{
	if (count > out->left)
		return -EIO; /* the archive would be damaged */
	out->left -= count;
	return io_write_full(out->folder ? out->filefd : out->file.fd, bytes, count);
}

int saveout_end(struct saveout *out)
{
	static const char zeros[TAR_BLOCK_BYTES];
	int fd = TAKE_FD(out->filefd);

	if (out->left > 0) {
		closep(&fd);
		return -EIO;
	}
	if (out->folder)
		return close(fd) < 0 ? -errno : 0;
	return io_write_full(out->file.fd, zeros, tar_padding(out->bytes));
}

int saveout_file(struct saveout *out, const char *name, const void *bytes, size_t count)
{
	int r = saveout_begin(out, name, count);

	if (r != 0)
		return r < 0 ? r : 0;
	r = saveout_write(out, bytes, count);
	return r < 0 ? r : saveout_end(out);
}
