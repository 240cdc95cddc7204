// SPDX-License-Identifier: Apache-2.0
#include "tools/cli.h"

#include "store/base/auto.h"
#include "tools/json.h"

#include <stdio.h>

int cmd_version(struct cli *cli, const struct args *args)
{
	if (!args_has(args, "json")) {
		printf("nacre %s\n", NACRE_VERSION);
		return DONE;
	}
	AUTO(json_freep) json_t *object = json_new_object();
	json_put_text(object, "Version", NACRE_VERSION);
	json_put_number(object, "StoreVersion", STORE_VERSION);
	json_print(object);
	return DONE;
}
