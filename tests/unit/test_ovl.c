/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"

#include "store/ovl.h"

#include <sys/sysmacros.h>
#include <sys/xattr.h>

/* As a reader has it: readable, and pinned only. */
static const int open_flags[] = { O_RDONLY, O_PATH };

static int open_fd(const char *path, int flags)
{
	int fd = open(path, flags | O_NOFOLLOW | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static void make_dir(const char *path)
{
	assert_int_equal(mkdir(path, 0755), 0);
}

static int can_set(const char *path, const char *name, const char *value)
{
	if (setxattr(path, name, value, strlen(value), 0) == 0)
		return 1;
	/* trusted.* needs privilege, user.* a file system that has them */
	assert_true(errno == EPERM || errno == EOPNOTSUPP);
	return 0;
}

static void whiteout_names_hide_what_follows_the_prefix(void **state)
{
	assert_string_equal(ovl_whiteout_name(".wh.motd"), "motd");
	assert_string_equal(ovl_whiteout_name(".wh..bashrc"), ".bashrc");
	assert_string_equal(ovl_whiteout_name(".wh...."), "...");
	assert_null(ovl_whiteout_name("motd"));
	assert_null(ovl_whiteout_name(".whmotd"));
	assert_null(ovl_whiteout_name(".wh."));
	assert_null(ovl_whiteout_name(".wh.."));
	assert_null(ovl_whiteout_name(".wh..."));
	assert_null(ovl_whiteout_name(".wh..wh..opq"));
	assert_null(ovl_whiteout_name(".wh..wh.plnk"));
	assert_true(ovl_reserved_name(".wh..wh..opq"));
	assert_false(ovl_reserved_name(".w"));
}

static void only_a_0_0_character_device_is_a_whiteout(void **state)
{
	assert_true(ovl_is_whiteout_mode(S_IFCHR, makedev(0, 0)));
	assert_false(ovl_is_whiteout_mode(S_IFCHR, makedev(1, 3)));
	assert_false(ovl_is_whiteout_mode(S_IFBLK, makedev(0, 0)));
	assert_false(ovl_is_whiteout_mode(S_IFREG, makedev(0, 0)));
}

static void every_opaque_mark_is_read(void **state)
{
	static const char *const names[] = { "trusted.overlay.opaque", "user.overlay.opaque",
					     "user.fuseoverlayfs.opaque" };
	char path[32];

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(path, sizeof(path), "opaque%zu", i);
		make_dir(path);
		if (!can_set(path, names[i], "y"))
			continue;
		for (size_t k = 0; k < ARRAY_SIZE(open_flags); k++) {
			AUTO(closep) int fd = open_fd(path, open_flags[k]);

			assert_int_equal(ovl_is_opaque(fd), 1);
		}
	}
	make_dir("opaque_file");
	write_text("opaque_file/.wh..wh..opq", "");
	for (size_t k = 0; k < ARRAY_SIZE(open_flags); k++) {
		AUTO(closep) int fd = open_fd("opaque_file", open_flags[k]);

		assert_int_equal(ovl_is_opaque(fd), 1);
	}
}

static void other_values_are_no_opaque_mark(void **state)
{
	static const char *const values[] = { "", "n", "x", "yes", "a value longer than any mark" };
	char path[32];

	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		AUTO(closep) int fd = -1;

		snprintf(path, sizeof(path), "plain%zu", i);
		make_dir(path);
		can_set(path, "user.overlay.opaque", values[i]);
		fd = open_fd(path, O_PATH);
		assert_int_equal(ovl_is_opaque(fd), 0);
	}
}

static void a_mark_that_is_set_is_read_again(void **state)
{
	AUTO(closep) int fd = -1;
	int r;

	make_dir("marked");
	fd = open_fd("marked", O_RDONLY);
	assert_int_equal(ovl_is_opaque(fd), 0);
	r = ovl_set_opaque(fd, OVL_USER);
	if (r == -EOPNOTSUPP)
		skip();
	assert_int_equal(r, 0);
	assert_int_equal(ovl_is_opaque(fd), 1);
}

