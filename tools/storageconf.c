// SPDX-License-Identifier: Apache-2.0
#include "tools/storageconf.h"

/*
 * The file is TOML.  It is a person's, with comments, so it is edited by lines: all that has to be known of TOML here
 * is what a section and a key at the start of a line look like, as they are in every such file that is shipped.
 */

#include "store/base/auto.h"
#include "tools/ui.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char overlay_section[] = "storage.options.overlay";

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

static void add_program(struct buf *text, const char *program)
{
	buf_adds(text, "mount_program = \"");
	for (const char *c = program; *c; c++)
		buf_addf(text, *c == '"' || *c == '\\' ? "\\%c" : "%c", *c);
	buf_adds(text, "\"\n");
}

/* Root's podman wants to be told where; a user's has a place of its own. */
static void new_file(struct buf *text, const char *program)
{
	buf_adds(text, "[storage]\ndriver = \"overlay\"\n");
	if (geteuid() == 0)
		buf_adds(text, "runroot = \"/run/containers/storage\"\ngraphroot = \"/var/lib/containers/storage\"\n");
	buf_addf(text, "\n[%s]\n", overlay_section);
	add_program(text, program);
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

static int edit_lines(char *old, const char *program, struct buf *text, struct diag *diag)
{
	bool in_storage = false, in_overlay = false, done = false;
	char *line;

	while ((line = strsep(&old, "\n"))) {
		const char *driver = in_storage ? value_of(line, "driver") : NULL;

		if (!old && !*line)
			break; /* behind the last newline */
		if (driver && check_driver(driver, diag) < 0)
			return -EINVAL;
		if (begins_section(line)) {
			in_storage = is_section(line, "storage");
			in_overlay = is_section(line, overlay_section);
		}
		if (in_overlay && value_of(line, "mount_program")) {
			if (!done)
				add_program(text, program);
			done = true;
			continue;
		}
		buf_addf(text, "%s\n", line);
	}
	if (!done) {
		buf_addf(text, "\n[%s]\n", overlay_section);
		add_program(text, program);
	}
	return 0;
}

/* A section that is there without the key gets it as its first line. */
static bool add_to_section(const char *old, const char *program, struct buf *text)
{
	AUTO(freep) char *copy = ui_need(strdup(old));
	bool in_overlay = false, found = false, has_key = false;
	char *at = copy, *line;

	while ((line = strsep(&at, "\n"))) {
		if (begins_section(line))
			in_overlay = is_section(line, overlay_section);
		has_key |= in_overlay && value_of(line, "mount_program");
		if (at || *line)
			buf_addf(text, "%s\n", line);
		if (begins_section(line) && in_overlay && !found) {
			add_program(text, program);
			found = true;
		}
	}
	return found && !has_key;
}

int storageconf_edit(const char *old, const char *program, struct diag *diag, char **ret)
{
	struct buf text = { 0 }, added = { 0 };
	int r = 0;

	if (!old) {
		new_file(&text, program);
	} else {
		bool use_added = add_to_section(old, program, &added);
		AUTO(freep) char *copy = ui_need(strdup(use_added ? buf_str(&added) : old));

		r = edit_lines(copy, program, &text, diag);
	}
	buf_release(&added);
	*ret = r == 0 ? ui_need(buf_take(&text)) : NULL;
	buf_release(&text);
	return r;
}
