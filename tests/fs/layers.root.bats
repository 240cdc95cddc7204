#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2154
#
# What layers are on, and what is mounted around them.
bats_require_minimum_version 1.5.0
load ../lib/common
load ../lib/fs

setup() {
	LOW=$BATS_TEST_TMPDIR/low UP=$BATS_TEST_TMPDIR/up
	setup_store
	mkdir -p "$LOW" "$UP" "$MNT"
	mount -t tmpfs low "$LOW"
	mount -t tmpfs up "$UP"
	mkdir "$LOW/l" "$LOW/l/d" "$UP/u" "$UP/w"
	echo low >"$LOW/l/file"
}

teardown() {
	unmount_all
	umount "$LOW/l/d" 2>/dev/null || true
	umount -l "$LOW" "$UP" 2>/dev/null || true
}

mount_it() { nacrefs -o "lowerdir=$LOW/l,upperdir=$UP/u,workdir=$UP/w" "$1"; }

# umount of a mount in user space does not wait for its daemon, so that the lowers could only be unmounted some time
# after it.
@test "lowers and upper do not keep their mounts busy" {
	mount_it "$MNT"
	echo more >>"$MNT/file"
	echo new >"$MNT/d/new"
	umount "$LOW"
	umount "$UP"
	assert_equal "$(cat "$MNT/file")" $'low\nmore'
	ln "$MNT/d/new" "$MNT/linked"
	mv "$MNT/d" "$MNT/e"
	assert_equal "$(cat "$MNT/e/new")" new
}

@test "what is mounted on a folder of a lower shows if it was there before, else not" {
	mount -t tmpfs before "$LOW/l/d"
	echo 1 >"$LOW/l/d/before"
	mount_it "$MNT"
	assert_equal "$(ls "$MNT/d")" before
	unmount "$MNT"
	umount "$LOW/l/d"
	mount_it "$MNT"
	mount -t tmpfs after "$LOW/l/d"
	echo 1 >"$LOW/l/d/after"
	assert_equal "$(ls "$MNT/d")" ''
}

@test "a mount within its own lower does not contain itself" {
	mount_it "$LOW/l/d"
	assert_equal "$(cat "$LOW/l/d/file")" low
	assert_equal "$(ls "$LOW/l/d/d")" ''
	echo x >"$LOW/l/d/d/x"
	assert_equal "$(find "$LOW/l/d" -type f | wc -l)" 2
	unmount "$LOW/l/d"
}