static void xattr_whiteouts_are_empty_files_with_the_mark(void **state)
{
	AUTO(closep) int dir = -1;
	AUTO(closep) int file = -1;
	AUTO(closep) int full = -1;

	make_dir("xw");
	write_text("xw/gone", "");
	write_text("xw/full", "x");
	if (!can_set("xw", "user.overlay.opaque", "x"))
		skip();
	can_set("xw/gone", "user.overlay.whiteout", "y");
	can_set("xw/full", "user.overlay.whiteout", "y");
	dir = open_fd("xw", O_PATH);
	file = open_fd("xw/gone", O_PATH);
	full = open_fd("xw/full", O_PATH);
	assert_int_equal(ovl_has_xattr_whiteouts(dir), 1);
	assert_int_equal(ovl_is_opaque(dir), 0);
	assert_int_equal(ovl_is_xattr_whiteout(file), 1);
	assert_int_equal(ovl_is_xattr_whiteout(full), 0);
	assert_int_equal(ovl_is_xattr_whiteout(dir), 0);
}

static void redirects_are_one_name_or_an_absolute_path(void **state)
{
	static const struct {
		const char *value;
		int result;
	} cases[] = {
		{ "name", 0 },	      { "/a/b c/d", 0 },      { "", -EINVAL },	   { ".", -EINVAL },
		{ "..", -EINVAL },    { "a/b", -EINVAL },     { "/", -EINVAL },	   { "/a/", -EINVAL },
		{ "/a//b", -EINVAL }, { "/a/../b", -EINVAL }, { "/./a", -EINVAL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		AUTO(freep) char *redirect = NULL;
		AUTO(closep) int fd = -1;
		char path[32];

		snprintf(path, sizeof(path), "redirect%zu", i);
		make_dir(path);
		if (!can_set(path, "user.overlay.redirect", cases[i].value))
			skip();
		fd = open_fd(path, O_PATH);
		assert_int_equal(ovl_redirect(fd, &redirect), cases[i].result);
		if (cases[i].result == 0)
			assert_string_equal(redirect, cases[i].value);
	}
}

static void a_redirect_that_is_set_is_read_again(void **state)
{
	AUTO(freep) char *redirect = NULL;
	AUTO(closep) int fd = -1;
	int r;

	make_dir("moved");
	fd = open_fd("moved", O_RDONLY);
	assert_int_equal(ovl_redirect(fd, &redirect), 0);
	assert_null(redirect);
	r = ovl_set_redirect(fd, OVL_USER, "/usr/share/doc");
	if (r == -EOPNOTSUPP)
		skip();
	assert_int_equal(r, 0);
	assert_int_equal(ovl_redirect(fd, &redirect), 0);
	assert_string_equal(redirect, "/usr/share/doc");
}

static void a_metacopy_is_known_by_the_mark_alone(void **state)
{
	AUTO(closep) int fd = -1;

	write_text("meta", "");
	fd = open_fd("meta", O_PATH);
	assert_int_equal(ovl_is_metacopy(fd), 0);
	if (!can_set("meta", "user.overlay.metacopy", ""))
		skip();
	assert_int_equal(ovl_is_metacopy(fd), 1);
}

static void private_xattrs_are_the_overlays_own(void **state)
{
	assert_true(ovl_private_xattr("trusted.overlay.opaque"));
	assert_true(ovl_private_xattr("user.overlay.origin"));
	assert_true(ovl_private_xattr("user.fuseoverlayfs.opaque"));
	assert_true(ovl_private_xattr("user.containers.override_stat"));
	assert_false(ovl_private_xattr("user.overlay"));
	assert_false(ovl_private_xattr("user.overlay.overlay.opaque")); /* a nested overlay's */
	assert_false(ovl_private_xattr("trusted.overlay.overlay.overlay.opaque"));
	assert_false(ovl_private_xattr("user.containers.override_stat2"));
	assert_false(ovl_private_xattr("security.capability"));
}

static void nested_xattrs_are_escaped_and_shown_again(void **state)
{
	static const char *const pairs[][2] = {
		{ "trusted.overlay.opaque", "trusted.overlay.overlay.opaque" },
		{ "user.overlay.opaque", "user.overlay.overlay.opaque" },
		{ "user.overlay.overlay.opaque", "user.overlay.overlay.overlay.opaque" },
		{ "user.fuseoverlayfs.opaque", "user.fuseoverlayfs.overlay.opaque" },
		{ "user.containers.override_stat", "user.overlay.containers.override_stat" },
		{ "user.overlay.containers.override_stat", "user.overlay.overlay.containers.override_stat" },
		{ "security.fuseoverlayfs.override_stat", "security.fuseoverlayfs.overlay.override_stat" },
		{ "security.fuseoverlayfs.overlay.override_stat",
		  "security.fuseoverlayfs.overlay.overlay.override_stat" },
		{ "user.overlay", "user.overlay" },
		{ "security.capability", "security.capability" },
	};
	char buf[OVL_XATTR_NAME_BYTES], longest[256] = "user.overlay.";

	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		assert_string_equal(ovl_xattr_escape(pairs[i][0], buf), pairs[i][1]);
		assert_string_equal(ovl_xattr_unescape(pairs[i][1], buf), pairs[i][0]);
	}
	assert_null(ovl_xattr_unescape("user.overlay.opaque", buf));
	memset(longest + strlen(longest), 'x', 247 - strlen(longest));
	assert_non_null(ovl_xattr_escape(longest, buf));
	longest[247] = 'x';
	assert_int_equal(strlen(longest), 248);
	assert_null(ovl_xattr_escape(longest, buf));
}

