/* SPDX-License-Identifier: Apache-2.0 */
#include "store_unit.h"

#include <sys/sysmacros.h>

#define WITH_TAR(name)	 AUTO(buf_release) struct buf name = { 0 }
#define WITH_STORE(name) AUTO(store_closep) struct store *name = test_store()

static void an_archive_becomes_rows(void **state)
{
	WITH_STORE(store);
	WITH_TAR(tar);
	struct ingest_result result;
	struct layer_info info;
	struct found f;

	tar_add(&tar, (struct tar_head){ .name = "./", .type = '5', .mode = 0711, .uid = 3 }, NULL, 0);
	tar_dir(&tar, "./bin/");
	tar_add(&tar, (struct tar_head){ .name = "./bin/su", .mode = 04755, .uid = 1, .gid = 2, .mtime = 7 }, "su!", 3);
	tar_symlink(&tar, "bin/sh", "/bin/dash");
	tar_add(&tar, (struct tar_head){ .name = "dev/null", .type = '3', .mode = 0666, .major = 1, .minor = 3 }, NULL,
		0);
	tar_add(&tar, (struct tar_head){ .name = "run/pipe", .type = '6' }, NULL, 0);
	tar_file(&tar, "empty", "");
	tar_end(&tar);
	result = ingest(store, tar.data, tar.len);
	assert_false(result.existed);
	assert_int_equal(result.entries, 9);

	f = must_find(store, result.layer, "");
	assert_int_equal(f.entry.mode, S_IFDIR | 0711);
	assert_int_equal(f.entry.uid, 3);
	assert_int_equal(f.entry.flags, 0);
	assert_int_equal(f.entry.nlink, 5);
	f = must_find(store, result.layer, "bin/su");
	assert_int_equal(f.entry.mode, S_IFREG | 04755);
	assert_int_equal(f.entry.gid, 2);
	assert_int_equal(f.entry.mtime_ns, INT64_C(7000000000));
	assert_int_equal(f.entry.nlink, 1);
	assert_text(store, result.layer, "bin/su", "su!");
	f = must_find(store, result.layer, "bin/sh");
	assert_string_equal(f.target, "/bin/dash");
	assert_int_equal(f.entry.size, 9);
	f = must_find(store, result.layer, "dev/null");
	assert_int_equal(f.entry.rdev, makedev(1, 3));
	assert_int_equal(must_find(store, result.layer, "run").entry.flags, LAYER_IMPLICIT);
	assert_int_equal(must_find(store, result.layer, "run").entry.mode, S_IFDIR | 0755);
	assert_int_equal(must_find(store, result.layer, "empty").entry.content.value, 0);
	assert_int_equal(layer_info(store, result.layer, &info), 0);
	assert_int_equal(info.content_bytes, 3);
	assert_int_equal(info.tar_bytes, tar.len);
	assert_false(info.has_xattrs);
	assert_comes_back(store, &result);
	assert_consistent(store);
}

static int in_order(const struct layer_entry *entry, void *arg)
{
	struct buf *names = arg;

	buf_addf(names, "%s ", entry->name);
	return strcmp(entry->name, "stop") == 0 ? 7 : 0;
}

static void a_scan_is_in_byte_order_and_stops_when_told(void **state)
{
	WITH_STORE(store);
	WITH_TAR(tar);
	WITH_TAR(names);
	struct ingest_result result;

	tar_file(&tar, "b", "1");
	tar_file(&tar, "stop", "1");
	tar_file(&tar, "\xff", "1");
	tar_file(&tar, "B", "1");
	tar_file(&tar, "a", "1");
	tar_end(&tar);
	result = ingest(store, tar.data, tar.len);
	assert_int_equal(layer_scan(store, result.layer, LAYER_ROOT, in_order, &names), 7);
	assert_string_equal(buf_str(&names), "B a b stop ");
}

static void the_same_layer_is_there_once(void **state)
{
	WITH_STORE(store);
	WITH_TAR(tar);
	struct ingest_result first, second;

	tar_file(&tar, "f", "text");
	tar_end(&tar);
	first = ingest(store, tar.data, tar.len);
	second = ingest(store, tar.data, tar.len);
	assert_true(second.existed);
	assert_int_equal(first.layer.value, second.layer.value);
	assert_int_equal(query(store, "SELECT count(*) FROM layer"), 1);
	assert_consistent(store);
}

