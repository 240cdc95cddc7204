// SPDX-License-Identifier: Apache-2.0
#include "tools/runspec.h"

#include "store/base/auto.h"
#include "store/base/io.h"
#include "tools/process.h"
#include "tools/ui.h"

#include <ctype.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <string.h>

enum { ENV_FILE_LIMIT = 1024 * 1024 };

static const char default_path[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

const char *runspec_text(const json_t *spec, const char *key)
{
	const char *text = json_string_value(json_object_get(spec, key));

	return text ? text : "";
}

bool runspec_is(const json_t *spec, const char *key)
{
	return json_is_true(json_object_get(spec, key));
}

long long runspec_number(const json_t *spec, const char *key)
{
	return json_integer_value(json_object_get(spec, key));
}

/* In quotes, as a shell would take it, where it is not one plain word. */
static void add_word(struct buf *text, const char *word)
{
	if (*word && !strpbrk(word, " \t\n'\"\\$`")) {
		buf_adds(text, word);
		return;
	}
	buf_adds(text, "\"");
	for (; *word; word++)
		buf_addf(text, strchr("\"\\$`", *word) ? "\\%c" : "%c", *word);
	buf_adds(text, "\"");
}

char *runspec_command(const json_t *spec)
{
	struct buf text = { 0 };
	json_t *word;
	size_t i;

	json_array_foreach(json_object_get(spec, "Args"), i, word)
	{
		const char *value = json_string_value(word);

		buf_adds(&text, i ? " " : "");
		add_word(&text, value ? value : "");
	}
	return text.data ? ui_need(buf_take(&text)) : ui_need(strdup(""));
}

/*
 * Words, numbers, signals.
 */

int runspec_signal(const char *text)
{
	char *end;
	long number = strtol(text, &end, 10);

	if (isdigit((unsigned char)*text) && !*end)
		return number > 0 && number <= SIGRTMAX ? (int)number : 0;
	if (strncasecmp(text, "SIG", 3) == 0)
		text += 3;
	for (int i = 1; i < SIGRTMIN; i++)
		if (sigabbrev_np(i) && strcasecmp(sigabbrev_np(i), text) == 0)
			return i;
	if (strncasecmp(text, "RTMIN+", 6) == 0 && SIGRTMIN + atoi(text + 6) <= SIGRTMAX)
		return SIGRTMIN + atoi(text + 6);
	return 0;
}

/* "64m": bytes, with the letters of docker. */
static int read_bytes(const char *text, struct diag *diag, long long *ret)
{
	static const char units[] = "bkmgt";
	char *end;
	errno = 0;
	long long value = strtoll(text, &end, 10);
	const char *unit = *end ? strchr(units, tolower((unsigned char)*end)) : units;

	if (!isdigit((unsigned char)*text) || errno || !unit || (*end && end[1]))
		return diag_set(diag, -EINVAL, "--memory %s is no size: 512m, 2g", text);
	if (value > (LLONG_MAX >> (10 * (unit - units))))
		return diag_set(diag, -EINVAL, "--memory %s is too large", text);
	*ret = value << (10 * (unit - units));
	return 0;
}

static int put_limits(const struct args *args, json_t *spec, struct diag *diag)
{
	const char *memory = args_get(args, "memory"), *pids = args_get(args, "pids-limit");
	long long bytes = 0, count = 0;
	char *end = NULL;
	int r = memory ? read_bytes(memory, diag, &bytes) : 0;

	if (r == 0 && pids) {
		count = strtoll(pids, &end, 10);
		if (!*pids || *end || count < -1 || count > INT_MAX)
			r = diag_set(diag, -EINVAL, "--pids-limit %s is no number", pids);
	}
	json_put(spec, "Memory", json_integer(bytes));
	json_put(spec, "PidsLimit", json_integer(count > 0 ? count : 0));
	return r;
}

/*
 * Environment.
 */

/* @line takes the place of one with the same name. */
static void env_set(json_t *env, const char *line)
{
	size_t name = strcspn(line, "=") + 1, i;
	json_t *old;

	json_array_foreach(env, i, old)
	{
		if (strncmp(json_string_value(old), line, name) != 0)
			continue;
		json_array_set_new(env, i, ui_need(json_text(line)));
		return;
	}
	json_push(env, json_text(line));
}

/* NAME=VALUE, or NAME: its value here, if it has one. */
static int env_take(json_t *env, const char *line, const char *from, struct diag *diag)
{
	const char *value = getenv(line);

	if (!*line || *line == '=')
		return diag_set(diag, -EINVAL, "%s: \"%s\" has no name", from, line);
	if (strchr(line, '=')) {
		env_set(env, line);
	} else if (value) {
		AUTO(freep) char *both = NULL;

		if (asprintf(&both, "%s=%s", line, value) < 0)
			ui_out_of_memory();
		env_set(env, both);
	}
	return 0;
}

static int env_file(json_t *env, const char *path, struct diag *diag)
{
	AUTO(freep) char *text = NULL;
	size_t bytes;
	char *at, *line;
	int r = io_read_file(AT_FDCWD, path, ENV_FILE_LIMIT, &text, &bytes);

	if (r < 0)
		return diag_errno(diag, r, "cannot read %s", path);
	for (at = text; r == 0 && (line = strsep(&at, "\n"));) {
		line += strspn(line, " \t");
		line[strcspn(line, "\r")] = '\0';
		if (*line && *line != '#')
			r = env_take(env, line, path, diag);
	}
	return r;
}

int runspec_add_env(const struct args *args, json_t *env, struct diag *diag)
{
	AUTO(freep) const char **files = args_all(args, "env-file"), **lines = args_all(args, "env");
	int r = 0;

	for (const char **file = files; r == 0 && *file; file++)
		r = env_file(env, *file, diag);
	for (const char **line = lines; r == 0 && *line; line++)
		r = env_take(env, *line, "--env", diag);
	return r;
}

static int put_env(const struct args *args, const json_t *config, json_t *spec, struct diag *diag)
{
	json_t *env = json_new_array(), *line;
	size_t i;

	json_put(spec, "Env", env);
	json_push(env, json_text(default_path));
	if (args_has(args, "tty"))
		json_push(env, json_text("TERM=xterm"));
	json_array_foreach(json_object_get(config, "Env"), i, line)
	{
		if (json_string_value(line))
			env_set(env, json_string_value(line));
	}
	return runspec_add_env(args, env, diag);
}

/*
 * Folders of the host.
 */

/* SRC:DST[:OPTIONS] */
static int put_mount(json_t *mounts, const char *text, struct diag *diag)
{
	AUTO(freep) char *copy = ui_need(strdup(text)), *source = NULL;
	char *rest = copy, *from = strsep(&rest, ":"), *to = strsep(&rest, ":"), *word;
	json_t *mount = json_new_object();
	bool read_only = false;

	json_push(mounts, mount);
	if (!to || *to != '/' || !*from)
		return diag_set(diag, -EINVAL, "-v %s: it is SRC:DST[:ro], and DST begins with a '/'", text);
	if (!strchr(from, '/') && strcmp(from, ".") != 0)
		return diag_set(diag, -EINVAL, "-v %s: there are no named volumes; a folder has a '/': ./%s", text,
				from);
	while (rest && (word = strsep(&rest, ":,"))) {
		if (strcmp(word, "ro") != 0 && strcmp(word, "rw") != 0)
			return diag_set(diag, -EINVAL, "-v %s: %s is neither ro nor rw", text, word);
		read_only = strcmp(word, "ro") == 0;
	}
	source = realpath(from, NULL);
	if (!source)
		return diag_errno(diag, -errno, "-v %s: %s cannot be used", text, from);
	json_put_text(mount, "Source", source);
	json_put_text(mount, "Destination", to);
	json_put_bool(mount, "ReadOnly", read_only);
	return 0;
}

static int put_mounts(const struct args *args, const json_t *config, json_t *spec, struct diag *diag)
{
	AUTO(freep) const char **texts = args_all(args, "volume");
	json_t *mounts = json_new_array(), *volumes = json_new_array(), *unused;
	const char *path;
	int r = 0;

	json_put(spec, "Mounts", mounts);
	json_put(spec, "Volumes", volumes);
	for (const char **text = texts; r == 0 && *text; text++)
		r = put_mount(mounts, *text, diag);
	json_object_foreach(json_object_get(config, "Volumes"), path, unused)
	{
		if (*path)
			json_push(volumes, json_text(path));
	}
	return r;
}

/*
 * The command.
 */

static void add_words(json_t *args, const json_t *words)
{
	const json_t *word;
	size_t i;

	json_array_foreach(words, i, word)
	{
		if (json_string_value(word))
			json_push(args, json_text(json_string_value(word)));
	}
}

/* --entrypoint takes the image's Cmd away too, as docker's; an empty one leaves only what is given here. */
static int put_command(const struct args *args, const json_t *config, json_t *spec, struct diag *diag)
{
	const char *entrypoint = args_get(args, "entrypoint");
	json_t *words = json_new_array();

	json_put(spec, "Args", words);
	if (!entrypoint)
		add_words(words, json_object_get(config, "Entrypoint"));
	else if (*entrypoint)
		json_push(words, json_text(entrypoint));
	if (args->operand_count < 2 && !entrypoint)
		add_words(words, json_object_get(config, "Cmd"));
	for (size_t i = 1; i < args->operand_count; i++)
		json_push(words, json_text(args->operands[i]));
	if (json_array_size(words) == 0)
		return diag_set(diag, -EINVAL, "the image names no command: say which to run");
	return 0;
}

static const char *first_of(const char *a, const char *b, const char *otherwise)
{
	if (a)
		return a;
	return b && *b ? b : otherwise;
}

static int put_words(const struct args *args, const json_t *config, json_t *spec, struct diag *diag)
{
	const char *network = first_of(args_get(args, "network"), NULL, "host");
	const char *runtime = first_of(args_get(args, "runtime"), NULL, "crun");
	const char *stop = json_string_value(json_object_get(config, "StopSignal"));
	int signal = runspec_signal(stop && *stop ? stop : "SIGTERM");

	json_put_text(spec, "User", first_of(args_get(args, "user"), runspec_text(config, "User"), ""));
	json_put_text(spec, "WorkingDir", first_of(args_get(args, "workdir"), runspec_text(config, "WorkingDir"), "/"));
	json_put_text(spec, "Network", network);
	AUTO(freep) char *path = strchr(runtime, '/') ? realpath(runtime, NULL) : NULL;
	json_put_text(spec, "Runtime", path ? path : runtime);
	json_put(spec, "StopSignal", json_integer(signal ? signal : SIGTERM));
	json_put_bool(spec, "Tty", args_has(args, "tty"));
	json_put_bool(spec, "OpenStdin", args_has(args, "interactive"));
	json_put_bool(spec, "ReadOnly", args_has(args, "read-only"));
	json_put_bool(spec, "Remove", args_has(args, "rm"));
	if (args_get(args, "hostname"))
		json_put_text(spec, "Hostname", args_get(args, "hostname"));
	if (runspec_text(spec, "WorkingDir")[0] != '/')
		return diag_set(diag, -EINVAL, "the working directory %s does not begin with a '/'",
				runspec_text(spec, "WorkingDir"));
	if (strcmp(network, "host") != 0 && strcmp(network, "none") != 0)
		return diag_set(diag, -EINVAL, "there is no network %s: host or none", network);
	if (!process_can_run(runtime))
		return diag_set(diag, -ENOENT, "%s is missing, which starts containers (install the package %s)",
				runtime, runtime);
	return 0;
}

int runspec_new(const struct args *args, const struct image_info *image, const char *store, struct diag *diag,
		json_t **ret)
{
	AUTO(json_freep) json_t *config = json_loadb(image->config, image->config_bytes, 0, NULL);
	const json_t *run = json_object_get(config, "config");
	AUTO(json_freep) json_t *spec = json_new_object();
	int r = put_words(args, run, spec, diag);

	if (r == 0)
		r = put_command(args, run, spec, diag);
	if (r == 0)
		r = put_env(args, run, spec, diag);
	if (r == 0)
		r = put_mounts(args, run, spec, diag);
	if (r == 0)
		r = put_limits(args, spec, diag);
	json_put_text(spec, "Store", store);
	json_put_digest(spec, "Image", &image->digest);
	if (r == 0)
		*ret = TAKE(spec);
	return r;
}
