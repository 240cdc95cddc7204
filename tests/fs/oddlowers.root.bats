#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Lowers and uppers on file systems that know less, or more, than ext4.
# shellcheck disable=SC2011,SC2016,SC2034,SC2154
bats_require_minimum_version 1.5.0
load ../lib/common
load ../lib/fs

setup() {
	setup_store
	TREE=$BATS_TEST_TMPDIR/tree
	mkdir "$TREE"
	(cd "$TREE" && base_tree)
	setfattr -h -n trusted.link -v l "$TREE/link"
}
teardown() { unmount_all; }

# The tree looks as it is, can be written to, and no open fails.
works() {
	assert_same_tree "$1" "$MNT"
	in_python <<-'END'
		for p in walk():
		    st = os.lstat(p)
		    if stat.S_ISREG(st.st_mode):
		        os.close(os.open(p, os.O_RDWR))
		    if stat.S_ISREG(st.st_mode) or stat.S_ISDIR(st.st_mode):
		        for name in "user.missing", "system.posix_acl_access", "security.capability":
		            fails(errno.ENODATA, os.getxattr, p, name)
		append("file", b"!")
		append("hl1", b"!")
		os.chmod("d/a", 0o600)
		os.setxattr("exec", "user.new", b"1")
		os.rename("tree", "d/tree")
		os.unlink("big")
		shutil.rmtree("replaced")
	END
	remount_dirs "$1"
	in_python <<-'END'
		eq([read(p) for p in ("file", "hl2", "d/hl3", "d/tree/x/2")], [b"hello\n!", b"linked!", b"linked!", b"2"])
		eq(mode("d/a"), 0o600)
		eq(os.getxattr("exec", "user.new"), b"1")
		eq(exists("big") or exists("replaced") or exists("tree"), False)
		eq(os.lstat("hl1").st_nlink, 3)
	END
}

@test "squashfs with xattrs" {
	mksquashfs "$TREE" "$BATS_TEST_TMPDIR/image" -quiet -no-progress -xattrs >/dev/null
	mkdir "$BATS_TEST_TMPDIR/squash"
	skip_without_kernel squashfs mount -t squashfs -o loop,ro "$BATS_TEST_TMPDIR/image" "$BATS_TEST_TMPDIR/squash"
	mount_dirs "$BATS_TEST_TMPDIR/squash"
	assert_equal "$(getfattr -n user.one --only-values --absolute-names "$MNT/file")" 1
	assert_equal "$(getfattr -h -n trusted.link --only-values --absolute-names "$MNT/link")" l
	in_python <<-'END'
		eq(os.listxattr("link", follow_symlinks=False), ["trusted.link"])
		eq(os.listxattr("file"), ["user.one"])
	END
	works "$BATS_TEST_TMPDIR/squash"
}

@test "squashfs without xattrs" {
	mksquashfs "$TREE" "$BATS_TEST_TMPDIR/image" -quiet -no-progress -no-xattrs >/dev/null
	mkdir "$BATS_TEST_TMPDIR/squash"
	skip_without_kernel squashfs mount -t squashfs -o loop,ro "$BATS_TEST_TMPDIR/image" "$BATS_TEST_TMPDIR/squash"
	mount_dirs "$BATS_TEST_TMPDIR/squash"
	in_python <<-'END'
		for p in walk():
		    eq(os.listxattr(p, follow_symlinks=False), [], p)
	END
	works "$BATS_TEST_TMPDIR/squash"
}

@test "erofs, whose files all claim to be immutable" {
	mkfs.erofs "$BATS_TEST_TMPDIR/image" "$TREE" >/dev/null 2>&1
	mkdir "$BATS_TEST_TMPDIR/erofs"
	skip_without_kernel erofs mount -t erofs -o loop,ro "$BATS_TEST_TMPDIR/image" "$BATS_TEST_TMPDIR/erofs"
	mount_dirs "$BATS_TEST_TMPDIR/erofs"
	works "$BATS_TEST_TMPDIR/erofs"
	touch "$MNT/d/new"
	rm "$MNT/d/new" "$MNT/d/b"
}

