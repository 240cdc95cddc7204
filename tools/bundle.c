// SPDX-License-Identifier: Apache-2.0
#include "tools/bundle.h"

#include "store/base/auto.h"
#include "store/base/io.h"
#include "tools/account.h"
#include "tools/rootdir.h"
#include "tools/runspec.h"
#include "tools/runtime.h"
#include "tools/ui.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

/* docker's defaults. */
static const char *const capabilities[] = {
	"CAP_CHOWN",   "CAP_DAC_OVERRIDE", "CAP_FSETID",	   "CAP_FOWNER",      "CAP_MKNOD",
	"CAP_NET_RAW", "CAP_SETGID",	   "CAP_SETUID",	   "CAP_SETFCAP",     "CAP_SETPCAP",
	"CAP_KILL",    "CAP_SYS_CHROOT",   "CAP_NET_BIND_SERVICE", "CAP_AUDIT_WRITE",
};

static const char *const masked[] = {
	"/proc/acpi",	    "/proc/asound",	 "/proc/kcore",	      "/proc/keys", "/proc/latency_stats",
	"/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware",
};

static const char *const read_only[] = { "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger" };

static json_t *texts(const char *const *list, size_t count)
{
	json_t *array = json_new_array();

	for (size_t i = 0; i < count; i++)
		json_push(array, json_text(list[i]));
	return array;
}

/*
 * The process.
 */

static json_t *capabilities_of(bool root)
{
	json_t *ret = json_new_object();
	size_t count = root ? ARRAY_SIZE(capabilities) : 0;

	json_put(ret, "bounding", texts(capabilities, ARRAY_SIZE(capabilities)));
	json_put(ret, "effective", texts(capabilities, count));
	json_put(ret, "permitted", texts(capabilities, count));
	return ret;
}

static json_t *user_of(const struct account *account)
{
	json_t *ret = json_new_object(), *groups = json_new_array();

	json_put_number(ret, "uid", account->uid);
	json_put_number(ret, "gid", account->gid);
	for (size_t i = 0; i < account->group_count; i++)
		json_push(groups, json_integer(account->groups[i]));
	json_put(ret, "additionalGids", groups);
	return ret;
}

static bool env_has(const json_t *env, const char *name)
{
	size_t len = strlen(name), i;
	json_t *line;

	json_array_foreach(env, i, line)
	{
		const char *text = json_string_value(line);

		if (strncmp(text, name, len) == 0 && text[len] == '=')
			return true;
	}
	return false;
}

static void env_default(json_t *env, const char *name, const char *value)
{
	AUTO(freep) char *line = NULL;

	if (env_has(env, name))
		return;
	if (asprintf(&line, "%s=%s", name, value) < 0)
		ui_out_of_memory();
	json_push(env, json_text(line));
}

int bundle_process(const json_t *spec, int rootfd, struct diag *diag, json_t **ret)
{
	AUTO(account_release) struct account account = { 0 };
	int r = account_find(rootfd, runspec_text(spec, "User"), diag, &account);

	if (r < 0)
		return r;
	json_t *process = json_new_object(), *env = ui_need(json_deep_copy(json_object_get(spec, "Env")));
	env_default(env, "HOSTNAME", runspec_text(spec, "Hostname"));
	env_default(env, "HOME", account.home);
	json_put_bool(process, "terminal", runspec_is(spec, "Tty"));
	json_put(process, "user", user_of(&account));
	json_put(process, "args", json_incref(json_object_get(spec, "Args")));
	json_put(process, "env", env);
	json_put_text(process, "cwd", runspec_text(spec, "WorkingDir"));
	json_put(process, "capabilities", capabilities_of(account.uid == 0));
	json_put_bool(process, "noNewPrivileges", false);
	*ret = process;
	return 0;
}

/*
 * Mounts.
 */

/* @options: divided by commas. */
static void add_mount(json_t *mounts, const char *to, const char *type, const char *from, const char *options)
{
	AUTO(freep) char *copy = ui_need(strdup(options));
	json_t *mount = json_new_object(), *words = json_new_array();
	char *at = copy, *word;

	while ((word = strsep(&at, ",")))
		json_push(words, json_text(word));
	json_put_text(mount, "destination", to);
	json_put_text(mount, "type", type);
	json_put_text(mount, "source", from);
	json_put(mount, "options", words);
	json_push(mounts, mount);
}

