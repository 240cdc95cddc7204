/* SPDX-License-Identifier: Apache-2.0 */
#include "store/load.h"

#include "store/base/auto.h"
#include "store/base/buf.h"
#include "store/unpack.h"

#include <search.h>
#include <string.h>

/*
 * What `docker save` wrote before 1.10: no manifest.json, but a folder for each layer,
 *   ID/json       the ID of its parent, how it was made, and the config that docker would run it with
 *   ID/layer.tar  what it changes
 * and "repositories", { REPOSITORY: { TAG: ID } }, which is missing where images were saved by their IDs.  An image is
 * an ID that has a tag or is nobody's parent, with all its parents below it.
 *
 * IDs were drawn by lot, so nothing vouches for a layer, and its diff ID is known only when its tar has been read.  All
 * are, before anything is written: what is loaded after that is an image like all others, whose layers may be here
 * already, and may be looked for by `nacre verify --repair --from`.
 *
 * The config is the one that docker makes, byte for byte, and so is the image ID: the json of the image itself, its
 * keys sorted, without those that describe no content, with rootfs and history, written as Go writes JSON.  Only for
 * images of docker before 1.8.3 there is none to agree with: docker takes those through structures of its own, and
 * loses what the docker at work does not know; here all keys stay.
 * Source: moby v28, image/tarexport/load.go: legacyLoad(), image/v1/imagev1.go.
 */

enum {
	ID_CHARS = 2 * DIGEST_BYTES,
	NAME_BYTES = ID_CHARS + sizeof("/layer.tar"),
	LAYERS_MAX = 10000,	     /* of the archive; docker could stack 127 */
	ALL_LAYERS_MAX = 100000,     /* of all images, those that they share counted for each */
	TEXT_MAX = 64 * 1024 * 1024, /* of all the JSON that is read and made */
};

static const char REPOSITORIES[] = "repositories";

struct v1_layer {
	char id[ID_CHARS + 1];	      /* must be first: compare_ids() */
	char parent_id[ID_CHARS + 1]; /* "": none */
	struct v1_layer *parent;
	size_t depth; /* with its parents; 0: these are being looked up */
	bool has_child;
	json_t *history; /* owned: its line in the history of an image */
	uint64_t offset; /* of its tar in the archive; 0: that is a folder */
	struct digest diff_id;
	size_t image; /* its number among the load's, from 1; 0: it is none */
};

struct v1_archive {
	struct load *load;
	const char *source;
	void *tree;		/* tsearch(3): the layers by ID */
	struct v1_layer **list; /* owned, and each of them */
	size_t count;
	size_t all_layers, text_bytes;
	json_t *repositories; /* owned; NULL: there are none */
};

static void leave_node(void *node)
{
}

static void v1_archive_release(struct v1_archive *a)
{
	tdestroy(a->tree, leave_node);
	for (size_t i = 0; i < a->count; i++) {
		json_decref(a->list[i]->history);
		free(a->list[i]);
	}
	free(a->list);
	json_decref(a->repositories);
}

static int compare_ids(const void *a, const void *b)
{
	return strcmp(a, b);
}

static bool is_id(const char *text)
{
	return strlen(text) == ID_CHARS && strspn(text, "0123456789abcdef") == ID_CHARS;
}

static int count_text(struct v1_archive *a, size_t bytes)
{
	a->text_bytes += bytes;
	return a->text_bytes <= TEXT_MAX
		       ? 0
		       : diag_set(a->load->diag, -EBADMSG, "%s: the JSON of its images has more than %d bytes",
				  a->source, TEXT_MAX);
}

/* ---- one layer's json ---- */

static int set_text(struct v1_archive *a, const json_t *json, const char *what, const char *key, json_t *ret)
{
	const char *text;
	int r = load_json_text(a->load, json, key, what, &text);

	if (r < 0 || !text || !*text)
		return r;
	return json_object_set(ret, key, json_object_get(json, key)) < 0 ? -ENOMEM : 0;
}

