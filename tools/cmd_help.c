// SPDX-License-Identifier: Apache-2.0
#include "tools/cli.h"

#include "store/base/auto.h"
#include "tools/json.h"

static json_t *options_json(const struct option_desc *options)
{
	json_t *list = json_new_array();

	for (; options && options->name; options++) {
		json_t *object = json_new_object();
		char letter[2] = { options->letter, '\0' };

		json_put_text(object, "Name", options->name);
		json_put_text(object, "Letter", options->letter ? letter : NULL);
		json_put_text(object, "Argument", options->arg);
		json_put_text(object, "Help", options->help);
		json_push(list, object);
	}
	return list;
}

/* The table itself, for tests and other programs. */
static void print_table(void)
{
	AUTO(json_freep) json_t *object = json_new_object();
	json_t *list = json_new_array();

	json_put(object, "Options", options_json(global_options));
	json_put(object, "Commands", list);
	for (const struct command *c = commands; c->name; c++) {
		json_t *row = json_new_object();

		json_put_text(row, "Name", c->name);
		json_put_text(row, "Synopsis", c->synopsis);
		json_put_text(row, "Summary", c->summary);
		json_put_text(row, "Group", group_titles[c->group]);
		json_put(row, "Options", options_json(c->options));
		json_push(list, row);
	}
	json_print(object);
}

int cmd_help(struct cli *cli, const struct args *args)
{
	const char *name = args_operand(args, 0);
	const struct command *command = name ? command_find(name) : NULL;

	if (name && !command)
		return args_misused(args->command, "there is no command '%s'", name);
	if (args_has(args, "json"))
		print_table();
	else if (command)
		help_command(command);
	else
		help_overview();
	return DONE;
}