static void equal_content_is_stored_once_across_layers(void **state)
{
	WITH_STORE(store);
	WITH_TAR(one);
	WITH_TAR(two);
	struct ingest_result a, b;
	char *large = calloc(1, 300000);

	assert_non_null(large);
	memset(large, 'x', 300000);
	tar_file(&one, "f", "same");
	tar_file(&one, "g", "same");
	tar_add(&one, (struct tar_head){ .name = "large" }, large, 300000);
	tar_end(&one);
	tar_file(&two, "h", "same");
	tar_add(&two, (struct tar_head){ .name = "large2" }, large, 300000);
	tar_end(&two);
	a = ingest(store, one.data, one.len);
	b = ingest(store, two.data, two.len);
	assert_int_equal(must_find(store, a.layer, "f").entry.content.value,
			 must_find(store, b.layer, "h").entry.content.value);
	assert_int_equal(query(store, "SELECT count(*) FROM content WHERE size = 4"), 1);
	assert_int_equal(query(store, "SELECT refs FROM content WHERE size = 4"), 3);
	assert_int_equal(query(store, "SELECT count(*) FROM content WHERE size = 300000"), 1);
	assert_int_equal(query(store, "SELECT pack IS NULL FROM content WHERE size = 300000"), 1);
	assert_text(store, b.layer, "h", "same");
	assert_comes_back(store, &b);
	assert_consistent(store);
	free(large);
}

/* XXH3 only finds candidates: with all of its bits taken away every content looks like every other. */
static void contents_with_equal_hashes_both_survive(void **state)
{
	WITH_STORE(store);
	WITH_TAR(tar);
	struct ingest_result result;
	char *large = calloc(2, 200000);

	store_test_weaken_hash(store, 0);
	assert_non_null(large);
	large[200000] = 1;
	tar_file(&tar, "a", "one");
	tar_file(&tar, "b", "two");
	tar_file(&tar, "c", "one");
	tar_add(&tar, (struct tar_head){ .name = "l1" }, large, 200000);
	tar_add(&tar, (struct tar_head){ .name = "l2" }, large + 200000, 200000);
	tar_end(&tar);
	result = ingest(store, tar.data, tar.len);
	assert_text(store, result.layer, "a", "one");
	assert_text(store, result.layer, "b", "two");
	assert_int_equal(query(store, "SELECT count(*) FROM content WHERE size = 3"), 2);
	assert_int_equal(query(store, "SELECT count(*) FROM content WHERE size = 200000"), 2);
	assert_int_equal(query(store, "SELECT count(DISTINCT hash) FROM content"), 1);
	assert_comes_back(store, &result);
	/* Against what the index has, too. */
	buf_release(&tar);
	tar_file(&tar, "d", "new");
	tar_file(&tar, "e", "two");
	tar_end(&tar);
	result = ingest(store, tar.data, tar.len);
	assert_text(store, result.layer, "d", "new");
	assert_text(store, result.layer, "e", "two");
	assert_int_equal(query(store, "SELECT count(*) FROM content WHERE size = 3"), 3);
	assert_consistent(store);
	free(large);
}

static void hard_links_share_an_inode(void **state)
{
	WITH_STORE(store);
	WITH_TAR(tar);
	struct ingest_result result;
	struct found f;

	tar_file(&tar, "d/f", "text");
	tar_hardlink(&tar, "g", "./d/f");
	tar_hardlink(&tar, "d/h", "g");
	tar_hardlink(&tar, "g", "g");
	tar_end(&tar);
	result = ingest(store, tar.data, tar.len);
	f = must_find(store, result.layer, "d/h");
	assert_int_equal(f.entry.no, must_find(store, result.layer, "d/f").entry.no);
	assert_int_equal(f.entry.no, must_find(store, result.layer, "g").entry.no);
	assert_int_equal(f.entry.nlink, 3);
	assert_text(store, result.layer, "g", "text");
	assert_comes_back(store, &result);
	assert_consistent(store);
}