/* container_config.Cmd: a list of words, or one. */
static int set_created_by(struct v1_archive *a, const json_t *json, const char *what, json_t *ret)
{
	const json_t *cmd = json_object_get(json_object_get(json, "container_config"), "Cmd");
	AUTO(buf_release) struct buf line = { 0 };

	if (json_is_string(cmd))
		buf_adds(&line, json_string_value(cmd));
	else if (cmd && !json_is_null(cmd) && !json_is_array(cmd))
		return diag_set(a->load->diag, -EBADMSG, "%s: container_config.Cmd is no list", what);
	for (size_t i = 0; i < json_array_size(cmd); i++) {
		const char *word = json_string_value(json_array_get(cmd, i));

		if (!word)
			return diag_set(a->load->diag, -EBADMSG, "%s: container_config.Cmd[%zu] is not a string", what,
					i);
		buf_adds(&line, i ? " " : "");
		buf_adds(&line, word);
	}
	if (buf_error(&line) < 0)
		return -ENOMEM;
	return line.len && json_object_set_new(ret, "created_by", json_string(line.data)) < 0 ? -ENOMEM : 0;
}

static int check_objects(struct v1_archive *a, const json_t *json, const char *what)
{
	static const char *const keys[] = { "config", "container_config" };

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		const json_t *value = json_object_get(json, keys[i]);

		if (value && !json_is_null(value) && !json_is_object(value))
			return diag_set(a->load->diag, -EBADMSG, "%s: %s is no object", what, keys[i]);
	}
	return 0;
}

static int read_layer(struct v1_archive *a, const json_t *json, const char *what, struct v1_layer *layer)
{
	const char *parent;
	int r = load_json_text(a->load, json, "parent", what, &parent);

	if (r == 0 && parent && *parent && !is_id(parent))
		r = diag_set(a->load->diag, -EBADMSG, "%s: parent is no ID: %.80s", what, parent);
	if (r == 0)
		r = check_objects(a, json, what);
	if (r < 0)
		return r;
	memcpy(layer->parent_id, parent ? parent : "", parent ? strlen(parent) : 0);
	layer->history = json_object();
	/* In the order of Go's structure. */
	r = layer->history ? set_text(a, json, what, "created", layer->history) : -ENOMEM;
	if (r == 0)
		r = set_created_by(a, json, what, layer->history);
	if (r == 0)
		r = set_text(a, json, what, "author", layer->history);
	return r == 0 ? set_text(a, json, what, "comment", layer->history) : r;
}

/* @ret_what: owned: what messages call it. -ENOENT, without words: it is not there. */
static int load_layer_json(struct v1_archive *a, const char *id, json_t **ret, char **ret_what)
{
	AUTO(freep) char *text = NULL;
	char name[NAME_BYTES];
	size_t bytes;
	int r;

	snprintf(name, sizeof(name), "%s/json", id);
	r = members_load(a->load->members, name, IMAGE_JSON_MAX_BYTES, a->load->diag, &text, &bytes);
	if (r == 0)
		r = count_text(a, bytes);
	if (r < 0)
		return r;
	if (asprintf(ret_what, "%s: %s", a->source, name) < 0) {
		*ret_what = NULL;
		return -ENOMEM;
	}
	return image_json_parse(text, bytes, *ret_what, a->load->diag, ret);
}

/* ---- all layers ---- */

static int room_for_layer(struct v1_archive *a)
{
	struct v1_layer **list;

	if (a->count == LAYERS_MAX)
		return diag_set(a->load->diag, -EBADMSG, "%s: more than %d layers", a->source, LAYERS_MAX);
	list = realloc(a->list, (a->count + 1) * sizeof(*list));
	if (!list)
		return -ENOMEM;
	a->list = list;
	return 0;
}

static int add_layer(struct v1_archive *a, const char *id, const struct v1_layer *child, struct v1_layer **ret)
{
	AUTO(json_decrefp) json_t *json = NULL;
	AUTO(freep) char *what = NULL;
	struct v1_layer *layer;
	int r = room_for_layer(a);

	if (r == 0)
		r = load_layer_json(a, id, &json, &what);
	if (r == -ENOENT)
		return diag_set(a->load->diag, r, "%s: layer %s%s%s is not in it (%s/json)", a->source, id,
				child ? ", the parent of " : "", child ? child->id : "", id);
	if (r < 0)
		return r;
	layer = calloc(1, sizeof(*layer));
	if (!layer)
		return -ENOMEM;
	a->list[a->count++] = layer;
	memcpy(layer->id, id, ID_CHARS);
	r = read_layer(a, json, what, layer);
	if (r == 0 && !tsearch(layer, &a->tree, compare_ids))
		r = -ENOMEM;
	*ret = layer;
	return r;
}

