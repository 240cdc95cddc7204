// SPDX-License-Identifier: Apache-2.0
#include "tools/cli.h"

#include "store/base/auto.h"
#include "store/base/io.h"
#include "tools/bundle.h"
#include "tools/inside.h"
#include "tools/launch.h"
#include "tools/rootdir.h"
#include "tools/runspec.h"
#include "tools/runtime.h"
#include "tools/target.h"
#include "tools/ui.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

/* What the container is run with, with the program and what else the call says in its place. */
static int spec_of(const struct args *args, const json_t *container, struct diag *diag, json_t **ret)
{
	AUTO(json_freep) json_t *spec = ui_need(json_deep_copy(container));
	json_t *words = json_new_array();

	json_put(spec, "Args", words);
	for (size_t i = 1; i < args->operand_count; i++)
		json_push(words, json_text(args->operands[i]));
	json_put_bool(spec, "Tty", args_has(args, "tty"));
	if (args_get(args, "user"))
		json_put_text(spec, "User", args_get(args, "user"));
	if (args_get(args, "workdir"))
		json_put_text(spec, "WorkingDir", args_get(args, "workdir"));
	if (runspec_text(spec, "WorkingDir")[0] != '/')
		return diag_set(diag, -EINVAL, "the working directory does not begin with a '/'");
	int r = runspec_add_env(args, json_object_get(spec, "Env"), diag);
	if (r == 0)
		*ret = TAKE(spec);
	return r;
}

static const char *env_path(const json_t *env)
{
	const json_t *line;
	size_t i;

	json_array_foreach(env, i, line)
	{
		const char *text = json_string_value(line);

		if (strncmp(text, "PATH=", strlen("PATH=")) == 0)
			return text + strlen("PATH=");
	}
	return "";
}

/* The runtime's own statuses cannot be told from those of the program: docker's are found out before. */
static int check_process(int root, const json_t *spec, struct diag *diag, int *ret_status)
{
	const char *cwd = runspec_text(spec, "WorkingDir");
	const char *name = json_string_value(json_array_get(json_object_get(spec, "Args"), 0));
	AUTO(closep) int dir = rootdir_open(root, cwd, O_PATH | O_DIRECTORY);
	int r = rootdir_find_program(root, cwd, env_path(json_object_get(spec, "Env")), name);

	*ret_status = r == -ENOENT ? LAUNCH_NOT_FOUND : LAUNCH_NOT_RUNNABLE;
	if (dir < 0)
		return diag_errno(diag, dir, "the working directory %s", cwd);
	if (r == -ENOENT)
		return diag_set(diag, r, "there is no such program in it");
	return r < 0 ? diag_set(diag, r, "it is no program, or may not be run") : 0;
}

/* The runtime reads it from a file without a name. */
static int process_file(const json_t *process, char **ret_path)
{
	AUTO(freep) char *text = ui_need(json_dumps(process, 0));
	int file = memfd_create("process", 0);

	if (file < 0)
		return -errno;
	*ret_path = ui_format("/proc/self/fd/%d", file);
	return io_write_full(file, text, strlen(text));
}

struct call {
	const struct args *args;
	const struct target *target;
	const json_t *spec;
};

/* In the monitor's namespaces. */
static int run_inside(void *arg)
{
	const struct call *call = arg;
	const struct target *target = call->target;
	const json_t *spec = call->spec;
	struct runtime runtime = {
		.program = runspec_text(spec, "Runtime"),
		.id = target->container.id,
		.cgroups = !target->container.fakeroot && runtime_has_cgroups(),
	};
	AUTO(json_freep) json_t *process = NULL;
	AUTO(freep) char *path = NULL;
	int status = LAUNCH_FAILED;
	struct diag diag = { 0 };
	int r = chdir(target->container.dir) < 0 ? -errno : 0;
	AUTO(closep) int root = r == 0 ? inside_root(target->container.dir, &diag) : -1;

	if (r == 0)
		r = root < 0 ? root : bundle_process(spec, root, &diag, &process);
	if (r == 0)
		r = check_process(root, spec, &diag, &status);
	if (r == 0)
		r = process_file(process, &path);
	if (r == 0 && !args_has(call->args, "interactive") && !freopen("/dev/null", "r", stdin))
		r = -errno;
	if (r == 0)
		r = runtime_exec(&runtime, path, args_has(call->args, "detach"));
	ui_fail(r, &diag, NULL, "cannot run %s in %s", args_operand(call->args, 1), args_operand(call->args, 0));
	return status;
}

static int exec(struct cli *cli, const struct args *args, struct diag *diag, int *ret_status)
{
	AUTO(target_release) struct target target = { 0 };
	AUTO(json_freep) json_t *spec = NULL;
	pid_t monitor = 0;
	int r = target_of_container(cli->store, args_operand(args, 0), diag, &target);

	if (r == 0)
		r = inside_find(&target, diag, &monitor);
	if (r == 0)
		r = spec_of(args, target.run.spec, diag, &spec);
	store_close(TAKE(cli->store));
	if (r < 0)
		return r;
	struct call call = { args, &target, spec };
	r = inside_call(monitor, run_inside, &call, diag);
	if (r < 0)
		return r;
	*ret_status = r;
	return 0;
}

int cmd_exec(struct cli *cli, const struct args *args)
{
	const char *what = args_operand(args, 0);
	int status = LAUNCH_FAILED;
	struct diag diag = { 0 };

	if (args_has(args, "tty") && args_has(args, "interactive") && !isatty(STDIN_FILENO)) {
		ui_error("cannot run %s in %s: -t and -i need a terminal, and standard input is none",
			 args_operand(args, 1), what);
		return LAUNCH_FAILED;
	}
	if (cli_open(cli, STORE_READ) < 0)
		return LAUNCH_FAILED;
	int r = exec(cli, args, &diag, &status);
	if (r < 0)
		ui_fail(r, &diag, r == -ENOENT || r == -ENOTUNIQ ? target_hint(r) : NULL, "cannot run %s in %s",
			args_operand(args, 1), what);
	return r < 0 ? LAUNCH_FAILED : status;
}
