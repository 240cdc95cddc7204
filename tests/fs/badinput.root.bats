#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2011,SC2034,SC2154
bats_require_minimum_version 1.5.0
load ../lib/common

setup() {
	setup_store
	LOWER=$BATS_TEST_TMPDIR/lower
	mkdir -p "$LOWER/d" "$UPPER" "$WORK"
	echo hello >"$LOWER/file"
}
teardown() {
	unmount_all
	[ -z "${INSTALLED:-}" ] || rm -f -- "$INSTALLED"
}

@test "a workdir on another file system than the upperdir is refused, and both are named" {
	mount -t tmpfs tmpfs "$WORK"
	assert_refused "$WORK" nacrefs -o "lowerdir=$LOWER,upperdir=$UPPER,workdir=$WORK" "$MNT"
	assert_output_has "$UPPER"
	run ! mountpoint -q "$MNT"
	umount "$WORK"
}

@test "an upper that cannot be written is refused, and named" {
	mkdir "$BATS_TEST_TMPDIR/ro"
	mount -t tmpfs tmpfs "$BATS_TEST_TMPDIR/ro"
	mkdir "$BATS_TEST_TMPDIR/ro/upper" "$BATS_TEST_TMPDIR/ro/work"
	mount -o remount,ro "$BATS_TEST_TMPDIR/ro"
	assert_refused "$BATS_TEST_TMPDIR/ro" nacrefs \
		-o "lowerdir=$LOWER,upperdir=$BATS_TEST_TMPDIR/ro/upper,workdir=$BATS_TEST_TMPDIR/ro/work" "$MNT"
	run ! mountpoint -q "$MNT"
	umount "$BATS_TEST_TMPDIR/ro"
}

# mount(8) looks for the driver in a PATH of its own: it has to be installed, here under a name that nothing else has.
@test "mount -t fuse.nacrefs, with the options of mount(8)" {
	INSTALLED=/usr/local/bin/nacrefs-of-test-$$
	ln -s "$NACRE_BUILD/fs/nacrefs" "$INSTALLED"
	mount -t "fuse.${INSTALLED##*/}" source "$MNT" -o "lowerdir=$LOWER,nosuid,nodev,noexec" 3>&-
	assert_equal "$(cat "$MNT/file")" hello
	[[ $(findmnt -n -o OPTIONS "$MNT") == *nosuid*nodev*noexec* ]] || fail "$(findmnt "$MNT")"
	unmount
	mount -t "fuse.${INSTALLED##*/}" source "$MNT" \
		-o "lowerdir=$LOWER,upperdir=$UPPER,workdir=$WORK,fsname=mine" 3>&-
	assert_equal "$(findmnt -n -o SOURCE "$MNT")" mine
	echo x >"$MNT/new"
}
