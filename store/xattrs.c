/* SPDX-License-Identifier: Apache-2.0 */
#include "store/xattrs.h"

#include "store/base/auto.h"
#include "store/ovl.h"

#include <linux/limits.h>
#include <string.h>
#include <sys/xattr.h>

enum { FD_PATH_BYTES = 32, FEW_NAMES_BYTES = 512 };

bool xattr_belongs_to_image(const char *name)
{
	if (ovl_private_xattr(name))
		return false;
	return strncmp(name, "user.", 5) == 0 || strncmp(name, "trusted.", 8) == 0 ||
	       strcmp(name, "security.capability") == 0 || strcmp(name, "system.posix_acl_access") == 0 ||
	       strcmp(name, "system.posix_acl_default") == 0;
}

static int list_add(struct xattr_list *list, const char *name, const void *value, size_t bytes)
{
	struct xattr *items = realloc(list->items, (list->count + 1) * sizeof(*items));
	struct xattr *x;

	if (!items)
		return -ENOMEM;
	list->items = items;
	x = &items[list->count];
	x->name = strdup(name);
	x->value = malloc(bytes + 1); /* never of 0 bytes */
	x->bytes = bytes;
	list->count++;
	if (!x->name || !x->value)
		return -ENOMEM;
	if (bytes)
		memcpy(x->value, value, bytes);
	return 0;
}

static int xattr_order(const void *a, const void *b)
{
	const struct xattr *x = a, *y = b;

	return strcmp(x->name, y->name);
}

static void list_sort(struct xattr_list *list)
{
	if (list->count > 1)
		qsort(list->items, list->count, sizeof(*list->items), xattr_order);
}

static int add_from_path(const char *path, const char *name, char *value, struct xattr_list *list)
{
	ssize_t n = getxattr(path, name, value, XATTR_SIZE_MAX);

	if (n < 0)
		return errno == ENODATA || errno == EPERM || errno == EACCES ? 0 : -errno;
	return list_add(list, name, value, (size_t)n);
}

/* The names, each ended by a NUL: in @few, or in *@many if they are more. -ENOTSUP: there are no xattrs here. */
static ssize_t read_names(const char *path, char few[static FEW_NAMES_BYTES], char **many)
{
	ssize_t n = listxattr(path, few, FEW_NAMES_BYTES);

	if (n >= 0 || errno != ERANGE)
		return n < 0 ? -errno : n;
	*many = malloc(XATTR_LIST_MAX);
	if (!*many)
		return -ENOMEM;
	n = listxattr(path, *many, XATTR_LIST_MAX);
	return n < 0 ? -errno : n;
}

static unsigned mark_of(const char *name)
{
	static const struct {
		const char *name;
		unsigned mark;
	} marks[] = {
		{ OVL_OVERRIDE_STAT, XATTR_MARK_OVERRIDE },	  { OVL_OVERRIDE_PRIVILEGED, XATTR_MARK_OVERRIDE },
		{ OVL_OVERRIDE_USER, XATTR_MARK_OVERRIDE },	  { "trusted.overlay.metacopy", XATTR_MARK_METACOPY },
		{ "user.overlay.metacopy", XATTR_MARK_METACOPY }, { OVL_PLACEHOLDER, XATTR_MARK_PLACEHOLDER },
	};

	for (size_t i = 0; i < ARRAY_SIZE(marks); i++)
		if (strcmp(name, marks[i].name) == 0)
			return marks[i].mark;
	return 0;
}

int xattr_list_read(int fd, struct xattr_list *ret)
{
	unsigned marks;

	return xattr_list_read_marked(fd, ret, &marks);
}

int xattr_list_read_marked(int fd, struct xattr_list *ret, unsigned *ret_marks)
{
	char path[FD_PATH_BYTES], few[FEW_NAMES_BYTES];
	AUTO(freep) char *many = NULL;
	AUTO(freep) char *value = NULL;
	AUTO(xattr_list_release) struct xattr_list list = { 0 };
	const char *names;
	ssize_t n;
	int r = 0;

	/* Through /proc, since flistxattr() refuses O_PATH descriptors. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	*ret = list;
	n = read_names(path, few, &many);
	/* What cannot list them may still have some. */
	*ret_marks = n < 0 ? XATTR_MARKS_ALL : 0;
	if (n <= 0)
		return n == -ENOTSUP ? 0 : (int)n;
	names = many ? many : few;
	for (const char *name = names; r == 0 && name < names + n; name += strlen(name) + 1) {
		*ret_marks |= mark_of(name);
		if (!xattr_belongs_to_image(name))
			continue;
		if (!value)
			value = malloc(XATTR_SIZE_MAX);
		r = value ? add_from_path(path, name, value, &list) : -ENOMEM;
	}
	if (r < 0)
		return r;
	list_sort(&list);
	*ret = list;
	list = (struct xattr_list){ 0 };
	return 0;
}

static int add_from_layer(const char *name, const void *value, size_t bytes, void *arg)
{
	return xattr_belongs_to_image(name) ? list_add(arg, name, value, bytes) : 0;
}

int xattr_list_of_layer(struct store *store, struct layer_id layer, uint32_t no, struct xattr_list *ret)
{
	AUTO(xattr_list_release) struct xattr_list list = { 0 };
	int r = layer_xattrs(store, layer, no, add_from_layer, &list);

	*ret = (struct xattr_list){ 0 };
	if (r < 0)
		return r;
	list_sort(&list);
	*ret = list;
	list = (struct xattr_list){ 0 };
	return 0;
}

bool xattr_list_eq(const struct xattr_list *a, const struct xattr_list *b)
{
	if (a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++) {
		const struct xattr *x = &a->items[i], *y = &b->items[i];

		if (strcmp(x->name, y->name) != 0 || x->bytes != y->bytes || memcmp(x->value, y->value, x->bytes) != 0)
			return false;
	}
	return true;
}

void xattr_list_release(struct xattr_list *list)
{
	for (size_t i = 0; i < list->count; i++) {
		free(list->items[i].name);
		free(list->items[i].value);
	}
	free(list->items);
	*list = (struct xattr_list){ 0 };
}
