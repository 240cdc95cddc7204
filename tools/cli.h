/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_TOOLS_CLI_H
#define NACRE_TOOLS_CLI_H

/*
 * What a subcommand is, and what it is given.  The table in commands.c is the
 * one description of the command line: dispatch, option parsing, --help, shell
 * completion and the test of the man pages all read it.
 */

#include "store/store.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* Exit statuses; what a command's run function returns. */
enum {
	DONE = 0,
	FAILED = 1,
	MISUSED = 2,
};

/* What stands in an operand's place, for completion. */
enum operand {
	OPERAND_NONE,
	OPERAND_FILE,
	OPERAND_DIR,
	OPERAND_IMAGE,
	OPERAND_CONTAINER,
	OPERAND_MOUNT, /* a container, or the folder it is mounted on */
	OPERAND_COPY,  /* a file, or "CONTAINER:PATH" */
	OPERAND_COMMAND,
	OPERAND_SHELL,
	OPERAND_LAYER_VERB, /* of nacre layer */
	OPERAND_OTHER,	    /* nothing that could be guessed */
};

enum { OPERANDS_MAX = 3, OPERANDS_ANY = -1 };

enum command_group {
	GROUP_IMAGES,
	GROUP_CONTAINERS,
	GROUP_LAYERS,
	GROUP_STORE,
	GROUP_COUNT,
};

struct option_desc {
	char letter;	  /* 0: no short form */
	const char *name; /* NULL ends a list */
	const char *arg;  /* what its argument is called; NULL: it takes none */
	const char *help;
	enum operand complete; /* what its argument is */
};

struct cli;
struct args;

struct command {
	const char *name;     /* NULL ends the table */
	const char *synopsis; /* what follows the name */
	const char *summary;  /* one line, no full stop */
	enum command_group group;
	const struct option_desc *options;   /* without --help, which all have; NULL: none */
	int operands_min, operands_max;	     /* OPERANDS_ANY: no limit */
	enum operand operands[OPERANDS_MAX]; /* the last one that is not NONE repeats */
	int (*run)(struct cli *cli, const struct args *args);
	bool options_first; /* what follows the first operand is not ours to read: a command of the user's */
};

/** The table, in the order of `nacre --help`. */
extern const struct command commands[];

/** Options before the command. */
extern const struct option_desc global_options[];

/** command_find() - by name; NULL if there is none. */
const struct command *command_find(const char *name);

/* One run of the program. */
struct cli {
	const char *store_option; /* borrowed from argv: --store; NULL: not given */
	struct store *store;	  /* owned; NULL until cli_open() */
};

/**
 * cli_open() - open the store into cli->store; says why on stderr if it cannot
 * Return: 0 or -errno.
 */
int cli_open(struct cli *cli, enum store_mode mode);

/**
 * cli_open_listing() - for listings: no store yet is an empty one
 *
 * Only where nobody named the store: a name mistyped after --store must not
 * look like a store with nothing in it.  cli->store is NULL then.
 */
int cli_open_listing(struct cli *cli);

/*
 * args.c: a command's options and operands.  An option is asked for by its
 * long name, which must be in the command's list.
 */
struct arg_value {
	const struct option_desc *option;
	const char *text; /* borrowed from argv; NULL for a flag */
};

struct args {
	const struct command *command;
	struct arg_value *values; /* owned, as given */
	size_t value_count;
	char **operands; /* borrowed from argv, NULL-terminated */
	size_t operand_count;
	bool help; /* --help was given; nothing else is checked then */
};

/** args_parse() - @argv[0] is the command's name. Return: DONE, or MISUSED with the reason on stderr. */
int args_parse(struct args *ret, const struct command *command, int argc, char **argv);
void args_release(struct args *args);

bool args_has(const struct args *args, const char *name);
/** args_get() - the last one given, or NULL. */
const char *args_get(const struct args *args, const char *name);
/** args_all() - all given, NULL-terminated; free() the array. */
const char **args_all(const struct args *args, const char *name);
/** args_operand() - the n-th from 0, or NULL. */
const char *args_operand(const struct args *args, size_t n);

/** args_misused() - say on stderr what is wrong with the call. Return: MISUSED. */
int args_misused(const struct command *command, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* help.c */
void help_overview(void);
/** help_usage() - how it is called, a line for each way. */
void help_usage(const struct command *command, FILE *out);
void help_command(const struct command *command);
/** help_option_label() - "-m, --message TEXT" into @text. */
void help_option_label(const struct option_desc *option, char *text, size_t bytes);
/** The option that every command has. */
extern const struct option_desc help_option;
extern const char *const group_titles[GROUP_COUNT];

/* The commands, one file each. */
int cmd_browse(struct cli *cli, const struct args *args);
int cmd_cat(struct cli *cli, const struct args *args);
int cmd_commit(struct cli *cli, const struct args *args);
int cmd_completion(struct cli *cli, const struct args *args);
int cmd_cp(struct cli *cli, const struct args *args);
int cmd_diff(struct cli *cli, const struct args *args);
int cmd_exec(struct cli *cli, const struct args *args);
int cmd_du(struct cli *cli, const struct args *args);
int cmd_export(struct cli *cli, const struct args *args);
int cmd_gc(struct cli *cli, const struct args *args);
int cmd_help(struct cli *cli, const struct args *args);
int cmd_history(struct cli *cli, const struct args *args);
int cmd_images(struct cli *cli, const struct args *args);
int cmd_import(struct cli *cli, const struct args *args);
int cmd_info(struct cli *cli, const struct args *args);
int cmd_inspect(struct cli *cli, const struct args *args);
int cmd_kill(struct cli *cli, const struct args *args);
int cmd_layer(struct cli *cli, const struct args *args);
int cmd_layers(struct cli *cli, const struct args *args);
int cmd_load(struct cli *cli, const struct args *args);
int cmd_logs(struct cli *cli, const struct args *args);
int cmd_ls(struct cli *cli, const struct args *args);
int cmd_mount(struct cli *cli, const struct args *args);
int cmd_ps(struct cli *cli, const struct args *args);
int cmd_pull(struct cli *cli, const struct args *args);
int cmd_push(struct cli *cli, const struct args *args);
int cmd_rename(struct cli *cli, const struct args *args);
int cmd_restart(struct cli *cli, const struct args *args);
int cmd_rm(struct cli *cli, const struct args *args);
int cmd_rmi(struct cli *cli, const struct args *args);
int cmd_run(struct cli *cli, const struct args *args);
int cmd_save(struct cli *cli, const struct args *args);
int cmd_search(struct cli *cli, const struct args *args);
int cmd_serve_layers(struct cli *cli, const struct args *args);
int cmd_setup(struct cli *cli, const struct args *args);
int cmd_start(struct cli *cli, const struct args *args);
int cmd_stop(struct cli *cli, const struct args *args);
int cmd_tag(struct cli *cli, const struct args *args);
int cmd_top(struct cli *cli, const struct args *args);
int cmd_umount(struct cli *cli, const struct args *args);
int cmd_verify(struct cli *cli, const struct args *args);
int cmd_version(struct cli *cli, const struct args *args);
int cmd_wait(struct cli *cli, const struct args *args);
int cmd_which(struct cli *cli, const struct args *args);

#endif
