/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_STORE_IMAGE_H
#define NACRE_STORE_IMAGE_H

/*
 * Images: a config (OCI image-spec config.md, kept byte for byte) over a list
 * of layers, and the tags that name them.
 *
 * A reference is NAME[:TAG] (tag "latest" if absent), an image ID
 * "sha256:HEX" or a unique prefix of its hex of at least 4 digits.
 */

#include "store/ingest.h"

struct image_info {
	struct image_id id;
	struct digest digest; /* image ID: SHA-256 of the config */
	char *config;	      /* owned: the JSON text */
	size_t config_bytes;
	struct layer_id *layers; /* owned: lowest first, as RootFS.Layers */
	size_t layer_count;
	size_t lost_layers; /* that the index has no row of: image_list() and image_info_rest() alone give such images */
	char **tags;	    /* owned: "name:tag", sorted */
	size_t tag_count;
	uint64_t content_bytes; /* of all layers */
	int64_t created;	/* seconds, from the config; 0 if it says none */
};

void image_info_release(struct image_info *info);

/** image_find() - by reference. Return: 0; -ENOENT; -ENOTUNIQ: a prefix of several; -EINVAL: no reference. */
int image_find(struct store *store, const char *ref, struct diag *diag, struct image_id *ret);
/** image_info() - Return: 0; -ENOENT; -EIO: one of its layers is lost. */
int image_info(struct store *store, struct image_id id, struct diag *diag, struct image_info *ret);
/** image_info_rest() - the same of an image that may have lost layers. */
int image_info_rest(struct store *store, struct image_id id, struct diag *diag, struct image_info *ret);

/**
 * image_layer_find() - by diff ID, "sha256:HEX" or a unique prefix of its hex of at least 4 digits
 * @ret: an image that has the layer; @ret_number: which it is there, 1 is the lowest
 *
 * Return: 0; -ENOENT; -ENOTUNIQ; -EINVAL: no ID.
 */
int image_layer_find(struct store *store, const char *text, struct diag *diag, struct image_id *ret,
		     size_t *ret_number);

/** image_list() - every image, newest first. *@ret is owned (image_list_free()). */
int image_list(struct store *store, struct diag *diag, struct image_info **ret, size_t *ret_count);
void image_list_free(struct image_info *images, size_t count);

/**
 * image_add() - add an image over layers that are there, and let @tag name it
 * @config: JSON; its rootfs.diff_ids must be those of @layers, in order
 * @tag: "name[:tag]" or NULL; moves from the image that had it
 *
 * One transaction. An image that is already there gains the tag, and back what its rows have lost of config and layers.
 */
int image_add(struct writer *writer, const char *config, size_t config_bytes, const struct layer_id *layers,
	      size_t layer_count, const char *tag, struct diag *diag, struct image_id *ret);

/**
 * image_add_along() - the same in the transaction that @db has begun, as of a layer that comes with its image
 * @ret_mended: set if rows were made anew; heal_counts() is then to be called after the commit
 */
int image_add_along(struct db *db, const char *config, size_t config_bytes, const struct layer_id *layers,
		    size_t layer_count, const char *tag, struct diag *diag, struct image_id *ret, bool *ret_mended);

/** image_tag() - let @tag name the image of @ref. */
int image_tag(struct store *store, const char *ref, const char *tag, struct diag *diag);

/**
 * reference_check() - is this a valid "name[:tag]" to give? Normalised into a string to free()
 *
 * As docker shows names: with the tag, and without docker.io/ and its library/.
 */
int reference_check(const char *text, struct diag *diag, char **ret);

/** What image_remove() did, for the user: one call a line ("untagged", "base:1"), ("deleted", "sha256:..."). */
typedef void (*image_removed_fn)(const char *what, const char *name, void *arg);

/**
 * image_remove() - docker's rmi
 *
 * A tag is removed; with its last tag, or by ID, the image goes too, and layers
 * no image uses any more; their bytes are given back (as gc does it) unless
 * a writer is under way, then by the next gc.
 * Waits up to four seconds for who only browses.
 * Return: -EBUSY if a mount or container uses the image (@force then removes the
 * tags only); -ENOENT; -ENOTUNIQ: ID with several tags, without @force.
 */
int image_remove(struct store *store, const char *ref, bool force, image_removed_fn fn, void *arg, struct diag *diag);

struct gc_result {
	uint64_t layers, contents, bytes; /* that were removed */
};

/** store_gc() - remove all that no image, container or live mount uses. -EBUSY: a writer is under way. */
int store_gc(struct store *store, struct diag *diag, struct gc_result *ret);

/*
 * Leases: a mount that reads an image holds one; it dies with its process.
 */
struct lease;
/* As @what: of a holder who gives it up when the image was not used for LEASE_BROWSING_SECONDS; to be waited for. */
#define LEASE_BROWSING "looked into by somebody in a mount of all images"
enum { LEASE_BROWSING_SECONDS = 2 };
/**
 * lease_take() - @ret is owned; on a read-only store it succeeds without a trace.
 * @what: what the image is, for who wants to remove it: "mounted on /mnt by process 7"
 */
int lease_take(struct store *store, struct image_id image, const char *what, struct diag *diag, struct lease **ret);
/** lease_take_layer() - of one layer alone; images of which all layers are leased so are not removed. -ENOENT: it went. */
int lease_take_layer(struct store *store, struct layer_id layer, const char *what, struct lease **ret);
void lease_drop(struct lease *lease);

#endif
