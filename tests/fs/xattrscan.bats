#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Directories without a single xattr, mounted to be read: after enough questions the kernel asks no more.
# shellcheck disable=SC2034,SC2154
bats_require_minimum_version 1.5.0
load ../lib/common
load ../lib/fs

setup() {
	setup_store
	DIR=$BATS_TEST_TMPDIR
	mkdir -p "$DIR/low1/a/b/c" "$DIR/low2/a" "$MNT"
	touch "$DIR/low1/a/b/c/deep" "$DIR"/low1/f{1..150} "$DIR"/low2/a/f{1..150}
	ln -s nowhere "$DIR/low1/link"
}
teardown() { unmount_all; }

mount_low() { nacrefs -o "lowerdir=$DIR/low2:$DIR/low1${1:+,$1}" "$MNT"; }

# Can the file system of the tests say for sure that a file has no xattr?
lists_all() {
	case $(stat -f -c %t "$DIR") in
	ef53 | 58465342 | 9123683e | 1021994) return 0 ;;
	*) return 1 ;;
	esac
}

asked() { nacrefs --stats --json "$MNT" | jq "[.RequestsByOpcode.$1] | add"; }

# All files are asked for their xattrs, some times. Prints the names that there are.
ask() {
	python3 - "$MNT" "$1" <<-'END'
		import errno, os, sys
		top, rounds = sys.argv[1], int(sys.argv[2])
		found = set()
		for i in range(rounds):
		    for folder, folders, files in os.walk(top):
		        for path in [folder] + [os.path.join(folder, name) for name in files]:
		            try:
		                found |= {(os.path.relpath(path, top), name) for name in os.listxattr(path, follow_symlinks=False)}
		            except OSError as error:
		                assert error.errno == errno.ENOTSUP, error
		            try:
		                os.getxattr(path, "security.capability", follow_symlinks=False)
		                sys.exit("no file has capabilities")
		            except OSError as error:
		                assert error.errno in (errno.ENODATA, errno.ENOTSUP), error
		for path, name in sorted(found):
		    print(path, name)
	END
}

# asked_after COMMAND...: how many questions reach the driver
asked_after() {
	local lists gets
	lists=$(asked LISTXATTR) gets=$(asked GETXATTR)
	"$@" >/dev/null
	echo "$(($(asked LISTXATTR) - lists)) $(($(asked GETXATTR) - gets))"
}

@test "where no file has an xattr the questions end" {
	lists_all || skip "the file system of $DIR may have xattrs that it does not list"
	mount_low
	assert_equal "$(ask 2)" ""
	assert_equal "$(asked_after ask 1)" "0 0"
	[ "$(asked LISTXATTR)" -lt 300 ] || fail "$(asked LISTXATTR) questions before the end"
	assert_equal "$(cat "$MNT/a/f1" "$MNT/a/b/c/deep" | wc -c)" 0
	unmount
	# What is there another time is another mount's.
	setfattr -n user.one -v x "$DIR/low1/a/b/c/deep"
	mount_low
	assert_equal "$(ask 1)" "a/b/c/deep user.one"
}

@test "one xattr anywhere, and they go on" {
	setfattr -n user.one -v x "$DIR/low1/a/b/c/deep"
	mount_low
	assert_equal "$(ask 3)" "a/b/c/deep user.one"
	# shellcheck disable=SC2046
	set -- $(asked_after ask 1)
	[ "$1" -ge 300 ] && [ "$2" -ge 300 ] || fail "only $* questions"
	assert_equal "$(getfattr --only-values --absolute-names -n user.one "$MNT/a/b/c/deep")" x
}

@test "an xattr of a folder counts, and of a file that is hidden" {
	setfattr -n user.folder -v x "$DIR/low1/a/b"
	mount_low
	assert_equal "$(ask 3)" "a/b user.folder"
	unmount
	setfattr -x user.folder "$DIR/low1/a/b"
	touch "$DIR/low1/a/f1"
	setfattr -n user.hidden -v x "$DIR/low1/a/f1"
	mount_low
	assert_equal "$(ask 3)" ""
	[ "$(asked_after ask 1)" != "0 0" ] || fail "it was not seen"
}

@test "overlay's own do not count: they are never shown" {
	lists_all || skip "the file system of $DIR may have xattrs that it does not list"
	setfattr -n user.overlay.origin -v x "$DIR/low1/a/b/c/deep"
	mount_low
	assert_equal "$(ask 2)" ""
	assert_equal "$(asked_after ask 1)" "0 0"
}

@test "who asks for the layer is told, before and after" {
	mount_low
	assert_equal "$(getfattr --only-values --absolute-names -n user.nacre.layer "$MNT/a/f1")" "$DIR/low2"
	ask 2
	assert_equal "$(getfattr --only-values --absolute-names -n user.nacre.layer "$MNT/f1")" "$DIR/low1"
	unmount
	mount_low layer_xattr
	ask 2
	assert_equal "$(getfattr --only-values --absolute-names -n user.nacre.layer "$MNT/f1")" "$DIR/low1"
}

@test "a mount that can be written to is asked for ever" {
	mkdir "$DIR/up" "$DIR/wk"
	mount_low "upperdir=$DIR/up,workdir=$DIR/wk"
	assert_equal "$(ask 2)" ""
	setfattr -n user.new -v x "$MNT/f7"
	assert_equal "$(ask 1)" "f7 user.new"
}