static void parse(const char *text, int result, struct ovl_override *o)
{
	memset(o, 0x55, sizeof(*o));
	assert_int_equal(ovl_override_parse(text, strlen(text), o), result);
}

static void recorded_owners_are_parsed(void **state)
{
	struct ovl_override o;

	parse("0:0:0755", 0, &o);
	assert_int_equal(o.uid, 0);
	assert_int_equal(o.gid, 0);
	assert_int_equal(o.mode, 0755);
	assert_false(o.has_type);
	parse("1000:4294967294:4755:file", 0, &o);
	assert_int_equal(o.uid, 1000);
	assert_true(o.gid == UINT32_MAX - 1);
	assert_int_equal(o.mode, S_IFREG | 04755);
	assert_true(o.has_type);
	parse("0:0:100644", 0, &o);
	assert_int_equal(o.mode, 0644);
	parse("0:6:0660:block-259-1048575", 0, &o);
	assert_true(S_ISBLK(o.mode));
	assert_true(o.rdev == makedev(259, 1048575));
	parse("0:0:0666:char-1-3", 0, &o);
	assert_true(S_ISCHR(o.mode) && o.rdev == makedev(1, 3));
}

static void what_is_no_recorded_owner_is_refused(void **state)
{
	static const char *const bad[] = {
		"",
		"0",
		"0:0",
		"0:0:",
		"-1:0:0755",
		"0:0:0855",
		"0:0:0755:",
		"0:0:0755:door",
		"0:0:0755:filed",
		"0:0:0755:char",
		"0:0:0755:char-1",
		"0:0:0755:char-1-",
		"0:0:755:dir ",
		"4294967295:0:755",
		"0:4294967295:755",
		"4294967296:0:755",
		" 0:0:0755",
		"0:0:0777777",
		"0:0:0755:block-1-2-3",
	};
	struct ovl_override o;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		parse(bad[i], -EINVAL, &o);
}

