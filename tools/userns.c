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

struct range {
	unsigned first, count;
};

/* All that the file gives the user, as they stand there. Lines are NAME:FIRST:COUNT, where NAME may be a number. */
static struct range *read_ranges(const char *path, const char *name, uid_t uid, size_t *ret_count)
{
	AUTO(freep) char *text = NULL, *number = ui_format("%u", uid);
	struct range *ranges = NULL, range;
	size_t bytes;
	char *at, *line;

	*ret_count = 0;
	if (io_read_file(AT_FDCWD, path, SUBID_FILE_LIMIT, &text, &bytes) < 0)
		return NULL;
	for (at = text; (line = strsep(&at, "\n"));) {
		const char *who = strsep(&line, ":");

		if (!line || (strcmp(who, number) != 0 && (!name || strcmp(who, name) != 0)) ||
		    sscanf(line, "%u:%u", &range.first, &range.count) != 2 || range.count == 0)
			continue;
		ranges = ui_need(reallocarray(ranges, *ret_count + 1, sizeof(*ranges)));
		ranges[(*ret_count)++] = range;
	}
	return ranges;
}

bool subid_range(const char *path, const char *name, uid_t uid, unsigned *ret_first, unsigned *ret_count)
{
	size_t count;
	AUTO(freep) struct range *ranges = read_ranges(path, name, uid, &count);

	if (count == 0)
		return false;
	*ret_first = ranges[0].first;
	*ret_count = ranges[0].count;
	return true;
}

/* --- as podman sees them --- */

static int by_first(const void *a, const void *b)
{
	const struct range *x = a, *y = b;

	return x->first < y->first ? -1 : x->first > y->first;
}

/* Podman takes all ranges, the lowest numbers first (containers/storage, pkg/idtools/idtools.go). */
static bool add_maps(const struct id_kind *kind, const struct passwd *user, unsigned own, struct buf *text)
{
	size_t count;
	AUTO(freep) struct range *ranges = read_ranges(kind->file, user ? user->pw_name : NULL, geteuid(), &count);
	unsigned inside = 1;

	if (count > 0)
		qsort(ranges, count, sizeof(*ranges), by_first);
	buf_addf(text, "%s%cidmapping=0:%u:1", text->len > 0 ? "," : "", kind->letter, own);
	for (size_t i = 0; i < count; inside += ranges[i++].count)
		buf_addf(text, ":%u:%u:%u", inside, ranges[i].first, ranges[i].count);
	return count > 0;
}

/* Has this namespace the numbers of the whole machine? */
static bool is_first_namespace(void)
{
	AUTO(freep) char *map = NULL;
	unsigned inside, outside, count;
	size_t bytes;

	return io_read_file(AT_FDCWD, "/proc/self/uid_map", SUBID_FILE_LIMIT, &map, &bytes) < 0 ||
	       (sscanf(map, "%u %u %u", &inside, &outside, &count) == 3 && inside == 0 && outside == 0 &&
		count == UINT32_MAX);
}

char *userns_podman_ids(void)
{
	const struct passwd *user = getpwuid(geteuid());
	AUTO(buf_release) struct buf text = { 0 };

	if (geteuid() == 0 || !is_first_namespace())
		return NULL;
	if (!add_maps(&kinds[0], user, geteuid(), &text) || !add_maps(&kinds[1], user, getegid(), &text))
		return ui_format("squash_to_uid=%u,squash_to_gid=%u", geteuid(), getegid());
	return ui_need(buf_take(&text));
}

/* --- those of a process --- */

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
