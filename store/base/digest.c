/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SHA-256 by name: EVP would look it up among providers, for which it reads a configuration first, 1.3 ms of a command that
 * takes 6.  The functions are the same below.  They are called deprecated for the sake of other providers.
 */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "store/base/digest.h"

#include <errno.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

struct digest_ctx {
	SHA256_CTX sha;
};

struct digest_ctx *digest_ctx_new(void)
{
	struct digest_ctx *ctx = malloc(sizeof(*ctx));

	if (ctx)
		SHA256_Init(&ctx->sha);
	return ctx;
}

void digest_ctx_free(struct digest_ctx *ctx)
{
	free(ctx);
}

void digest_ctx_freep(struct digest_ctx **ctx)
{
	int saved = errno;

	digest_ctx_free(*ctx);
	errno = saved;
}

void digest_update(struct digest_ctx *ctx, const void *bytes, size_t len)
{
	SHA256_Update(&ctx->sha, bytes, len);
}

void digest_final(struct digest_ctx *ctx, struct digest *ret)
{
	SHA256_Final(ret->bytes, &ctx->sha);
	SHA256_Init(&ctx->sha);
}

int digest_of(const void *bytes, size_t len, struct digest *ret)
{
	struct digest_ctx ctx;

	SHA256_Init(&ctx.sha);
	digest_update(&ctx, bytes, len);
	digest_final(&ctx, ret);
	return 0;
}

char *digest_format(const struct digest *digest, char *text)
{
	static const char hex[] = "0123456789abcdef";
	char *p = text;

	memcpy(p, "sha256:", 7);
	p += 7;
	for (size_t i = 0; i < DIGEST_BYTES; i++) {
		*p++ = hex[digest->bytes[i] >> 4];
		*p++ = hex[digest->bytes[i] & 15];
	}
	*p = '\0';
	return text;
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

int digest_parse(const char *text, struct digest *ret)
{
	const char *colon = strchr(text, ':');

	if (colon) {
		if (colon - text != 6 || memcmp(text, "sha256", 6) != 0)
			return -ENOTSUP;
		text = colon + 1;
	}
	if (strlen(text) != 2 * DIGEST_BYTES)
		return -EINVAL;
	for (size_t i = 0; i < DIGEST_BYTES; i++) {
		int hi = hex_value(text[2 * i]), lo = hex_value(text[2 * i + 1]);

		if (hi < 0 || lo < 0)
			return -EINVAL;
		ret->bytes[i] = (uint8_t)(hi << 4 | lo);
	}
	return 0;
}

int digest_eq(const struct digest *a, const struct digest *b)
{
	return memcmp(a->bytes, b->bytes, DIGEST_BYTES) == 0;
}
