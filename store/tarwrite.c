/* SPDX-License-Identifier: Apache-2.0 */
#include "store/tarwrite.h"

#include "store/base/auto.h"
#include "store/pax.h"

#include <string.h>
#include <sys/sysmacros.h>

enum {
	ID_MAX = 07777777, /* seven octal digits */
};
#define SIZE_FIELD_MAX 077777777777ull /* eleven */

/* @digits octal digits and a NUL; what does not fit is in a pax record, and 0 here. */
static void put_octal(char *field, int digits, uint64_t value)
{
	field[digits] = '\0';
	for (int i = digits - 1; i >= 0; i--) {
		field[i] = (char)('0' + (value & 7));
		value >>= 3;
	}
	if (value != 0)
		memset(field, '0', (size_t)digits);
}

/* Up to @room bytes; a field that is full has no NUL. */
static void put_text(char *field, size_t room, const char *text)
{
	size_t len = strlen(text);

	memcpy(field, text, len < room ? len : room);
}

static void put_checksum(struct tar_ustar *h)
{
	const unsigned char *p = (const unsigned char *)h;
	unsigned sum = 0;

	memset(h->checksum, ' ', sizeof(h->checksum));
	for (size_t i = 0; i < sizeof(*h); i++)
		sum += p[i];
	/* Six digits, NUL, space: the form POSIX's examples and all writers have. */
	put_octal(h->checksum, 6, sum);
	h->checksum[7] = ' ';
}

/* "LENGTH KEY=VALUE\n", where LENGTH counts itself too. */
static void pax_record(struct buf *out, const char *key, const void *value, size_t bytes)
{
	size_t body = 1 + strlen(key) + 1 + bytes + 1;
	size_t digits = 1, total;

	for (;;) {
		char text[24];

		total = digits + body;
		if ((size_t)snprintf(text, sizeof(text), "%zu", total) == digits)
			break;
		digits++;
	}
	buf_addf(out, "%zu %s=", total, key);
	buf_add(out, value, bytes);
	buf_adds(out, "\n");
}

static void pax_text(struct buf *out, const char *key, const char *value)
{
	pax_record(out, key, value, strlen(value));
}

static void pax_number(struct buf *out, const char *key, uint64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
	pax_text(out, key, text);
}

/* Decimal seconds, the fraction without zeros at its end. */
static void pax_time(struct buf *out, const char *key, int64_t ns)
{
	char text[40];
	uint64_t abs_ns = ns < 0 ? -(uint64_t)ns : (uint64_t)ns;
	size_t len;

	len = (size_t)snprintf(text, sizeof(text), "%s%llu.%09llu", ns < 0 ? "-" : "",
			       (unsigned long long)(abs_ns / TAR_NS_PER_SECOND),
			       (unsigned long long)(abs_ns % TAR_NS_PER_SECOND));
	while (text[len - 1] == '0')
		text[--len] = '\0';
	if (text[len - 1] == '.')
		text[--len] = '\0';
	pax_text(out, key, text);
}

/* As pax.h says. */
static void pax_xattr(struct buf *out, const struct xattr *x)
{
	AUTO(buf_release) struct buf key = { 0 };

	bool escape = strchr(x->name, '=') || pax_xattr_is_escaped(x->name);

	buf_adds(&key, "SCHILY.xattr.");
	for (const char *p = x->name; *p; p++) {
		if (escape && *p == '=')
			buf_adds(&key, "%3D");
		else if (escape && *p == '%')
			buf_adds(&key, "%25");
		else
			buf_add(&key, p, 1);
	}
	if (buf_error(&key) < 0)
		out->failed = true;
	else
		pax_record(out, buf_str(&key), x->value, x->bytes);
}

/* Well-formed UTF-8; over-long forms and surrogates are not looked for, no reader of tars does. */
static bool is_utf8(const char *text)
{
	const unsigned char *p = (const unsigned char *)text;

	while (*p) {
		int more = *p < 0x80		     ? 0
			   : *p >= 0xc2 && *p < 0xe0 ? 1
			   : (*p & 0xf0) == 0xe0     ? 2
			   : *p >= 0xf0 && *p < 0xf5 ? 3
						     : -1;

		if (more < 0)
			return false;
		for (p++; more > 0; more--, p++)
			if ((*p & 0xc0) != 0x80)
				return false;
	}
	return true;
}

static bool time_fits(int64_t ns)
{
	return ns >= 0 && ns % TAR_NS_PER_SECOND == 0; /* the years of int64_t nanoseconds end long before the field */
}

