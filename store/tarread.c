/* SPDX-License-Identifier: Apache-2.0 */
#include "store/tarread.h"

#include "store/base/auto.h"
#include "store/base/io.h"
#include "store/framing.h"
#include "store/ovl.h"
#include "store/pax.h"
#include "store/tarattr.h"
#include "store/tarwrite.h"

#include <inttypes.h>
#include <limits.h>
#include <locale.h>
#include <string.h>

enum {
	/* Files up to this size are hashed and compared in memory: one that the store has is never written. */
	FILE_MEMORY_BYTES = 8 * 1024 * 1024,
	NAME_SHOWN_BYTES = 300, /* of an entry's name in messages: the reason must stay in sight */
};

struct reader {
	struct stage *stage;		   /* borrowed */
	struct unpack *unpack;		   /* borrowed */
	const char *name;		   /* borrowed */
	const struct store_limits *limits; /* borrowed; NULL: none */
	uint64_t entries, file_bytes;	   /* so far */
	struct diag *diag;		   /* borrowed; may be NULL */
	struct framing *framing;	   /* owned; NULL: only rows are wanted */
	struct block *held[2];		   /* without a framing: the block that libarchive is in, and the one before */
	struct tree *tree;		   /* owned */
	struct archive *archive;	   /* owned */
	struct tar_attrs attrs;
	struct sink sink;
	int stream_error;	     /* of the callback; libarchive only knows that there was one */
	uint64_t fed;		     /* bytes of the stream so far */
	bool blank;		     /* it begins with a header's length of zeros, as only an empty archive does */
	locale_t locale, old_locale; /* owned, borrowed */
};

/*
 * An archive that begins with its end is an empty one.  With anything but zeros behind that it is none: the image of a
 * disk, of which libarchive would say that all is well.
 */
static int check_blank(struct reader *rd, const struct block *block)
{
	if (rd->fed == 0)
		rd->blank = block->len >= TAR_BLOCK_BYTES && io_is_zero(block->data, TAR_BLOCK_BYTES);
	rd->fed += block->len;
	if (!rd->blank || io_is_zero(block->data, block->len))
		return 0;
	return diag_set(rd->diag, -EBADMSG,
			"%s: it is not a tar archive: there is more behind the end that it begins with", rd->name);
}

/* The block is valid until the next call. */
static int keep_block(struct reader *rd, struct block *block)
{
	int r = 0;

	if (rd->framing) {
		r = framing_feed(rd->framing, block);
	} else {
		if (rd->held[1])
			unpack_give_back(rd->unpack, rd->held[1]);
		rd->held[1] = rd->held[0];
		rd->held[0] = block;
	}
	return r < 0 ? r : check_blank(rd, block);
}

static la_ssize_t stream_read(struct archive *a, void *arg, const void **ret)
{
	struct reader *rd = arg;
	struct block *block;
	la_ssize_t n;
	int r = unpack_next(rd->unpack, &block);

	if (r > 0) {
		n = (la_ssize_t)block->len;
		*ret = block->data;
		r = keep_block(rd, block);
		if (r == 0)
			return n;
	}
	if (r == 0)
		return 0;
	rd->stream_error = r;
	archive_set_error(a, -r, "read error");
	return -1;
}

/* ---- errors: every one names archive, entry and place ---- */

static int source_error(struct reader *rd)
{
	const struct diag *diag = unpack_diag(rd->unpack);

	if (diag->text[0])
		return diag_set(rd->diag, rd->stream_error, "%s", diag->text);
	return diag_errno(rd->diag, rd->stream_error, "%s: cannot be read", rd->name);
}

static int archive_error(struct reader *rd, struct archive_entry *entry)
{
	int64_t header = archive_read_header_position(rd->archive);
	/* Of a header that libarchive gave up in the midst of it does not know where it was. */
	int64_t pos = header >= 0 ? header : archive_filter_bytes(rd->archive, 0);
	const char *text = archive_error_string(rd->archive);
	const char *path = entry ? archive_entry_pathname(entry) : NULL;

	if (rd->stream_error)
		return source_error(rd);
	if (archive_errno(rd->archive) == ENOMEM)
		return -ENOMEM;
	if (rd->fed == 0)
		return diag_set(rd->diag, -EBADMSG, "%s: it is empty", rd->name);
	if (archive_format(rd->archive) == 0)
		return diag_set(rd->diag, -EBADMSG, "%s: it is not a tar archive", rd->name);
	return diag_set(rd->diag, -EBADMSG, "%s: %s%.*s%sdamaged or truncated at byte %" PRId64 ": %s", rd->name,
			path ? "entry \"" : "", NAME_SHOWN_BYTES, path ? path : "", path ? "\" is " : "", pos,
			text ? text : "unknown error");
}