static struct v1_layer *find_layer(const struct v1_archive *a, const char *id)
{
	struct v1_layer **node = tfind(id, &a->tree, compare_ids);

	return node ? *node : NULL;
}

/* A layer and all its parents. */
static int add_chain(struct v1_archive *a, const char *id)
{
	struct v1_layer *child = NULL;
	size_t first = a->count;
	bool known = false;

	for (const char *next = id; *next && !known; next = child->parent_id) {
		struct v1_layer *layer = find_layer(a, next);
		int r = 0;

		known = layer;
		if (known && layer->depth == 0)
			return diag_set(a->load->diag, -EBADMSG, "%s: the parents of layer %s form a loop", a->source,
					layer->id);
		if (!known)
			r = add_layer(a, next, child, &layer);
		if (r < 0)
			return r;
		layer->has_child = layer->has_child || child;
		if (child)
			child->parent = layer;
		child = layer;
	}
	for (size_t i = a->count; i-- > first;)
		a->list[i]->depth = (a->list[i]->parent ? a->list[i]->parent->depth : 0) + 1;
	return 0;
}

/* ---- diff IDs ---- */

static int read_stream(struct v1_archive *a, struct member *member, const char *what, struct digest *ret)
{
	const struct ingest_options options = { .name = what, .blob_bytes = -1 };
	AUTO(unpack_freep) struct unpack *unpack = NULL;
	struct unpack_totals totals;
	struct block *block;
	int r = unpack_new(member_source(member), &options, a->load->limits, &unpack);

	if (r < 0)
		return r;
	while ((r = unpack_next(unpack, &block)) > 0)
		unpack_give_back(unpack, block);
	if (r < 0)
		return diag_set(a->load->diag, r, "%s", diag_text(unpack_diag(unpack), r));
	r = unpack_finish(unpack, a->load->diag, &totals);
	*ret = totals.diff_id;
	return r;
}

/* Links may lead many layers to one tar, which is read once. */
static const struct v1_layer *with_same_tar(const struct v1_archive *a, size_t before, uint64_t offset)
{
	for (size_t i = 0; i < before; i++)
		if (a->list[i]->offset == offset)
			return a->list[i];
	return NULL;
}

static int find_diff_id(struct v1_archive *a, size_t no)
{
	AUTO(member_release) struct member member = { .fd = -1 };
	AUTO(freep) char *what = NULL;
	struct v1_layer *layer = a->list[no];
	const struct v1_layer *same;
	char name[NAME_BYTES];
	int r;

	snprintf(name, sizeof(name), "%s/layer.tar", layer->id);
	r = members_find(a->load->members, name, a->load->diag, &member);
	if (r == -ENOENT)
		return diag_set(a->load->diag, r, "%s: layer %s is not in it (%s)", a->source, layer->id, name);
	if (r < 0)
		return r;
	same = member.offset ? with_same_tar(a, no, member.offset) : NULL;
	layer->offset = member.offset;
	if (same) {
		layer->diff_id = same->diff_id;
		return 0;
	}
	if (asprintf(&what, "%s: %s", a->source, name) < 0) {
		what = NULL;
		return -ENOMEM;
	}
	return read_stream(a, &member, what, &layer->diff_id);
}

/* ---- the config ---- */

/* One character of jansson's as Go has it, which makes JSON fit for HTML. Return: how many bytes of @p that was. */
static size_t add_go_char(struct buf *buf, const char *p)
{
	if (*p == '<' || *p == '>' || *p == '&') {
		buf_addf(buf, "\\u%04x", (unsigned)*p);
		return 1;
	}
	if (strncmp(p, "\u2028", 3) == 0 || strncmp(p, "\u2029", 3) == 0) {
		buf_adds(buf, p[2] == "\u2028"[2] ? "\\u2028" : "\\u2029");
		return 3;
	}
	if (strncmp(p, "\\b", 2) == 0 || strncmp(p, "\\f", 2) == 0) {
		buf_adds(buf, p[1] == 'b' ? "\\u0008" : "\\u000c");
		return 2;
	}
	if (strncmp(p, "\\u", 2) == 0) {
		buf_addf(buf, "\\u%04lx", strtoul((const char[]){ p[2], p[3], p[4], p[5], '\0' }, NULL, 16));
		return 6;
	}
	buf_add(buf, p, *p == '\\' ? 2 : 1);
	return *p == '\\' ? 2 : 1;
}