static void whiteouts_become_marks(void **state)
{
	WITH_STORE(store);
	WITH_TAR(tar);
	struct ingest_result result;
	struct layer_id l;

	tar_file(&tar, ".wh.gone", "");
	tar_file(&tar, "opq/.wh..wh..opq", "");
	tar_dir(&tar, "opq");
	tar_add(&tar, (struct tar_head){ .name = "null", .type = '3' }, NULL, 0);
	tar_file(&tar, ".wh..wh.plnk/12.34", "aufs");
	tar_file(&tar, "d/.wh..wh.aufs", "aufs");
	tar_file(&tar, ".wh..hidden", "");
	tar_end(&tar);
	result = ingest(store, tar.data, tar.len);
	l = result.layer;
	assert_int_equal(must_find(store, l, "gone").entry.flags, LAYER_WHITEOUT);
	assert_int_equal(must_find(store, l, "gone").entry.mode, 0);
	assert_int_equal(must_find(store, l, "null").entry.flags, LAYER_WHITEOUT);
	assert_int_equal(must_find(store, l, ".hidden").entry.flags, LAYER_WHITEOUT);
	assert_int_equal(must_find(store, l, "opq").entry.flags, LAYER_OPAQUE);
	assert_false(find(store, l, ".wh..wh.plnk").found);
	assert_int_equal(must_find(store, l, "").entry.flags, LAYER_IMPLICIT);
	assert_int_equal(result.entries, 6);
	assert_comes_back(store, &result);
	assert_consistent(store);
}

static void a_real_entry_wins_over_a_whiteout_of_its_name(void **state)
{
	WITH_STORE(store);
	WITH_TAR(tar);
	struct layer_id l;

	tar_file(&tar, ".wh.a", "");
	tar_dir(&tar, "a");
	tar_dir(&tar, "b");
	tar_file(&tar, "b/kept", "1");
	tar_file(&tar, ".wh.b", "");
	tar_file(&tar, ".wh.c", "");
	tar_file(&tar, "c", "text");
	tar_file(&tar, "d", "text");
	tar_file(&tar, ".wh.d", "");
	tar_file(&tar, ".wh.e", "");
	tar_file(&tar, "e/f", "1");
	tar_file(&tar, ".wh..wh..opq", "");
	tar_end(&tar);
	l = ingest(store, tar.data, tar.len).layer;
	assert_int_equal(must_find(store, l, "a").entry.flags, LAYER_OPAQUE);
	assert_int_equal(must_find(store, l, "b").entry.flags, LAYER_OPAQUE);
	assert_text(store, l, "b/kept", "1");
	assert_int_equal(must_find(store, l, "c").entry.flags, 0);
	assert_text(store, l, "d", "text");
	assert_int_equal(must_find(store, l, "e").entry.flags, LAYER_OPAQUE | LAYER_IMPLICIT);
	assert_int_equal(must_find(store, l, "").entry.flags, LAYER_OPAQUE | LAYER_IMPLICIT);
	assert_int_equal(must_find(store, l, "").entry.nlink, 5);
}

static void later_entries_replace_earlier_ones(void **state)
{
	WITH_STORE(store);
	WITH_TAR(tar);
	struct ingest_result result;
	struct layer_info info;
	struct layer_id l;

	tar_file(&tar, "f", "the first");
	tar_file(&tar, "d/sub/x", "lost with its directory");
	tar_hardlink(&tar, "kept", "d/sub/x");
	tar_file(&tar, "f", "the second");
	tar_file(&tar, "d", "a file now");
	tar_dir(&tar, "e");
	tar_file(&tar, "e/child", "stays");
	tar_add(&tar, (struct tar_head){ .name = "e", .type = '5', .mode = 0700 }, NULL, 0);
	tar_file(&tar, "s", "1");
	tar_symlink(&tar, "s", "f");
	tar_symlink(&tar, "t", "f");
	tar_dir(&tar, "t");
	tar_file(&tar, "t/u", "2");
	tar_end(&tar);
	result = ingest(store, tar.data, tar.len);
	l = result.layer;
	assert_text(store, l, "f", "the second");
	assert_text(store, l, "d", "a file now");
	assert_text(store, l, "kept", "lost with its directory");
	assert_int_equal(must_find(store, l, "kept").entry.nlink, 1);
	assert_text(store, l, "e/child", "stays");
	assert_int_equal(must_find(store, l, "e").entry.mode, S_IFDIR | 0700);
	assert_true(S_ISLNK(must_find(store, l, "s").entry.mode));
	assert_text(store, l, "t/u", "2");
	assert_int_equal(must_find(store, l, "").entry.nlink, 4);
	assert_int_equal(layer_info(store, l, &info), 0);
	assert_int_equal(info.content_bytes, strlen("the second"
						    "a file now"
						    "lost with its directory"
						    "stays"
						    "2"));
	/* What was replaced is in the stream all the same. */
	assert_comes_back(store, &result);
	assert_consistent(store);
}

