// SPDX-License-Identifier: Apache-2.0
#include "tools/account.h"

#include "store/base/auto.h"
#include "tools/rootdir.h"
#include "tools/ui.h"

#include <ctype.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <string.h>

/* NULL: there is none, or nothing that could be read as one. */
static FILE *open_file(int rootfd, const char *path)
{
	int fd = rootdir_open(rootfd, path, O_RDONLY | O_NONBLOCK);
	FILE *f = fd < 0 ? NULL : fdopen(fd, "r");

	if (fd >= 0 && !f)
		close(fd);
	return f;
}

static bool is_number(const char *text, unsigned *ret)
{
	char *end;
	unsigned long value;

	if (!isdigit((unsigned char)*text))
		return false;
	errno = 0;
	value = strtoul(text, &end, 10);
	*ret = (unsigned)value;
	return !*end && errno == 0 && value < UINT_MAX;
}

/* The line of @name or @uid; its name goes to *ret_name. */
static bool find_user(int rootfd, const char *name, struct account *account, char **ret_name)
{
	AUTO(fclosep) FILE *f = open_file(rootfd, "etc/passwd");
	struct passwd *line;
	unsigned uid = 0;
	bool number = is_number(name, &uid);

	while (f && (line = fgetpwent(f))) {
		if (number ? line->pw_uid != uid : strcmp(line->pw_name, name) != 0)
			continue;
		account->uid = line->pw_uid;
		account->gid = line->pw_gid;
		account->home = ui_need(strdup(line->pw_dir && *line->pw_dir ? line->pw_dir : "/"));
		*ret_name = ui_need(strdup(line->pw_name));
		return true;
	}
	account->uid = uid;
	account->home = ui_need(strdup(number && uid == 0 ? "/root" : "/"));
	return number;
}

static bool find_group(int rootfd, const char *name, gid_t *ret)
{
	AUTO(fclosep) FILE *f = open_file(rootfd, "etc/group");
	struct group *line;

	if (is_number(name, ret))
		return true;
	while (f && (line = fgetgrent(f)))
		if (strcmp(line->gr_name, name) == 0) {
			*ret = line->gr_gid;
			return true;
		}
	return false;
}

static bool has_member(const struct group *line, const char *user)
{
	for (char **member = line->gr_mem; *member; member++)
		if (strcmp(*member, user) == 0)
			return true;
	return false;
}

static void find_more_groups(int rootfd, const char *user, struct account *account)
{
	AUTO(fclosep) FILE *f = open_file(rootfd, "etc/group");
	struct group *line;

	while (f && (line = fgetgrent(f))) {
		if (!has_member(line, user) || line->gr_gid == account->gid)
			continue;
		account->groups = ui_need(realloc(account->groups, (account->group_count + 1) * sizeof(gid_t)));
		account->groups[account->group_count++] = line->gr_gid;
	}
}

int account_find(int rootfd, const char *user, struct diag *diag, struct account *ret)
{
	AUTO(freep) char *copy = ui_need(strdup(*user ? user : "0")), *name = NULL;
	char *group = copy;

	*ret = (struct account){ 0 };
	strsep(&group, ":");
	if (!find_user(rootfd, *copy ? copy : "0", ret, &name))
		return diag_set(diag, -ENOENT, "there is no user %s in its /etc/passwd", copy);
	if (group && *group) {
		if (!find_group(rootfd, group, &ret->gid))
			return diag_set(diag, -ENOENT, "there is no group %s in its /etc/group", group);
	} else if (name) {
		find_more_groups(rootfd, name, ret);
	}
	return 0;
}

void account_release(struct account *account)
{
	free(account->groups);
	free(account->home);
	*account = (struct account){ 0 };
}
