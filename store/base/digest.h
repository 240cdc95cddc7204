/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_BASE_DIGEST_H
#define NACRE_BASE_DIGEST_H

/* SHA-256, which OCI names things by (image-spec descriptor.md). */

#include <stddef.h>
#include <stdint.h>

enum { DIGEST_BYTES = 32, DIGEST_TEXT_BYTES = 7 + 64 + 1 /* "sha256:", hex, NUL */ };

struct digest {
	uint8_t bytes[DIGEST_BYTES];
};

struct digest_ctx;	/* a hash under way */

struct digest_ctx *digest_ctx_new(void);	/* NULL: out of memory */
void digest_ctx_free(struct digest_ctx *ctx);
void digest_ctx_freep(struct digest_ctx **ctx);
void digest_update(struct digest_ctx *ctx, const void *bytes, size_t len);
/** digest_final() - the digest of all that was added; @ctx starts anew. */
void digest_final(struct digest_ctx *ctx, struct digest *ret);
/** digest_of() - of one run of bytes. */
int digest_of(const void *bytes, size_t len, struct digest *ret);

/** digest_format() - "sha256:HEX" into @text of DIGEST_TEXT_BYTES; returns @text. */
char *digest_format(const struct digest *digest, char *text);
/** digest_parse() - from "sha256:HEX" (or bare HEX). Return: 0; -EINVAL; -ENOTSUP: another algorithm. */
int digest_parse(const char *text, struct digest *ret);
/** digest_eq() */
int digest_eq(const struct digest *a, const struct digest *b);

#endif