static void every_type_survives_writing_and_parsing(void **state)
{
	static const mode_t types[] = { S_IFDIR, S_IFREG, S_IFLNK, S_IFIFO, S_IFSOCK, S_IFBLK, S_IFCHR };
	char text[96];

	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		bool device = types[i] == S_IFBLK || types[i] == S_IFCHR;
		struct ovl_override in = { .uid = 1,
					   .gid = 2,
					   .mode = types[i] | 02711,
					   .has_type = true,
					   .rdev = device ? makedev(8, 17) : 0 };
		struct ovl_override out;
		size_t len = ovl_override_format(&in, text);

		assert_int_equal(len, strlen(text));
		parse(text, 0, &out);
		assert_true(out.uid == 1 && out.gid == 2 && out.mode == in.mode && out.has_type);
		if (device)
			assert_true(out.rdev == in.rdev);
	}
	assert_int_equal(ovl_override_format(&(struct ovl_override){ .uid = 5, .gid = 6, .mode = 0644 }, text), 8);
	assert_string_equal(text, "5:6:0644");
}

static void a_recorded_owner_is_read_from_a_file(void **state)
{
	struct ovl_override o;

	write_text("owned", "");
	for (size_t k = 0; k < ARRAY_SIZE(open_flags); k++) {
		AUTO(closep) int fd = open_fd("owned", open_flags[k]);

		removexattr("owned", OVL_OVERRIDE_STAT);
		assert_int_equal(ovl_override_read(fd, OVL_OVERRIDE_STAT, &o), 0);
		if (!can_set("owned", OVL_OVERRIDE_STAT, "7:8:0600:file"))
			skip();
		assert_int_equal(ovl_override_read(fd, OVL_OVERRIDE_STAT, &o), 1);
		assert_true(o.uid == 7 && o.gid == 8 && o.mode == (S_IFREG | 0600));
		can_set("owned", OVL_OVERRIDE_STAT, "nonsense");
		assert_int_equal(ovl_override_read(fd, OVL_OVERRIDE_STAT, &o), -EINVAL);
	}
}

static void symlinks_have_no_marks(void **state)
{
	struct ovl_override o;
	AUTO(freep) char *redirect = NULL;
	AUTO(closep) int fd = -1;

	assert_int_equal(symlink("nowhere", "link"), 0);
	fd = open_fd("link", O_PATH);
	assert_int_equal(ovl_override_read(fd, OVL_OVERRIDE_STAT, &o), 0);
	assert_int_equal(ovl_redirect(fd, &redirect), 0);
	assert_int_equal(ovl_is_metacopy(fd), 0);
	assert_int_equal(ovl_is_xattr_whiteout(fd), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whiteout_names_hide_what_follows_the_prefix),
		cmocka_unit_test(only_a_0_0_character_device_is_a_whiteout),
		cmocka_unit_test(every_opaque_mark_is_read),
		cmocka_unit_test(other_values_are_no_opaque_mark),
		cmocka_unit_test(a_mark_that_is_set_is_read_again),
		cmocka_unit_test(xattr_whiteouts_are_empty_files_with_the_mark),
		cmocka_unit_test(redirects_are_one_name_or_an_absolute_path),
		cmocka_unit_test(a_redirect_that_is_set_is_read_again),
		cmocka_unit_test(a_metacopy_is_known_by_the_mark_alone),
		cmocka_unit_test(private_xattrs_are_the_overlays_own),
		cmocka_unit_test(nested_xattrs_are_escaped_and_shown_again),
		cmocka_unit_test(recorded_owners_are_parsed),
		cmocka_unit_test(what_is_no_recorded_owner_is_refused),
		cmocka_unit_test(every_type_survives_writing_and_parsing),
		cmocka_unit_test(a_recorded_owner_is_read_from_a_file),
		cmocka_unit_test(symlinks_have_no_marks),
	};

	return cmocka_run_group_tests_name("ovl", tests, scratch_setup, scratch_teardown);
}
