/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"

#include "store/pax.h"
#include "store/base/digest.h"
#include "store/tarwrite.h"

#include <archive.h>
#include <archive_entry.h>
#include <sys/sysmacros.h>

/* libarchive reads what was written: the fields come back. */
struct reader {
	struct archive *a;
	struct archive_entry *entry;
};

static void read_one(struct buf *out, struct reader *r)
{
	assert_int_equal(buf_error(out), 0);
	assert_int_equal(out->len % TAR_BLOCK_BYTES, 0);
	r->a = archive_read_new();
	archive_read_support_format_tar(r->a);
	assert_int_equal(archive_read_open_memory(r->a, out->data, out->len), ARCHIVE_OK);
	assert_int_equal(archive_read_next_header(r->a, &r->entry), ARCHIVE_OK);
}

static void check(const struct tar_entry *entry, size_t blocks, struct buf *out, struct reader *r)
{
	assert_int_equal(tar_header(out, entry), 0);
	assert_int_equal(out->len, blocks * TAR_BLOCK_BYTES);
	tar_end(out);
	read_one(out, r);
	assert_int_equal(archive_entry_perm(r->entry), entry->mode & 07777);
	assert_int_equal(archive_entry_uid(r->entry), entry->uid);
	assert_int_equal(archive_entry_gid(r->entry), entry->gid);
}

static void finish(struct buf *out, struct reader *r)
{
	archive_read_free(r->a);
	buf_release(out);
}

static void a_plain_file_needs_one_block(void **state)
{
	struct tar_entry entry = {
		.path = "etc/motd", .mode = S_IFREG | 0644, .uid = 1, .gid = 2, .mtime_ns = 1700000000000000000
	};
	struct buf out = { 0 };
	struct reader r;

	check(&entry, 1, &out, &r);
	assert_string_equal(archive_entry_pathname(r.entry), "etc/motd");
	assert_int_equal(archive_entry_mtime(r.entry), 1700000000);
	assert_int_equal(archive_entry_filetype(r.entry), AE_IFREG);
	assert_string_equal(archive_entry_uname(r.entry) ? archive_entry_uname(r.entry) : "", "");
	finish(&out, &r);
}

/* The bytes are what diff IDs hang on: a change here changes every commit. */
static void the_form_never_changes(void **state)
{
	static const char expected[] = "sha256:a5045826f3ff8a034fbf3a23dfeef38bedf58f0fa9503a7ef9030cf3b110fdde";
	char capability[] = "security.capability", value[] = "\1\0\0\2", name[] = "user.a", b[] = "b";
	struct xattr items[] = { { capability, value, 4 }, { name, b, 1 } };
	struct xattr_list xattrs = { items, 2 };
	struct tar_entry entry = { .path = "a/b",
				   .mode = S_IFREG | 04755,
				   .uid = 3000000,
				   .gid = 7,
				   .mtime_ns = 1700000000123456789,
				   .xattrs = &xattrs };
	AUTO(buf_release) struct buf out = { 0 };
	char text[DIGEST_TEXT_BYTES];
	struct digest digest;

	assert_int_equal(tar_header(&out, &entry), 0);
	tar_end(&out);
	assert_int_equal(digest_of(out.data, out.len, &digest), 0);
	assert_string_equal(digest_format(&digest, text), expected);
}

static void directories_end_with_a_slash(void **state)
{
	struct tar_entry entry = { .path = "etc", .mode = S_IFDIR | 01777 };
	struct buf out = { 0 };
	struct reader r;

	check(&entry, 1, &out, &r);
	assert_string_equal(archive_entry_pathname(r.entry), "etc/");
	assert_int_equal(archive_entry_filetype(r.entry), AE_IFDIR);
	finish(&out, &r);
}

