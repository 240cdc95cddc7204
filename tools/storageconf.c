// SPDX-License-Identifier: Apache-2.0
#include "tools/storageconf.h"

/*
 * The file is TOML.  It is a person's, with comments, so it is edited by lines: all that has to be known of TOML here
 * is what a section and a key at the start of a line look like, as they are in every such file that is shipped.
 */

#include "store/base/auto.h"
#include "store/base/io.h"
#include "tools/ui.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CONF_LIMIT = 1024 * 1024 };

static char *join(const char *folder, const char *name)
{
	char *path;

	if (asprintf(&path, "%s/%s", folder, name) < 0)
		ui_out_of_memory();
	return path;
}

char *storageconf_path(void)
{
	const char *named = getenv("CONTAINERS_STORAGE_CONF"), *config = getenv("XDG_CONFIG_HOME"),
		   *home = getenv("HOME");

	if (named && *named)
		return ui_need(strdup(named));
	if (geteuid() == 0)
		return ui_need(strdup("/etc/containers/storage.conf"));
	if (config && *config)
		return join(config, "containers/storage.conf");
	return home && *home ? join(home, ".config/containers/storage.conf") : NULL;
}

/* A key that is to be there. */
struct setting {
	const char *section, *key;
	const char *value; /* without quotes */
	bool is_list;	   /* the value is to be one of several */
};

static void add_quoted(struct buf *text, const char *value)
{
	buf_adds(text, "\"");
	for (const char *c = value; *c; c++)
		buf_addf(text, *c == '"' || *c == '\\' ? "\\%c" : "%c", *c);
	buf_adds(text, "\"");
}

static void add_setting(struct buf *text, const struct setting *setting)
{
	buf_addf(text, "%s = %s", setting->key, setting->is_list ? "[" : "");
	add_quoted(text, setting->value);
	buf_adds(text, setting->is_list ? "]\n" : "\n");
}

/* Root's podman wants to be told where; a user's has a place of its own. */
static char *new_file(void)
{
	return ui_need(strdup(geteuid() == 0 ? "[storage]\ndriver = \"overlay\"\n"
					       "runroot = \"/run/containers/storage\"\n"
					       "graphroot = \"/var/lib/containers/storage\"\n"
					     : "[storage]\ndriver = \"overlay\"\n"));
}

/* "[ NAME ]" */
static bool is_section(const char *line, const char *name)
{
	size_t len = strlen(name);

	line += strspn(line, " \t");
	if (*line++ != '[')
		return false;
	line += strspn(line, " \t");
	if (strncmp(line, name, len) != 0)
		return false;
	line += len;
	return line[strspn(line, " \t")] == ']';
}

static bool begins_section(const char *line)
{
	return line[strspn(line, " \t")] == '[';
}

/* The value of "KEY = VALUE", or NULL: another line. */
static const char *value_of(const char *line, const char *key)
{
	size_t len = strlen(key);

	line += strspn(line, " \t");
	if (strncmp(line, key, len) != 0)
		return NULL;
	line += len;
	line += strspn(line, " \t");
	if (*line != '=')
		return NULL;
	line++;
	return line + strspn(line, " \t");
}

/* "text" or 'text', as far as such names go; NULL: the section has no such key. */
static char *quoted_value(const char *text, const char *section, const char *key)
{
	AUTO(freep) char *copy = ui_need(strdup(text));
	bool inside = false;
	char *at = copy, *line;

	while ((line = strsep(&at, "\n"))) {
		const char *value = inside ? value_of(line, key) : NULL;

		if (value && (*value == '"' || *value == '\''))
			return ui_need(strndup(value + 1, strcspn(value + 1, "\"'")));
		if (begins_section(line))
			inside = is_section(line, section);
	}
	return NULL;
}

static char *usual_graphroot(void)
{
	const char *data = getenv("XDG_DATA_HOME"), *home = getenv("HOME");

	if (geteuid() == 0)
		return ui_need(strdup("/var/lib/containers/storage"));
	if (data && *data)
		return join(data, "containers/storage");
	return home && *home ? join(home, ".local/share/containers/storage") : NULL;
}

char *storageconf_graphroot(void)
{
	AUTO(freep) char *path = storageconf_path(), *text = NULL;
	char *root = NULL;
	size_t bytes;

	if (path && io_read_file(AT_FDCWD, path, CONF_LIMIT, &text, &bytes) == 0) {
		if (geteuid() != 0)
			root = quoted_value(text, "storage", "rootless_storage_path");
		if (!root)
			root = quoted_value(text, "storage", "graphroot");
	}
	if (root && *root == '/' && !strchr(root, '$'))
		return root;
	free(root);
	return usual_graphroot();
}