struct xattr_seen {
	struct buf text;
};

static int xattr_note(const char *name, const void *value, size_t bytes, void *arg)
{
	struct xattr_seen *seen = arg;

	buf_addf(&seen->text, "%s=", name);
	buf_add(&seen->text, value, bytes);
	buf_adds(&seen->text, ";");
	return 0;
}

static void xattrs_come_in_but_not_overlay_marks(void **state)
{
	WITH_STORE(store);
	WITH_TAR(tar);
	struct xattr_seen seen = { 0 };
	struct layer_info info;
	struct found f;
	struct layer_id l;

	tar_pax(&tar, "SCHILY.xattr.user.a", "with\0nul", 8);
	tar_file(&tar, "f", "1");
	tar_pax(&tar, "LIBARCHIVE.xattr.user.b%20c", "dmFsdWU", 7);
	tar_file(&tar, "g", "1");
	tar_pax(&tar, "SCHILY.xattr.trusted.overlay.opaque", "y", 1);
	tar_dir(&tar, "d");
	tar_pax(&tar, "SCHILY.xattr.user.containers.override_stat", "0:0:0755", 8);
	tar_file(&tar, "d/h", "1");
	tar_pax(&tar, "SCHILY.xattr.user.a", "1", 1);
	tar_file(&tar, "i", "1");
	tar_file(&tar, "i", "2");
	tar_end(&tar);
	l = ingest(store, tar.data, tar.len).layer;
	f = must_find(store, l, "f");
	assert_int_equal(f.entry.flags, LAYER_XATTRS);
	assert_int_equal(layer_xattrs(store, l, f.entry.no, xattr_note, &seen), 0);
	assert_int_equal(seen.text.len, strlen("user.a=") + 8 + 1);
	assert_memory_equal(seen.text.data, "user.a=with\0nul;", 16);
	seen.text.len = 0;
	f = must_find(store, l, "g");
	assert_int_equal(layer_xattrs(store, l, f.entry.no, xattr_note, &seen), 0);
	assert_string_equal(seen.text.data, "user.b c=value;");
	assert_int_equal(must_find(store, l, "d").entry.flags, 0);
	assert_int_equal(must_find(store, l, "d/h").entry.flags, 0);
	assert_int_equal(must_find(store, l, "i").entry.flags, 0);
	assert_int_equal(layer_info(store, l, &info), 0);
	assert_true(info.has_xattrs);
	assert_consistent(store);
	buf_release(&seen.text);
}

static void acls_become_the_kernels_xattrs(void **state)
{
	static const unsigned char expected[] = {
		2, 0, 0,   0,	1,   0,	  6,  0, 255, 255, 255, 255, 2,	  0,   4,  0, 0xe9, 3, 0,   0,	 4,   0,
		4, 0, 255, 255, 255, 255, 16, 0, 4,   0,   255, 255, 255, 255, 32, 0, 0,    0, 255, 255, 255, 255,
	};
	static const char acl[] = "user::rw-,user:lisa:r--:1001,group::r--,mask::r--,other::---";
	static const char unknown[] = "user::rw-,user:no-such-user-here:r--,group::r--,mask::r--,other::---";
	WITH_STORE(store);
	WITH_TAR(tar);
	struct xattr_seen seen = { 0 };
	struct layer_id l;
	struct found f;

	tar_pax(&tar, "SCHILY.acl.access", acl, strlen(acl));
	tar_add(&tar, (struct tar_head){ .name = "f", .mode = 0640 }, "1", 1);
	tar_end(&tar);
	l = ingest(store, tar.data, tar.len).layer;
	f = must_find(store, l, "f");
	assert_int_equal(layer_xattrs(store, l, f.entry.no, xattr_note, &seen), 0);
	assert_int_equal(seen.text.len, strlen("system.posix_acl_access=;") + sizeof(expected));
	assert_memory_equal(seen.text.data + strlen("system.posix_acl_access="), expected, sizeof(expected));
	buf_release(&seen.text);
	buf_release(&tar);
	tar_pax(&tar, "SCHILY.acl.access", unknown, strlen(unknown));
	tar_file(&tar, "f", "1");
	tar_end(&tar);
	assert_refused(store, &tar, "no-such-user-here");
}

