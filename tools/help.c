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

/*
 * Lines of at most 80 columns.
 */

enum { LINE_COLUMNS = 80, HELP_INDENT = 26 };

/* How far to the next space, or to the end; what is in brackets stays together if it @is_synopsis. */
static size_t word_length(const char *text, bool is_synopsis)
{
	size_t len = 0;
	int depth = 0;

	for (; text[len] && (text[len] != ' ' || depth > 0); len++)
		depth += !is_synopsis ? 0 : text[len] == '[' ? 1 : text[len] == ']' ? -1 : 0;
	return len;
}

/* @bytes of @text behind @column columns of its first line, the others behind @indent spaces. */
static void print_wrapped(FILE *out, const char *text, size_t bytes, size_t column, size_t indent, bool is_synopsis)
{
	const char *end = text + bytes;

	while (text < end) {
		size_t len = word_length(text, is_synopsis);

		if (len > (size_t)(end - text))
			len = (size_t)(end - text);
		if (column + 1 + len > LINE_COLUMNS) {
			fprintf(out, "\n%*s", (int)indent, "");
			column = indent;
		} else {
			fputc(' ', out);
			column++;
		}
		fprintf(out, "%.*s", (int)len, text);
		column += len;
		text += len;
		text += strspn(text, " ");
	}
	fputc('\n', out);
}

static void print_option(const struct option_desc *option)
{
	char label[64];
	int width;

	help_option_label(option, label, sizeof(label));
	width = printf("  %-23s", label);
	print_wrapped(stdout, option->help, strlen(option->help), (size_t)width, HELP_INDENT, false);
}

static void print_options(const struct option_desc *options, bool with_help)
{
	for (; options && options->name; options++)
		print_option(options);
	if (with_help)
		print_option(&help_option);
}

void help_overview(void)
{
	printf("Usage: nacre [--store DIR] COMMAND [...]\n\n"
	       "Keep layers of container images, show them as folders, change and commit them.\n");
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

static void print_usage(const struct command *command, const char *lead, const char *synopsis, size_t bytes, FILE *out)
{
	int column = fprintf(out, "%s nacre %s", lead, command->name);

	print_wrapped(out, synopsis, bytes, (size_t)column, (size_t)column + 1, true);
}

void help_usage(const struct command *command, FILE *out)
{
	/* A command that is called in two ways has them divided by " | ". */
	const char *synopsis = command->synopsis, *bar;
	const char *lead = "Usage:";

	for (; (bar = strstr(synopsis, " | ")); synopsis = bar + 3, lead = "   or:")
		print_usage(command, lead, synopsis, (size_t)(bar - synopsis), out);
	print_usage(command, lead, synopsis, strlen(synopsis), out);
}

void help_command(const struct command *command)
{
	help_usage(command, stdout);
	printf("\n%c%s.\n\nOptions:\n", toupper((unsigned char)command->summary[0]), command->summary + 1);
	print_options(command->options, true);
	printf("\n'man nacre-%s' tells more.\n", command->name);
}