static int check_driver(const char *value, struct diag *diag)
{
	char quote = *value;
	size_t len = quote == '"' || quote == '\'' ? strcspn(value + 1, "\"'") : 0;

	if (len == 0 || (len == strlen("overlay") && strncmp(value + 1, "overlay", len) == 0))
		return 0;
	return diag_set(
		diag, -EINVAL,
		"its driver is %.*s, whose storage overlay cannot use: change that line, and pull the images again",
		(int)len, value + 1);
}

/* The line that has the key: the value takes the place of what is there, or comes first in its list. */
static void change_line(struct buf *text, const char *line, const struct setting *setting, bool has_value)
{
	const char *list = setting->is_list ? strchr(line, '[') : NULL;

	if (setting->is_list && (has_value || !list)) {
		buf_addf(text, "%s\n", line);
		return;
	}
	if (!list) {
		add_setting(text, setting);
		return;
	}
	buf_add(text, line, (size_t)(list + 1 - line));
	add_quoted(text, setting->value);
	list += 1 + strspn(list + 1, " \t");
	buf_addf(text, "%s%s\n", *list == ']' ? "" : ", ", list);
}

/* Does the list have it already, on whatever line that is no comment? */
static bool has_quoted(const char *old, const char *value)
{
	AUTO(freep) char *copy = ui_need(strdup(old));
	struct buf quoted = { 0 };
	char *at = copy, *line;
	bool has = false;

	add_quoted(&quoted, value);
	while (!has && (line = strsep(&at, "\n")))
		has = line[strspn(line, " \t")] != '#' && strstr(line, buf_str(&quoted));
	buf_release(&quoted);
	return has;
}

/* Is the key there, and is its section? */
static bool find_key(const char *old, const struct setting *setting, bool *ret_section)
{
	AUTO(freep) char *copy = ui_need(strdup(old));
	bool inside = false, found = false;
	char *at = copy, *line;

	*ret_section = false;
	while ((line = strsep(&at, "\n"))) {
		if (begins_section(line))
			inside = is_section(line, setting->section);
		*ret_section |= inside;
		found |= inside && value_of(line, setting->key);
	}
	return found;
}

static char *set_key(const char *old, const struct setting *setting)
{
	AUTO(freep) char *copy = ui_need(strdup(old));
	bool has_section, has_key = find_key(old, setting, &has_section), has_value = has_quoted(old, setting->value);
	bool inside = false, done = false;
	struct buf text = { 0 };
	char *at = copy, *line, *ret;

	while ((line = strsep(&at, "\n"))) {
		if (!at && !*line)
			break; /* behind the last newline */
		if (begins_section(line))
			inside = is_section(line, setting->section);
		if (!inside || !value_of(line, setting->key))
			buf_addf(&text, "%s\n", line);
		else if (!done)
			change_line(&text, line, setting, has_value);
		if (inside && !done && (has_key ? value_of(line, setting->key) != NULL : begins_section(line))) {
			if (!has_key)
				add_setting(&text, setting);
			done = true;
		}
	}
	if (!has_section) {
		buf_addf(&text, "\n[%s]\n", setting->section);
		add_setting(&text, setting);
	}
	ret = ui_need(buf_take(&text));
	buf_release(&text);
	return ret;
}

static int check_lines(const char *old, struct diag *diag)
{
	AUTO(freep) char *copy = ui_need(strdup(old));
	bool in_storage = false;
	char *at = copy, *line;

	while ((line = strsep(&at, "\n"))) {
		const char *driver = in_storage ? value_of(line, "driver") : NULL;

		if (driver && check_driver(driver, diag) < 0)
			return -EINVAL;
		if (begins_section(line))
			in_storage = is_section(line, "storage");
	}
	return 0;
}

/* In place: *text is freed and made anew. */
static void edit(char **text, const struct setting *setting)
{
	char *edited = set_key(*text, setting);

	free(*text);
	*text = edited;
}

int storageconf_edit(const char *old, const struct storageconf *wanted, struct diag *diag, char **ret)
{
	AUTO(freep) char *text = old ? ui_need(strdup(old)) : new_file();
	struct setting setting = { "storage.options", NULL, NULL, true };

	*ret = NULL;
	if (check_lines(text, diag) < 0)
		return -EINVAL;
	if (wanted->layers) {
		AUTO(freep) char *store = NULL;

		if (asprintf(&store, "%s:ref", wanted->layers) < 0)
			ui_out_of_memory();
		setting.key = "additionallayerstores";
		setting.value = store;
		edit(&text, &setting);
	}
	if (wanted->images) {
		setting.key = "additionalimagestores";
		setting.value = wanted->images;
		edit(&text, &setting);
	}
	setting = (struct setting){ "storage.options.overlay", "mount_program", wanted->program, false };
	edit(&text, &setting);
	*ret = TAKE(text);
	return 0;
}