static int refuse(struct reader *rd, struct archive_entry *entry, int err, const struct diag *why)
{
	const char *path = archive_entry_pathname(entry);

	if (err == 0)
		return 0;
	return diag_set(rd->diag, err, "%s: entry \"%.*s\" at byte %" PRId64 ": %s", rd->name, NAME_SHOWN_BYTES,
			path ? path : "", (int64_t)archive_read_header_position(rd->archive), diag_text(why, err));
}

/* ---- content ---- */

static int read_content(struct reader *rd, struct archive_entry *entry, uint32_t no, struct tree_entry *e,
			struct diag *why)
{
	for (;;) {
		const void *bytes;
		size_t len;
		la_int64_t offset;
		uint64_t pos;
		int r = archive_read_data_block(rd->archive, &bytes, &len, &offset);

		if (r == ARCHIVE_EOF)
			break;
		if (r != ARCHIVE_OK)
			return archive_error(rd, entry);
		/* What is read counts as consumed at the next call: this is where the bytes begin. */
		pos = (uint64_t)archive_filter_bytes(rd->archive, 0);
		if ((uint64_t)offset < rd->sink.size || (uint64_t)offset + len > e->size)
			return diag_set(why, -EBADMSG, "its data does not fit its size");
		r = sink_zeros(&rd->sink, (uint64_t)offset - rd->sink.size);
		if (r == 0)
			r = sink_add(&rd->sink, bytes, len);
		if (r == 0)
			r = framing_file(rd->framing, pos, bytes, len, no, (uint64_t)offset);
		if (r < 0)
			return r;
	}
	return sink_zeros(&rd->sink, e->size - rd->sink.size);
}

static int read_file(struct reader *rd, struct archive_entry *entry, uint32_t no, struct tree_entry *e,
		     struct diag *why)
{
	int r;

	e->size = (uint64_t)archive_entry_size(entry);
	if (e->size > INT64_MAX)
		return diag_set(why, -EBADMSG, "it has a negative size");
	rd->file_bytes += e->size;
	if (rd->limits && rd->limits->bytes && rd->file_bytes > rd->limits->bytes)
		return diag_set(why, -EFBIG, "with it the files have more than the allowed %" PRIu64 " bytes",
				rd->limits->bytes);
	if (!rd->framing)
		return archive_read_data_skip(rd->archive) == ARCHIVE_OK ? 0 : archive_error(rd, entry);
	r = read_content(rd, entry, no, e, why);
	return r < 0 ? r : sink_finish(&rd->sink, &e->content);
}

/* ---- times before 1970 ---- */

static size_t peek(const struct reader *rd, uint64_t pos, char *to, size_t len)
{
	size_t done = 0;

	if (rd->framing)
		return framing_peek(rd->framing, pos, to, len);
	for (size_t i = ARRAY_SIZE(rd->held); i-- > 0;) {
		if (rd->held[i])
			done += block_peek(rd->held[i], pos + done, to + done, len - done);
	}
	return done;
}

/* The last "mtime" of the records in @text, which it takes apart. */
static void find_mtime(char *text, size_t bytes, const char **ret)
{
	char *at = text;
	struct pax_record record;

	while (pax_next(&at, text + bytes, &record) > 0) {
		if (strcmp(record.key, "mtime") == 0)
			*ret = record.value;
	}
}

/* What stands in @headers before the entry's own one: 'x' is pax, 'g' counts for no time, 'L' and 'K' are GNU's names. */
static void walk_headers(char *headers, size_t bytes, const char **ret)
{
	for (size_t at = 0; at + TAR_BLOCK_BYTES <= bytes;) {
		const struct tar_ustar *h = (const struct tar_ustar *)(headers + at);
		char *text = headers + at + TAR_BLOCK_BYTES, size_text[sizeof(h->size) + 1] = { 0 };
		uint64_t size;

		if (!h->typeflag || !strchr("xgLK", h->typeflag))
			return;
		memcpy(size_text, h->size, sizeof(h->size));
		size = strtoull(size_text, NULL, 8);
		at += TAR_BLOCK_BYTES;
		/* Behind it there is another header at least, so that its text can be ended. */
		if (size >= bytes - at)
			return;
		at += (size_t)size + tar_padding(size);
		if (h->typeflag == 'x') {
			char after = text[size];

			text[size] = '\0';
			find_mtime(text, (size_t)size, ret);
			text[size] = after;
		}
	}
}

