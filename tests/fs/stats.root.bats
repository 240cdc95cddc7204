#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What the driver tells of its work, and whom; see stats.bats.
# shellcheck disable=SC2016,SC2034,SC2154
bats_require_minimum_version 1.5.0
load ../lib/common

setup() {
	setup_store
	LOWER=$BATS_TEST_TMPDIR/lower
	mkdir -p "$LOWER" "$UPPER" "$WORK"
}
teardown() { unmount_all; }

@test "only root and who mounted are told" {
	mount_dirs "$LOWER"
	setup_user
	as_user ls "$MNT"
	assert_refused "Operation not permitted" as_user nacrefs --stats "$MNT"
	nacrefs --stats "$MNT" >/dev/null
	unmount

	mkdir "$USER_DIR/mnt"
	chown "$NACRE_TEST_USER": "$USER_DIR/mnt"
	as_user nacrefs -o "lowerdir=$LOWER" "$USER_DIR/mnt"
	as_user nacrefs --stats --json "$USER_DIR/mnt" | jq -e .Requests >/dev/null
}

# The log's socket is the system's: it has another /dev here, in a mount namespace that ends with the test.
@test "SIGUSR1 writes to the system's log in the background" {
	cat >"$BATS_TEST_TMPDIR/inside" <<-'END'
		set -eu
		mkdir "$1/dev"
		cp -a /dev/null /dev/zero /dev/urandom /dev/fuse "$1/dev"
		mount --bind "$1/dev" /dev
		python3 -c '
		import socket, sys
		s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
		s.bind("/dev/log")
		s.settimeout(60)
		open(sys.argv[1], "w").close()
		while True:
		    text = s.recv(4096).decode()
		    print(text, flush=True)
		    if "threads " in text:
		        break
		' "$1/listening" >"$1/log" &
		log=$!
		until [ -e "$1/listening" ]; do
			sleep 0.05
		done
		"$NACREFS" -o "lowerdir=$2" "$3"
		ls "$3"
		for process in /proc/[0-9]*; do
			if [ "$(readlink "$process/exe")" = "$NACREFS" ] && grep -qzxF -- "$3" "$process/cmdline"; then
				kill -USR1 "${process#/proc/}"
			fi
		done
		wait "$log"
		ls "$3"
		umount "$3"
	END
	unshare -m bash "$BATS_TEST_TMPDIR/inside" "$BATS_TEST_TMPDIR" "$LOWER" "$MNT" 3>&- 4>&-
	[[ $(cat "$BATS_TEST_TMPDIR/log") =~ nacrefs\[[0-9]+\]:\ +INIT\ +1 ]] || fail "$(cat "$BATS_TEST_TMPDIR/log")"
}
