// SPDX-License-Identifier: Apache-2.0
#include "tools/userns.h"

#include "store/base/auto.h"
#include "store/base/io.h"
#include "tools/process.h"
#include "tools/ui.h"

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sched.h>
#include <string.h>
#include <sys/pidfd.h>

enum { SUBID_FILE_LIMIT = 1024 * 1024 };

struct id_kind {
	const char *file, *program;
	char letter;
};

static const struct id_kind kinds[] = {
	{ "/etc/subuid", "newuidmap", 'u' },
	{ "/etc/subgid", "newgidmap", 'g' },
};

/* Lines are NAME:FIRST:COUNT, where NAME may be a number. */
bool subid_range(const char *path, const char *name, uid_t uid, unsigned *ret_first, unsigned *ret_count)
{
	AUTO(freep) char *text = NULL, *number = ui_format("%u", uid);
	size_t bytes;
	char *at, *line;

	if (io_read_file(AT_FDCWD, path, SUBID_FILE_LIMIT, &text, &bytes) < 0)
		return false;
	for (at = text; (line = strsep(&at, "\n"));) {
		const char *who = strsep(&line, ":");

		if (line && (strcmp(who, number) == 0 || (name && strcmp(who, name) == 0)) &&
		    sscanf(line, "%u:%u", ret_first, ret_count) == 2 && *ret_count > 0)
			return true;
	}
	return false;
}

static int range_of(const struct id_kind *kind, struct diag *diag, unsigned *ret_first, unsigned *ret_count)
{
	const struct passwd *user = getpwuid(geteuid());
	const char *name = user ? user->pw_name : NULL;

	if (subid_range(kind->file, name, geteuid(), ret_first, ret_count))
		return 0;
	return diag_set(
		diag, -EPERM,
		"%s has no range for %s (as root: usermod --add-sub%cids 100000-165535 %s, with numbers that are "
		"nobody else's)",
		kind->file, name ? name : "this user", kind->letter, name ? name : "USER");
}

int userns_check(struct diag *diag)
{
	unsigned first, count;
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(kinds); i++) {
		if (!process_can_run(kinds[i].program))
			r = diag_set(diag, -ENOENT, "%s is missing (install the package uidmap)", kinds[i].program);
		else
			r = range_of(&kinds[i], diag, &first, &count);
	}
	return r;
}

static int map_kind(const struct id_kind *kind, pid_t pid, unsigned own, struct diag *diag)
{
	AUTO(freep) char *process = ui_format("%d", pid), *me = ui_format("%u", own), *said = NULL;
	unsigned first, count;
	int r = range_of(kind, diag, &first, &count);

	if (r < 0)
		return r;
	AUTO(freep) char *others = ui_format("%u", first), *many = ui_format("%u", count);
	char *argv[] = { (char *)kind->program, process, (char *)"0", me, (char *)"1", (char *)"1", others, many, NULL };
	r = process_run(argv, &said);
	said[strcspn(said, "\n")] = '\0';
	if (r > 0)
		return diag_set(diag, -EPERM, "%s", *said ? said : "the user namespace gets no numbers");
	return r < 0 ? diag_errno(diag, r, "cannot run %s", kind->program) : 0;
}

int userns_map(pid_t pid, struct diag *diag)
{
	int r = map_kind(&kinds[0], pid, geteuid(), diag);

	return r < 0 ? r : map_kind(&kinds[1], pid, getegid(), diag);
}

int userns_join(pid_t pid)
{
	AUTO(closep) int process = pidfd_open(pid, 0);
	bool user = geteuid() != 0;

	if (process < 0)
		return -errno;
	if (setns(process, CLONE_NEWNS | CLONE_NEWPID | (user ? CLONE_NEWUSER : 0)) < 0)
		return -errno;
	if (user && (setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0 || setgroups(0, NULL) < 0))
		return -errno;
	return 0;
}