/*
 * libarchive takes the minus of "-1.5" for the seconds alone, so that it becomes -1 + 0.5; of "-0.5" it
 * leaves nothing to see; of what is no number it takes the digits that it begins with, or 0. Where that can have
 * happened, the header says what is meant; one that means nothing is refused, as Go's archive/tar does.
 */
static int correct_mtime(struct reader *rd, struct archive_entry *entry, struct tree_entry *e, struct diag *why)
{
	uint64_t start = (uint64_t)archive_read_header_position(rd->archive);
	uint64_t end = (uint64_t)archive_filter_bytes(rd->archive, 0);
	AUTO(freep) char *headers = NULL;
	const char *mtime = NULL;
	size_t bytes;

	if ((archive_entry_mtime(entry) > 0 && archive_entry_mtime_nsec(entry) != 0) ||
	    end <= start + TAR_BLOCK_BYTES || end - start > UNPACK_BLOCK_BYTES)
		return 0;
	headers = malloc((size_t)(end - start));
	if (!headers)
		return -ENOMEM;
	bytes = peek(rd, start, headers, (size_t)(end - start));
	walk_headers(headers, bytes, &mtime);
	if (mtime && *mtime && !pax_is_time(mtime) && !rd->attrs.known)
		return diag_set(why, -EBADMSG, "its time is no number: \"%.64s\"", mtime);
	if (mtime && *mtime == '-')
		e->mtime_ns = pax_time_ns(mtime);
	return 0;
}

/* ---- entries ---- */

static int put_symlink(struct reader *rd, struct archive_entry *entry, const struct tree_place *place,
		       struct tree_entry *e, struct diag *why)
{
	e->target = archive_entry_symlink(entry);
	if (!e->target || !*e->target)
		return diag_set(why, -EBADMSG, "it is a symbolic link to nothing");
	e->size = strlen(e->target);
	if (e->size >= PATH_MAX)
		return diag_set(why, -EBADMSG, "its target is longer than %d bytes", PATH_MAX - 1);
	return tree_put(rd->tree, place, e, why);
}

static int put_entry(struct reader *rd, struct archive_entry *entry, const struct tree_place *place, struct diag *why)
{
	struct tree_entry e = { .mode = (uint32_t)archive_entry_mode(entry) };
	const char *link = archive_entry_hardlink(entry);
	int r;

	if (link)
		return tree_link(rd->tree, place, link, why);
	r = tar_attrs_read(&rd->attrs, entry, why, &e);
	if (r == 0)
		r = correct_mtime(rd, entry, &e, why);
	if (r < 0)
		return r;
	switch (e.mode & S_IFMT) {
	case S_IFREG:
		r = read_file(rd, entry, place->no, &e, why);
		break;
	case S_IFLNK:
		return put_symlink(rd, entry, place, &e, why);
	case S_IFCHR:
		if (ovl_is_whiteout_mode(e.mode, e.rdev))
			return tree_whiteout(rd->tree, place);
		break;
	case S_IFBLK:
	case S_IFIFO:
	case S_IFSOCK:
	case S_IFDIR:
		break;
	default:
		return diag_set(why, -EBADMSG, "it has no type that a file can have");
	}
	return r < 0 ? r : tree_put(rd->tree, place, &e, why);
}

static int read_entry(struct reader *rd, struct archive_entry *entry)
{
	const char *path = archive_entry_pathname(entry);
	struct tree_place place;
	struct diag why = { 0 };
	int r = tree_place(rd->tree, path ? path : "", archive_entry_filetype(entry) == AE_IFDIR, &why, &place);

	if (r == 0 && place.kind == TREE_ENTRY)
		r = put_entry(rd, entry, &place, &why);
	if (r < 0 && rd->stream_error)
		return source_error(rd);
	return refuse(rd, entry, r, &why);
}

/*
 * libarchive warns of names that the locale cannot show, which are bytes to us,
 * and of headers that it made the best of, which are damage to us.
 */