/* pax names are UTF-8 by the standard and any bytes in fact; libarchive would convert and compose them. */
static void names_are_bytes(void **state)
{
	static const char decomposed[] = "cafe\xcc\x81", kelvin[] = "\xe2\x84\xaa", raw[] = "\xff\xfe\x80";
	WITH_STORE(store);
	WITH_TAR(tar);
	struct layer_id l;

	tar_pax(&tar, "path", decomposed, strlen(decomposed));
	tar_file(&tar, "x", "1");
	tar_pax(&tar, "path", kelvin, strlen(kelvin));
	tar_file(&tar, "x", "2");
	tar_pax(&tar, "path", raw, strlen(raw));
	tar_file(&tar, "x", "3");
	tar_pax(&tar, "linkpath", decomposed, strlen(decomposed));
	tar_symlink(&tar, "sym", "x");
	tar_pax(&tar, "linkpath", raw, strlen(raw));
	tar_hardlink(&tar, "hard", "x");
	tar_file(&tar, "new\nline", "4");
	tar_end(&tar);
	l = ingest(store, tar.data, tar.len).layer;
	assert_text(store, l, decomposed, "1");
	assert_text(store, l, kelvin, "2");
	assert_text(store, l, raw, "3");
	assert_string_equal(must_find(store, l, "sym").target, decomposed);
	assert_text(store, l, "hard", "3");
	assert_text(store, l, "new\nline", "4");
}

static void names_that_leave_the_layer_are_refused(void **state)
{
	static const struct {
		const char *name, *message;
	} cases[] = {
		{ "../f", "\"..\"" },
		{ "a/../../f", "\"..\"" },
		{ "a/..", "\"..\"" },
		{ "/etc/passwd", "absolute" },
		{ "//f", "absolute" },
		{ "", "empty" },
		{ ".", "root directory" },
		{ "./", "root directory" },
		{ ".wh.", "whiteout of no possible name" },
		{ ".wh...", "whiteout of no possible name" },
		{ "d/.wh..", "whiteout of no possible name" },
		{ ".wh.d/f", "is a whiteout, not a directory" },
	};
	WITH_STORE(store);

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		WITH_TAR(tar);

		tar_file(&tar, "before", "1");
		/* A trailing slash would make a directory of a regular file; fifos it does not. */
		tar_add(&tar, (struct tar_head){ .name = cases[i].name, .type = '6' }, NULL, 0);
		tar_end(&tar);
		assert_refused(store, &tar, cases[i].message);
	}
	assert_int_equal(query(store, "SELECT count(*) FROM layer"), 0);
}

static void long_names_are_refused(void **state)
{
	WITH_STORE(store);
	WITH_TAR(tar);
	char name[6000];

	memset(name, 'n', sizeof(name));
	tar_pax(&tar, "path", name, 256);
	tar_file(&tar, "x", "1");
	tar_end(&tar);
	assert_refused(store, &tar, "256 bytes");
	buf_release(&tar);
	for (size_t i = 200; i < sizeof(name); i += 200)
		name[i] = '/';
	tar_pax(&tar, "path", name, 5000);
	tar_file(&tar, "x", "1");
	tar_end(&tar);
	assert_refused(store, &tar, "longer than 4095");
	buf_release(&tar);
	memset(name, 'n', 255);
	tar_pax(&tar, "path", name, 255);
	tar_file(&tar, "x", "1");
	tar_end(&tar);
	ingest(store, tar.data, tar.len);
}

static void bad_hard_links_are_refused(void **state)
{
	static const struct {
		const char *target, *message;
	} cases[] = {
		{ "../f", "\"..\"" },
		{ "/../d/f", "\"..\"" },
		{ "later", "not in the archive before it" },
		{ "d", "a directory" },
		{ "s/f", "not in the archive before it" },
		{ "", "empty" },
		{ "gone", "not in the archive before it" },
		{ ".", "not in the archive before it" },
	};
	WITH_STORE(store);

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		WITH_TAR(tar);

		tar_file(&tar, "d/f", "1");
		tar_symlink(&tar, "s", "d");
		tar_file(&tar, ".wh.gone", "");
		tar_hardlink(&tar, "link", cases[i].target);
		tar_file(&tar, "later", "1");
		tar_end(&tar);
		assert_refused(store, &tar, cases[i].message);
	}
}

