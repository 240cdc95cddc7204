// SPDX-License-Identifier: Apache-2.0
#include "tools/process.h"

#include "store/base/auto.h"
#include "store/base/io.h"
#include "tools/ui.h"

#include <fcntl.h>
#include <spawn.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SAID_MAX = 64 * 1024 };

extern char **environ;

static char *read_back(int fd)
{
	char *text = ui_need(calloc(1, SAID_MAX + 1));

	if (io_pread_full(fd, text, SAID_MAX, 0) < 0)
		*text = '\0';
	return text;
}

char *process_find(const char *program)
{
	AUTO(freep) char *path = ui_need(strdup(getenv("PATH") ? getenv("PATH") : ""));
	char *save = NULL;

	if (strchr(program, '/'))
		return access(program, X_OK) == 0 ? ui_need(strdup(program)) : NULL;
	for (char *dir = strtok_r(path, ":", &save); dir; dir = strtok_r(NULL, ":", &save)) {
		AUTO(freep) char *file = NULL;

		if (asprintf(&file, "%s/%s", dir, program) < 0)
			ui_out_of_memory();
		if (access(file, X_OK) == 0)
			return TAKE(file);
	}
	return NULL;
}

bool process_can_run(const char *program)
{
	AUTO(freep) char *file = process_find(program);

	return file;
}

static int wait_for(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* What it writes on @heard is kept; of stdout and stderr the other goes nowhere. */
static int run(char *const *argv, int heard, char **ret_said)
{
	AUTO(closep) int said = memfd_create("said", MFD_CLOEXEC);
	int unheard = heard == STDERR_FILENO ? STDOUT_FILENO : STDERR_FILENO;
	posix_spawn_file_actions_t actions;
	pid_t pid;

	*ret_said = ui_need(strdup(""));
	if (said < 0)
		return -errno;
	if (posix_spawn_file_actions_init(&actions) != 0)
		ui_out_of_memory();
	int r = posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	if (r == 0)
		r = posix_spawn_file_actions_addopen(&actions, unheard, "/dev/null", O_WRONLY, 0);
	if (r == 0)
		r = posix_spawn_file_actions_adddup2(&actions, said, heard);
	if (r == 0)
		r = posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	if (r != 0)
		return -r;
	r = wait_for(pid);
	free(*ret_said);
	*ret_said = read_back(said);
	return r;
}

int process_run(char *const *argv, char **ret_said)
{
	return run(argv, STDERR_FILENO, ret_said);
}

int process_ask(char *const *argv, char **ret_said)
{
	return run(argv, STDOUT_FILENO, ret_said);
}
