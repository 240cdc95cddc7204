#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2154
bats_require_minimum_version 1.5.0
load ../lib/common
load ../lib/cli
load ../lib/passthrough

setup() { setup_base; }
teardown() { unmount_all; }

@test "what something is mounted on does not change under it" {
	mount_rw
	mkdir -p "$BATS_TEST_TMPDIR/extra/etc" "$BATS_TEST_TMPDIR/extra/opt/sub"
	echo extra >"$BATS_TEST_TMPDIR/extra/etc/motd"
	echo host >"$BATS_TEST_TMPDIR/host"
	mount --bind "$BATS_TEST_TMPDIR/host" "$MNT/etc/motd"
	assert_refused "it would change /etc/motd, on which something is mounted" \
		nacre layer add "$MNT" "$BATS_TEST_TMPDIR/extra"
	assert_equal "$(cat "$MNT/etc/motd")" host
	umount "$MNT/etc/motd"
	assert_equal "$(cat "$MNT/etc/motd")" welcome
	nacre layer add "$MNT" "$BATS_TEST_TMPDIR/extra"
	mount -t tmpfs none "$MNT/opt/sub"
	assert_refused "/opt/sub of it is in use" nacre layer remove "$MNT" "$BATS_TEST_TMPDIR/extra"
	mountpoint -q "$MNT/opt/sub"
	umount "$MNT/opt/sub"
	nacre layer remove "$MNT" "$BATS_TEST_TMPDIR/extra"
	[ ! -e "$MNT/opt" ]
}

@test "refused where the kernel reads files by itself" {
	skip_without_passthrough
	nacre mount --rw -o io=passthrough base:1 "$MNT"
	assert_refused "io=passthrough" nacre layer add "$MNT" "$BATS_TEST_TMPDIR"
}