static void a_parent_must_be_a_directory(void **state)
{
	WITH_STORE(store);
	WITH_TAR(tar);

	tar_symlink(&tar, "s", "/etc");
	tar_file(&tar, "s/passwd", "1");
	tar_end(&tar);
	assert_refused(store, &tar, "is a symbolic link in this archive");
	buf_release(&tar);
	tar_file(&tar, "f", "1");
	tar_file(&tar, "f/g", "1");
	tar_end(&tar);
	assert_refused(store, &tar, "is a file in this archive");
}

static void damaged_archives_are_refused(void **state)
{
	WITH_STORE(store);
	WITH_TAR(tar);
	AUTO(buf_release) struct buf part = { 0 };
	struct ingest_result result;

	buf_adds(&part, "this is just text");
	assert_refused(store, &part, "not a tar archive");
	buf_release(&part);
	buf_add(&part, "", 0);
	assert_refused(store, &part, "empty");
	tar_file(&tar, "f", "some text");
	tar_file(&tar, "g", "more text");
	tar_end(&tar);
	for (size_t len = 1; len < tar.len - 1024; len += 100) {
		if (len % 1024 == 0)
			continue; /* cut between two entries it is whole */
		part.len = 0;
		buf_add(&part, tar.data, len);
		assert_refused(store, &part, "test.tar");
	}
	part.len = 0;
	buf_add(&part, tar.data, tar.len);
	part.data[1024 + 3] ^= 1; /* in the second header: its checksum fails */
	assert_refused(store, &part, "Damaged");
	/* Without the two blocks of zeros: as some writers leave it. */
	result = ingest(store, tar.data, tar.len - 1024);
	assert_comes_back(store, &result);
}

static void digests_are_checked(void **state)
{
	WITH_STORE(store);
	WITH_TAR(tar);
	struct ingest_options options = { .name = "blob", .blob_bytes = -1 };
	struct digest right, wrong = { { 1 } };
	struct ingest_result result;
	struct diag diag = { 0 };

	tar_file(&tar, "f", "1");
	tar_end(&tar);
	assert_int_equal(digest_of(tar.data, tar.len, &right), 0);
	options.diff_id = &wrong;
	assert_int_equal(try_ingest(store, tar.data, tar.len, &options, &diag, &result), -EKEYREJECTED);
	assert_non_null(strstr(diag.text, "diff ID"));
	diag.text[0] = '\0';
	options.diff_id = &right;
	options.blob_digest = &wrong;
	assert_int_equal(try_ingest(store, tar.data, tar.len, &options, &diag, &result), -EKEYREJECTED);
	assert_non_null(strstr(diag.text, "its digest is"));
	options.blob_digest = &right;
	options.blob_bytes = (int64_t)tar.len + 1;
	assert_int_equal(try_ingest(store, tar.data, tar.len, &options, NULL, &result), -EBADMSG);
	options.blob_bytes = (int64_t)tar.len - 1;
	assert_int_equal(try_ingest(store, tar.data, tar.len, &options, NULL, &result), -EBADMSG);
	assert_int_equal(query(store, "SELECT count(*) FROM layer"), 0);
	options.blob_bytes = (int64_t)tar.len;
	assert_int_equal(try_ingest(store, tar.data, tar.len, &options, NULL, &result), 0);
}

static ssize_t failing_read(void *arg, void *buf, size_t bytes)
{
	return -ECONNRESET;
}

static void a_failing_source_is_reported(void **state)
{
	const struct ingest_options options = { .name = "net", .blob_bytes = -1 };
	WITH_STORE(store);
	struct writer *writer;
	struct ingest_result result;
	struct diag diag = { 0 };

	assert_int_equal(writer_open(store, &diag, &writer), 0);
	assert_int_equal(ingest_tar(writer, (struct byte_source){ .read = failing_read }, &options, &diag, &result),
			 -ECONNRESET);
	assert_non_null(strstr(diag.text, "net: cannot read it at byte 0"));
	writer_close(writer);
}

