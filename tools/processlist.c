// SPDX-License-Identifier: Apache-2.0
#include "tools/processlist.h"

#include "store/base/auto.h"
#include "store/base/io.h"
#include "tools/ui.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PROC_FILE_LIMIT = 256 * 1024 };

static int read_file(int proc, pid_t pid, const char *name, char **ret, size_t *ret_bytes)
{
	char path[64];

	snprintf(path, sizeof(path), "%d/%s", pid, name);
	return io_read_file(proc, path, PROC_FILE_LIMIT, ret, ret_bytes);
}

/* The words behind "NAME:" in /proc/PID/status; NULL: an old kernel has none. */
static const char *field(const char *status, const char *name)
{
	const char *line = strstr(status, name);

	return line && line > status && line[-1] == '\n' ? line + strlen(name) : NULL;
}

/* Numbers of the process's user namespace, out of ours, as uid_map has them. */
static uid_t uid_inside(int proc, pid_t pid, uid_t uid)
{
	AUTO(freep) char *map = NULL;
	unsigned inside, outside, count;
	size_t bytes;
	int len;

	if (read_file(proc, pid, "uid_map", &map, &bytes) < 0)
		return uid;
	for (const char *line = map; sscanf(line, "%u %u %u%n", &inside, &outside, &count, &len) == 3; line += len)
		if (uid >= outside && uid - outside < count)
			return inside + (uid - outside);
	return uid;
}

/* The last of NSpid is its number in its own namespace. */
static int read_status(int proc, struct process *process)
{
	AUTO(freep) char *status = NULL;
	const char *parent, *uid, *numbers;
	size_t bytes;
	int r = read_file(proc, process->pid, "status", &status, &bytes), len, inside;

	if (r < 0)
		return r;
	parent = field(status, "PPid:");
	uid = field(status, "Uid:");
	numbers = field(status, "NSpid:");
	if (!parent || !uid || !numbers)
		return -EBADMSG;
	process->parent = atoi(parent);
	process->uid = uid_inside(proc, process->pid, (uid_t)strtoul(uid, NULL, 10));
	for (; *numbers != '\n' && sscanf(numbers, "%d%n", &inside, &len) == 1; numbers += len)
		process->inside = inside;
	return 0;
}

static int64_t boot_time(int proc)
{
	AUTO(freep) char *text = NULL;
	size_t bytes;
	const char *line = io_read_file(proc, "stat", PROC_FILE_LIMIT, &text, &bytes) < 0 ? NULL
											  : field(text, "btime ");

	return line ? strtoll(line, NULL, 10) : 0;
}

/* Times are in ticks; the name in brackets may have any character in it. */
static int read_times(int proc, int64_t boot, struct process *process, char **ret_name)
{
	static const char after_name[] = ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %" SCNu64 " %" SCNu64
					 " %*d %*d %*d %*d %*d %*d %" SCNu64;
	AUTO(freep) char *stat = NULL;
	uint64_t user, system, start, ticks = (uint64_t)sysconf(_SC_CLK_TCK);
	size_t bytes;
	int r = read_file(proc, process->pid, "stat", &stat, &bytes);
	char *open = r == 0 ? strchr(stat, '(') : NULL, *close = open ? strrchr(open, ')') : NULL;

	if (r < 0 || !close || sscanf(close, after_name, &user, &system, &start) != 3)
		return r < 0 ? r : -EBADMSG;
	process->started = boot + (int64_t)(start / ticks);
	process->cpu_ms = (user + system) * 1000 / ticks;
	*ret_name = ui_need(strndup(open + 1, (size_t)(close - open - 1)));
	return 0;
}