static void names_up_to_100_bytes_stay_in_the_header(void **state)
{
	char name[256];
	struct tar_entry entry = { .path = name, .mode = S_IFREG };

	for (size_t len = 99; len <= 102; len++) {
		struct buf out = { 0 };
		struct reader r;

		memset(name, 'n', len);
		name[len] = '\0';
		check(&entry, len <= 100 ? 1 : 3, &out, &r);
		assert_string_equal(archive_entry_pathname(r.entry), name);
		finish(&out, &r);
	}
}

static void long_names_of_any_bytes_come_back(void **state)
{
	char name[300], target[400];
	struct tar_entry entry = { .path = name, .target = target, .mode = S_IFLNK | 0777 };
	struct buf out = { 0 };
	struct reader r;

	memset(name, 'd', 255);
	strcpy(name + 255, "/\xff\xfe latin");
	memset(target, 't', 300);
	strcpy(target + 300, "\xe9nd");
	check(&entry, 4, &out, &r);
	assert_string_equal(archive_entry_pathname(r.entry), name);
	assert_string_equal(archive_entry_symlink(r.entry), target);
	finish(&out, &r);
}

static void every_length_of_a_record_counts_itself_right(void **state)
{
	char value[2048];
	struct xattr item = { (char *)"user.x", value, 0 };
	struct xattr_list xattrs = { &item, 1 };
	struct tar_entry entry = { .path = "f", .mode = S_IFREG, .xattrs = &xattrs };

	memset(value, '\n', sizeof(value));
	for (item.bytes = 0; item.bytes < 1100; item.bytes++) {
		AUTO(buf_release) struct buf out = { 0 };
		struct reader r;
		const char *name;
		const void *found;
		size_t bytes;

		assert_int_equal(tar_header(&out, &entry), 0);
		tar_end(&out);
		read_one(&out, &r);
		archive_entry_xattr_reset(r.entry);
		assert_int_equal(archive_entry_xattr_next(r.entry, &name, &found, &bytes), ARCHIVE_OK);
		assert_string_equal(name, "user.x");
		assert_int_equal(bytes, item.bytes);
		assert_memory_equal(found, value, bytes);
		archive_read_free(r.a);
	}
}

/* A name of its own, and as a keyword has it. */
static void expect_xattr_name(const char *own, const char *escaped)
{
	struct xattr item = { (char *)own, (char *)"v", 1 };
	struct xattr_list xattrs = { &item, 1 };
	struct tar_entry entry = { .path = "f", .mode = S_IFREG, .xattrs = &xattrs };
	AUTO(buf_release) struct buf out = { 0 };
	struct reader r;
	const char *name;
	const void *found;
	size_t bytes;
	char text[64];

	assert_int_equal(tar_header(&out, &entry), 0);
	tar_end(&out);
	read_one(&out, &r);
	archive_entry_xattr_reset(r.entry);
	assert_int_equal(archive_entry_xattr_next(r.entry, &name, &found, &bytes), ARCHIVE_OK);
	assert_string_equal(name, escaped);
	snprintf(text, sizeof(text), "%s", name);
	pax_xattr_unescape(text);
	assert_string_equal(text, own);
	archive_read_free(r.a);
}

static void names_of_xattrs_come_back_whatever_is_in_them(void **state)
{
	expect_xattr_name("user.a=b", "user.a%3Db");
	expect_xattr_name("user.=%=", "user.%3D%25%3D");
	/* What podman and docker write and read as it is. */
	expect_xattr_name("user.100%", "user.100%");
	expect_xattr_name("user.%25x%3d", "user.%25x%3d");
	expect_xattr_name("user.a%3Db", "user.a%253Db");
	expect_xattr_name("user.a%253Db%41", "user.a%25253Db%2541");
}

