#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2154
bats_require_minimum_version 1.5.0
load ../lib/common
load ../lib/cli

# A store on a file system of 16 MiB, with base:1 in it.
setup() {
	setup_store
	mkdir "$BATS_TEST_TMPDIR/small"
	mount -t tmpfs -o size=16m tmpfs "$BATS_TEST_TMPDIR/small"
	export NACRE_STORE=$BATS_TEST_TMPDIR/small/store
	BASE_TAR=$BATS_TEST_TMPDIR/base.tar
	make_archive base "$BASE_TAR"
	nacre import "$BASE_TAR" base:1 >/dev/null
}

teardown() {
	unmount_all
	! mountpoint -q "$BATS_TEST_TMPDIR/small" || umount "$BATS_TEST_TMPDIR/small"
}

@test "a full disk during import, of one large file" {
	head -c 30000000 /dev/urandom >"$BATS_TEST_TMPDIR/large"
	tar -C "$BATS_TEST_TMPDIR" -cf "$BATS_TEST_TMPDIR/large.tar" large
	assert_refused_unchanged "cannot import $BATS_TEST_TMPDIR/large.tar: " nacre import "$BATS_TEST_TMPDIR/large.tar" big
	assert_output_has "No space left on device"
	assert_output_has "free some space"
	nacre import "$BASE_TAR" base:2
}

@test "a full disk during import, of many small files" {
	mkdir "$BATS_TEST_TMPDIR/many"
	head -c 30000000 /dev/urandom | split -b 5000 -a 4 - "$BATS_TEST_TMPDIR/many/f"
	tar -C "$BATS_TEST_TMPDIR" -cf "$BATS_TEST_TMPDIR/many.tar" many
	assert_refused_unchanged "cannot import $BATS_TEST_TMPDIR/many.tar: " nacre import "$BATS_TEST_TMPDIR/many.tar" big
	assert_output_has "No space left on device"
	nacre import "$BASE_TAR" base:2
}

@test "a full disk during load" {
	head -c 30000000 /dev/urandom >"$BATS_TEST_TMPDIR/large"
	tar -C "$BATS_TEST_TMPDIR" -cf "$BATS_TEST_TMPDIR/large.tar" large
	make_archive layout "$BATS_TEST_TMPDIR/oci" big:1 "$BASE_TAR" "$BATS_TEST_TMPDIR/large.tar"
	assert_refused "cannot load $BATS_TEST_TMPDIR/oci: " nacre load "$BATS_TEST_TMPDIR/oci"
	assert_equal "$(nacre images --json | jq length)" 1
	nacre import "$BASE_TAR" base:2
}

@test "a disk that is full while the changes are committed" {
	mount_rw
	head -c 9000000 /dev/urandom >"$MNT/large"
	assert_refused_unchanged "cannot commit $MNT: " nacre commit "$MNT" app:1
	assert_output_has "No space left on device"
	assert_equal "$(stat -c %s "$MNT/large")" 9000000
}
