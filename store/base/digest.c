/* SPDX-License-Identifier: Apache-2.0 */
#include "store/base/digest.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

struct digest_ctx {
	EVP_MD_CTX *md;	/* owned */
};

struct digest_ctx *digest_ctx_new(void)
{
	struct digest_ctx *ctx = malloc(sizeof(*ctx));

	if (!ctx)
		return NULL;
	ctx->md = EVP_MD_CTX_new();
	if (!ctx->md || !EVP_DigestInit_ex(ctx->md, EVP_sha256(), NULL)) {
		digest_ctx_free(ctx);
		return NULL;
	}
	return ctx;
}

void digest_ctx_free(struct digest_ctx *ctx)
{
	if (!ctx)
		return;
	EVP_MD_CTX_free(ctx->md);
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
	EVP_DigestUpdate(ctx->md, bytes, len);
}

void digest_final(struct digest_ctx *ctx, struct digest *ret)
{
	EVP_DigestFinal_ex(ctx->md, ret->bytes, NULL);
	EVP_DigestInit_ex(ctx->md, EVP_sha256(), NULL);
}

int digest_of(const void *bytes, size_t len, struct digest *ret)
{
	return EVP_Digest(bytes, len, ret->bytes, NULL, EVP_sha256(), NULL) ? 0 : -ENOMEM;
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