static void pax_records(struct buf *out, const struct tar_entry *entry, const char *path)
{
	bool long_path = strlen(path) > sizeof(((struct tar_ustar *)0)->name);
	bool long_target = entry->target && strlen(entry->target) > sizeof(((struct tar_ustar *)0)->linkname);

	if ((long_path && !is_utf8(path)) || (long_target && !is_utf8(entry->target)))
		pax_text(out, "hdrcharset", "BINARY");
	if (long_path)
		pax_text(out, "path", path);
	if (long_target)
		pax_text(out, "linkpath", entry->target);
	if (!entry->hard_link && S_ISREG(entry->mode) && entry->size > SIZE_FIELD_MAX)
		pax_number(out, "size", entry->size);
	if (entry->uid > ID_MAX)
		pax_number(out, "uid", entry->uid);
	if (entry->gid > ID_MAX)
		pax_number(out, "gid", entry->gid);
	if (!time_fits(entry->mtime_ns))
		pax_time(out, "mtime", entry->mtime_ns);
	for (size_t i = 0; entry->xattrs && i < entry->xattrs->count; i++)
		pax_xattr(out, &entry->xattrs->items[i]);
}

static void add_header(struct buf *out, struct tar_ustar *h)
{
	memcpy(h->magic, "ustar", 6);
	memcpy(h->version, "00", 2);
	put_checksum(h);
	buf_add(out, h, sizeof(*h));
}

static void add_padding(struct buf *out, uint64_t size)
{
	static const char zeros[TAR_BLOCK_BYTES];

	buf_add(out, zeros, tar_padding(size));
}

/* The 'x' entry; nothing if there is nothing to say. */
static void add_pax_header(struct buf *out, const struct tar_entry *entry, const char *path)
{
	AUTO(buf_release) struct buf records = { 0 };
	struct tar_ustar h = { 0 };
	char name[sizeof(h.name)];
	const char *base = strrchr(entry->path, '/');

	pax_records(&records, entry, path);
	if (records.failed) {
		out->failed = true;
		return;
	}
	if (records.len == 0)
		return;
	snprintf(name, sizeof(name), "PaxHeaders.0/%s", base ? base + 1 : entry->path);
	put_text(h.name, sizeof(h.name), name);
	put_octal(h.mode, 7, 0644);
	put_octal(h.uid, 7, 0);
	put_octal(h.gid, 7, 0);
	put_octal(h.size, 11, records.len);
	put_octal(h.mtime, 11, 0);
	h.typeflag = 'x';
	put_octal(h.devmajor, 7, 0);
	put_octal(h.devminor, 7, 0);
	add_header(out, &h);
	buf_add(out, records.data, records.len);
	add_padding(out, records.len);
}

static char type_flag(const struct tar_entry *entry)
{
	if (entry->hard_link)
		return '1';
	switch (entry->mode & S_IFMT) {
	case S_IFREG:
		return '0';
	case S_IFLNK:
		return '2';
	case S_IFCHR:
		return '3';
	case S_IFBLK:
		return '4';
	case S_IFDIR:
		return '5';
	case S_IFIFO:
		return '6';
	default:
		return '\0';
	}
}

static void fill_header(struct tar_ustar *h, const struct tar_entry *entry, const char *path)
{
	bool device = !entry->hard_link && (S_ISCHR(entry->mode) || S_ISBLK(entry->mode));

	put_text(h->name, sizeof(h->name), path);
	put_octal(h->mode, 7, entry->mode & 07777);
	put_octal(h->uid, 7, entry->uid);
	put_octal(h->gid, 7, entry->gid);
	put_octal(h->size, 11, h->typeflag == '0' ? entry->size : 0);
	put_octal(h->mtime, 11, entry->mtime_ns < 0 ? 0 : (uint64_t)(entry->mtime_ns / TAR_NS_PER_SECOND));
	if (entry->target)
		put_text(h->linkname, sizeof(h->linkname), entry->target);
	put_octal(h->devmajor, 7, device ? major(entry->rdev) : 0);
	put_octal(h->devminor, 7, device ? minor(entry->rdev) : 0);
}

int tar_header(struct buf *out, const struct tar_entry *entry)
{
	AUTO(buf_release) struct buf path = { 0 };
	struct tar_ustar h = { .typeflag = type_flag(entry) };

	if (!h.typeflag)
		return -EINVAL;
	buf_adds(&path, entry->path);
	if (h.typeflag == '5')
		buf_adds(&path, "/");
	if (buf_error(&path) < 0)
		return -ENOMEM;
	add_pax_header(out, entry, buf_str(&path));
	fill_header(&h, entry, buf_str(&path));
	add_header(out, &h);
	return buf_error(out);
}

void tar_end(struct buf *out)
{
	static const char zeros[2 * TAR_BLOCK_BYTES];

	buf_add(out, zeros, sizeof(zeros));
}
