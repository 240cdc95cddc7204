#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# mount(8), fstab and remount, through mount.fuse3.
# shellcheck disable=SC2011,SC2034,SC2154
bats_require_minimum_version 1.5.0
load ../lib/common
load ../lib/fs

# mount(8) looks for the driver in a PATH of its own, and names it by the type that the mount shows: it has to be
# installed, here under a name that nothing else has.
setup() {
	setup_store
	LOWER=$BATS_TEST_TMPDIR/lower
	mkdir -p "$LOWER/d" "$UPPER" "$WORK"
	echo hello >"$LOWER/file"
	printf '#!/bin/sh\necho ran\n' >"$LOWER/script"
	chmod 755 "$LOWER/script"
	TYPE=nacrefs-of-test-$$
	INSTALLED=/usr/local/bin/$TYPE
	ln -s "$NACRE_BUILD/fs/nacrefs" "$INSTALLED"
	LAYERS=lowerdir=$LOWER,upperdir=$UPPER,workdir=$WORK,subtype=$TYPE
}
teardown() {
	unmount_all
	rm -f -- "$INSTALLED"
}

# The mount's own flags, the file system's, its type and its source.
flags() { awk -v dir="$MNT" '$5 == dir { print $6 }' /proc/self/mountinfo | tail -n 1; }
super() { awk -v dir="$MNT" '$5 == dir { print $NF }' /proc/self/mountinfo | tail -n 1; }

assert_flag() { [[ ,$(flags), == *,$1,* ]] || fail "expected $1: $(flags)"; }
refute_flag() { [[ ,$(flags), != *,$1,* ]] || fail "not expected $1: $(flags)"; }

@test "suid, dev, exec and their opposites, fsname and subtype show in mountinfo" {
	mount -t "fuse.$TYPE" source "$MNT" -o "$LAYERS,suid,dev,exec" 3>&-
	refute_flag nosuid
	refute_flag nodev
	refute_flag noexec
	assert_equal "$("$MNT/script")" ran
	mknod "$MNT/null" c 1 3
	echo x >"$MNT/null"
	unmount
	mount -t "fuse.$TYPE" source "$MNT" -o "$LAYERS,nosuid,nodev,noexec,noatime,fsname=mine" 3>&-
	assert_flag nosuid
	assert_flag nodev
	assert_flag noexec
	assert_flag noatime
	assert_equal "$(findmnt -n -o SOURCE,FSTYPE "$MNT" | xargs)" "mine fuse.$TYPE"
	run ! "$MNT/script"
	run ! sh -c 'echo x >"$1/null"' - "$MNT"
}

@test "a line of fstab, with the words that only fstab has" {
	echo "source $MNT fuse.$TYPE noauto,nofail,user,_netdev,x-test.x=1,comment=none,defaults,$LAYERS,dev 0 0" \
		>"$BATS_TEST_TMPDIR/fstab"
	mount -T "$BATS_TEST_TMPDIR/fstab" "$MNT" 3>&-
	assert_equal "$(cat "$MNT/file")" hello
	# user means these unless told.
	assert_flag nosuid
	assert_flag noexec
	refute_flag nodev
	echo new >"$MNT/new"
	unmount
	assert_equal "$(cat "$UPPER/new")" new
}

@test "mount -o remount: read-only and back, noexec and back" {
	mount -t "fuse.$TYPE" source "$MNT" -o "$LAYERS" 3>&-
	echo one >"$MNT/new"
	mount -o remount,ro "$MNT"
	[[ ,$(super), == *,ro,* ]] || fail "$(super)"
	run ! sh -c 'echo two >"$1/new"' - "$MNT"
	assert_equal "$(cat "$MNT/new" "$MNT/file" | xargs)" "one hello"
	mount -o remount,rw,noexec "$MNT"
	echo two >"$MNT/new"
	assert_flag noexec
	run ! "$MNT/script"
	mount -o remount,exec,nosuid,nodev "$MNT"
	assert_equal "$("$MNT/script")" ran
	assert_flag nosuid
	assert_flag nodev
	mount -o remount,bind,ro "$MNT"
	run ! sh -c 'echo three >"$1/new"' - "$MNT"
	unmount
	assert_equal "$(cat "$UPPER/new")" two
}

@test "remount of what is no mount of the driver is refused, and changes nothing" {
	mkdir "$BATS_TEST_TMPDIR/tmpfs"
	mount -t tmpfs tmpfs "$BATS_TEST_TMPDIR/tmpfs"
	assert_refused "no mount of this driver" nacrefs source "$BATS_TEST_TMPDIR/tmpfs" -o remount,ro
	touch "$BATS_TEST_TMPDIR/tmpfs/x"
}

@test "a read-only stack stays one, whatever a remount says" {
	mount -t "fuse.$TYPE" source "$MNT" -o "lowerdir=$LOWER,subtype=$TYPE" 3>&-
	[[ ,$(super), == *,ro,* ]] || fail "$(super)"
	mount -o remount,rw "$MNT"
	run sh -c 'echo two >"$1/new"' - "$MNT"
	[ "$status" != 0 ]
	assert_output_has "Read-only file system"
}

@test "live when the command returns, unmountable at once, and so are its lowers" {
	local i
	truncate -s 8M "$BATS_TEST_TMPDIR/img"
	mkfs.ext4 -q -d "$LOWER" "$BATS_TEST_TMPDIR/img"
	mkdir "$BATS_TEST_TMPDIR/loop"
	for i in 1 2 3 4 5 6; do
		mount -o loop "$BATS_TEST_TMPDIR/img" "$BATS_TEST_TMPDIR/loop"
		mount -t "fuse.$TYPE" source "$MNT" -o "${LAYERS/"$LOWER"/"$BATS_TEST_TMPDIR/loop"}" 3>&-
		assert_equal "$(head -n 1 "$MNT/file")" hello
		echo "$i" >>"$MNT/file"
		umount "$MNT"
		umount "$BATS_TEST_TMPDIR/loop"
	done
	wait_gone "$(driver_pids "$MNT")"
	assert_equal "$(xargs <"$UPPER/file")" "hello 1 2 3 4 5 6"
}