static void add_kernel_mounts(const struct bundle *bundle, json_t *mounts)
{
	bool host_network = strcmp(runspec_text(bundle->spec, "Network"), "host") == 0;

	add_mount(mounts, "/proc", "proc", "proc", "nosuid,noexec,nodev");
	add_mount(mounts, "/dev", "tmpfs", "tmpfs", "nosuid,strictatime,mode=755,size=65536k");
	add_mount(mounts, "/dev/pts", "devpts", "devpts", "nosuid,noexec,newinstance,ptmxmode=0666,mode=0620,gid=5");
	add_mount(mounts, "/dev/shm", "tmpfs", "shm", "nosuid,noexec,nodev,mode=1777,size=65536k");
	add_mount(mounts, "/dev/mqueue", "mqueue", "mqueue", "nosuid,noexec,nodev");
	/* Only who owns the network namespace may mount its sysfs. */
	if (bundle->user && host_network)
		add_mount(mounts, "/sys", "none", "/sys", "rbind,nosuid,noexec,nodev,ro");
	else
		add_mount(mounts, "/sys", "sysfs", "sysfs", "nosuid,noexec,nodev,ro");
	if (bundle->cgroups)
		add_mount(mounts, "/sys/fs/cgroup", "cgroup", "cgroup", "nosuid,noexec,nodev,relatime,ro");
}

static bool is_mounted_on(const json_t *list, const char *path)
{
	const json_t *mount;
	size_t i;

	json_array_foreach(list, i, mount)
	{
		if (strcmp(runspec_text(mount, "Destination"), path) == 0)
			return true;
	}
	return false;
}

/* Those of the container's own, unless the user gives others. */
static void add_etc_files(const struct bundle *bundle, json_t *mounts)
{
	for (size_t i = 0; i < ETC_FILES; i++) {
		AUTO(freep) char *from = NULL, *to = NULL;

		if (asprintf(&from, "%s/%s", bundle->dir, etc_files[i]) < 0 ||
		    asprintf(&to, "/etc/%s", etc_files[i]) < 0)
			ui_out_of_memory();
		if (bundle->etc->mounted[i])
			add_mount(mounts, to, "none", from, "bind,rprivate,rw");
	}
}

static void add_user_mounts(const struct bundle *bundle, json_t *mounts)
{
	const json_t *mount;
	size_t i;

	json_array_foreach(json_object_get(bundle->spec, "Mounts"), i, mount)
	{
		add_mount(mounts, runspec_text(mount, "Destination"), "none", runspec_text(mount, "Source"),
			  runspec_is(mount, "ReadOnly") ? "rbind,rprivate,ro" : "rbind,rprivate,rw");
	}
}

/*
 * The image's volumes are folders of the container, kept with what else changes in it; they are writable
 * also in one whose root is not.
 */
static int add_volumes(const struct bundle *bundle, json_t *mounts, struct diag *diag)
{
	const json_t *volume;
	size_t i;

	json_array_foreach(json_object_get(bundle->spec, "Volumes"), i, volume)
	{
		const char *path = json_string_value(volume);
		AUTO(closep) int fd = rootdir_make(bundle->rootfd, path);
		AUTO(freep) char *real = fd < 0 ? NULL : rootdir_path_of(fd);

		if (fd < 0)
			return diag_errno(diag, fd, "its volume %s cannot be made", path);
		if (!real)
			return diag_errno(diag, -errno, "its volume %s cannot be found again", path);
		if (runspec_is(bundle->spec, "ReadOnly") &&
		    !is_mounted_on(json_object_get(bundle->spec, "Mounts"), path))
			add_mount(mounts, path, "none", real, "bind,rprivate,rw");
	}
	return 0;
}

/*
 * The rest of config.json.
 */

static void add_namespace(json_t *list, const char *type)
{
	json_t *one = json_new_object();

	json_put_text(one, "type", type);
	json_push(list, one);
}

