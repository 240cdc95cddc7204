// SPDX-License-Identifier: Apache-2.0
#include "tools/mounts.h"

#include "store/base/auto.h"
#include "tools/ui.h"

#include <limits.h>
#include <string.h>

/* mountinfo writes space, tab, newline and backslash as three octal digits. */
static void unescape(char *text)
{
	char *out = text;

	for (const char *in = text; *in;) {
		if (in[0] == '\\' && in[1] >= '0' && in[1] <= '3' && in[2] && in[3]) {
			*out++ = (char)((in[1] - '0') << 6 | (in[2] - '0') << 3 | (in[3] - '0'));
			in += 4;
		} else {
			*out++ = *in++;
		}
	}
	*out = '\0';
}

static bool has_word(const char *list, const char *word)
{
	size_t len = strlen(word);

	for (const char *p = list; p; p = strchr(p, ',') ? strchr(p, ',') + 1 : NULL)
		if (strncmp(p, word, len) == 0 && (p[len] == ',' || p[len] == '\0'))
			return true;
	return false;
}

/* ID PARENT MAJ:MIN ROOT POINT OPTIONS [TAGS...] - TYPE SOURCE SUPER_OPTIONS */
static bool parse_line(char *line, struct mount_entry *ret)
{
	char *fields[6], *save = NULL, *rest = strstr(line, " - ");

	if (!rest)
		return false;
	*rest = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		fields[i] = strtok_r(i ? NULL : line, " ", &save);
		if (!fields[i])
			return false;
	}
	char *type = strtok_r(rest + strlen(" - "), " \n", &save);
	char *source = strtok_r(NULL, " \n", &save);
	if (!type)
		return false;
	unescape(fields[4]);
	if (source)
		unescape(source);
	*ret = (struct mount_entry){
		.point = ui_need(strdup(fields[4])),
		.type = ui_need(strdup(type)),
		.source = ui_need(strdup(source ? source : "")),
		.read_only = has_word(fields[5], "ro"),
	};
	return true;
}

int mount_table_read(struct mount_table *ret)
{
	AUTO(fclosep) FILE *f = fopen("/proc/self/mountinfo", "re");
	AUTO(freep) char *line = NULL;
	size_t room = 0, entries_room = 0;

	*ret = (struct mount_table){ 0 };
	if (!f)
		return -errno;
	while (getline(&line, &room, f) > 0) {
		if (ret->count == entries_room) {
			entries_room = entries_room ? 2 * entries_room : 64;
			ret->entries = ui_need(realloc(ret->entries, entries_room * sizeof(*ret->entries)));
		}
		ret->count += parse_line(line, &ret->entries[ret->count]);
	}
	return 0;
}

void mount_table_release(struct mount_table *table)
{
	for (size_t i = 0; i < table->count; i++) {
		free(table->entries[i].point);
		free(table->entries[i].type);
		free(table->entries[i].source);
	}
	free(table->entries);
	*table = (struct mount_table){ 0 };
}

const struct mount_entry *mount_table_at(const struct mount_table *table, const char *path)
{
	for (size_t i = table->count; path && i-- > 0;)
		if (strcmp(table->entries[i].point, path) == 0)
			return &table->entries[i];
	return NULL;
}

bool mount_is_nacre(const struct mount_entry *entry)
{
	return entry && strcmp(entry->type, "fuse.nacrefs") == 0;
}

int nacre_mounted_at(const char *path)
{
	AUTO(mount_table_release) struct mount_table table = { 0 };
	int r = mount_table_read(&table);

	return r < 0 ? r : mount_is_nacre(mount_table_at(&table, path));
}

static int resolve_parent(const char *path, char **ret)
{
	AUTO(freep) char *copy = ui_need(strdup(path));
	size_t len = strlen(copy);

	while (len > 1 && copy[len - 1] == '/')
		copy[--len] = '\0';
	char *slash = strrchr(copy, '/');
	const char *name = slash ? slash + 1 : copy;
	if (!*name || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return -EINVAL;
	if (slash)
		*slash = '\0';
	AUTO(freep) char *parent = realpath(!slash ? "." : *copy ? copy : "/", NULL);
	if (!parent)
		return -errno;
	/* Not ui_format(): a path must keep its bytes. */
	if (asprintf(ret, "%s/%s", strcmp(parent, "/") ? parent : "", name) < 0)
		ui_out_of_memory();
	return 0;
}

int mount_point_path(const char *path, char **ret)
{
	*ret = realpath(path, NULL);
	if (*ret)
		return 0;
	int r = -errno;
	if (r == -ENOTCONN || r == -EIO || r == -EACCES || r == -ECONNABORTED)
		return resolve_parent(path, ret);
	return r;
}
