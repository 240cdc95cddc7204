/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/optvalue.h"

#include "store/base/auto.h"
#include "store/base/buf.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* --- paths --- */

char *value_next(const char **at, char end)
{
	struct buf part = { 0 };
	const char *p = *at;

	buf_add(&part, "", 0);
	for (; *p && *p != end; p++) {
		if (*p == '\\' && p[1])
			p++;
		buf_add(&part, p, 1);
	}
	*at = *p ? p + 1 : NULL;
	return buf_take(&part);
}

/* A relative path is meant from here; the daemon goes to "/". */
int value_folder(const char *name, const char *value, char **ret, struct diag *diag)
{
	char *real;

	if (!*value)
		return diag_set(diag, -EINVAL, "option %s needs a path", name);
	real = realpath(value, NULL);
	if (!real)
		return diag_errno(diag, -errno, "%s %s", name, value);
	free(*ret);
	*ret = real;
	return 0;
}

int value_lower(struct fs_options *fs, const char *path, bool data, struct diag *diag)
{
	char **more;
	int r;

	if (fs->data_lower_count > 0 && !data)
		return diag_set(diag, -EINVAL, "lowerdir %s: a data-only lower can only be followed by others", path);
	more = realloc(fs->lowers, (fs->lower_count + 1) * sizeof(*more));
	if (!more)
		return -ENOMEM;
	fs->lowers = more;
	more[fs->lower_count] = NULL;
	r = value_folder("lowerdir", path, &more[fs->lower_count], diag);
	if (r < 0)
		return r;
	fs->lower_count++;
	fs->data_lower_count += data;
	return 0;
}

static void drop_lowers(struct fs_options *fs)
{
	for (size_t i = 0; i < fs->lower_count; i++)
		free(fs->lowers[i]);
	fs->lower_count = fs->data_lower_count = 0;
}

/* What two colons precede is data-only.  The last lowerdir= counts. */
int value_lowers(struct fs_options *fs, const char *value, struct diag *diag)
{
	bool data = false;
	int r = 0;

	drop_lowers(fs);
	while (r == 0 && value) {
		AUTO(freep) char *path = value_next(&value, ':');

		r = path ? value_lower(fs, path, data, diag) : -ENOMEM;
		data = value && *value == ':';
		if (data)
			value++;
	}
	return r;
}

/* --- numbers --- */

int value_bool(const char *name, const char *value, bool *ret, struct diag *diag)
{
	if (strcmp(value, "1") == 0 || strcmp(value, "on") == 0 || strcmp(value, "true") == 0)
		*ret = true;
	else if (strcmp(value, "0") == 0 || strcmp(value, "off") == 0 || strcmp(value, "false") == 0)
		*ret = false;
	else
		return diag_set(diag, -EINVAL, "option %s: not on or off: %s", name, value);
	return 0;
}

int value_id(const char *name, const char *value, int64_t *ret, struct diag *diag)
{
	char *end;

	errno = 0;
	*ret = strtoll(value, &end, 10);
	if (errno || *end || end == value || *ret < 0 || *ret > UINT32_MAX)
		return diag_set(diag, -EINVAL, "option %s: not an ID: %s", name, value);
	return 0;
}

/* podman puts a colon in front. */
int value_idmap(const char *name, const char *value, struct fs_idmap **maps, size_t *count, struct diag *diag)
{
	const char *at = value + strspn(value, ":");

	while (at && *at) {
		struct fs_idmap map, *more;
		uint32_t *fields[] = { &map.disk, &map.shown, &map.count };

		for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
			AUTO(freep) char *text = at ? value_next(&at, ':') : NULL;
			int64_t id;

			if (!text || value_id(name, text, &id, diag) < 0)
				return diag_set(diag, -EINVAL, "option %s: not DISK:SHOWN:COUNT: %s", name, value);
			*fields[i] = (uint32_t)id;
		}
		more = realloc(*maps, (*count + 1) * sizeof(*more));
		if (!more)
			return -ENOMEM;
		*maps = more;
		more[(*count)++] = map;
	}
	return 0;
}

/* Return: what follows the digits, or NULL: none, or too many. */
static const char *digits(const char *value, uint64_t *ret)
{
	char *end;

	if (!isdigit((unsigned char)*value))
		return NULL;
	errno = 0;
	*ret = strtoull(value, &end, 10);
	return errno ? NULL : end;
}

int value_number(const char *name, const char *value, uint64_t min, uint64_t *ret, struct diag *diag)
{
	const char *end = digits(value, ret);

	if (!end || *end || *ret < min)
		return diag_set(diag, -EINVAL, "option %s: not a number from %llu on: %s", name,
				(unsigned long long)min, value);
	return 0;
}

int value_layers(const char *value, uint32_t *first, uint32_t *last, struct diag *diag)
{
	unsigned int a = 1, b = 0;
	int end = 0;

	if (sscanf(value, "%9u-%9u%n", &a, &b, &end) < 2 || value[end]) {
		a = 1;
		end = 0;
		if (sscanf(value, "%9u%n", &b, &end) < 1 || value[end])
			b = 0;
	}
	if (!isdigit((unsigned char)*value) || a < 1 || b < a)
		return diag_set(diag, -EINVAL, "layers=%s: not a number of layers, and not FIRST-LAST", value);
	*first = a;
	*last = b;
	return 0;
}

int value_whiteouts(const char *value, enum fs_whiteouts *ret, struct diag *diag)
{
	static const char *const words[] = {
		[FS_WHITEOUTS_HIDE] = "hide",
		[FS_WHITEOUTS_MARK] = "mark",
		[FS_WHITEOUTS_DEVICE] = "device",
	};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (strcmp(value, words[i]) == 0) {
			*ret = (enum fs_whiteouts)i;
			return 0;
		}
	}
	return diag_set(diag, -EINVAL, "option whiteouts=%s: not one of: hide mark device", value);
}

int value_trees(const char *value, enum fs_trees *ret, struct diag *diag)
{
	*ret = strcmp(value, "all") == 0 ? FS_TREES_ALL : FS_TREES_LAYERS;
	if (*ret == FS_TREES_ALL || strcmp(value, "layers") == 0)
		return 0;
	return diag_set(diag, -EINVAL, "option trees=%s: not one of: all layers", value);
}

int value_bytes(const char *name, const char *value, uint64_t *ret, struct diag *diag)
{
	static const char suffixes[] = "kmgt";
	const char *end = digits(value, ret), *suffix;
	unsigned shift = 0;

	if (end && *end && (suffix = strchr(suffixes, tolower((unsigned char)*end)))) {
		shift = 10 * (unsigned)(suffix - suffixes + 1);
		end++;
	}
	if (!end || *end || *ret == 0 || *ret > (uint64_t)INT64_MAX >> shift)
		return diag_set(diag, -EINVAL, "option %s: not a number of bytes, with k, m, g or t: %s", name, value);
	*ret <<= shift;
	return 0;
}

int value_seconds(const char *name, const char *value, double *ret, struct diag *diag)
{
	char *end;

	*ret = strtod(value, &end);
	if (*end || end == value || !(*ret >= 0))
		return diag_set(diag, -EINVAL, "option %s: not a number of seconds: %s", name, value);
	return 0;
}