static json_t *namespaces_of(const struct bundle *bundle)
{
	json_t *list = json_new_array();

	add_namespace(list, "pid");
	add_namespace(list, "ipc");
	add_namespace(list, "uts");
	add_namespace(list, "mount");
	if (strcmp(runspec_text(bundle->spec, "Network"), "none") == 0)
		add_namespace(list, "network");
	if (bundle->cgroups && runtime_cgroups_are_v2())
		add_namespace(list, "cgroup");
	return list;
}

static json_t *resources_of(const json_t *spec)
{
	json_t *ret = json_new_object(), *devices = json_new_array(), *none = json_new_object();
	json_t *memory = json_new_object(), *pids = json_new_object();

	/* Runtimes add those that every container has. */
	json_put_bool(none, "allow", false);
	json_put_text(none, "access", "rwm");
	json_push(devices, none);
	json_put(ret, "devices", devices);
	json_put(memory, "limit", json_integer(runspec_number(spec, "Memory")));
	json_put(pids, "limit", json_integer(runspec_number(spec, "PidsLimit")));
	if (runspec_number(spec, "Memory"))
		json_put(ret, "memory", json_incref(memory));
	if (runspec_number(spec, "PidsLimit"))
		json_put(ret, "pids", json_incref(pids));
	json_decref(memory);
	json_decref(pids);
	return ret;
}

char *bundle_cgroup(const char *id)
{
	char *path = NULL;

	if (asprintf(&path, "/nacre/%s", id) < 0)
		ui_out_of_memory();
	return path;
}

static json_t *linux_of(const struct bundle *bundle)
{
	AUTO(freep) char *cgroup = bundle_cgroup(bundle->id);
	json_t *ret = json_new_object();

	json_put(ret, "namespaces", namespaces_of(bundle));
	json_put(ret, "resources", resources_of(bundle->spec));
	if (bundle->cgroups)
		json_put_text(ret, "cgroupsPath", cgroup);
	json_put(ret, "maskedPaths", texts(masked, ARRAY_SIZE(masked)));
	json_put(ret, "readonlyPaths", texts(read_only, ARRAY_SIZE(read_only)));
	return ret;
}

static json_t *root_of(const struct bundle *bundle)
{
	json_t *ret = json_new_object();

	json_put_text(ret, "path", "rootfs");
	json_put_bool(ret, "readonly", runspec_is(bundle->spec, "ReadOnly"));
	return ret;
}

static int make_workdir(const struct bundle *bundle, struct diag *diag)
{
	const char *path = runspec_text(bundle->spec, "WorkingDir");
	AUTO(closep) int fd = rootdir_make(bundle->rootfd, path);

	return fd < 0 ? diag_errno(diag, fd, "its working directory %s cannot be made", path) : 0;
}

static int write_config(const struct bundle *bundle, const json_t *config)
{
	AUTO(freep) char *text = ui_need(json_dumps(config, JSON_INDENT(1))), *path = NULL;

	if (asprintf(&path, "%s/config.json", bundle->dir) < 0)
		ui_out_of_memory();
	AUTO(closep) int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	return fd < 0 ? -errno : io_write_full(fd, text, strlen(text));
}

int bundle_write(const struct bundle *bundle, struct diag *diag)
{
	AUTO(json_freep) json_t *config = json_new_object();
	json_t *mounts = json_new_array(), *process = NULL;
	int r = bundle_process(bundle->spec, bundle->rootfd, diag, &process);

	json_put_text(config, "ociVersion", "1.0.2");
	json_put(config, "mounts", mounts);
	if (r < 0)
		return r;
	json_put(config, "process", process);
	json_put(config, "root", root_of(bundle));
	json_put_text(config, "hostname", runspec_text(bundle->spec, "Hostname"));
	json_put(config, "linux", linux_of(bundle));
	r = make_workdir(bundle, diag);
	add_kernel_mounts(bundle, mounts);
	if (r == 0)
		r = add_volumes(bundle, mounts, diag);
	if (r < 0)
		return r;
	add_etc_files(bundle, mounts);
	add_user_mounts(bundle, mounts);
	r = etc_files_write(bundle->dir, bundle->spec);
	if (r == 0)
		r = write_config(bundle, config);
	return r < 0 ? diag_errno(diag, r, "cannot write its bundle in %s", bundle->dir) : 0;
}
