#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Random operations in a container of the store against a plain directory as the model (../fs/model.py), with live commits
# between them: the mount goes on as if there had been none, the image shows what the mount did, and so does the container
# when it is mounted again.
# More by hand: NACRE_SEEDS="1 2 3" NACRE_OPERATIONS=100000.
# shellcheck disable=SC2034,SC2154
bats_require_minimum_version 1.5.0
load ../lib/common
load ../lib/fs
load ../lib/model

setup_file() { make_lowers model_lowest model_topmost; }
setup() {
	setup_store
	export NACRE_STORE=$LOWERS_STORE
}
teardown() { unmount_all; }

# Make $CONTROL, the program with which model.py mounts a container.
write_control() {
	CONTROL=$BATS_TEST_TMPDIR/control
	IMAGE=lowers:1
	is_root || IMAGE=rooted:1
	{
		echo '#!/bin/bash'
		declare -p NACRE_TOP NACRE_BUILD NACRE_STORE BATS_TEST_TMPDIR MNT IMAGE
		cat <<-'END'
			set -eu
			. "$NACRE_TOP/tests/lib/common.bash"
			umount_from() { ! mountpoint -q "$1" || nacre umount "$1"; }
			case $1 in
			reset)
				umount_from "$MNT.image"
				umount_from "$MNT"
				nacre rm -f $(nacre ps -aq) none >/dev/null
				nacre mount --rw --name model "$IMAGE" "$MNT" >/dev/null
				;;
			mount) nacre mount --container model "$MNT" >/dev/null ;;
			unmount) nacre umount "$MNT" ;;
			commit) nacre commit --live model live:1 >/dev/null ;;
			show)
				mkdir -p "$MNT.image"
				nacre mount live:1 "$MNT.image"
				;;
			hide) nacre umount "$MNT.image" ;;
			esac
		END
	} >"$CONTROL"
	chmod +x "$CONTROL"
}

@test "operations give the same as on a plain directory, over live commits and remounts" {
	KINDS=container
	run_model 1 "$(count 5000 500)"
}
