#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# At least 20,000 files of this machine, as an image: what an unpacked archive holds is what the mount shows.
# shellcheck disable=SC2011,SC2034,SC2154
bats_require_minimum_version 1.5.0
load ../lib/common
load ../lib/fs
load ../lib/realtree

setup_file() {
	export TREE_TAR=$BATS_FILE_TMPDIR/tree.tar TREE=$BATS_FILE_TMPDIR/tree EXTRA=$BATS_FILE_TMPDIR/extra
	export NACRE_STORE=$BATS_FILE_TMPDIR/store
	mkdir -p "$TREE" "$EXTRA/odd"
	(cd "$EXTRA/odd" && base_tree)
	if is_root; then
		setcap cap_net_raw+ep "$EXTRA/odd/exec"
		setfattr -n trusted.x -v 1 "$EXTRA/odd/file"
	fi
	realtree pick 20000 >"$BATS_FILE_TMPDIR/folders"
	tar --format=pax --pax-option=delete=atime,delete=ctime --xattrs --xattrs-include='*' --numeric-owner --sort=name \
		--ignore-failed-read -cf "$TREE_TAR" -C / --no-recursion usr usr/share --recursion -T "$BATS_FILE_TMPDIR/folders" -C "$EXTRA" odd 2>/dev/null
	tar -C "$TREE" --xattrs --xattrs-include='*' --numeric-owner --same-permissions -xf "$TREE_TAR"
	[ "$(find "$TREE" | wc -l)" -ge 20000 ]
	nacre import "$TREE_TAR" real:1 >/dev/null
}
setup() {
	NACRE_STORE_OF_FILE=$NACRE_STORE
	setup_store
	export NACRE_STORE=$NACRE_STORE_OF_FILE
	MNT2=$BATS_TEST_TMPDIR/mnt2
	mkdir "$MNT2"
}
teardown() { unmount_all; }

# A plain user's mount is a fakeroot one.
as_archived() {
	if is_root; then
		realtree archive "$TREE_TAR" "$1"
	else
		realtree archive "$TREE_TAR" "$1" swap
	fi
}

# bats test_tags=slow
@test "the mounted image is what the archive says and what tar makes of it" {
	nacre mount real:1 "$MNT" >/dev/null
	as_archived "$MNT"
	same_content "$TREE" "$MNT"
	if is_root; then
		same_metadata "$TREE" "$MNT"
	fi
	nacre umount "$MNT"
}

# bats test_tags=slow
@test "changes, a commit, and a mount of the new image hold the same" {
	nacre mount --rw real:1 "$MNT" >/dev/null
	is_root || KIND=fakestore
	change "$MNT"
	nacre commit -m changes "$MNT" real:2 >/dev/null
	nacre mount real:2 "$MNT2" >/dev/null
	same_metadata "$MNT" "$MNT2"
	same_content "$MNT" "$MNT2"
	nacre umount "$MNT2"
	nacre umount "$MNT"
	# The base image is as it was.
	nacre mount real:1 "$MNT2" >/dev/null
	as_archived "$MNT2"
	nacre umount "$MNT2"
}

@test "a file of several names, changed through one, is committed under all of them" {
	nacre mount --rw real:1 "$MNT" >/dev/null
	echo more >>"$MNT/odd/hl1"
	nacre commit -m links "$MNT" real:3 >/dev/null
	nacre mount real:3 "$MNT2" >/dev/null
	in_python "$MNT2/odd" <<-'END'
		for p in "hl1", "hl2", "d/hl3":
		    eq(read(p), b"linkedmore\n", p)
		    eq((os.lstat(p).st_nlink, os.lstat(p).st_ino), (3, os.lstat("hl1").st_ino), p)
	END
	nacre umount "$MNT2"
	nacre umount "$MNT"
}

# bats test_tags=slow
@test "as one folder lower, with changes, and again after a remount" {
	mount_dirs "$TREE"
	same_content "$TREE" "$MNT"
	same_metadata "$TREE" "$MNT"
	change "$MNT"
	realtree list "$MNT" >"$BATS_TEST_TMPDIR/before"
	(cd "$MNT" && find . -type f -print0 | sort -z | xargs -0 sha256sum --) >"$BATS_TEST_TMPDIR/sums"
	remount_dirs "$TREE"
	realtree list "$MNT" | diff "$BATS_TEST_TMPDIR/before" - | head -n 40
	realtree list "$MNT" | cmp "$BATS_TEST_TMPDIR/before" -
	(cd "$MNT" && sha256sum --quiet -c "$BATS_TEST_TMPDIR/sums")
}
