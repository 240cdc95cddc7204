// SPDX-License-Identifier: Apache-2.0
#include "tools/layerstack.h"

#include "fs/control.h"
#include "store/base/auto.h"
#include "store/base/io.h"
#include "tools/control.h"
#include "tools/driver.h"
#include "tools/ui.h"

#include <ctype.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

/* --- asking --- */

static int cannot(int err, struct diag *diag)
{
	switch (err) {
	case -ENOTTY:
	case -ENOSYS:
		return diag_set(diag, err, "its driver cannot do that; unmount it and mount it again");
	case -EPERM:
		return diag_set(diag, err, "only the user who mounted it may, and not from within a container");
	case -EOPNOTSUPP:
		return diag_set(diag, err,
				"not with io=passthrough, of the images of podman, and of several images at once");
	case -ESRCH:
		return diag_set(diag, err, "it has ended meanwhile");
	default:
		return diag_errno(diag, err, "its driver does not answer");
	}
}

/* Return: 0, CONTROL_REFUSED, CONTROL_USED; -errno. */
static int ask_monitor(const char *dir, enum control_verb verb, struct control_layer *layer)
{
	AUTO(closep) int fd = control_connect(dir);
	struct control_message answer;
	int r;

	if (fd < 0)
		return fd;
	if (strlen(layer->text) >= sizeof(answer.text))
		return -ENAMETOOLONG;
	r = control_send(fd, verb, (int)layer->number, layer->text);
	if (r == 0)
		r = control_receive(fd, &answer);
	if (r < 0)
		return r;
	snprintf(layer->text, sizeof(layer->text), "%s", answer.text);
	if (verb != CONTROL_LIST_LAYERS || answer.value < 0)
		return answer.value;
	layer->number = (uint64_t)answer.value;
	return 0;
}

static int ask(const struct layer_place *place, enum control_verb verb, struct control_layer *layer)
{
	return place->monitor ? ask_monitor(place->monitor, verb, layer)
			      : driver_layers(place->mountpoint, verb, layer);
}

int layerstack_change(const struct layer_place *place, enum layer_verb verb, const char *what, char **ret_used,
		      struct diag *diag)
{
	AUTO(freep) struct control_layer *layer = ui_need(calloc(1, sizeof(*layer)));
	int r;

	if (strlen(what) >= sizeof(layer->text))
		return diag_set(diag, -ENAMETOOLONG, "its name is too long");
	strcpy(layer->text, what);
	r = ask(place, verb == LAYER_ADD ? CONTROL_ADD_LAYER : CONTROL_REMOVE_LAYER, layer);
	if (r < 0)
		return cannot(r, diag);
	if (r == CONTROL_USED) {
		*ret_used = ui_need(strdup(layer->text));
		return -ETXTBSY;
	}
	return r == CONTROL_REFUSED ? diag_set(diag, -EIO, "%s", layer->text) : 0;
}

int layerstack_list(const struct layer_place *place, struct buf *ret, struct diag *diag)
{
	AUTO(freep) struct control_layer *layer = ui_need(calloc(1, sizeof(*layer)));
	uint64_t count = 0;

	do {
		int r;

		layer->number = count;
		layer->text[0] = '\0';
		r = ask(place, CONTROL_LIST_LAYERS, layer);
		if (r < 0)
			return cannot(r, diag);
		buf_adds(ret, layer->text);
		count += layer->number;
	} while (layer->number > 0);
	return buf_error(ret);
}

/* --- who uses it --- */

struct search {
	const char *path;
	dev_t dev;
};

/* Its name was taken from the kernel, which then calls it deleted. */
static bool is_path(const struct search *search, char *text)
{
	static const char deleted[] = " (deleted)";
	size_t len = strlen(text), want = strlen(search->path);

	if (len > strlen(deleted) && strcmp(text + len - strlen(deleted), deleted) == 0) {
		len -= strlen(deleted);
		text[len] = '\0';
	}
	return len > want && text[len - want - 1] == '/' && strcmp(text + len - want, search->path) == 0;
}

static bool is_link_to(const struct search *search, int dirfd, const char *name)
{
	char target[PATH_MAX + 1];
	ssize_t n = readlinkat(dirfd, name, target, PATH_MAX);
	struct stat st;

	if (n <= 0)
		return false;
	target[n] = '\0';
	return is_path(search, target) && fstatat(dirfd, name, &st, 0) == 0 && st.st_dev == search->dev;
}

static bool has_open(const struct search *search, int process)
{
	AUTO(closep) int fd = openat(process, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	AUTO(closedirp) DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *de;

	if (!dir)
		return false;
	(void)TAKE_FD(fd);
	while ((de = readdir(dir)))
		if (isdigit((unsigned char)de->d_name[0]) && is_link_to(search, dirfd(dir), de->d_name))
			return true;
	return false;
}

/* "7f00-7f01 r--p 00000000 00:2f 123    /mnt/usr/bin/x" */
static bool has_mapped(const struct search *search, int process)
{
	AUTO(freep) char *text = NULL;
	char *save = NULL;
	size_t bytes;

	if (io_read_file(process, "maps", 1 << 22, &text, &bytes) < 0)
		return false;
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *path = strchr(line, '/');
		unsigned major, minor;

		if (path && sscanf(line, "%*s %*s %*s %x:%x", &major, &minor) == 2 &&
		    makedev(major, minor) == search->dev && is_path(search, path))
			return true;
	}
	return false;
}

static bool uses(const struct search *search, int process)
{
	return is_link_to(search, process, "cwd") || is_link_to(search, process, "root") ||
	       is_link_to(search, process, "exe") || has_open(search, process) || has_mapped(search, process);
}

char *layerstack_user(const char *mountpoint, const char *path)
{
	AUTO(closedirp) DIR *proc = opendir("/proc");
	struct search search = { .path = path };
	struct dirent *de;
	struct stat st;

	if (!proc || stat(mountpoint, &st) < 0)
		return NULL;
	search.dev = st.st_dev;
	while ((de = readdir(proc))) {
		AUTO(closep) int process = -1;
		AUTO(freep) char *name = NULL;
		size_t bytes;

		if (!isdigit((unsigned char)de->d_name[0]) || atoi(de->d_name) == getpid())
			continue;
		process = openat(dirfd(proc), de->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (process < 0 || !uses(&search, process) || io_read_file(process, "comm", 64, &name, &bytes) < 0)
			continue;
		name[strcspn(name, "\n")] = '\0';
		return ui_format("%s (process %s)", name, de->d_name);
	}
	return NULL;
}
