/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_STORE_REGISTRY_H
#define NACRE_STORE_REGISTRY_H

/*
 * Images from and to registries: the OCI distribution protocol
 * (distribution-spec spec.md) over libcurl.
 *
 * Names are docker's: HOST[:PORT]/REPO[:TAG][@DIGEST]; without a host docker.io is
 * meant, and there REPO of one word is library/REPO.
 *
 * HTTPS with the system's CAs and those of certs.d/HOST; plain HTTP only for this
 * machine itself, or where `insecure` allows it.  Credentials are read, never written.
 */

#include "store/image.h"

#include <stdatomic.h>

enum { REGISTRY_RETRIES = 4 };

struct registry_options {
	const char *authfile; /* credentials; NULL: $REGISTRY_AUTH_FILE, else the usual places */
	const char *cacert;   /* one more file of CA certificates (PEM); NULL: none */
	const char *cert_dir; /* *.crt, and X.cert with X.key; NULL: certs.d/HOST in the usual places */
	bool insecure;	      /* plain HTTP and unknown certificates too */
	unsigned retries;     /* how often a request is tried again */
	const char *platform; /* pull: "os/arch[/variant]"; NULL: this machine's */
	unsigned jobs;	      /* layers at a time; 0: 3, as docker */
	uint64_t chunk_bytes; /* push: so much of a blob at once; 0: as the registry takes it */
};

enum transfer_result {
	TRANSFER_DONE,
	TRANSFER_EXISTS,   /* it was there before */
	TRANSFER_REPAIRED, /* pull: the store had it, but damaged */
	TRANSFER_MOUNTED,  /* push: the registry took it from another of its repositories */
};

/* What happens meanwhile. Several threads call, never two at once; each member may be NULL. */
struct transfer_events {
	/** Layer @no begins: its digest, its size there. */
	void (*begin)(size_t no, const char *digest, uint64_t bytes, void *arg);
	void (*progress)(size_t no, uint64_t bytes, void *arg);
	void (*end)(size_t no, enum transfer_result result, void *arg);
	void *arg;
};

struct pull_result {
	struct image_id image;
	struct digest id;	/* of the config */
	struct digest manifest; /* as the registry names it: of the index, if it has one */
	bool existed;		/* the image was in the store */
	uint64_t left_out;	/* xattrs of what was fetched that are an overlay's own marks */
	char *tag;		/* owned; NULL: pulled by digest alone */
};
void pull_result_release(struct pull_result *result);

/**
 * image_pull() - fetch an image
 *
 * Every byte is checked by digest and size before it counts.  Layers that the store has are not
 * fetched.  Those that came in whole stay when a later one fails, for the next attempt or gc.
 * Return: 0; -EINVAL: the name; -ENOENT: the registry has no such image; -EACCES: it does not let us;
 * -EKEYREJECTED: a digest; -ENOKEY: the registry's certificate; -ENOTSUP: platform or media type; ... .
 */
int image_pull(struct store *store, const char *name, const struct registry_options *options,
	       const struct transfer_events *events, struct diag *diag, struct pull_result *ret);

struct push_result {
	struct digest manifest; /* what the registry has now */
	bool kept;		/* it is the manifest that the image came with, byte for byte */
};

/**
 * image_push() - send an image
 * @ref: which one; @name: where to
 *
 * Layers that the registry has are not sent. The image is there, under its tag, when all of it is.
 * Return: 0; -EINVAL: the name; -ENOENT: no such image; -EACCES: the registry does not let us; ... .
 */
int image_push(struct store *store, const char *ref, const char *name, const struct registry_options *options,
	       const struct transfer_events *events, struct diag *diag, struct push_result *ret);

/** registry_has_host() - does this name begin with a registry's, as in "localhost:5000/..."? */
bool registry_has_host(const char *name);

/** For each name of a list; borrowed for the call. Return 0 to go on, another value is passed on. */
typedef int (*registry_name_fn)(const char *name, void *arg);

/** registry_repositories() - the catalogue of a registry, all its pages. -ENOTSUP: it has none. */
int registry_repositories(const char *host, const struct registry_options *options, registry_name_fn fn, void *arg,
			  struct diag *diag);
/** registry_tags() - the tags of the repository of @name. */
int registry_tags(const char *name, const struct registry_options *options, registry_name_fn fn, void *arg,
		  struct diag *diag);

#endif