static int read_process(int proc, int64_t boot, struct process *process)
{
	AUTO(freep) char *words = NULL, *name = NULL;
	size_t bytes;
	int r = read_times(proc, boot, process, &name);

	if (r == 0)
		r = read_file(proc, process->pid, "cmdline", &words, &bytes);
	if (r < 0)
		return r;
	while (bytes > 0 && !words[bytes - 1])
		bytes--;
	for (size_t i = 0; i < bytes; i++)
		if (!words[i])
			words[i] = ' ';
	if (bytes > 0)
		process->command = TAKE(words);
	else if (asprintf(&process->command, "[%s]", name) < 0)
		ui_out_of_memory();
	return 0;
}

/* All that run on this machine, so far with their numbers only. */
static void scan(int proc, struct process_list *ret)
{
	int copy = openat(proc, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		struct process process = { .pid = atoi(entry->d_name) };

		if (!isdigit((unsigned char)entry->d_name[0]) || read_status(proc, &process) < 0)
			continue;
		ret->all = ui_need(realloc(ret->all, (ret->count + 1) * sizeof(*ret->all)));
		ret->all[ret->count++] = process;
	}
	if (dir)
		closedir(dir);
}

static bool same_namespace(int proc, pid_t pid, const struct stat *ns)
{
	char path[64];
	struct stat st;

	snprintf(path, sizeof(path), "%d/ns/pid", pid);
	return fstatat(proc, path, &st, 0) == 0 && st.st_dev == ns->st_dev && st.st_ino == ns->st_ino;
}

/*
 * What was started from outside (nacre exec) has a parent there, but is in the namespace; what has made a namespace of
 * its own has a parent in the list.
 */
static void mark(int proc, const struct process_list *list, const struct stat *ns, bool *marks)
{
	bool more = true;

	for (size_t i = 0; i < list->count; i++)
		marks[i] = same_namespace(proc, list->all[i].pid, ns);
	while (more) {
		more = false;
		for (size_t i = 0; i < list->count; i++)
			for (size_t p = 0; !marks[i] && p < list->count; p++)
				if (marks[p] && list->all[p].pid == list->all[i].parent)
					marks[i] = more = true;
	}
}

static int by_start(const void *a, const void *b)
{
	const struct process *one = a, *two = b;

	if (one->started != two->started)
		return one->started < two->started ? -1 : 1;
	return one->inside < two->inside ? -1 : one->inside > two->inside;
}

/* The first process is number 1 in a namespace that it has to itself. */
static int find_first(int proc, const struct process_list *list, pid_t monitor, struct stat *ret_ns)
{
	char path[64];

	for (size_t i = 0; i < list->count; i++)
		if (list->all[i].parent == monitor && list->all[i].inside == 1) {
			snprintf(path, sizeof(path), "%d/ns/pid", list->all[i].pid);
			return fstatat(proc, path, ret_ns, 0) < 0 ? -errno : 0;
		}
	return -ESRCH;
}

int process_list_read(pid_t monitor, struct diag *diag, struct process_list *ret)
{
	AUTO(process_list_release) struct process_list all = { 0 };
	AUTO(closep) int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	AUTO(freep) bool *marks = NULL;
	struct stat ns;

	if (proc < 0)
		return diag_errno(diag, -errno, "cannot open /proc");
	scan(proc, &all);
	int r = find_first(proc, &all, monitor, &ns);
	if (r == -ESRCH || r == -ENOENT)
		return diag_set(diag, -EINVAL, "it is not running");
	if (r < 0)
		return diag_errno(diag, r, "its process namespace cannot be seen");
	marks = ui_need(calloc(all.count, sizeof(*marks)));
	mark(proc, &all, &ns, marks);
	ret->all = ui_need(calloc(all.count, sizeof(*ret->all)));
	int64_t boot = boot_time(proc);
	for (size_t i = 0; i < all.count; i++)
		if (marks[i] && read_process(proc, boot, &all.all[i]) == 0) {
			ret->all[ret->count++] = all.all[i];
			all.all[i].command = NULL;
		}
	qsort(ret->all, ret->count, sizeof(*ret->all), by_start);
	return 0;
}

void process_list_release(struct process_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->all[i].command);
	free(list->all);
	*list = (struct process_list){ 0 };
}
