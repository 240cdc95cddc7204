/* SPDX-License-Identifier: Apache-2.0 */
#include "store/config_change.h"

#include "store/base/auto.h"
#include "store/dockerfile.h"

#include <ctype.h>
#include <signal.h>
#include <string.h>
#include <strings.h>

const char *change_skip_blanks(const char *p)
{
	while (isspace((unsigned char)*p))
		p++;
	return p;
}

int change_set(json_t *object, const char *key, json_t *value)
{
	return json_object_set_new(object, key, value) < 0 ? -ENOMEM : 0;
}

/* A string of the instruction, which need not be UTF-8 as JSON wants it. */
int change_string(struct change *c, const char *text, json_t **ret)
{
	*ret = json_string(text);
	return *ret ? 0 : diag_set(c->diag, -EINVAL, "it is not UTF-8");
}

/* @run's member @key, made if it is missing or null. */
static int container_of_key(struct change *c, const char *key, json_type type, json_t **ret)
{
	json_t *value = json_object_get(c->run, key);

	if (!value || json_is_null(value)) {
		int r = change_set(c->run, key, type == JSON_ARRAY ? json_array() : json_object());

		if (r < 0)
			return r;
		value = json_object_get(c->run, key);
	}
	if (json_typeof(value) != type)
		return diag_set(c->diag, -EBADMSG, "%s in the image's config is of a wrong type", key);
	*ret = value;
	return 0;
}

/* @run's Env holds "NAME=VALUE"; the value of @name, borrowed. */
static const char *env_value(const char *name, void *arg)
{
	const struct change *c = arg;
	const json_t *env = json_object_get(c->run, "Env");
	size_t len = strlen(name);

	for (size_t i = 0; i < json_array_size(env); i++) {
		const char *text = json_string_value(json_array_get(env, i));

		if (text && strncmp(text, name, len) == 0 && text[len] == '=')
			return text + len + 1;
	}
	return NULL;
}

/* @ret: owned */
static int expand(struct change *c, const char *text, char **ret)
{
	AUTO(buf_release) struct buf out = { 0 };
	int r = dockerfile_expand(text, env_value, c, &out);

	if (r == -EINVAL)
		return diag_set(c->diag, r, "a quote or a variable's brace does not end: %s", text);
	if (r < 0)
		return r;
	*ret = buf_take(&out);
	return *ret ? 0 : -ENOMEM;
}

static int split(struct change *c, const char *text, struct dockerfile_words *ret)
{
	int r = dockerfile_split(text, ret);

	return r == -EINVAL ? diag_set(c->diag, r, "a quote does not end") : r;
}

