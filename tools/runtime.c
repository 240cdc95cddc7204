// SPDX-License-Identifier: Apache-2.0
#include "tools/runtime.h"

#include "store/base/auto.h"
#include "store/base/io.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/vfs.h>
#include <sys/wait.h>

#include <linux/magic.h>

extern char **environ;

enum { WORDS_MAX = 16 };

struct words {
	const char *list[WORDS_MAX]; /* NULL behind the last */
	size_t count;
};

static void add(struct words *words, const char *word)
{
	words->list[words->count++] = word;
}

bool runtime_is_crun(const char *program)
{
	const char *slash = strrchr(program, '/');

	return strcmp(slash ? slash + 1 : program, "crun") == 0;
}

/* Control groups that may not be changed must not be tried: only crun can be told. */
static void begin(struct words *words, const struct runtime *runtime, const char *command)
{
	*words = (struct words){ 0 };
	add(words, runtime->program);
	add(words, "--root");
	add(words, RUNTIME_ROOT);
	if (runtime_is_crun(runtime->program))
		add(words, runtime->cgroups ? "--cgroup-manager=cgroupfs" : "--cgroup-manager=disabled");
	add(words, command);
}

/* With the signals as a program expects them: the monitor has some blocked. */
static int spawn(const struct words *words, const int stdio[3])
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t none;
	pid_t pid;
	int status, r;

	sigemptyset(&none);
	if (posix_spawn_file_actions_init(&actions) != 0 || posix_spawnattr_init(&attr) != 0)
		return -ENOMEM;
	r = posix_spawnattr_setsigmask(&attr, &none);
	if (r == 0)
		r = posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
	for (int i = 0; r == 0 && i < 3; i++)
		r = posix_spawn_file_actions_adddup2(&actions, stdio[i], i);
	if (r == 0)
		r = posix_spawnp(&pid, words->list[0], &actions, &attr, (char *const *)words->list, environ);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attr);
	if (r != 0)
		return -r;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* Of either kind. */
bool runtime_has_cgroups(void)
{
	return access("/sys/fs/cgroup/pids", W_OK) == 0 || access("/sys/fs/cgroup/cgroup.subtree_control", W_OK) == 0;
}

bool runtime_cgroups_are_v2(void)
{
	struct statfs fs;

	return statfs("/sys/fs/cgroup", &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC;
}

static bool has_word(const char *text, const char *word)
{
	size_t len = strlen(word);

	for (const char *p = text; (p = strstr(p, word)); p += len)
		if ((p == text || p[-1] == ' ') && (p[len] == '\0' || p[len] == ' ' || p[len] == '\n'))
			return true;
	return false;
}

static bool has_controller(const char *name)
{
	AUTO(freep) char *text = NULL;
	char path[64];
	struct statfs fs;
	size_t bytes;

	if (runtime_cgroups_are_v2())
		return io_read_file(AT_FDCWD, "/sys/fs/cgroup/cgroup.controllers", 4096, &text, &bytes) == 0 &&
		       has_word(text, name);
	snprintf(path, sizeof(path), "/sys/fs/cgroup/%s", name);
	return statfs(path, &fs) == 0 && fs.f_type == CGROUP_SUPER_MAGIC && access(path, W_OK) == 0;
}

const char *runtime_limit_missing(bool memory, bool pids)
{
	if (memory && !has_controller("memory"))
		return "memory";
	return pids && !has_controller("pids") ? "pids" : NULL;
}

/* The text of a log line's msg="...", in place; NULL: it is no error, or no log line. */
static char *error_message(char *line)
{
	char *message = strstr(line, " msg=\""), *to, *from;

	if (strncmp(line, "time=", strlen("time=")) != 0 || !message ||
	    (!strstr(line, " level=error") && !strstr(line, " level=fatal")))
		return NULL;
	message += strlen(" msg=\"");
	for (to = from = message; *from && *from != '"'; *to++ = *from++)
		if (*from == '\\' && from[1])
			from++;
	*to = '\0';
	return message;
}

void runtime_say(char *text)
{
	AUTO(freep) char *copy = strdup(text);
	char *at = copy, *line, *to = text;

	/* What is taken from a line is never longer than it. */
	while (at && (line = strsep(&at, "\n"))) {
		const char *message = error_message(line);

		if (message)
			to += sprintf(to, "%s%s", to > text ? " " : "", message);
	}
	if (to > text)
		return;
	for (char *p = text; (p = strchr(p, '\n'));)
		*p = ' ';
}

int runtime_run(const struct runtime *runtime, bool tty, const int stdio[3])
{
	struct words words;

	begin(&words, runtime, "run");
	add(&words, "--detach");
	add(&words, "--bundle");
	add(&words, ".");
	add(&words, "--pid-file");
	add(&words, RUNTIME_PID_FILE);
	if (tty) {
		add(&words, "--console-socket");
		add(&words, RUNTIME_CONSOLE);
	}
	add(&words, runtime->id);
	return spawn(&words, stdio);
}

void runtime_delete(const struct runtime *runtime)
{
	AUTO(closep) int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int stdio[3] = { null, null, null };
	struct words words;

	if (null < 0 || access(RUNTIME_ROOT, F_OK) < 0)
		return;
	/* Without control groups all it has is there, and it need not be started for that. */
	if (!runtime->cgroups) {
		(void)io_remove_tree(AT_FDCWD, RUNTIME_ROOT);
		return;
	}
	begin(&words, runtime, "delete");
	add(&words, "--force");
	add(&words, runtime->id);
	(void)spawn(&words, stdio);
}

int runtime_exec(const struct runtime *runtime, const char *process_file, bool detach)
{
	struct words words;

	begin(&words, runtime, "exec");
	add(&words, "--process");
	add(&words, process_file);
	if (detach)
		add(&words, "--detach");
	add(&words, runtime->id);
	execvp(words.list[0], (char *const *)words.list);
	return -errno;
}
