// SPDX-License-Identifier: Apache-2.0
#include "tools/cli.h"

#include "store/base/auto.h"
#include "store/base/buf.h"
#include "tools/ui.h"

#include <assert.h>
#include <getopt.h>
#include <string.h>

/* getopt_long() values: the option's number, moved out of the way of the letters. */
enum { LONG_BASE = 256, LONG_HELP = LONG_BASE - 1 };

static size_t option_count(const struct command *command)
{
	size_t n = 0;

	while (command->options && command->options[n].name)
		n++;
	return n;
}

static struct option *getopt_options(const struct command *command)
{
	size_t count = option_count(command);
	struct option *ret = ui_need(calloc(count + 2, sizeof(*ret)));

	for (size_t i = 0; i < count; i++)
		ret[i] = (struct option){
			.name = command->options[i].name,
			.has_arg = command->options[i].arg ? required_argument : no_argument,
			.val = LONG_BASE + (int)i,
		};
	ret[count] = (struct option){ .name = "help", .has_arg = no_argument, .val = LONG_HELP };
	return ret;
}

/* A leading '+' stops getopt at the first operand; ':' makes it tell a missing argument from an unknown option. */
static char *getopt_letters(const struct command *command)
{
	struct buf letters = { 0 };
	size_t count = option_count(command);

	buf_adds(&letters, command->options_first ? "+:h" : ":h");
	for (size_t i = 0; i < count; i++)
		if (command->options[i].letter)
			buf_addf(&letters, "%c%s", command->options[i].letter, command->options[i].arg ? ":" : "");
	return ui_need(buf_take(&letters));
}

static const struct option_desc *option_of(const struct command *command, int value)
{
	if (value >= LONG_BASE)
		return &command->options[value - LONG_BASE];
	for (size_t i = 0; i < option_count(command); i++)
		if (command->options[i].letter == value)
			return &command->options[i];
	return NULL;
}

static int bad_option(const struct command *command, int value, char **argv)
{
	/* optopt is the letter, or the value of a long option, or 0 for an unknown one. */
	const struct option_desc *option = optopt ? option_of(command, optopt) : NULL;

	if (value == ':' && option)
		return args_misused(command, "option --%s needs an argument (%s)", option->name, option->arg);
	if (optopt == LONG_HELP || option)
		return args_misused(command, "option --%s takes no argument", option ? option->name : "help");
	if (optopt > 0 && optopt < LONG_HELP)
		return args_misused(command, "unknown option -%c", optopt);
	return args_misused(command, "unknown or ambiguous option %s", argv[optind - 1]);
}

static int check_operands(const struct args *args)
{
	const struct command *command = args->command;
	size_t n = args->operand_count;

	if (n < (size_t)command->operands_min)
		return args_misused(command, n ? "too few operands" : "an operand is missing");
	if (command->operands_max != OPERANDS_ANY && n > (size_t)command->operands_max)
		return args_misused(command, "too many operands: %s", args->operands[command->operands_max]);
	for (size_t i = 0; i < n; i++)
		if (args->operands[i][0] == '\0')
			return args_misused(command, "an operand is empty");
	return DONE;
}

int args_parse(struct args *ret, const struct command *command, int argc, char **argv)
{
	AUTO(freep) struct option *longs = getopt_options(command);
	AUTO(freep) char *letters = getopt_letters(command);
	int value;

	*ret = (struct args){ .command = command };
	ret->values = ui_need(calloc((size_t)argc, sizeof(*ret->values)));
	opterr = 0;
	optind = 0; /* start anew: the options before the command were read with it */
	while ((value = getopt_long(argc, argv, letters, longs, NULL)) != -1) {
		if (value == '?' || value == ':')
			return bad_option(command, value, argv);
		if (value == 'h' || value == LONG_HELP) {
			ret->help = true;
			return DONE;
		}
		ret->values[ret->value_count++] = (struct arg_value){ option_of(command, value), optarg };
	}
	ret->operands = argv + optind;
	ret->operand_count = (size_t)(argc - optind);
	return check_operands(ret);
}

void args_release(struct args *args)
{
	free(args->values);
	*args = (struct args){ 0 };
}

static bool is_option(const struct arg_value *value, const char *name)
{
	return strcmp(value->option->name, name) == 0;
}

/* A name that is not in the table is a mistake in the program, not in the call. */
static void assert_known(const struct args *args, const char *name)
{
	size_t i = 0;

	while (i < option_count(args->command) && strcmp(args->command->options[i].name, name) != 0)
		i++;
	assert(i < option_count(args->command));
}

bool args_has(const struct args *args, const char *name)
{
	assert_known(args, name);
	for (size_t i = 0; i < args->value_count; i++)
		if (is_option(&args->values[i], name))
			return true;
	return false;
}

const char *args_get(const struct args *args, const char *name)
{
	assert_known(args, name);
	for (size_t i = args->value_count; i-- > 0;)
		if (is_option(&args->values[i], name))
			return args->values[i].text;
	return NULL;
}

const char **args_all(const struct args *args, const char *name)
{
	const char **ret = ui_need(calloc(args->value_count + 1, sizeof(*ret)));
	size_t n = 0;

	assert_known(args, name);
	for (size_t i = 0; i < args->value_count; i++)
		if (is_option(&args->values[i], name))
			ret[n++] = args->values[i].text;
	return ret;
}

const char *args_operand(const struct args *args, size_t n)
{
	return n < args->operand_count ? args->operands[n] : NULL;
}

int args_misused(const struct command *command, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	AUTO(freep) char *text = ui_vformat(fmt, ap);
	va_end(ap);
	fprintf(stderr, "nacre %s: %s\n", command->name, text);
	help_usage(command, stderr);
	fprintf(stderr, "Try 'nacre help %s' for more.\n", command->name);
	return MISUSED;
}
