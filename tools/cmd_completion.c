// SPDX-License-Identifier: Apache-2.0
#include "tools/cli.h"

#include "store/base/auto.h"
#include "tools/ui.h"

#include <string.h>

/*
 * Completion scripts, written from the table.  What a shell cannot know (names
 * of images, containers, mount points) it asks nacre for when the key is
 * pressed, with the --store that stands in the line.
 */

/* How the scripts call what may stand somewhere. */
static const char *kind_word(enum operand kind)
{
	static const char *const words[] = {
		[OPERAND_NONE] = "none",
		[OPERAND_FILE] = "file",
		[OPERAND_DIR] = "dir",
		[OPERAND_IMAGE] = "image",
		[OPERAND_CONTAINER] = "container",
		[OPERAND_MOUNT] = "mount",
		[OPERAND_COPY] = "copy",
		[OPERAND_COMMAND] = "command",
		[OPERAND_SHELL] = "shell",
		[OPERAND_LAYER_VERB] = "layer_verb",
		[OPERAND_OTHER] = "none",
	};

	return words[kind];
}

static size_t operand_kinds(const struct command *command)
{
	size_t n = 0;

	while (n < OPERANDS_MAX && command->operands[n] != OPERAND_NONE)
		n++;
	return n;
}

static void print_command_names(void)
{
	for (const struct command *c = commands; c->name; c++)
		printf("%s%s", c == commands ? "" : " ", c->name);
}

/* "--json -q --quiet": what can stand where an option may; @with_arg: only those that take an argument. */
static void print_option_words(const struct option_desc *options, bool with_arg)
{
	for (; options && options->name; options++) {
		if (with_arg && !options->arg)
			continue;
		if (options->letter)
			printf(" -%c", options->letter);
		printf(" --%s", options->name);
	}
}

/*
 * bash: tables in associative arrays, and one function that reads them.
 */

static const char bash_lead[] =
	"# bash completion of nacre: source this, or put it into bash-completion's folder.\n"
	"_nacre_containers()\n"
	"{\n"
	"\tnacre \"${store[@]}\" ps -a --format '{{.Id}}\\n{{.Name}}' 2>/dev/null | grep -vx -- -\n"
	"}\n"
	"_nacre_values()\n"
	"{\n"
	"\tlocal IFS=$'\\n'\n"
	"\tcase $1 in\n"
	"\tfile) compopt -o filenames; COMPREPLY=($(compgen -f -- \"$cur\")) ;;\n"
	"\tdir) compopt -o filenames; COMPREPLY=($(compgen -d -- \"$cur\")) ;;\n"
	"\timage) COMPREPLY=($(compgen -W \"$(nacre \"${store[@]}\" images 2>/dev/null |\n"
	"\t\tawk 'NR > 1 { print $1 == \"<none>\" ? $3 : $1 \":\" $2 }')\" -- \"$cur\")) ;;\n"
	"\tcontainer) COMPREPLY=($(compgen -W \"$(_nacre_containers)\" -- \"$cur\")) ;;\n"
	"\tmount) compopt -o filenames\n"
	"\t\tCOMPREPLY=($(compgen -W \"$(_nacre_containers)\" -- \"$cur\") $(compgen -d -- \"$cur\")) ;;\n"
	"\tcopy) COMPREPLY=($(compgen -S : -W \"$(_nacre_containers)\" -- \"$cur\"))\n"
	"\t\tif ((${#COMPREPLY[@]})); then compopt -o nospace; else _nacre_values file; fi ;;\n"
	"\tcommand) COMPREPLY=($(compgen -W \"${_nacre_commands// /$IFS}\" -- \"$cur\")) ;;\n"
	"\tshell) COMPREPLY=($(compgen -W $'bash\\nzsh\\nfish' -- \"$cur\")) ;;\n"
	"\tlayer_verb) COMPREPLY=($(compgen -W $'add\\nremove\\nls' -- \"$cur\")) ;;\n"
	"\tesac\n"
	"}\n"
	"\n";