static void a_dead_writers_staging_is_swept(void **state)
{
	WITH_STORE(store);
	WITH_TAR(tar);

	assert_int_equal(mkdir("store/ingest/dead", 0755), 0);
	write_text("store/ingest/dead/lock", "");
	write_text("store/ingest/dead/pack", "half");
	write_text("store/ingest/stray", "");
	tar_file(&tar, "f", "1");
	tar_end(&tar);
	ingest(store, tar.data, tar.len);
	assert_int_equal(access("store/ingest/dead", F_OK), -1);
	assert_int_equal(access("store/ingest/stray", F_OK), -1);
}

/* ---- several at once ---- */

enum { THREADS = 4, SHARED_FILES = 300 };

struct worker {
	pthread_t thread;
	struct store *store;
	int which;
	struct ingest_result result, common;
};

static void common_files(struct buf *tar)
{
	static const char large[200000] = "large";
	char name[32], text[64];

	for (int i = 0; i < SHARED_FILES; i++) {
		snprintf(name, sizeof(name), "d%d/f%d", i % 7, i);
		snprintf(text, sizeof(text), "the same in every archive %d", i);
		tar_file(tar, name, text);
	}
	tar_add(tar, (struct tar_head){ .name = "large" }, large, sizeof(large));
}

static void *work(void *arg)
{
	struct worker *w = arg;
	WITH_TAR(tar);
	WITH_TAR(common);
	char text[32];

	snprintf(text, sizeof(text), "own %d", w->which);
	common_files(&common);
	tar_file(&tar, "own", text);
	common_files(&tar);
	tar_end(&tar);
	tar_end(&common);
	w->result = ingest(w->store, tar.data, tar.len);
	w->common = ingest(w->store, common.data, common.len);
	return NULL;
}

static void threads_that_write_at_once_share_what_is_equal(void **state)
{
	WITH_STORE(store);
	struct worker workers[THREADS];
	int existed = 0;

	for (int i = 0; i < THREADS; i++) {
		workers[i] = (struct worker){ .store = store, .which = i };
		assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
	}
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
	for (int i = 0; i < THREADS; i++) {
		assert_comes_back(store, &workers[i].result);
		assert_int_equal(workers[i].common.layer.value, workers[0].common.layer.value);
		existed += workers[i].common.existed;
	}
	assert_int_equal(existed, THREADS - 1);
	assert_int_equal(query(store, "SELECT count(*) FROM layer"), THREADS + 1);
	/* Besides the shared files and each own one: two framings, as those of the own archives are equal too. */
	assert_int_equal(query(store, "SELECT count(*) FROM content"), SHARED_FILES + 1 + THREADS + 2);
	assert_consistent(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_archive_becomes_rows),
		cmocka_unit_test(a_scan_is_in_byte_order_and_stops_when_told),
		cmocka_unit_test(the_same_layer_is_there_once),
		cmocka_unit_test(equal_content_is_stored_once_across_layers),
		cmocka_unit_test(contents_with_equal_hashes_both_survive),
		cmocka_unit_test(hard_links_share_an_inode),
		cmocka_unit_test(whiteouts_become_marks),
		cmocka_unit_test(a_real_entry_wins_over_a_whiteout_of_its_name),
		cmocka_unit_test(later_entries_replace_earlier_ones),
		cmocka_unit_test(xattrs_come_in_but_not_overlay_marks),
		cmocka_unit_test(acls_become_the_kernels_xattrs),
		cmocka_unit_test(names_are_bytes),
		cmocka_unit_test(names_that_leave_the_layer_are_refused),
		cmocka_unit_test(long_names_are_refused),
		cmocka_unit_test(bad_hard_links_are_refused),
		cmocka_unit_test(a_parent_must_be_a_directory),
		cmocka_unit_test(damaged_archives_are_refused),
		cmocka_unit_test(digests_are_checked),
		cmocka_unit_test(a_failing_source_is_reported),
		cmocka_unit_test(a_dead_writers_staging_is_swept),
		cmocka_unit_test(threads_that_write_at_once_share_what_is_equal),
	};

	return cmocka_run_group_tests_name("ingest", tests, scratch_setup, scratch_teardown);
}