@test "ramfs, which has no xattrs, as a lower" {
	mkdir "$BATS_TEST_TMPDIR/ram"
	mount -t ramfs ramfs "$BATS_TEST_TMPDIR/ram"
	cp -a --no-preserve=xattr "$TREE/." "$BATS_TEST_TMPDIR/ram" 2>/dev/null || true
	mount_dirs "$BATS_TEST_TMPDIR/ram"
	works "$BATS_TEST_TMPDIR/ram"
}

@test "xfs: copy-up and copy_file_range share blocks, and inode flags of another file system are no obstacle" {
	truncate -s 400M "$BATS_TEST_TMPDIR/image"
	mkfs.xfs -q -m reflink=1 "$BATS_TEST_TMPDIR/image"
	mkdir "$BATS_TEST_TMPDIR/xfs"
	skip_without_kernel xfs mount -o loop "$BATS_TEST_TMPDIR/image" "$BATS_TEST_TMPDIR/xfs"
	mkdir "$BATS_TEST_TMPDIR/xfs/low"
	head -c 60000000 /dev/urandom >"$BATS_TEST_TMPDIR/xfs/low/large"
	cp -a "$TREE/." "$BATS_TEST_TMPDIR/xfs/low/"
	UPPER=$BATS_TEST_TMPDIR/xfs/upper WORK=$BATS_TEST_TMPDIR/xfs/work
	used() { sync -f "$BATS_TEST_TMPDIR/xfs" && df --output=used -B 1M "$BATS_TEST_TMPDIR/xfs" | tail -n 1; }
	mount_dirs "$BATS_TEST_TMPDIR/xfs/low"
	before=$(used)
	echo changed >>"$MNT/large"
	cp --reflink=auto "$MNT/large" "$MNT/copy"
	cmp "$MNT/large" "$MNT/copy"
	[ $(($(used) - before)) -lt 20 ] || fail "$(($(used) - before)) MiB more are used for 2 copies of 60"
	rm "$MNT/large" "$MNT/copy"
	unmount
	rm -r "$UPPER" "$WORK"
	mount_dirs "$BATS_TEST_TMPDIR/xfs/low"
	works "$BATS_TEST_TMPDIR/xfs/low"
	# From ext4 to xfs: its flags are other ones.
	unmount
	rm -r "$UPPER" "$WORK"
	mount_dirs "$TREE"
	skip_without_kernel "inode flags on the test folder's file system" lsattr "$TREE/file"
	chattr +d "$MNT/file"
	[[ $(lsattr "$MNT/file" | cut -d ' ' -f 1) == *d* ]]
	assert_equal "$(cat "$MNT/file")" hello
}

@test "a folder of a lower that is both opaque and redirected is opaque, as the kernel has it" {
	local at=$BATS_TEST_TMPDIR
	mkdir -p "$at/top/d" "$at/bottom/d" "$at/bottom/other" "$at/mnt"
	touch "$at/top/d/own" "$at/bottom/d/hidden" "$at/bottom/other/elsewhere"
	setfattr -n trusted.overlay.opaque -v y "$at/top/d"
	setfattr -n trusted.overlay.redirect -v /other "$at/top/d"
	nacrefs -o "ro,lowerdir=$at/top:$at/bottom" "$at/mnt"
	run ls "$at/mnt/d"
	umount "$at/mnt"
	assert_equal "$output" own
}

@test "a folder that a lower has moved counts the folders in it before it is listed" {
	local at=$BATS_TEST_TMPDIR
	mkdir -p "$at/top/moved" "$at/bottom/d/sub" "$at/bottom/d/sub2" "$at/mnt"
	mknod "$at/top/d" c 0 0
	setfattr -n trusted.overlay.redirect -v /d "$at/top/moved"
	nacrefs -o "ro,lowerdir=$at/top:$at/bottom" "$at/mnt"
	run stat -c %h "$at/mnt/moved"
	umount "$at/mnt"
	assert_equal "$output" 4
}