static void large_numbers_come_back(void **state)
{
	struct tar_entry entry = { .path = "big",
				   .mode = S_IFREG | 0600,
				   .uid = UINT32_MAX,
				   .gid = 2097152,
				   .size = 1ull << 40,
				   .mtime_ns = 999999999 };
	struct buf out = { 0 };
	struct reader r;

	check(&entry, 3, &out, &r);
	assert_int_equal(archive_entry_size(r.entry), entry.size);
	assert_int_equal(archive_entry_mtime(r.entry), 0);
	assert_int_equal(archive_entry_mtime_nsec(r.entry), 999999999);
	finish(&out, &r);
}

static void expect_record(int64_t mtime_ns, const char *record)
{
	struct tar_entry entry = { .path = "f", .mode = S_IFREG, .mtime_ns = mtime_ns };
	AUTO(buf_release) struct buf out = { 0 };

	assert_int_equal(tar_header(&out, &entry), 0);
	if (!record) {
		assert_int_equal(out.len, TAR_BLOCK_BYTES);
		return;
	}
	assert_int_equal(out.len, 3 * TAR_BLOCK_BYTES);
	assert_string_equal(out.data + TAR_BLOCK_BYTES, record);
}

static void times_are_decimal_without_zeros_at_the_end(void **state)
{
	expect_record(0, NULL);
	expect_record(7000000000, NULL);
	expect_record(1500000000, "13 mtime=1.5\n");
	expect_record(1, "21 mtime=0.000000001\n");
	expect_record(-1000000000, "12 mtime=-1\n");
	expect_record(-1500000000, "14 mtime=-1.5\n");
	expect_record(-1, "22 mtime=-0.000000001\n");
	expect_record(INT64_MIN, "31 mtime=-9223372036.854775808\n");
}

static void devices_keep_their_numbers(void **state)
{
	struct tar_entry entry = { .path = "dev/x", .mode = S_IFBLK | 0660, .rdev = makedev(4095, 1048575) };
	struct buf out = { 0 };
	struct reader r;

	check(&entry, 1, &out, &r);
	assert_int_equal(archive_entry_rdevmajor(r.entry), 4095);
	assert_int_equal(archive_entry_rdevminor(r.entry), 1048575);
	finish(&out, &r);
}

static void hard_links_have_no_data(void **state)
{
	struct tar_entry entry = { .path = "b", .target = "a", .hard_link = true, .mode = S_IFREG | 0644, .size = 99 };
	struct buf out = { 0 };
	struct reader r;

	check(&entry, 1, &out, &r);
	assert_string_equal(archive_entry_hardlink(r.entry), "a");
	assert_int_equal(archive_entry_size(r.entry), 0);
	finish(&out, &r);
}

static void sockets_are_refused(void **state)
{
	AUTO(buf_release) struct buf out = { 0 };

	assert_int_equal(tar_header(&out, &(struct tar_entry){ .path = "s", .mode = S_IFSOCK }), -EINVAL);
	assert_int_equal(out.len, 0);
}

static void padding_fills_the_block(void **state)
{
	assert_int_equal(tar_padding(0), 0);
	assert_int_equal(tar_padding(1), 511);
	assert_int_equal(tar_padding(512), 0);
	assert_int_equal(tar_padding((1ull << 40) + 513), 511);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_plain_file_needs_one_block),
		cmocka_unit_test(the_form_never_changes),
		cmocka_unit_test(directories_end_with_a_slash),
		cmocka_unit_test(names_up_to_100_bytes_stay_in_the_header),
		cmocka_unit_test(long_names_of_any_bytes_come_back),
		cmocka_unit_test(every_length_of_a_record_counts_itself_right),
		cmocka_unit_test(names_of_xattrs_come_back_whatever_is_in_them),
		cmocka_unit_test(large_numbers_come_back),
		cmocka_unit_test(times_are_decimal_without_zeros_at_the_end),
		cmocka_unit_test(devices_keep_their_numbers),
		cmocka_unit_test(hard_links_have_no_data),
		cmocka_unit_test(sockets_are_refused),
		cmocka_unit_test(padding_fills_the_block),
	};

	return cmocka_run_group_tests_name("tarwrite", tests, NULL, NULL);
}
