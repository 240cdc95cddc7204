#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2154
bats_require_minimum_version 1.5.0
load ../lib/common
load ../lib/cli
load ../lib/passthrough

setup() { setup_base; }
teardown() { unmount_all; }

@test "refused where the kernel writes to the upper by itself" {
	skip_without_passthrough
	CONTAINER=$(nacre mount --rw -o io=passthrough base:1 "$MNT")
	echo 1 >"$MNT/one"
	assert_refused "io=passthrough" nacre commit --live "$MNT"
	assert_equal "$(find "$NACRE_STORE/containers/$CONTAINER" -mindepth 1 -maxdepth 1 -type d -printf '%f\n' | sort)" \
		$'upper\nwork'
	echo 2 >"$MNT/two"
	nacre umount "$MNT"
	nacre mount --container "$CONTAINER" "$MNT"
	assert_equal "$(cat "$MNT/one" "$MNT/two")" $'1\n2'
}
