// SPDX-License-Identifier: Apache-2.0
#include "tools/runstate.h"

#include "store/base/auto.h"
#include "store/base/io.h"
#include "tools/control.h"
#include "tools/ui.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>

enum { STATE_LIMIT = 4 * 1024 * 1024, KILLED = 128 + SIGKILL };

static int read_json(const char *dir, const char *name, json_t **ret)
{
	AUTO(freep) char *path = NULL, *text = NULL;
	size_t bytes;
	int r = asprintf(&path, "%s/%s", dir, name) < 0 ? -ENOMEM : 0;

	if (r == 0)
		r = io_read_file(AT_FDCWD, path, STATE_LIMIT, &text, &bytes);
	if (r < 0)
		return r;
	*ret = json_loadb(text, bytes, 0, NULL);
	return *ret ? 0 : -EBADMSG;
}

/* A reader finds the old or the new. */
static int write_json(const char *dir, const char *name, const json_t *json)
{
	AUTO(freep) char *text = json_dumps(json, JSON_INDENT(1));
	AUTO(freep) char *path = NULL, *beside = NULL;
	AUTO(closep) int fd = -1;
	int r;

	if (!text || asprintf(&path, "%s/%s", dir, name) < 0 || asprintf(&beside, "%s/%s.new", dir, name) < 0)
		return -ENOMEM;
	fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	r = io_write_full(fd, text, strlen(text));
	return r == 0 && rename(beside, path) < 0 ? -errno : r;
}

int run_spec_write(const char *dir, const json_t *spec)
{
	return write_json(dir, "run.json", spec);
}

int run_spec_read(const char *dir, json_t **ret)
{
	return read_json(dir, "run.json", ret);
}

bool run_is_live(const char *dir)
{
	AUTO(closep) int fd = control_connect(dir);

	return fd >= 0;
}

static const char *const words[] = {
	[RUN_CREATED] = "created",
	[RUN_RUNNING] = "running",
	[RUN_EXITED] = "exited",
};

const char *run_status_word(const struct run_state *state)
{
	return words[state->status];
}

int run_state_write(const char *dir, const struct run_state *state)
{
	AUTO(json_freep) json_t *json = json_new_object();

	json_put_text(json, "Status", words[state->status]);
	json_put(json, "ExitCode", json_integer(state->exit_code));
	json_put(json, "Started", json_integer(state->started));
	json_put(json, "Finished", json_integer(state->finished));
	return write_json(dir, "state.json", json);
}

static int read_state(const char *dir, struct run_state *ret)
{
	AUTO(json_freep) json_t *json = NULL;
	int r = read_json(dir, "state.json", &json);

	if (r < 0)
		return r;
	for (enum run_status i = RUN_CREATED; i <= RUN_EXITED; i++)
		if (strcmp(words[i], json_string_value(json_object_get(json, "Status")) ?: "") == 0)
			ret->status = i;
	ret->exit_code = (int)json_integer_value(json_object_get(json, "ExitCode"));
	ret->started = json_integer_value(json_object_get(json, "Started"));
	ret->finished = json_integer_value(json_object_get(json, "Finished"));
	return 0;
}

int run_state_read(const char *dir, struct run_state *ret)
{
	*ret = (struct run_state){ 0 };
	int r = run_spec_read(dir, &ret->spec);
	if (r == -ENOENT)
		return 0;
	ret->status = RUN_CREATED;
	if (r == 0)
		r = read_state(dir, ret);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	if (ret->status != RUN_RUNNING || run_is_live(dir))
		return 0;
	/* Its monitor may have written the end and left since that was read: what was killed wrote none. */
	r = read_state(dir, ret);
	if (r < 0 && r != -ENOENT) /* one of run --rm takes all with it */
		return r;
	if (ret->status == RUN_RUNNING) {
		ret->status = RUN_EXITED;
		ret->exit_code = KILLED;
	}
	return 0;
}

void run_state_release(struct run_state *state)
{
	json_decref(state->spec);
	*state = (struct run_state){ 0 };
}

char *run_status_text(const struct run_state *state, char *text)
{
	char age[UI_AGE_BYTES];

	text[0] = '\0';
	if (state->status == RUN_CREATED)
		snprintf(text, RUN_STATUS_BYTES, "Created");
	if (state->status == RUN_RUNNING) {
		ui_age(state->started, age);
		/* "3 minutes ago", but what is just now is no time yet. */
		char *ago = strstr(age, " ago");
		if (ago)
			*ago = '\0';
		snprintf(text, RUN_STATUS_BYTES, "Up %s", ago ? age : "a moment");
	}
	if (state->status == RUN_EXITED)
		snprintf(text, RUN_STATUS_BYTES, "Exited (%d)%s%s", state->exit_code, state->finished ? " " : "",
			 state->finished ? ui_age(state->finished, age) : "");
	return text;
}
