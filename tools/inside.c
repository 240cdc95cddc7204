// SPDX-License-Identifier: Apache-2.0
#include "tools/inside.h"

#include "store/base/auto.h"
#include "store/base/io.h"
#include "tools/control.h"
#include "tools/runtime.h"
#include "tools/ui.h"
#include "tools/userns.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

enum { PID_FILE_LIMIT = 64 };

#define INSIDE_ENDED "it has just ended"

int inside_find(const struct target *target, struct diag *diag, pid_t *ret_monitor)
{
	AUTO(closep) int control = control_connect(target->container.dir);
	int r = control < 0 ? control : control_peer(control, ret_monitor);

	if (target->run.status != RUN_RUNNING || r == -ESRCH)
		return diag_set(diag, -EINVAL, "it is not running; 'nacre start' starts one that has ended");
	return r < 0 ? diag_errno(diag, r, "its monitor does not answer") : 0;
}

/* What a terminal sends at Ctrl-C goes to the process inside; we only wait. Return: -errno or an exit status. */
static int wait_for(pid_t pid)
{
	int status;

	signal(SIGINT, SIG_IGN);
	signal(SIGQUIT, SIG_IGN);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/*
 * Only children are in the process namespace that one has entered, and what is in
 * between, with the other's mounts, is not one to go on with.  Its exit status is that of
 * the child: that there is none, it says on @failed.
 */
static int go_inside(pid_t monitor, int (*fn)(void *arg), void *arg, int failed)
{
	int r = userns_join(monitor);
	pid_t pid = r == 0 ? fork() : -1;

	if (pid == 0)
		_exit(fn(arg));
	if (pid < 0)
		r = r < 0 ? r : -errno;
	else
		r = wait_for(pid);
	if (r < 0)
		(void)io_write_full(failed, &r, sizeof(r));
	return r < 0 ? EXIT_FAILURE : r;
}

int inside_call(pid_t monitor, int (*fn)(void *arg), void *arg, struct diag *diag)
{
	AUTO(closep) int from = -1, failed = -1;
	int pair[2], why, r;

	if (pipe2(pair, O_CLOEXEC) < 0)
		return diag_errno(diag, -errno, "cannot make a pipe");
	from = pair[0];
	failed = pair[1];
	fflush(NULL);
	pid_t pid = fork();
	if (pid == 0)
		_exit(go_inside(monitor, fn, arg, failed));
	r = pid < 0 ? -errno : wait_for(pid);
	close(TAKE_FD(failed));
	if (r >= 0 && io_read_full(from, &why, sizeof(why)) == sizeof(why))
		r = why;
	/* In a process namespace whose first process has ended fork() finds no memory. */
	if (r == -ENOENT || r == -ESRCH || (r == -ENOMEM && kill(monitor, 0) < 0))
		return diag_set(diag, r, INSIDE_ENDED);
	return r < 0 ? diag_errno(diag, r, "its namespaces cannot be entered") : r;
}

int inside_root(const char *dir, struct diag *diag)
{
	AUTO(freep) char *file = NULL, *pid = NULL, *path = NULL;
	size_t bytes;

	if (asprintf(&file, "%s/" RUNTIME_PID_FILE, dir) < 0)
		ui_out_of_memory();
	int r = io_read_file(AT_FDCWD, file, PID_FILE_LIMIT, &pid, &bytes);
	if (r == -ENOENT)
		return diag_set(diag, r, INSIDE_ENDED);
	if (r < 0)
		return diag_errno(diag, r, "its first process is not known");
	path = ui_format("/proc/%d/root", atoi(pid));
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		return diag_set(diag, -ENOENT, INSIDE_ENDED);
	return fd < 0 ? diag_errno(diag, -errno, "cannot open its root") : fd;
}
