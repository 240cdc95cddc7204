// SPDX-License-Identifier: Apache-2.0
#include "tools/cli.h"

#include "store/base/auto.h"
#include "store/container.h"
#include "tools/imageconf.h"
#include "tools/json.h"
#include "tools/rowformat.h"
#include "tools/target.h"
#include "tools/ui.h"

/* As it stands in the config; a text that is missing there is "", as docker shows it. */
static void copy_text(json_t *object, const char *key, const json_t *config, const char *config_key)
{
	const char *text = json_string_value(json_object_get(config, config_key));

	json_put_text(object, key, text ? text : "");
}

static json_t *texts(char *const *list, size_t count)
{
	json_t *ret = json_new_array();

	for (size_t i = 0; i < count; i++)
		json_push(ret, json_text(list[i]));
	return ret;
}

static int put_layers(json_t *object, struct store *store, const struct image_info *image)
{
	json_t *rootfs = json_new_object(), *diff_ids = json_new_array();
	json_t *nacre = json_new_object(), *layers = json_new_array();

	json_put_text(rootfs, "Type", "layers");
	json_put(rootfs, "Layers", diff_ids);
	json_put(object, "RootFS", rootfs);
	json_put_text(nacre, "Store", store_dir(store));
	json_put(nacre, "Layers", layers);
	json_put(object, "Nacre", nacre);
	for (size_t i = 0; i < image->layer_count; i++) {
		struct layer_info info = { 0 };
		json_t *layer = json_new_object();
		int r = layer_info(store, image->layers[i], &info);

		json_push(layers, layer);
		if (r < 0)
			return r;
		char text[DIGEST_TEXT_BYTES];
		json_push(diff_ids, json_text(digest_format(&info.diff_id, text)));
		json_put_digest(layer, "DiffId", &info.diff_id);
		json_put_number(layer, "Size", info.content_bytes);
		json_put_number(layer, "TarSize", info.tar_bytes);
		json_put_number(layer, "Entries", info.entries);
		json_put_bool(layer, "HasXattrs", info.has_xattrs);
		json_put_time(layer, "Stored", info.created, 0);
	}
	return 0;
}

static int inspect_image(struct store *store, const struct image_info *image, json_t *list)
{
	AUTO(history_release) struct history history = { 0 };
	json_t *object = json_new_object();
	json_t *run_config;

	history_read(image, &history);
	const struct history_step *newest = history.count ? &history.steps[history.count - 1] : NULL;
	json_push(list, object);
	json_put_digest(object, "Id", &image->digest);
	json_put(object, "RepoTags", texts(image->tags, image->tag_count));
	copy_text(object, "Created", history.config, "created");
	copy_text(object, "Author", history.config, "author");
	json_put_text(object, "Comment", newest && newest->comment ? newest->comment : "");
	copy_text(object, "Architecture", history.config, "architecture");
	if (json_object_get(history.config, "variant"))
		copy_text(object, "Variant", history.config, "variant");
	copy_text(object, "Os", history.config, "os");
	run_config = json_object_get(history.config, "config");
	json_put(object, "Config", run_config ? json_incref(run_config) : json_null());
	json_put_number(object, "Size", image->content_bytes);
	return put_layers(object, store, image);
}

/* docker's "State"; what it is run with goes by "Run". Both are null of one that is only mounted. */
static void inspect_run(json_t *object, const struct run_state *run)
{
	json_t *state = run->status == RUN_NEVER ? json_null() : json_new_object();

	json_put(object, "State", state);
	json_put(object, "Run", run->spec ? json_incref(run->spec) : json_null());
	if (run->status == RUN_NEVER)
		return;
	json_put_text(state, "Status", run_status_word(run));
	json_put_bool(state, "Running", run->status == RUN_RUNNING);
	json_put(state, "ExitCode", json_integer(run->exit_code));
	json_put(state, "StartedAt", json_null());
	json_put(state, "FinishedAt", json_null());
	if (run->started)
		json_put_time(state, "StartedAt", run->started, 0);
	if (run->finished)
		json_put_time(state, "FinishedAt", run->finished, 0);
}

static void inspect_container(const struct target *target, const struct image_info *image, json_t *list)
{
	const struct container_info *container = &target->container;
	json_t *object = json_new_object();

	json_push(list, object);
	json_put_text(object, "Id", container->id);
	json_put_text(object, "Name", container->name);
	json_put_time(object, "Created", container->created, 0);
	json_put_digest(object, "Image", &image->digest);
	json_put(object, "RepoTags", texts(image->tags, image->tag_count));
	json_put_bool(object, "Mounted", target->mounted);
	json_put_text(object, "MountPoint", target->mounted ? container->mountpoint : NULL);
	json_put_path(object, "UpperDir", container->upper);
	json_put_path(object, "WorkDir", container->work);
	json_put_bool(object, "Fakeroot", container->fakeroot);
	inspect_run(object, &target->run);
}

static int try_container(struct store *store, const char *ref, json_t *list)
{
	AUTO(target_release) struct target target = { 0 };
	AUTO(image_info_releasep) struct image_info image = { 0 };
	struct diag diag = { 0 };
	int r = target_of_container(store, ref, &diag, &target);

	if (r == 0)
		r = image_info(store, target.container.image, &diag, &image);
	if (r == 0)
		inspect_container(&target, &image, list);
	return r;
}

static const char *hint_of(int err)
{
	return err == -ENOENT ? "'nacre images' and 'nacre ps -a' list what there is" : image_hint(err);
}

static int inspect(struct store *store, const char *ref, json_t *list)
{
	AUTO(image_info_releasep) struct image_info image = { 0 };
	struct diag diag = { 0 };
	struct image_id id = { 0 };
	int r = image_find(store, ref, &diag, &id);

	if ((r == -ENOENT || r == -EINVAL) && try_container(store, ref, list) == 0)
		return DONE;
	if (r == 0)
		r = image_info(store, id, &diag, &image);
	if (r == 0)
		r = inspect_image(store, &image, list);
	return r < 0 ? ui_fail(r, &diag, hint_of(r), "cannot inspect %s", ref) : DONE;
}

int cmd_inspect(struct cli *cli, const struct args *args)
{
	AUTO(json_freep) json_t *list = json_new_array();
	AUTO(format_freep) struct format *format = NULL;
	int status = format_new(args, &format);

	if (status != DONE)
		return status;
	if (format)
		format_set_exact(format);
	if (cli_open(cli, STORE_READ) < 0)
		return FAILED;
	for (size_t i = 0; i < args->operand_count; i++)
		if (inspect(cli->store, args->operands[i], list) != DONE)
			status = FAILED;
	return format_print(format, list) == DONE ? status : FAILED;
}
