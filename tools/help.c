// SPDX-License-Identifier: Apache-2.0
#include "tools/cli.h"

#include "tools/ui.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

const struct option_desc help_option = { 'h', "help", NULL, "show this help" };

const char *const group_titles[GROUP_COUNT] = {
	[GROUP_IMAGES] = "Images",
	[GROUP_CONTAINERS] = "Mounts and containers",
	[GROUP_LAYERS] = "Looking into layers",
	[GROUP_STORE] = "The store and this program",
};

void help_option_label(const struct option_desc *option, char *text, size_t bytes)
{
	char letter[] = "    ";

	if (option->letter)
		snprintf(letter, sizeof(letter), "-%c, ", option->letter);
	snprintf(text, bytes, "%s--%s%s%s", letter, option->name, option->arg ? " " : "",
		 option->arg ? option->arg : "");
}

static void print_options(const struct option_desc *options, bool with_help)
{
	char label[64];

	for (; options && options->name; options++) {
		help_option_label(options, label, sizeof(label));
		printf("  %-23s %s\n", label, options->help);
	}
	if (with_help) {
		help_option_label(&help_option, label, sizeof(label));
		printf("  %-23s %s\n", label, help_option.help);
	}
}

void help_overview(void)
{
	printf("Usage: nacre [--store DIR] COMMAND [...]\n\n"
	       "Keep the layers of container images, show them as folders, change and commit them.\n");
	for (int group = 0; group < GROUP_COUNT; group++) {
		printf("\n%s:\n", group_titles[group]);
		for (const struct command *c = commands; c->name; c++)
			if (c->group == (enum command_group)group)
				printf("  %-12s %s\n", c->name, c->summary);
	}
	printf("\nOptions:\n");
	print_options(global_options, false);
	printf("\n'nacre help COMMAND' and 'man nacre-COMMAND' tell more of a command.\n");
}

void help_usage(const struct command *command, FILE *out)
{
	/* A command that is called in two ways has them divided by " | ". */
	const char *synopsis = command->synopsis, *bar;
	const char *lead = "Usage:";

	for (; (bar = strstr(synopsis, " | ")); synopsis = bar + 3, lead = "   or:")
		fprintf(out, "%s nacre %s %.*s\n", lead, command->name, (int)(bar - synopsis), synopsis);
	fprintf(out, "%s nacre %s %s\n", lead, command->name, synopsis);
}

void help_command(const struct command *command)
{
	help_usage(command, stdout);
	printf("\n%c%s.\n\nOptions:\n", toupper((unsigned char)command->summary[0]), command->summary + 1);
	print_options(command->options, true);
	printf("\n'man nacre-%s' tells more.\n", command->name);
}
