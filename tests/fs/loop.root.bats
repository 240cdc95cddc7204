#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# How requests are taken, and how that ends.
# shellcheck disable=SC2016,SC2034,SC2154
bats_require_minimum_version 1.5.0
load ../lib/common

setup() {
	setup_store
	LOWER=$BATS_TEST_TMPDIR/lower
	mkdir -p "$LOWER/d"
	echo hello >"$LOWER/file"
	echo a >"$LOWER/d/a"
}
teardown() { unmount_all; }

# A lower whose own driver is stopped answers nothing.  There are more readers than processors, and than threads that
# wait for requests at a time.
@test "requests that hang hold up no others" {
	local below=$BATS_TEST_TMPDIR/below slow=$BATS_TEST_TMPDIR/slow driver i
	local -a readers=()
	mkdir -p "$below" "$slow"
	for ((i = 0; i < 12; i++)); do
		mkdir "$below/slow$i"
		echo "$i" >"$below/slow$i/file"
	done
	nacrefs -o "lowerdir=$below" "$slow"
	driver=$(driver_pids "$slow")
	mount_dirs "$LOWER" "$slow"
	ls "$MNT" >/dev/null
	kill -STOP "$driver"
	for ((i = 0; i < 12; i++)); do
		cat "$MNT/slow$i/file" >"$BATS_TEST_TMPDIR/out$i" 3>&- 4>&- &
		readers+=($!)
	done
	for ((i = 0; i < 30; i++)); do
		run timeout 60 getfattr -n user.none "$MNT/d"
		assert_status 1
		timeout 60 cat "$MNT/file" "$MNT/d/a" >/dev/null
	done
	kill -CONT "$driver"
	wait "${readers[@]}"
	for ((i = 0; i < 12; i++)); do
		assert_equal "$(cat "$BATS_TEST_TMPDIR/out$i")" "$i"
	done
	unmount
	unmount "$slow"
}

@test "a driver whose connection was aborted ends" {
	local control=$BATS_TEST_TMPDIR/control driver
	mkdir "$control"
	mount -t fusectl fusectl "$control"
	mount_dirs "$LOWER"
	ls "$MNT" >/dev/null
	driver=$(driver_pids "$MNT")
	echo 1 >"$control/$(stat -c %d "$MNT")/abort"
	wait_gone "$driver"
	umount "$MNT" 2>/dev/null || ! mountpoint -q "$MNT"
	umount "$control"
}

@test "SIGTERM ends it with work under way, and after SIGKILL the mount can be taken away" {
	local driver writer
	mount_dirs "$LOWER"
	driver=$(driver_pids "$MNT")
	(cd "$MNT" && i=0 && while echo x >"w$i"; do i=$(((i + 1) % 50)); done) 2>/dev/null 3>&- 4>&- &
	writer=$!
	until [ -e "$MNT/w1" ]; do
		sleep 0.01
	done
	kill -TERM "$driver"
	wait_gone "$driver"
	wait "$writer" || true
	! mountpoint -q "$MNT" || fail "still mounted"

	mount_dirs "$LOWER"
	driver=$(driver_pids "$MNT")
	kill -KILL "$driver"
	wait_gone "$driver"
	run ls "$MNT"
	[ "$status" != 0 ] || fail "a dead mount was listed"
	umount "$MNT"
	mount_dirs "$LOWER"
	ls "$MNT/w1"
	unmount
}

# Each waits for the kernel to write what it has, and the driver to serve that.
@test "SIGTERM ends it while many ask for holes in what they write" {
	local driver asker i
	[[ ${NACRE_MOUNT_OPTIONS:-} != *passthrough* ]] || return 0 # then the kernel keeps nothing that is to be written
	for i in 1 2 3; do
		mount_dirs "$LOWER"
		driver=$(driver_pids "$MNT")
		(
			cd "$MNT" && exec python3 -c 'import os, threading
def ask(n):
    fd = os.open("end%d" % n, os.O_CREAT | os.O_RDWR)
    while True:
        os.ftruncate(fd, 0)
        os.ftruncate(fd, 64 << 20)
        for at in range(1 << 20, 64 << 20, 262144):
            os.pwrite(fd, b"x", at)
        os.lseek(fd, 0, os.SEEK_DATA)
        open("asked%d" % n, "w").close()
for n in range(8):
    threading.Thread(target=ask, args=(n,)).start()'
		) 2>/dev/null 3>&- 4>&- &
		asker=$!
		until [ -e "$MNT/asked7" ]; do
			sleep 0.01
		done
		kill -TERM "$driver"
		wait_gone "$driver"
		wait "$asker" || true
		! mountpoint -q "$MNT" || fail "still mounted"
		rm -rf "$UPPER" "$WORK"
	done
}