static int add_go_json(struct buf *buf, const json_t *value)
{
	AUTO(freep) char *text = json_dumps(value, JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_ENCODE_ANY);

	if (!text)
		return -ENOMEM;
	for (const char *p = text; *p;)
		p += add_go_char(buf, p);
	return 0;
}

static int compare_keys(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Go sorts the keys of a map, and so the outermost ones here. */
static int add_go_map(struct buf *buf, json_t *map)
{
	AUTO(freep) const char **keys = calloc(json_object_size(map) + 1, sizeof(*keys));
	size_t count = 0;
	const char *key;
	json_t *value;
	int r = keys ? 0 : -ENOMEM;

	if (r < 0)
		return r;
	json_object_foreach(map, key, value) keys[count++] = key;
	qsort(keys, count, sizeof(*keys), compare_keys);
	for (size_t i = 0; r == 0 && i < count; i++) {
		AUTO(json_decrefp) json_t *name = json_string(keys[i]);

		buf_adds(buf, i ? "," : "{");
		r = name ? add_go_json(buf, name) : -ENOMEM;
		buf_adds(buf, ":");
		if (r == 0)
			r = add_go_json(buf, json_object_get(map, keys[i]));
	}
	buf_adds(buf, count ? "}" : "{}");
	return r == 0 ? buf_error(buf) : r;
}

/* @chain: the image's layers, lowest first */
static int change_config(json_t *config, struct v1_layer *const *chain, size_t count)
{
	static const char *const none_of_it[] = { "id", "parent", "Size", "parent_id", "layer_id", "throwaway" };
	json_t *ids = json_array(), *history = json_array();
	char digest[DIGEST_TEXT_BYTES];
	int r = json_object_set_new(config, "rootfs", json_pack("{s:s, s:o*}", "type", "layers", "diff_ids", ids));

	r |= json_object_set_new(config, "history", history);
	for (size_t i = 0; r == 0 && i < count; i++) {
		r |= json_array_append_new(ids, json_string(digest_format(&chain[i]->diff_id, digest)));
		r |= json_array_append(history, chain[i]->history);
	}
	for (size_t i = 0; i < ARRAY_SIZE(none_of_it); i++)
		json_object_del(config, none_of_it[i]);
	return r == 0 ? 0 : -ENOMEM;
}

static int set_config(struct v1_archive *a, struct load_image *image, const char *id, struct v1_layer *const *chain)
{
	AUTO(json_decrefp) json_t *config = NULL;
	AUTO(buf_release) struct buf text = { 0 };
	AUTO(freep) char *what = NULL;
	size_t bytes;
	int r = load_layer_json(a, id, &config, &what);

	if (r == 0)
		r = change_config(config, chain, image->layer_count);
	if (r == 0)
		r = add_go_map(&text, config);
	bytes = text.len;
	if (r == 0)
		r = count_text(a, bytes);
	return r == 0 ? load_set_config(a->load, image, what, buf_take(&text), bytes) : r;
}

/* ---- images ---- */

static int set_layers(struct load_image *image, struct v1_layer *const *chain)
{
	for (size_t i = 0; i < image->layer_count; i++) {
		image->layers[i].bytes = -1;
		if (asprintf(&image->layers[i].member, "%s/layer.tar", chain[i]->id) < 0) {
			image->layers[i].member = NULL;
			return -ENOMEM;
		}
	}
	return 0;
}

static int add_image(struct v1_archive *a, struct v1_layer *top)
{
	AUTO(freep) struct v1_layer **chain = calloc(top->depth, sizeof(*chain));
	struct load_image *image;
	int r;

	a->all_layers += top->depth;
	if (a->all_layers > ALL_LAYERS_MAX)
		return diag_set(a->load->diag, -EBADMSG, "%s: its images have more than %d layers together", a->source,
				ALL_LAYERS_MAX);
	image = chain ? load_add_image(a->load, top->depth) : NULL;
	if (!image)
		return -ENOMEM;
	top->image = a->load->image_count;
	for (struct v1_layer *layer = top; layer; layer = layer->parent)
		chain[layer->depth - 1] = layer;
	r = set_layers(image, chain);
	return r == 0 ? set_config(a, image, top->id, chain) : r;
}

static int add_tagged_chain(struct v1_archive *a, const char *repository, const char *tag, const char *id)
{
	if (!id || !is_id(id))
		return diag_set(a->load->diag, -EBADMSG, "%s: %s: %.128s:%.128s is no image's ID: %.80s", a->source,
				REPOSITORIES, repository, tag, id ? id : "not a string");
	return add_chain(a, id);
}

static int add_tagged_image(struct v1_archive *a, const char *repository, const char *tag, const char *id)
{
	struct v1_layer *top = find_layer(a, id);
	AUTO(freep) char *name = NULL;
	int r = top->image ? 0 : add_image(a, top);

	if (r < 0)
		return r;
	if (asprintf(&name, "%s:%s", repository, tag) < 0) {
		name = NULL;
		return -ENOMEM;
	}
	/* "host" with the tag "5000/app" would be the name of something else. */
	return (strpbrk(tag, "/:@") ? load_add_no_name : load_add_tag)(&a->load->images[top->image - 1], name);
}

static int each_tag(struct v1_archive *a,
		    int (*fn)(struct v1_archive *a, const char *repository, const char *tag, const char *id))
{
	const char *repository, *tag;
	json_t *tags, *id;
	int r = 0;

	json_object_foreach(a->repositories, repository, tags)
	{
		if (!json_is_object(tags))
			return diag_set(a->load->diag, -EBADMSG, "%s: %s: %.128s is no object of tags", a->source,
					REPOSITORIES, repository);
		json_object_foreach(tags, tag, id)
		{
			r = fn(a, repository, tag, json_string_value(id));
			if (r < 0)
				return r;
		}
	}
	return 0;
}

/* ---- the archive ---- */

static int add_folder(const char *name, void *arg)
{
	return is_id(name) ? add_chain(arg, name) : 0;
}

static int read_repositories(struct v1_archive *a)
{
	AUTO(freep) char *text = NULL;
	AUTO(freep) char *what = NULL;
	size_t bytes;
	int r = members_load(a->load->members, REPOSITORIES, IMAGE_JSON_MAX_BYTES, a->load->diag, &text, &bytes);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	if (asprintf(&what, "%s: %s", a->source, REPOSITORIES) < 0) {
		what = NULL;
		return -ENOMEM;
	}
	return image_json_parse(text, bytes, what, a->load->diag, &a->repositories);
}

static int add_untagged_images(struct v1_archive *a)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < a->count; i++)
		if (!a->list[i]->has_child && !a->list[i]->image)
			r = add_image(a, a->list[i]);
	return r;
}

int docker_v1_collect(struct load *load)
{
	AUTO(v1_archive_release)
	struct v1_archive a = { .load = load, .source = members_source(load->members) };
	int r = read_repositories(&a);

	if (r == 0)
		r = each_tag(&a, add_tagged_chain);
	if (r == 0)
		r = members_each_folder(load->members, add_folder, &a, load->diag);
	for (size_t i = 0; r == 0 && i < a.count; i++)
		r = find_diff_id(&a, i);
	if (r == 0)
		r = each_tag(&a, add_tagged_image);
	return r == 0 ? add_untagged_images(&a) : r;
}

static int has_json(const char *name, void *arg)
{
	struct load *load = arg;
	char json[NAME_BYTES];

	if (!is_id(name))
		return 0;
	snprintf(json, sizeof(json), "%s/json", name);
	return load_has(load, json);
}

bool docker_v1_is(struct load *load)
{
	return load_has(load, REPOSITORIES) || members_each_folder(load->members, has_json, load, NULL) > 0;
}
