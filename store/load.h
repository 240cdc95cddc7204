/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_STORE_LOAD_H
#define NACRE_STORE_LOAD_H

/*
 * Loading images, in three steps: the archive's JSON becomes a list of struct
 * load_image (layout.c, docker_archive.c, docker_v1.c), then the layers that are missing are
 * ingested, then the images are added (oci.c).  So whatever is wrong with the
 * JSON of any image is found before one byte is written.
 */

#include "store/image.h"
#include "store/image_config.h"
#include "store/members.h"
#include "store/platform.h"

struct load_layer {
	char *member;	       /* owned: the file in the archive */
	struct digest diff_id; /* from the config */
	bool has_blob;	       /* is the file's own digest known? */
	struct digest blob;
	int64_t bytes;	  /* of the file; -1 unknown */
	char *media_type; /* owned; NULL: unknown */
	char *url;	  /* owned: where else a layer is to be had that images come without; NULL: it comes with it */
};

enum { LOAD_NO_NAMES_MAX = 8, LOAD_NO_NAME_BYTES = 256 };

struct load_image {
	char *config; /* owned: JSON, byte for byte */
	size_t config_bytes;
	struct load_layer *layers; /* owned; lowest first */
	size_t layer_count;
	char **tags; /* owned, and each of them; valid references */
	size_t tag_count;
	char *no_names[LOAD_NO_NAMES_MAX]; /* owned: the first of those that it had and that are no references; cut short */
	size_t no_name_count;		   /* all of them */
	char *manifest; /* owned: JSON, byte for byte; NULL: there is none, as in docker's archives */
	size_t manifest_bytes;
	char *manifest_type; /* owned: its media type */
};

/* Where the JSON blobs of a layout come from: an archive, or a registry. */
struct load_blobs {
	const char *name; /* borrowed: what messages call the source */
	/** Whole and NUL-terminated, not checked yet. -ENOENT, without words: there is none. */
	int (*text)(void *arg, const char *digest, bool is_manifest, struct diag *diag, char **ret, size_t *ret_bytes);
	void *arg;
};

struct load {
	struct members *members;	   /* borrowed; NULL: a registry */
	const struct store_limits *limits; /* borrowed: of what is unpacked for its diff ID; NULL: none */
	struct load_blobs blobs;	   /* of a layout */
	struct platform platform;	   /* what to take of an index */
	bool all;			   /* or all of it, and of that what can be read */
	bool flat;	      /* a layout's blobs are files beside its manifest.json, as skopeo's "dir:" has them */
	struct diag no_image; /* what was passed by since it is no container image, if anything was */
	struct diag *diag;    /* borrowed */
	struct load_image *images; /* owned */
	size_t image_count;
	unsigned unsaid; /* descriptors without a platform that were looked into for one (layout.c) */
};

void load_release(struct load *load);
/** load_drop_images() - all but the first @count */
void load_drop_images(struct load *load, size_t count);

/** load_add_image() - one more image with room for @layers layers; borrowed until the next one. NULL: no memory. */
struct load_image *load_add_image(struct load *load, size_t layers);

/** load_add_tag() - a name from the archive; one that is no reference is left out, which is remembered; the image stays. */
int load_add_tag(struct load_image *image, const char *name);
/** load_add_no_name() - one that is left out, whatever it looks like */
int load_add_no_name(struct load_image *image, const char *name);

/** load_set_config() - take @text, and the diff IDs in it, of which there must be as many as layers */
int load_set_config(struct load *load, struct load_image *image, const char *what, char *text, size_t bytes);

/** load_has() - is there such a file? */
bool load_has(struct load *load, const char *member);

/** load_has_images() - is it an image archive of a kind that is known? */
bool load_has_images(struct load *load);

/** load_collect() - all its images, with their configs, manifests, and what they say of layers */
int load_collect(struct load *load);

/** layout_collect() - the images of an OCI image layout (image-spec image-layout.md, image-index.md, manifest.md) */
int layout_collect(struct load *load);

/** layout_collect_folder() - of what skopeo's "dir:" and podman save --format docker-dir write; @manifest is now the load's */
int layout_collect_folder(struct load *load, char *manifest, size_t bytes);

/** layout_need_image() - Return: 0; -ENOTSUP, with the reason: all that there was has been passed by. */
int layout_need_image(struct load *load);

/**
 * layout_collect_text() - the image of one manifest, or of one out of an index
 * @text: JSON, checked by digest where one is known; now the load's
 * @type: the media type it came with; NULL: only what is in it counts
 * @digest: what messages call it
 * @tag: NULL: none
 */
int layout_collect_text(struct load *load, char *text, size_t bytes, const char *type, const char *digest,
			const char *tag);

/** docker_archive_collect() - the images of a `docker save` archive: manifest.json */
int docker_archive_collect(struct load *load);

/** docker_v1_is() - is it of docker before 1.10? What has a manifest.json or index.json may look so, too. */
bool docker_v1_is(struct load *load);

/** docker_v1_collect() - the images of such an archive; reads all its layers, for their diff IDs */
int docker_v1_collect(struct load *load);

/**
 * load_keep_origin() - remember what the image and its layers were outside
 * @source: "HOST/REPOSITORY"; NULL: an archive
 *
 * The image is there already and whole without it, so a failure is none of the caller's.
 */
void load_keep_origin(struct store *store, const struct load_image *image, struct image_id id,
		      const struct layer_id *layers, const char *source);

/** load_json_text() - string member @key, NULL if it is missing or null. -EBADMSG: it is of another type. */
int load_json_text(struct load *load, const json_t *object, const char *key, const char *what, const char **ret);

#endif