/* ["a", "b"], all strings; NULL: it is not that, so it is a command for the shell, as docker has it. */
json_t *change_exec_form(const char *args)
{
	json_t *list = *args == '[' ? json_loads(args, 0, NULL) : NULL;

	for (size_t i = 0; i < json_array_size(list); i++) {
		if (!json_is_string(json_array_get(list, i))) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

static int shell_form(struct change *c, const char *args, json_t **ret)
{
	const json_t *shell = json_object_get(c->run, "Shell");
	AUTO(json_decrefp) json_t *list = NULL;
	json_t *command;
	int r = change_string(c, args, &command);

	if (r < 0)
		return r;
	list = json_array_size(shell) > 0 ? json_deep_copy(shell) : json_pack("[s,s]", "/bin/sh", "-c");
	if (json_array_append_new(list, command) < 0)
		return -ENOMEM;
	*ret = TAKE(list);
	return 0;
}

static int command_form(struct change *c, const char *args, json_t **ret)
{
	*ret = change_exec_form(args);
	return *ret ? 0 : shell_form(c, args, ret);
}

static int change_cmd(struct change *c, const char *args)
{
	json_t *list = NULL;
	int r = command_form(c, args, &list);

	if (r < 0)
		return r;
	*c->cmd_set = true;
	return change_set(c->run, "Cmd", list);
}

static int change_entrypoint(struct change *c, const char *args)
{
	json_t *list = NULL;
	int r = command_form(c, args, &list);

	if (r < 0)
		return r;
	/* The base's Cmd was made for the base's entry point. */
	if (!*c->cmd_set)
		json_object_del(c->run, "Cmd");
	return change_set(c->run, "Entrypoint", list);
}

/* KEY and VALUE by turns, expanded; quotes are gone. */
struct pairs {
	char **items; /* owned, and each of them */
	size_t count; /* of items: twice the pairs */
};

static void pairs_release(struct pairs *pairs)
{
	for (size_t i = 0; i < pairs->count; i++)
		free(pairs->items[i]);
	free(pairs->items);
}

static int pairs_add(struct change *c, struct pairs *pairs, const char *text, size_t len)
{
	AUTO(freep) char *raw = strndup(text, len);
	char **items = realloc(pairs->items, (pairs->count + 1) * sizeof(*items));
	int r;

	if (items)
		pairs->items = items;
	if (!raw || !items)
		return -ENOMEM;
	r = expand(c, raw, &items[pairs->count]);
	if (r == 0)
		pairs->count++;
	return r;
}

static int pairs_add_pair(struct change *c, struct pairs *pairs, const char *key, size_t key_len, const char *value)
{
	int r = pairs_add(c, pairs, key, key_len);

	if (r == 0 && pairs->items[pairs->count - 1][0] == '\0')
		return diag_set(c->diag, -EINVAL, "a name is empty");
	return r < 0 ? r : pairs_add(c, pairs, value, strlen(value));
}

/* "A=b C=d", or the old form "A b and all the rest". */
static int parse_pairs(struct change *c, const char *args, struct pairs *ret)
{
	AUTO(dockerfile_words_release) struct dockerfile_words words = { 0 };
	size_t first = strcspn(args, " \t");
	int r = 0;

	if (!memchr(args, '=', first)) {
		const char *rest = change_skip_blanks(args + first);

		if (!*rest)
			return diag_set(c->diag, -EINVAL, "it needs NAME=VALUE");
		return pairs_add_pair(c, ret, args, first, rest);
	}
	r = split(c, args, &words);
	for (size_t i = 0; r == 0 && i < words.count; i++) {
		const char *equals = strchr(words.items[i], '=');

		if (!equals)
			return diag_set(c->diag, -EINVAL, "%s is not NAME=VALUE", words.items[i]);
		r = pairs_add_pair(c, ret, words.items[i], (size_t)(equals - words.items[i]), equals + 1);
	}
	return r;
}

static int set_env(struct change *c, json_t *env, const char *name, const char *value)
{
	AUTO(buf_release) struct buf text = { 0 };
	size_t len = strlen(name);
	json_t *string;
	int r;

	buf_addf(&text, "%s=%s", name, value);
	r = buf_error(&text) < 0 ? -ENOMEM : change_string(c, buf_str(&text), &string);
	if (r < 0)
		return r;
	for (size_t i = 0; i < json_array_size(env); i++) {
		const char *old = json_string_value(json_array_get(env, i));

		if (old && strncmp(old, name, len) == 0 && (old[len] == '=' || old[len] == '\0'))
			return json_array_set_new(env, i, string) < 0 ? -ENOMEM : 0;
	}
	return json_array_append_new(env, string) < 0 ? -ENOMEM : 0;
}

static int change_env(struct change *c, const char *args)
{
	AUTO(pairs_release) struct pairs pairs = { 0 };
	json_t *env = NULL;
	int r = container_of_key(c, "Env", JSON_ARRAY, &env);

	/* All values are expanded before one is set: "ENV A=1 B=$A" means the A of before. */
	if (r == 0)
		r = parse_pairs(c, args, &pairs);
	for (size_t i = 0; r == 0 && i < pairs.count; i += 2)
		r = set_env(c, env, pairs.items[i], pairs.items[i + 1]);
	return r;
}

static int change_label(struct change *c, const char *args)
{
	AUTO(pairs_release) struct pairs pairs = { 0 };
	json_t *labels = NULL, *value;
	int r = container_of_key(c, "Labels", JSON_OBJECT, &labels);

	if (r == 0)
		r = parse_pairs(c, args, &pairs);
	for (size_t i = 0; r == 0 && i < pairs.count; i += 2) {
		r = change_string(c, pairs.items[i + 1], &value);
		if (r == 0 && json_object_set_new(labels, pairs.items[i], value) < 0)
			r = diag_set(c->diag, -EINVAL, "it is not UTF-8");
	}
	return r;
}

/* Of decimal digits only; 0: it is no port. */
static unsigned take_port(const char **p)
{
	unsigned port = 0;
	size_t digits = strspn(*p, "0123456789");

	if (digits == 0 || digits > 5)
		return 0;
	for (size_t i = 0; i < digits; i++)
		port = port * 10 + (unsigned)((*p)[i] - '0');
	*p += digits;
	return port <= 65535 ? port : 0;
}

/* "80", "80/udp", "8000-8010/tcp" */
static int expose_word(struct change *c, json_t *ports, const char *word)
{
	const char *p = word, *protocol = "tcp";
	unsigned first = take_port(&p), last = first;

	if (*p == '-') {
		p++;
		last = take_port(&p);
	}
	if (*p == '/') {
		protocol = p + 1;
		p += strlen(p);
	}
	if (*p || first == 0 || last < first ||
	    (strcasecmp(protocol, "tcp") != 0 && strcasecmp(protocol, "udp") != 0 && strcasecmp(protocol, "sctp") != 0))
		return diag_set(c->diag, -EINVAL, "%s is not PORT[-PORT][/tcp|/udp|/sctp]", word);
	for (unsigned port = first; port <= last; port++) {
		char key[32];

		snprintf(key, sizeof(key), "%u/%s", port, protocol);
		for (char *lower = key; *lower; lower++)
			*lower = (char)tolower((unsigned char)*lower);
		if (change_set(ports, key, json_object()) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int change_expose(struct change *c, const char *args)
{
	AUTO(dockerfile_words_release) struct dockerfile_words words = { 0 };
	json_t *ports = NULL;
	int r = container_of_key(c, "ExposedPorts", JSON_OBJECT, &ports);

	if (r == 0)
		r = split(c, args, &words);
	for (size_t i = 0; r == 0 && i < words.count; i++) {
		AUTO(freep) char *word = NULL;

		r = expand(c, words.items[i], &word);
		if (r == 0)
			r = expose_word(c, ports, word);
	}
	return r;
}

static int add_volume(struct change *c, json_t *volumes, const char *text)
{
	AUTO(freep) char *path = NULL;
	int r = expand(c, text, &path);

	if (r < 0)
		return r;
	if (!*change_skip_blanks(path))
		return diag_set(c->diag, -EINVAL, "a volume's path is empty");
	return json_object_set_new(volumes, path, json_object()) < 0 ? diag_set(c->diag, -EINVAL, "it is not UTF-8")
								     : 0;
}

static int change_volume(struct change *c, const char *args)
{
	AUTO(dockerfile_words_release) struct dockerfile_words words = { 0 };
	AUTO(json_decrefp) json_t *list = change_exec_form(args);
	json_t *volumes = NULL;
	int r = container_of_key(c, "Volumes", JSON_OBJECT, &volumes);

	if (r == 0 && !list)
		r = split(c, args, &words);
	for (size_t i = 0; r == 0 && i < json_array_size(list); i++)
		r = add_volume(c, volumes, json_string_value(json_array_get(list, i)));
	for (size_t i = 0; r == 0 && i < words.count; i++)
		r = add_volume(c, volumes, words.items[i]);
	return r;
}

static int set_expanded(struct change *c, const char *key, const char *args)
{
	AUTO(freep) char *text = NULL;
	json_t *string;
	int r = expand(c, args, &text);

	if (r == 0 && !*text)
		r = diag_set(c->diag, -EINVAL, "its value is empty");
	if (r == 0)
		r = change_string(c, text, &string);
	return r < 0 ? r : change_set(c->run, key, string);
}

static int change_user(struct change *c, const char *args)
{
	return set_expanded(c, "User", args);
}

/* "/" and the parts of @base and @more, without ".", ".." and doubled slashes (Go's filepath.Join). */
static int join_path(const char *base, const char *more, char **ret)
{
	AUTO(buf_release) struct buf out = { 0 };
	AUTO(freep) char *all = NULL;
	char *rest, *part;

	if (asprintf(&all, "%s/%s", base, more) < 0)
		return -ENOMEM;
	for (rest = all; (part = strsep(&rest, "/"));) {
		if (strcmp(part, "..") == 0) {
			char *slash = out.data ? strrchr(out.data, '/') : NULL;

			if (slash) {
				*slash = '\0';
				out.len = (size_t)(slash - out.data);
			}
		} else if (*part && strcmp(part, ".") != 0) {
			buf_addf(&out, "/%s", part);
		}
	}
	if (out.len == 0)
		buf_adds(&out, "/");
	*ret = buf_take(&out);
	return *ret ? 0 : -ENOMEM;
}

static int change_workdir(struct change *c, const char *args)
{
	const char *old = json_string_value(json_object_get(c->run, "WorkingDir"));
	AUTO(freep) char *path = NULL;
	AUTO(freep) char *joined = NULL;
	json_t *string;
	int r = expand(c, args, &path);

	if (r < 0)
		return r;
	if (!*path)
		return diag_set(c->diag, -EINVAL, "its path is empty");
	if (path[0] != '/')
		r = join_path(old ? old : "", path, &joined);
	if (r == 0)
		r = change_string(c, joined ? joined : path, &string);
	return r < 0 ? r : change_set(c->run, "WorkingDir", string);
}

static int change_onbuild(struct change *c, const char *args)
{
	static const char *const forbidden[] = { "ONBUILD", "FROM", "MAINTAINER" };
	size_t len = strcspn(args, " \t");
	json_t *list = NULL, *string;
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(forbidden); i++)
		if (strlen(forbidden[i]) == len && strncasecmp(args, forbidden[i], len) == 0)
			return diag_set(c->diag, -EINVAL, "%s is not allowed as a trigger", forbidden[i]);
	r = container_of_key(c, "OnBuild", JSON_ARRAY, &list);
	if (r == 0)
		r = change_string(c, args, &string);
	if (r < 0)
		return r;
	return json_array_append_new(list, string) < 0 ? -ENOMEM : 0;
}

static bool is_signal(const char *text)
{
	char *end;
	long number = strtol(text, &end, 10);

	if (end != text)
		return *end == '\0' && number >= 1 && number <= 64;
	if (strncasecmp(text, "SIG", 3) == 0)
		text += 3;
	if (strncasecmp(text, "RTMIN", 5) == 0 || strncasecmp(text, "RTMAX", 5) == 0)
		return text[5] == '\0' || text[5] == '+' || text[5] == '-';
	for (int i = 1; i < 32; i++)
		if (sigabbrev_np(i) && strcasecmp(sigabbrev_np(i), text) == 0)
			return true;
	return false;
}

static int change_stopsignal(struct change *c, const char *args)
{
	AUTO(freep) char *text = NULL;
	int r = expand(c, args, &text);

	if (r == 0 && !is_signal(text))
		r = diag_set(c->diag, -EINVAL, "%s is no signal", text);
	return r < 0 ? r : set_expanded(c, "StopSignal", args);
}

static const struct instruction {
	const char *name;
	int (*change)(struct change *c, const char *args);
} instructions[] = {
	{ "CMD", change_cmd },	       { "ENTRYPOINT", change_entrypoint },   { "ENV", change_env },
	{ "EXPOSE", change_expose },   { "HEALTHCHECK", change_healthcheck }, { "LABEL", change_label },
	{ "ONBUILD", change_onbuild }, { "STOPSIGNAL", change_stopsignal },   { "USER", change_user },
	{ "VOLUME", change_volume },   { "WORKDIR", change_workdir },
};

static const struct instruction *find_instruction(const char *text, size_t len)
{
	for (size_t i = 0; i < ARRAY_SIZE(instructions); i++)
		if (strlen(instructions[i].name) == len && strncasecmp(instructions[i].name, text, len) == 0)
			return &instructions[i];
	return NULL;
}

/* The object "config" of the image's config, made if it is missing. */
static int run_config(json_t *config, struct change *c)
{
	struct change outer = { .run = config, .diag = c->diag };

	return container_of_key(&outer, "config", JSON_OBJECT, &c->run);
}

static int change_text(json_t *config, const char *text, struct change *c)
{
	const char *begin = change_skip_blanks(text);
	size_t len = strcspn(begin, " \t\n");
	const struct instruction *instruction = find_instruction(begin, len);
	AUTO(freep) char *args = strdup(change_skip_blanks(begin + len));
	size_t args_len;
	int r;

	if (!args)
		return -ENOMEM;
	if (!instruction)
		return diag_set(c->diag, -EINVAL,
				"not one of CMD, ENTRYPOINT, ENV, EXPOSE, HEALTHCHECK, LABEL, ONBUILD, "
				"STOPSIGNAL, USER, VOLUME, WORKDIR");
	for (args_len = strlen(args); args_len > 0 && isspace((unsigned char)args[args_len - 1]);)
		args[--args_len] = '\0';
	if (args_len == 0)
		return diag_set(c->diag, -EINVAL, "it needs an argument");
	r = run_config(config, c);
	return r < 0 ? r : instruction->change(c, args);
}

int image_config_change(json_t *config, const char *instruction, bool *cmd_set, struct diag *diag)
{
	struct change c = { .cmd_set = cmd_set, .diag = diag };
	int r = change_text(config, instruction, &c);

	return diag_context(diag, r, "change \"%s\"", instruction);
}

int image_config_changes(json_t *config, const char *const *changes, struct diag *diag)
{
	bool cmd_set = false;
	int r = 0;

	for (; r == 0 && changes && *changes; changes++)
		r = image_config_change(config, *changes, &cmd_set, diag);
	return r;
}
