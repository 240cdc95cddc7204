#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Random operations through nacrefs, the kernel's overlayfs and fuse-overlayfs in turn, on one upper: what one has
# written the others must show (interop.py).  More by hand: NACRE_SEEDS="1 2 3" NACRE_OPERATIONS=200.
# bats file_tags=slow
# shellcheck disable=SC2034,SC2154
bats_require_minimum_version 1.5.0
load ../lib/common
load ../lib/fs

# No hard links: the kernel breaks those of a lower, and then every reader is right in its own way.
lowest() {
	mkdir -p a/b/c e/file dd/a gone opaque/in
	printf 1 >a/file
	printf 22 >a/b/link
	head -c 20000 /dev/zero | tr '\0' 3 >a/b/c/e
	printf 4 >file
	ln -s file link
	printf 5 >dd/a/a
	printf 6 >gone/b
	printf 7 >opaque/old
	printf 8 >opaque/in/old
	setfattr -n user.x -v 1 a/file
	setfattr -n user.y -v 2 a/b
	chmod 711 a/b
	chown 12:34 dd
	mkfifo e/b
	find . -exec touch -h -d '2001-02-03 04:05:06.123456789' {} +
}
topmost() {
	mkdir -p a/b b opaque
	printf 7 >a/dd
	printf 8 >opaque/c
	setfattr -n "$MARK.overlay.opaque" -v y opaque
	mknod gone c 0 0
	mknod a/b/link c 0 0
	find . -exec touch -h -d '2002-03-04 05:06:07.123456789' {} +
}

setup_file() {
	local MARK
	for MARK in trusted user; do
		mkdir -p "$BATS_FILE_TMPDIR/$MARK/1" "$BATS_FILE_TMPDIR/$MARK/2"
		(cd "$BATS_FILE_TMPDIR/$MARK/1" && lowest)
		(cd "$BATS_FILE_TMPDIR/$MARK/2" && topmost)
	done
	export LOWERS_DIR=$BATS_FILE_TMPDIR
	list_tree "$BATS_FILE_TMPDIR" >"${BATS_FILE_TMPDIR%/}.before"
}
setup() { setup_store; }
teardown() { unmount_all; }
teardown_file() {
	diff "${BATS_FILE_TMPDIR%/}.before" <(list_tree "$BATS_FILE_TMPDIR") || fail "a lower was changed"
}

# The program with which interop.py mounts; $1: whose marks, trusted or user.
write_control() {
	local LOWERS=$BATS_FILE_TMPDIR/$1/2:$BATS_FILE_TMPDIR/$1/1
	CONTROL=$BATS_TEST_TMPDIR/control
	{
		echo '#!/bin/bash'
		declare -p NACRE_TOP NACRE_BUILD BATS_TEST_TMPDIR MNT UPPER WORK LOWERS
		cat <<-'END'
			set -eu
			. "$NACRE_TOP/tests/lib/common.bash"
			kernel() { mount -t overlay overlay -o "$dirs,$1" "$MNT"; }
			dirs=lowerdir=$LOWERS,upperdir=$UPPER,workdir=$WORK
			case "$*" in
			reset)
				if mountpoint -q "$MNT"; then
					unmount "$MNT"
				fi
				rm -rf "$UPPER" "$WORK"
				mkdir -p "$UPPER" "$WORK"
				;;
			"mount nacrefs") nacrefs -o "$dirs" "$MNT" ;;
			"mount nacrefs-plain") nacrefs -o "$dirs,metacopy=off" "$MNT" ;;
			"mount nacrefs-metacopy") nacrefs -o "$dirs,metacopy=on" "$MNT" ;;
			"mount nacrefs-user") nacrefs -o "$dirs,userxattr,metacopy=off" "$MNT" ;;
			"mount kernel") kernel redirect_dir=on,metacopy=off,index=off ;;
			"mount kernel-noredirect") kernel redirect_dir=off,metacopy=off,index=off ;;
			"mount kernel-index") kernel redirect_dir=on,metacopy=off,index=on ;;
			"mount kernel-metacopy") kernel redirect_dir=on,metacopy=on,index=off ;;
			"mount kernel-user") kernel userxattr ;;
			"mount fuse-overlayfs") fuse-overlayfs -o "$dirs" "$MNT" 2>/dev/null 3>&- 4>&- ;;
			unmount)
				unmount "$MNT"
				rm -rf "$WORK/work/incompat"
				;;
			esac
		END
	} >"$CONTROL"
	chmod +x "$CONTROL"
}

# In a mount namespace of its own: one that another test makes meanwhile would hold copies of these mounts, and the
# kernel's overlayfs does not mount an upper that is mounted.  Nor does this one hold copies of those of others.
alone() {
	# shellcheck disable=SC2016
	unshare -m bash -c 'awk "/ - (fuse|overlay)/ { print \$5 }" /proc/self/mountinfo | tac | xargs -r -d "\n" umount -l
		exec "$@"' - "$@"
}

# interop MARK SEED ROUNDS NAME...
interop() {
	local mark=$1 seed=$2 rounds=$3
	shift 3
	write_control "$mark"
	for seed in ${NACRE_SEEDS:-"$seed"}; do
		echo "# seed $seed"
		alone python3 -B "$NACRE_TOP/tests/fs/interop.py" run "$seed" "$rounds" "${NACRE_OPERATIONS:-150}" "$CONTROL" "$MNT" "$UPPER" "$@" 3>&-
	done
}

@test "nacrefs and the kernel's overlayfs with metacopies" {
	interop trusted 1 8 nacrefs nacrefs-metacopy nacrefs-plain kernel-metacopy
}

@test "nacrefs and the kernel's overlayfs with every other option" {
	interop trusted 2 8 nacrefs-plain kernel kernel-noredirect kernel-index kernel-metacopy
}

@test "nacrefs and fuse-overlayfs" {
	interop trusted 3 6 nacrefs-plain fuse-overlayfs
}

@test "all three, with trusted.overlay" {
	interop trusted 4 8 nacrefs-plain kernel kernel-noredirect fuse-overlayfs
}

@test "all three, with user.overlay" {
	interop user 5 8 nacrefs-user kernel-user fuse-overlayfs
}
