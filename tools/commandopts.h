/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_TOOLS_COMMANDOPTS_H
#define NACRE_TOOLS_COMMANDOPTS_H

/* The options of each command, for the table in commands.c. */

#include "tools/cli.h"

extern const struct option_desc import_options[];
extern const struct option_desc load_options[];
extern const struct option_desc save_options[];
extern const struct option_desc export_options[];
extern const struct option_desc pull_options[];
extern const struct option_desc push_options[];
extern const struct option_desc search_options[];
extern const struct option_desc images_options[];
extern const struct option_desc inspect_options[];
extern const struct option_desc history_options[];
extern const struct option_desc rmi_options[];
extern const struct option_desc mount_options[];
extern const struct option_desc umount_options[];
extern const struct option_desc diff_options[];
extern const struct option_desc commit_options[];
extern const struct option_desc run_options[];
extern const struct option_desc exec_options[];
extern const struct option_desc start_options[];
extern const struct option_desc stop_options[];
extern const struct option_desc kill_options[];
extern const struct option_desc top_options[];
extern const struct option_desc logs_options[];
extern const struct option_desc ps_options[];
extern const struct option_desc rm_options[];
extern const struct option_desc cp_options[];
extern const struct option_desc ls_options[];
extern const struct option_desc which_options[];
extern const struct option_desc layers_options[];
extern const struct option_desc layer_options[];
extern const struct option_desc du_options[];
extern const struct option_desc serve_layers_options[];
extern const struct option_desc setup_options[];
extern const struct option_desc verify_options[];
extern const struct option_desc json_options[];
extern const struct option_desc help_options[];

#endif
