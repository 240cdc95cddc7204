// SPDX-License-Identifier: Apache-2.0
#include "tools/cli.h"

#include "store/base/auto.h"
#include "store/container.h"
#include "tools/driver.h"
#include "tools/json.h"
#include "tools/mounts.h"
#include "tools/process.h"
#include "tools/ui.h"

#include <string.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>

struct info {
	char *store; /* owned: its folder */
	bool exists;
	size_t images, containers, mounted;
	uint64_t free_bytes;
	char *driver; /* owned */
	bool driver_found;
	bool fuse; /* /dev/fuse can be opened */
	struct utsname system;
};

static void info_release(struct info *info)
{
	free(info->store);
	free(info->driver);
}

static int count_containers(struct store *store, struct info *info, struct diag *diag)
{
	AUTO(mount_table_release) struct mount_table mounts = { 0 };
	struct container_info *list = NULL;
	int r = container_list(store, diag, &list, &info->containers);

	if (r == 0)
		r = mount_table_read(&mounts);
	for (size_t i = 0; r == 0 && i < info->containers; i++)
		info->mounted += mount_is_nacre(mount_table_at(&mounts, list[i].mountpoint));
	container_list_free(list, info->containers);
	return r;
}

static int read_store(struct store *store, struct info *info, struct diag *diag)
{
	struct image_info *images = NULL;
	struct statvfs space;
	int r = image_list(store, diag, &images, &info->images);

	image_list_free(images, info->images);
	if (r < 0)
		return r;
	info->exists = true;
	if (statvfs(store_dir(store), &space) == 0)
		info->free_bytes = (uint64_t)space.f_bavail * space.f_frsize;
	return count_containers(store, info, diag);
}

static void read_system(struct info *info)
{
	info->driver = driver_path();
	info->driver_found = process_can_run(info->driver);
	info->fuse = access("/dev/fuse", R_OK | W_OK) == 0;
	uname(&info->system);
}

static void print_json(const struct info *info)
{
	AUTO(json_freep) json_t *object = json_new_object();

	json_put_text(object, "Version", NACRE_VERSION);
	json_put_path(object, "Store", info->store);
	json_put_bool(object, "StoreExists", info->exists);
	json_put_number(object, "StoreVersion", STORE_VERSION);
	json_put_number(object, "Images", info->images);
	json_put_number(object, "Containers", info->containers);
	json_put_number(object, "Mounted", info->mounted);
	json_put_number(object, "FreeBytes", info->free_bytes);
	json_put_path(object, "Driver", info->driver);
	json_put_bool(object, "DriverFound", info->driver_found);
	json_put_bool(object, "FuseUsable", info->fuse);
	json_put_text(object, "Kernel", info->system.release);
	json_put_text(object, "Machine", info->system.machine);
	json_print(object);
}

static void print_text(const struct info *info)
{
	AUTO(freep) char *store = ui_format("%s", info->store);
	AUTO(freep) char *driver = ui_format("%s", info->driver);
	char size[UI_SIZE_BYTES];

	printf("Version:     %s\n", NACRE_VERSION);
	printf("Store:       %s%s\n", store, info->exists ? "" : " (not there yet)");
	if (info->exists) {
		printf("Images:      %zu\n", info->images);
		printf("Containers:  %zu (%zu mounted)\n", info->containers, info->mounted);
		printf("Free space:  %s\n", ui_size(info->free_bytes, size));
	}
	printf("Driver:      %s%s\n", driver, info->driver_found ? "" : " (not found)");
	printf("/dev/fuse:   %s\n", info->fuse ? "usable" : "not usable by this user");
	printf("Kernel:      %s %s\n", info->system.release, info->system.machine);
}

int cmd_info(struct cli *cli, const struct args *args)
{
	AUTO(info_release) struct info info = { 0 };
	struct diag diag = { 0 };

	if (cli_open_listing(cli) < 0)
		return FAILED;
	info.store = cli->store ? ui_need(strdup(store_dir(cli->store))) : ui_need(store_default_dir());
	int r = cli->store ? read_store(cli->store, &info, &diag) : 0;
	if (r < 0)
		return ui_fail(r, &diag, NULL, "cannot read the store %s", info.store);
	read_system(&info);
	if (args_has(args, "json"))
		print_json(&info);
	else
		print_text(&info);
	return DONE;
}
