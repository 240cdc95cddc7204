// SPDX-License-Identifier: Apache-2.0
#include "tools/cli.h"

#include "store/base/auto.h"
#include "tools/json.h"
#include "tools/rowformat.h"
#include "tools/remote.h"
#include "tools/table.h"
#include "tools/ui.h"

#include <string.h>

enum output { OUTPUT_TABLE, OUTPUT_NAMES, OUTPUT_JSON };

struct search {
	const char *term;   /* borrowed: what names must have in them */
	const char *prefix; /* borrowed: what stands before names of a registry */
	const char *where;  /* borrowed: for people and JSON; NULL: in the store */
	bool are_tags;	    /* names are tags, shown whole, and prefix:TAG is the image */
	enum output output;
	struct table *table; /* owned */
	json_t *json;	     /* owned */
};

static void search_release(struct search *search)
{
	table_freep(&search->table);
	json_decref(search->json);
}

static void show(struct search *s, const char *name)
{
	switch (s->output) {
	case OUTPUT_NAMES: {
		AUTO(freep) char *line = ui_format("%s", name);

		puts(line);
		break;
	}
	case OUTPUT_JSON: {
		json_t *entry = json_new_object();

		json_put_text(entry, "Name", name);
		json_put_text(entry, "Registry", s->where);
		json_push(s->json, entry);
		break;
	}
	default:
		table_cell(s->table, name);
		table_cell(s->table, s->where ? s->where : "here");
	}
}

static int on_remote(const char *name, void *arg)
{
	struct search *s = arg;

	if (!s->are_tags && !strstr(name, s->term))
		return 0;
	AUTO(freep) char *whole = ui_format("%s%s%s", s->prefix, s->are_tags ? ":" : "/", name);
	show(s, whole);
	return 0;
}

static int search_store(struct cli *cli, struct search *s)
{
	struct image_info *images = NULL;
	struct diag diag = { 0 };
	size_t count = 0;

	if (cli_open_listing(cli) < 0)
		return FAILED;
	int r = cli->store ? image_list(cli->store, &diag, &images, &count) : 0;
	if (r < 0)
		return ui_fail(r, &diag, NULL, "cannot search the store");
	for (size_t i = 0; i < count; i++)
		for (size_t j = 0; j < images[i].tag_count; j++)
			if (strstr(images[i].tags[j], s->term))
				show(s, images[i].tags[j]);
	image_list_free(images, count);
	return DONE;
}

static int search_registry(struct search *s, const char *host, const struct registry_options *options)
{
	struct diag diag = { 0 };
	int r = registry_repositories(host, options, on_remote, s, &diag);

	return r < 0 ? ui_fail(r, &diag, remote_hint(r), "cannot search %s", host) : DONE;
}

static int list_tags(struct search *s, const char *name, const struct registry_options *options)
{
	struct diag diag = { 0 };

	s->are_tags = true;
	s->prefix = name;
	int r = registry_tags(name, options, on_remote, s, &diag);
	return r < 0 ? ui_fail(r, &diag, remote_hint(r), "cannot list the tags of %s", name) : DONE;
}

static int search(struct cli *cli, const struct args *args, struct search *s, const struct registry_options *options)
{
	const char *text = args_operand(args, 0), *slash = strchr(text, '/');
	AUTO(freep) char *host = NULL;

	if (registry_has_host(text)) {
		host = ui_need(strndup(text, (size_t)(slash - text)));
		s->where = s->prefix = host;
		s->term = slash + 1;
	}
	if (args_has(args, "list-tags")) {
		s->where = host ? host : "docker.io";
		return list_tags(s, text, options);
	}
	if (host)
		return search_registry(s, host, options);
	return search_store(cli, s);
}

int cmd_search(struct cli *cli, const struct args *args)
{
	static const char *const headings[] = { "NAME", "WHERE" };
	AUTO(format_freep) struct format *format = NULL;
	int r = format_new(args, &format);

	if (r != DONE)
		return r;
	AUTO(search_release)
	struct search s = {
		.term = args_operand(args, 0),
		.output = format || args_has(args, "json") ? OUTPUT_JSON
			  : args_has(args, "quiet")	   ? OUTPUT_NAMES
							   : OUTPUT_TABLE,
		.table = table_new(2, headings, NULL),
		.json = json_new_array(),
	};
	struct registry_options options;
	r = remote_options(args, &options);
	if (r != DONE)
		return r;
	r = search(cli, args, &s, &options);
	if (r != DONE)
		return r;
	if (s.output == OUTPUT_JSON)
		r = format_print(format, s.json);
	else if (s.output == OUTPUT_TABLE)
		table_print(s.table, "   ");
	return ui_finish(r);
}