static const char bash_tail[] =
	"\n"
	"_nacre()\n"
	"{\n"
	"\tlocal cur prev words cword i command= operand=0 last store=() kinds\n"
	"\t# The words without ':' as a divider, since names have tags.\n"
	"\tif declare -F _get_comp_words_by_ref >/dev/null; then\n"
	"\t\t_get_comp_words_by_ref -n : cur prev words cword\n"
	"\telse\n"
	"\t\twords=(\"${COMP_WORDS[@]}\") cword=$COMP_CWORD cur=${COMP_WORDS[COMP_CWORD]} "
	"prev=${COMP_WORDS[COMP_CWORD-1]}\n"
	"\tfi\n"
	"\tCOMPREPLY=()\n"
	"\tfor ((i = 1; i < cword; i++)); do\n"
	"\t\tif [[ -z $command && ${words[i]} == --store ]]; then\n"
	"\t\t\tstore=(--store \"${words[++i]}\")\n"
	"\t\telif [[ -z $command ]]; then\n"
	"\t\t\t[[ ${words[i]} == -* ]] || command=${words[i]}\n"
	"\t\telif [[ \" ${_nacre_arguments[$command]} \" == *\" ${words[i]} \"* ]]; then\n"
	"\t\t\ti=$((i + 1))\n"
	"\t\telif [[ ${words[i]} != -?* ]]; then\n"
	"\t\t\toperand=$((operand + 1))\n"
	"\t\tfi\n"
	"\tdone\n"
	"\tif [[ -z $command ]]; then\n"
	"\t\tcase $prev in\n"
	"\t\t--store) _nacre_values dir ;;\n"
	"\t\t*) COMPREPLY=($(compgen -W \"$_nacre_commands $_nacre_globals\" -- \"$cur\")) ;;\n"
	"\t\tesac\n"
	"\t\treturn\n"
	"\tfi\n"
	"\tif [[ \" ${_nacre_arguments[$command]} \" == *\" $prev \"* ]]; then\n"
	"\t\t_nacre_values \"${_nacre_argument_kinds[$command$prev]}\"\n"
	"\telif [[ $cur == -* ]]; then\n"
	"\t\tCOMPREPLY=($(compgen -W \"${_nacre_options[$command]}\" -- \"$cur\"))\n"
	"\telse\n"
	"\t\tkinds=(${_nacre_operands[$command]})\n"
	"\t\tlast=$((${#kinds[@]} - 1))\n"
	"\t\t((last < 0)) || _nacre_values \"${kinds[operand < last ? operand : last]}\"\n"
	"\tfi\n"
	"\t! declare -F __ltrim_colon_completions >/dev/null || __ltrim_colon_completions \"$cur\"\n"
	"}\n"
	"complete -F _nacre nacre\n";

static void bash_command(const struct command *command)
{
	printf("_nacre_options[%s]='--help -h", command->name);
	print_option_words(command->options, false);
	printf("'\n_nacre_arguments[%s]='", command->name);
	print_option_words(command->options, true);
	printf("'\n_nacre_operands[%s]='", command->name);
	for (size_t i = 0; i < operand_kinds(command); i++)
		printf("%s%s", i ? " " : "", kind_word(command->operands[i]));
	printf("'\n");
	for (const struct option_desc *o = command->options; o && o->name; o++) {
		if (!o->arg)
			continue;
		printf("_nacre_argument_kinds[%s--%s]=%s\n", command->name, o->name, kind_word(o->complete));
		if (o->letter)
			printf("_nacre_argument_kinds[%s-%c]=%s\n", command->name, o->letter, kind_word(o->complete));
	}
}

static void print_bash(void)
{
	fputs(bash_lead, stdout);
	printf("declare -A _nacre_options _nacre_arguments _nacre_operands _nacre_argument_kinds\n");
	printf("_nacre_commands='");
	print_command_names();
	printf("'\n_nacre_globals='");
	print_option_words(global_options, false);
	printf("'\n");
	for (const struct command *c = commands; c->name; c++)
		bash_command(c);
	fputs(bash_tail, stdout);
}

/*
 * zsh: _arguments specifications.
 */

/* Inside single quotes and inside [...] of a specification. */
static void print_zsh_text(const char *text)
{
	for (; *text; text++) {
		if (*text == '\'')
			fputs("'\\''", stdout);
		else if (strchr("[]:\\", *text))
			printf("\\%c", *text);
		else
			putchar(*text);
	}
}

