// SPDX-License-Identifier: Apache-2.0
#include "tools/cli.h"

#include "store/base/auto.h"
#include "store/base/io.h"
#include "tools/ui.h"

#include <getopt.h>
#include <malloc.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>

static int misused(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static int misused(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	AUTO(freep) char *text = ui_vformat(fmt, ap);
	va_end(ap);
	fprintf(stderr, "nacre: %s\nTry 'nacre --help'.\n", text);
	return MISUSED;
}

static int run_command(struct cli *cli, int argc, char **argv)
{
	const struct command *command = command_find(argv[0]);
	AUTO(args_release) struct args args = { 0 };

	if (!command)
		return misused("there is no command '%s'", argv[0]);
	int r = args_parse(&args, command, argc, argv);
	if (r != DONE)
		return r;
	if (args.help) {
		help_command(command);
		return DONE;
	}
	return command->run(cli, &args);
}

/*
 * The '+' stops getopt at the command: what follows is the command's own.
 * Return: DONE to go on at optind, or the status to leave with in *ret_leave.
 */
static bool read_globals(struct cli *cli, int argc, char **argv, int *ret_leave)
{
	static const struct option longs[] = {
		{ "store", required_argument, NULL, 's' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'v' },
		{ 0 },
	};
	int value;

	opterr = 0;
	*ret_leave = DONE;
	while ((value = getopt_long(argc, argv, "+:hv", longs, NULL)) != -1) {
		switch (value) {
		case 's':
			cli->store_option = optarg;
			break;
		case 'h':
			help_overview();
			return true;
		case 'v':
			printf("nacre %s\n", NACRE_VERSION);
			return true;
		case ':':
			*ret_leave = misused("option --store needs an argument (DIR)");
			return true;
		default:
			*ret_leave = misused("unknown option %s", argv[optind - 1]);
			return true;
		}
	}
	return false;
}

static int run(struct cli *cli, int argc, char **argv)
{
	int leave;

	if (read_globals(cli, argc, argv, &leave))
		return leave;
	if (cli->store_option && !*cli->store_option)
		return misused("option --store needs a folder, not an empty name");
	if (optind == argc)
		return misused("a command is missing");
	return run_command(cli, argc - optind, argv + optind);
}

/*
 * Memory that is given back is soon wanted again: the kernel takes longer to make new pages of it than most commands
 * work.  Beyond the first figure a block is still mapped by itself, and goes back when it is freed.
 */
static void keep_memory(void)
{
	mallopt(M_MMAP_THRESHOLD, 2 * 1024 * 1024);
	mallopt(M_TRIM_THRESHOLD, 4 * 1024 * 1024);
	mallopt(M_TOP_PAD, 512 * 1024);
}

int main(int argc, char **argv)
{
	struct cli cli = { 0 };

	io_keep_standard();
	keep_memory();
	int status = run(&cli, argc, argv);
	store_close(cli.store);
	return ui_finish(status);
}

static int open_failed(const char *dir, int err, struct diag *diag)
{
	const char *hint = NULL;

	if (err == -EBADMSG && !*diag->text)
		diag_set(diag, err, "its index.db is damaged, or something else");
	if (err == -ENOENT)
		hint = "'nacre import' or 'nacre load' makes one";
	else if (err == -EACCES || err == -EPERM || err == -ENOTDIR)
		hint = "--store DIR or $NACRE_STORE names another store";
	else if (err == -EPROTO)
		hint = "update nacre, or use another store with --store DIR";
	else if (err == -EBADMSG)
		hint = "is this the folder of a store?";
	ui_fail(err, diag, hint, "cannot open store %s", dir);
	return err;
}

static int cli_open_dir(struct cli *cli, const char *dir, enum store_mode mode)
{
	struct diag diag = { 0 };
	int r = store_open(dir, mode, &diag, &cli->store);

	return r < 0 ? open_failed(dir, r, &diag) : 0;
}

int cli_open(struct cli *cli, enum store_mode mode)
{
	if (cli->store_option)
		return cli_open_dir(cli, cli->store_option, mode);
	AUTO(freep) char *dir = ui_need(store_default_dir());
	return cli_open_dir(cli, dir, mode);
}

int cli_open_listing(struct cli *cli)
{
	struct stat st;

	if (cli->store_option || getenv("NACRE_STORE"))
		return cli_open(cli, STORE_READ);
	AUTO(freep) char *dir = ui_need(store_default_dir());
	if (stat(dir, &st) < 0 && errno == ENOENT)
		return 0;
	return cli_open_dir(cli, dir, STORE_READ);
}
