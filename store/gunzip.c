/* SPDX-License-Identifier: Apache-2.0 */
#include "store/gunzip.h"

#include "store/base/auto.h"
#include "store/base/library.h"

/*
 * By ISA-L, which takes about a third of zlib's time, where there is one; it is
 * written for some processors only.  libarchive's gzip filter skips the CRC and the
 * length at the end, and a flipped bit must not pass.
 */
#ifdef HAVE_ISAL

#include <isa-l/igzip_lib.h>

#ifdef LAZY_LIBRARIES

#define ISAL_FUNCTIONS(F)    \
	F(isal_inflate)      \
	F(isal_inflate_init) \
	F(isal_inflate_reset)

/* Its pointers are the one of a process, as the library itself is. */
static struct {
#define MEMBER(name) typeof(name) *name;
	ISAL_FUNCTIONS(MEMBER)
#undef MEMBER
} isal_functions;

#define NAME(name) #name,
static const char *const isal_names[] = { ISAL_FUNCTIONS(NAME) };

static struct library isal = {
	.soname = "libisal.so.2",
	.names = isal_names,
	.functions = (void **)&isal_functions,
	.count = sizeof(isal_names) / sizeof(isal_names[0]),
	.lock = PTHREAD_MUTEX_INITIALIZER,
};
_Static_assert(sizeof(isal_functions) == sizeof(isal_names), "a pointer for each name");

#define isal_inflate	   isal_functions.isal_inflate
#define isal_inflate_init  isal_functions.isal_inflate_init
#define isal_inflate_reset isal_functions.isal_inflate_reset

static int isal_load(struct diag *diag)
{
	return library_load(&isal, diag);
}

#else

static int isal_load(struct diag *diag)
{
	return 0;
}

#endif

struct gunzip {
	struct inflate_state state;
};

int gunzip_new(struct diag *diag, struct gunzip **ret)
{
	int r = isal_load(diag);

	if (r < 0)
		return r;
	*ret = calloc(1, sizeof(**ret));
	if (!*ret)
		return -ENOMEM;
	isal_inflate_init(&(*ret)->state);
	(*ret)->state.crc_flag = ISAL_GZIP;
	return 0;
}

void gunzip_free(struct gunzip *gunzip)
{
	free(gunzip);
}

static const char *isal_text(int code)
{
	switch (code) {
	case ISAL_INVALID_BLOCK:
		return "invalid block";
	case ISAL_INVALID_SYMBOL:
		return "invalid symbol";
	case ISAL_INVALID_LOOKBACK:
		return "invalid distance too far back";
	case ISAL_INVALID_WRAPPER:
		return "incorrect header";
	case ISAL_UNSUPPORTED_METHOD:
		return "unknown compression method";
	case ISAL_INCORRECT_CHECKSUM:
		return "incorrect checksum or length";
	default:
		return NULL;
	}
}

int gunzip_step(struct gunzip *gunzip, struct gunzip_buffers *b, enum gunzip_state *ret, const char **ret_why)
{
	struct inflate_state *s = &gunzip->state;
	uint32_t out_len = b->out_len < UINT32_MAX ? (uint32_t)b->out_len : UINT32_MAX;
	int code;

	*ret_why = NULL;
	s->next_in = (uint8_t *)b->in; /* it is only read */
	s->avail_in = b->in_len < UINT32_MAX ? (uint32_t)b->in_len : UINT32_MAX;
	s->next_out = b->out;
	s->avail_out = out_len;
	code = isal_inflate(s);
	b->in_len -= (size_t)(s->next_in - b->in);
	b->in = s->next_in;
	b->out += out_len - s->avail_out;
	b->out_len -= out_len - s->avail_out;
	if (code < 0) {
		*ret_why = isal_text(code);
		return -EBADMSG;
	}
	*ret = s->block_state == ISAL_BLOCK_FINISH ? GUNZIP_END : GUNZIP_MORE;
	if (*ret == GUNZIP_END)
		isal_inflate_reset(s);
	return 0;
}

#else

#include <zlib.h>

struct gunzip {
	z_stream z;
};

int gunzip_new(struct diag *diag, struct gunzip **ret)
{
	*ret = calloc(1, sizeof(**ret));
	if (!*ret)
		return -ENOMEM;
	if (inflateInit2(&(*ret)->z, 15 + 16) == Z_OK) /* 16: gzip, not zlib */
		return 0;
	free(*ret);
	*ret = NULL;
	return -ENOMEM;
}

void gunzip_free(struct gunzip *gunzip)
{
	if (!gunzip)
		return;
	inflateEnd(&gunzip->z);
	free(gunzip);
}

int gunzip_step(struct gunzip *gunzip, struct gunzip_buffers *b, enum gunzip_state *ret, const char **ret_why)
{
	z_stream *z = &gunzip->z;
	uInt out_len = b->out_len < UINT32_MAX ? (uInt)b->out_len : UINT32_MAX;
	int code;

	*ret_why = NULL;
	z->next_in = (Bytef *)b->in; /* it is only read */
	z->avail_in = b->in_len < UINT32_MAX ? (uInt)b->in_len : UINT32_MAX;
	z->next_out = b->out;
	z->avail_out = out_len;
	code = inflate(z, Z_NO_FLUSH);
	b->in_len -= (size_t)(z->next_in - b->in);
	b->in = z->next_in;
	b->out += out_len - z->avail_out;
	b->out_len -= out_len - z->avail_out;
	if (code == Z_MEM_ERROR)
		return -ENOMEM;
	if (code != Z_OK && code != Z_STREAM_END && code != Z_BUF_ERROR) {
		*ret_why = z->msg;
		return -EBADMSG;
	}
	*ret = code == Z_STREAM_END ? GUNZIP_END : GUNZIP_MORE;
	if (*ret == GUNZIP_END)
		inflateReset(z);
	return 0;
}

#endif

void gunzip_freep(struct gunzip **gunzip)
{
	int saved = errno;

	gunzip_free(*gunzip);
	errno = saved;
}