static const char *zsh_action(enum operand kind)
{
	switch (kind) {
	case OPERAND_FILE:
		return "_files";
	case OPERAND_DIR:
		return "_files -/";
	case OPERAND_IMAGE:
		return "_nacre_images";
	case OPERAND_CONTAINER:
		return "_nacre_containers";
	case OPERAND_MOUNT:
		return "_nacre_mounts";
	case OPERAND_COPY:
		return "_nacre_copies";
	case OPERAND_COMMAND:
		return "_nacre_commands";
	case OPERAND_SHELL:
		return "(bash zsh fish)";
	case OPERAND_LAYER_VERB:
		return "(add remove ls)";
	default:
		return " ";
	}
}

static void zsh_option_form(const struct option_desc *option, const char *form)
{
	printf(" \\\n\t\t\t'*%s[", form);
	print_zsh_text(option->help);
	printf("]");
	if (option->arg)
		printf(":%s:%s", option->arg, zsh_action(option->complete));
	printf("'");
}

static void zsh_options(const struct option_desc *options)
{
	char form[64];

	for (; options && options->name; options++) {
		snprintf(form, sizeof(form), "--%s", options->name);
		zsh_option_form(options, form);
		snprintf(form, sizeof(form), "-%c", options->letter);
		if (options->letter)
			zsh_option_form(options, form);
	}
}

static void zsh_command(const struct command *command)
{
	size_t kinds = operand_kinds(command);

	printf("\t\t%s)\n\t\t\t_arguments -s '(- *)'{-h,--help}'[%s]'", command->name, help_option.help);
	zsh_options(command->options);
	for (size_t i = 0; i < kinds; i++) {
		bool repeats = i + 1 == kinds && command->operands_max == OPERANDS_ANY;

		if (repeats)
			printf(" \\\n\t\t\t'*:%s:%s'", kind_word(command->operands[i]),
			       zsh_action(command->operands[i]));
		else
			printf(" \\\n\t\t\t'%zu::%s:%s'", i + 1, kind_word(command->operands[i]),
			       zsh_action(command->operands[i]));
	}
	printf(" ;;\n");
}

static const char zsh_lead[] =
	"#compdef nacre\n"
	"_nacre_images()\n"
	"{\n"
	"\tlocal -a names\n"
	"\tnames=(${(f)\"$(nacre $nacre_store images 2>/dev/null |\n"
	"\t\tawk 'NR > 1 { print $1 == \"<none>\" ? $3 : $1 \":\" $2 }')\"})\n"
	"\tcompadd -a names\n"
	"}\n"
	"_nacre_containers()\n"
	"{\n"
	"\tlocal -a names\n"
	"\tnames=(${(f)\"$(nacre $nacre_store ps -a --format '{{.Id}}\\n{{.Name}}' 2>/dev/null |\n"
	"\t\tgrep -vx -- -)\"})\n"
	"\tcompadd \"$@\" -a names\n"
	"}\n"
	"_nacre_mounts()\n"
	"{\n"
	"\t_nacre_containers\n"
	"\t_files -/\n"
	"}\n"
	"_nacre_copies()\n"
	"{\n"
	"\t_nacre_containers -S :\n"
	"\t_files\n"
	"}\n";

static void print_zsh(void)
{
	fputs(zsh_lead, stdout);
	printf("_nacre_commands()\n{\n\tlocal -a list\n\tlist=(\n");
	for (const struct command *c = commands; c->name; c++) {
		printf("\t\t'%s:", c->name);
		print_zsh_text(c->summary);
		printf("'\n");
	}
	printf("\t)\n\t_describe command list\n}\n");
	printf("_nacre()\n{\n\tlocal context state state_descr line\n\tlocal -a nacre_store\n\ttypeset -A opt_args\n"
	       "\t_arguments -C");
	zsh_options(global_options);
	printf(" \\\n\t\t\t'1: :_nacre_commands' '*:: :->command'\n"
	       "\t[[ $state == command ]] || return\n"
	       "\t(( $+opt_args[--store] )) && nacre_store=(--store ${(Q)opt_args[--store]})\n"
	       "\tcase $words[1] in\n");
	for (const struct command *c = commands; c->name; c++)
		zsh_command(c);
	printf("\tesac\n}\nif [ \"$funcstack[1]\" = _nacre ]; then\n\t_nacre \"$@\"\nelse\n\tcompdef _nacre nacre\nfi\n");
}