static bool harmless_warning(struct archive *a)
{
	const char *text = archive_error_string(a);

	return text && strstr(text, "current locale");
}

static int read_entries(struct reader *rd)
{
	for (;;) {
		struct archive_entry *entry = NULL;
		int r = archive_read_next_header(rd->archive, &entry);

		if (r == ARCHIVE_EOF)
			return 0;
		if (r != ARCHIVE_OK && !(r == ARCHIVE_WARN && harmless_warning(rd->archive)))
			return archive_error(rd, entry);
		if (rd->limits && rd->limits->entries && ++rd->entries > rd->limits->entries)
			return diag_set(rd->diag, -EFBIG, "%s: it has more than the allowed %" PRIu64 " entries",
					rd->name, rd->limits->entries);
		r = read_entry(rd, entry);
		if (r < 0)
			return r;
	}
}

/*
 * What follows the end of the archive belongs to the stream and so to the diff
 * ID.  Usually it is zeros, up to a record of 10 KiB; docker takes anything.
 */
static int read_tail(struct reader *rd)
{
	struct block *block;
	int r;

	while ((r = unpack_next(rd->unpack, &block)) > 0) {
		r = keep_block(rd, block);
		if (r < 0)
			return r;
	}
	if (r < 0) {
		rd->stream_error = r;
		return source_error(rd);
	}
	return 0;
}

/* ---- begin and end ---- */

static int reader_init(struct reader *rd, bool contents)
{
	int r = libarchive_load(rd->diag);

	if (r == 0)
		r = tree_new(rd->stage, &rd->tree);
	if (r == 0 && contents)
		r = framing_new(rd->stage, rd->unpack, &rd->framing);
	if (r == 0 && contents)
		r = sink_init(&rd->sink, rd->stage, FILE_MEMORY_BYTES);
	if (r < 0)
		return r;
	rd->attrs.without_acls = rd->attrs.known = !contents;
	/*
	 * libarchive converts pax names from UTF-8 to the locale's charset, and on the way composes what was
	 * decomposed. In the C locale that fails for all but ASCII, and it then gives the bytes as they are.
	 */
	rd->locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
	rd->archive = archive_read_new();
	if (!rd->locale || !rd->archive)
		return -ENOMEM;
	rd->old_locale = uselocale(rd->locale);
	archive_read_support_format_tar(rd->archive);
	return 0;
}

static void reader_release(struct reader *rd)
{
	if (rd->archive)
		archive_read_free(rd->archive);
	if (rd->old_locale)
		uselocale(rd->old_locale);
	if (rd->locale)
		freelocale(rd->locale);
	tar_attrs_release(&rd->attrs);
	sink_release(&rd->sink);
	tree_free(rd->tree);
	framing_free(rd->framing);
	for (size_t i = 0; i < ARRAY_SIZE(rd->held); i++) {
		if (rd->held[i])
			unpack_give_back(rd->unpack, rd->held[i]);
	}
}

static int read_all(struct reader *rd, struct tree_totals *ret)
{
	int r = 0;

	if (archive_read_open(rd->archive, rd, NULL, stream_read, NULL) != ARCHIVE_OK)
		r = archive_error(rd, NULL);
	if (r == 0)
		r = read_entries(rd);
	if (r == 0)
		r = read_tail(rd);
	return r == 0 ? tree_finish(rd->tree, ret) : r;
}

int tar_read(struct stage *stage, struct unpack *unpack, const char *name, const struct store_limits *limits,
	     struct diag *diag, struct tar_result *ret)
{
	AUTO(reader_release)
	struct reader rd = { .stage = stage, .unpack = unpack, .name = name, .limits = limits, .diag = diag };
	int r = reader_init(&rd, true);

	if (r == 0)
		r = read_all(&rd, &ret->totals);
	ret->left_out = rd.attrs.left_out;
	return r == 0 ? framing_finish(rd.framing, &ret->framing) : r;
}

int tar_read_rows(struct stage *stage, struct unpack *unpack, const char *name, struct diag *diag,
		  struct tree_totals *ret)
{
	AUTO(reader_release) struct reader rd = { .stage = stage, .unpack = unpack, .name = name, .diag = diag };
	int r = reader_init(&rd, false);

	return r == 0 ? read_all(&rd, ret) : r;
}
