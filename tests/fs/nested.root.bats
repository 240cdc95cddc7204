#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The kernel's overlayfs on top of the mount, with its upper there too; and what is left of it for other readers.
# shellcheck disable=SC2011,SC2016,SC2034,SC2154
bats_require_minimum_version 1.5.0
load ../lib/common
load ../lib/fs

setup_file() { make_lowers base_tree; }
setup() {
	setup_store
	TOP=$BATS_TEST_TMPDIR/top
	mkdir -p "$TOP" "$BATS_TEST_TMPDIR/lower"
	(cd "$BATS_TEST_TMPDIR/lower" && base_tree)
}
teardown() { unmount_all; }
teardown_file() { lowers_unchanged; }

# The kernel's overlayfs at $TOP, with its upper in the mount at $MNT.
kernel_nested() {
	mkdir -p "$MNT/inner/upper" "$MNT/inner/work"
	mount -t overlay overlay -o "lowerdir=$BATS_TEST_TMPDIR/lower,upperdir=$MNT/inner/upper,workdir=$MNT/inner/work${1:-}" "$TOP"
}

kernel_changes() {
	in_python "$TOP" <<-'END'
		os.unlink("file")
		shutil.rmtree("d/sub")
		shutil.rmtree("replaced")
		os.mkdir("replaced")
		write("replaced/mine", b"mine")
		os.rename("exec", "d/exec")
		append("d/a", b"!")
		os.unlink("link")
		os.mkdir("link")
		for n in "d/b", "tree/1", "tree/x/2":
		    os.unlink(n)
		os.setxattr("big", "user.set", b"1")
	END
}

@test "the kernel's overlayfs has its upper on nacrefs, after a remount of both too" {
	KINDS="dirs store"
	while fresh_mount; do
		kernel_nested
		kernel_changes
		list_tree "$TOP" >"$BATS_TEST_TMPDIR/seen"
		umount "$TOP"
		remount
		kernel_nested
		diff "$BATS_TEST_TMPDIR/seen" <(list_tree "$TOP")
		rm -r "$TOP/d" "$TOP/replaced"
		mkdir "$TOP/d"
		list_tree "$TOP" >"$BATS_TEST_TMPDIR/seen"
		umount "$TOP"
		drop_caches
		kernel_nested
		diff "$BATS_TEST_TMPDIR/seen" <(list_tree "$TOP")
		umount "$TOP"
	done
}

@test "a nested upper is the same to the kernel when the kernel mounts the one below too" {
	mount_dirs "$LOWERS"
	kernel_nested
	kernel_changes
	list_tree "$TOP" >"$BATS_TEST_TMPDIR/seen"
	umount "$TOP"
	unmount
	mount_kernel "$MNT" "$LOWERS"
	mount -t overlay overlay -o "lowerdir=$MNT/inner/upper:$BATS_TEST_TMPDIR/lower" "$TOP"
	skip_without_kernel "nested xattr whiteouts" test ! -e "$TOP/file"
	diff "$BATS_TEST_TMPDIR/seen" <(list_tree "$TOP")
	umount "$TOP"
	umount "$MNT"
}

@test "what the kernel's overlayfs escaped for a nested one, nacrefs shows as that" {
	mount_kernel "$MNT" "$LOWERS"
	skip_without_kernel "nested overlay xattrs" setfattr -n trusted.overlay.opaque -v y "$MNT/d"
	setfattr -n trusted.overlay.redirect -v /tree "$MNT/empty"
	list_tree "$MNT" >"$BATS_TEST_TMPDIR/seen"
	umount "$MNT"
	mount_dirs "$LOWERS"
	diff "$BATS_TEST_TMPDIR/seen" <(list_tree "$MNT")
	assert_equal "$(getfattr -n trusted.overlay.opaque --only-values --absolute-names "$MNT/d")" y
	[ -e "$MNT/d/a" ] && [ ! -e "$MNT/empty/x" ]
	setfattr -n trusted.overlay.opaque -v n "$MNT/d"
	unmount
	mount_kernel "$MNT" "$LOWERS"
	assert_equal "$(getfattr -n trusted.overlay.opaque --only-values --absolute-names "$MNT/d")" n
	umount "$MNT"
}