/*
 * fish: one complete(1) line for each word.
 */

static void print_fish_text(const char *text)
{
	putchar('\'');
	for (; *text; text++) {
		if (*text == '\'' || *text == '\\')
			putchar('\\');
		putchar(*text);
	}
	putchar('\'');
}

static const char *fish_values(enum operand kind)
{
	switch (kind) {
	case OPERAND_FILE:
		return " -F";
	case OPERAND_DIR:
		return " -a '(__fish_complete_directories)'";
	case OPERAND_IMAGE:
		return " -a '(__nacre_images)'";
	case OPERAND_CONTAINER:
		return " -a '(__nacre_containers)'";
	case OPERAND_MOUNT:
		return " -a '(__nacre_containers; __fish_complete_directories)'";
	case OPERAND_COPY:
		return " -F -a '(__nacre_containers | string replace -r \"\\$\" :)'";
	case OPERAND_COMMAND:
		return " -a \"$__nacre_commands\"";
	case OPERAND_SHELL:
		return " -a 'bash zsh fish'";
	case OPERAND_LAYER_VERB:
		return " -a 'add remove ls'";
	default:
		return "";
	}
}

static void fish_options(const struct option_desc *options, const char *condition)
{
	for (; options && options->name; options++) {
		printf("complete -c nacre -n %s -l %s", condition, options->name);
		if (options->letter)
			printf(" -s %c", options->letter);
		if (options->arg)
			printf(" -r%s", fish_values(options->complete));
		printf(" -d ");
		print_fish_text(options->help);
		printf("\n");
	}
}

static const char fish_lead[] =
	"# fish completion of nacre\n"
	"function __nacre_store\n"
	"\tset -l words (commandline -opc)\n"
	"\tset -l at (contains -i -- --store $words); and echo --store; and echo $words[(math $at + 1)]\n"
	"end\n"
	"function __nacre_images\n"
	"\tnacre (__nacre_store) images 2>/dev/null | "
	"awk 'NR > 1 { print $1 == \"<none>\" ? $3 : $1 \":\" $2 }'\n"
	"end\n"
	"function __nacre_containers\n"
	"\tnacre (__nacre_store) ps -a --format '{{.Id}}\\n{{.Name}}' 2>/dev/null | string match -v -- -\n"
	"end\n"
	"complete -c nacre -f\n";

/* fish cannot count operands: what may stand in any place is offered in all. */
static void fish_command(const struct command *command)
{
	AUTO(freep) char *condition = ui_format("'__fish_seen_subcommand_from %s'", command->name);

	printf("complete -c nacre -n \"not __fish_seen_subcommand_from $__nacre_commands\" -a %s -d ", command->name);
	print_fish_text(command->summary);
	printf("\ncomplete -c nacre -n %s -l help -s h -d ", condition);
	print_fish_text(help_option.help);
	printf("\n");
	fish_options(command->options, condition);
	for (size_t i = 0; i < operand_kinds(command); i++)
		if (*fish_values(command->operands[i]))
			printf("complete -c nacre -n %s%s\n", condition, fish_values(command->operands[i]));
}

static void print_fish(void)
{
	fputs(fish_lead, stdout);
	printf("set -g __nacre_commands ");
	print_command_names();
	printf("\n");
	fish_options(global_options, "\"not __fish_seen_subcommand_from $__nacre_commands\"");
	for (const struct command *c = commands; c->name; c++)
		fish_command(c);
}

int cmd_completion(struct cli *cli, const struct args *args)
{
	const char *shell = args_operand(args, 0);

	if (strcmp(shell, "bash") == 0)
		print_bash();
	else if (strcmp(shell, "zsh") == 0)
		print_zsh();
	else if (strcmp(shell, "fish") == 0)
		print_fish();
	else
		return args_misused(args->command, "there is no completion for '%s'", shell);
	return DONE;
}
