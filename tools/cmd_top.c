// SPDX-License-Identifier: Apache-2.0
#include "tools/cli.h"

#include "store/base/auto.h"
#include "tools/inside.h"
#include "tools/lifecycle.h"
#include "tools/processlist.h"
#include "tools/rowformat.h"
#include "tools/table.h"
#include "tools/ui.h"

static void add_json(json_t *list, const struct process *process)
{
	json_t *row = json_new_object();

	json_put_number(row, "Pid", (uint64_t)process->pid);
	json_put_number(row, "ParentPid", (uint64_t)process->parent);
	json_put_number(row, "PidInside", (uint64_t)process->inside);
	json_put_number(row, "Uid", process->uid);
	json_put_time(row, "Started", process->started, 0);
	json_put_number(row, "CpuTimeMs", process->cpu_ms);
	json_put_text(row, "Command", process->command);
	json_push(list, row);
}

static void add_cells(struct table *table, const struct process *process)
{
	char age[UI_AGE_BYTES];
	unsigned long long seconds = process->cpu_ms / 1000;

	table_cellf(table, "%u", process->uid);
	table_cellf(table, "%d", process->pid);
	table_cellf(table, "%d", process->parent);
	table_cellf(table, "%d", process->inside);
	table_cell(table, ui_age(process->started, age));
	table_cellf(table, "%llu:%02llu:%02llu", seconds / 3600, seconds / 60 % 60, seconds % 60);
	table_cell(table, process->command);
}

static int list_processes(struct cli *cli, const char *what, struct table *table, json_t *json, struct diag *diag)
{
	AUTO(target_release) struct target target = { 0 };
	AUTO(process_list_release) struct process_list list = { 0 };
	pid_t monitor;
	int r = lifecycle_find(cli, what, diag, &target);

	if (r == 0)
		r = inside_find(&target, diag, &monitor);
	if (r == 0)
		r = process_list_read(monitor, diag, &list);
	for (size_t i = 0; r == 0 && i < list.count; i++)
		if (json)
			add_json(json, &list.all[i]);
		else
			add_cells(table, &list.all[i]);
	return r;
}

int cmd_top(struct cli *cli, const struct args *args)
{
	static const char *const headings[] = { "UID", "PID", "PPID", "PID INSIDE", "STARTED", "CPU TIME", "COMMAND" };
	AUTO(table_freep) struct table *table = table_new(ARRAY_SIZE(headings), headings, "rrrrlll");
	AUTO(format_freep) struct format *format = NULL;
	AUTO(json_freep) json_t *json = NULL;
	struct diag diag = { 0 };

	if (format_begin(args, &format, &json) != DONE)
		return MISUSED;
	if (cli_open(cli, STORE_READ) < 0)
		return FAILED;
	int r = list_processes(cli, args_operand(args, 0), table, json, &diag);
	if (r < 0)
		return ui_fail(r, &diag, lifecycle_hint(r), "cannot list the processes of %s", args_operand(args, 0));
	if (json)
		return format_print(format, json);
	if (!args_has(args, "no-trunc"))
		table_fit(table, "------s");
	table_print(table, "   ");
	return DONE;
}
