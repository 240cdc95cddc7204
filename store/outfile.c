/* SPDX-License-Identifier: Apache-2.0 */
#include "store/outfile.h"

#include "store/base/auto.h"

#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

int outfile_error(const struct outfile *out, int err, struct diag *diag)
{
	bool standard = strcmp(out->path, "-") == 0;

	return diag_errno(diag, err, "cannot write to %s", standard ? "standard output" : out->path);
}

int outfile_open(struct outfile *out, const char *path, struct diag *diag)
{
	struct stat st;

	*out = (struct outfile){ .fd = -1, .path = path };
	if (strcmp(path, "-") == 0)
		out->fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0);
	else if (stat(path, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
		/* A pipe or a device keeps its place. */
		out->fd = open(path, O_WRONLY | O_CLOEXEC);
	else if (asprintf(&out->temporary, "%s.XXXXXX", path) < 0)
		out->temporary = NULL;
	else
		out->fd = mkostemp(out->temporary, O_CLOEXEC);
	if (out->fd >= 0)
		return 0;
	int r = -errno;

	free(TAKE(out->temporary));
	return outfile_error(out, r, diag);
}

int outfile_finish(struct outfile *out, struct diag *diag)
{
	mode_t mask = umask(0);

	umask(mask);
	if (!out->temporary)
		return 0;
	if (fchmod(out->fd, 0666 & ~mask) < 0 || fsync(out->fd) < 0 || rename(out->temporary, out->path) < 0)
		return outfile_error(out, -errno, diag);
	free(TAKE(out->temporary));
	return 0;
}

void outfile_release(struct outfile *out)
{
	closep(&out->fd);
	out->fd = -1;
	if (out->temporary)
		unlink(out->temporary);
	free(TAKE(out->temporary));
}
