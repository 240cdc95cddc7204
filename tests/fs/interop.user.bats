#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# A plain user's upper (user.overlay.*) between nacrefs and the kernel's overlayfs with userxattr in a user namespace.
# shellcheck disable=SC2011,SC2034,SC2154
bats_require_minimum_version 1.5.0
load ../lib/common
load ../lib/fs

lowest() {
	base_tree
	mkdir -p opaque
	printf x >opaque/old
	printf x >gone
}
topmost() {
	mkdir -p opaque
	printf new >opaque/new
	setfattr -n user.overlay.opaque -v y opaque
	mknod gone c 0 0
}

setup_file() {
	export LOWERS_DIR=$BATS_FILE_TMPDIR/lowers
	mkdir -p "$LOWERS_DIR/1" "$LOWERS_DIR/2"
	(cd "$LOWERS_DIR/1" && lowest)
	(cd "$LOWERS_DIR/2" && topmost)
	export LOWERS=$LOWERS_DIR/2:$LOWERS_DIR/1
	list_tree "$LOWERS_DIR" >"$BATS_FILE_TMPDIR/lowers.before"
}
setup() {
	setup_store
	KERNEL=$BATS_TEST_TMPDIR/kernel
	mkdir -p "$UPPER" "$WORK" "$KERNEL"
	skip_without_kernel "overlayfs in user namespaces" in_kernel_mount true
}
teardown() { unmount_all; }
teardown_file() { lowers_unchanged; }

# Run a command in $KERNEL, a mount of the layers in a user namespace that goes when it ends.
in_kernel_mount() {
	mkdir -p "$UPPER" "$WORK"
	# shellcheck disable=SC2016
	unshare -Urm bash -c 'set -e
		mount -t overlay overlay -o "userxattr,lowerdir=$1,upperdir=$2,workdir=$3" "$4"
		cd "$4"
		shift 4
		"$@"' - "$LOWERS" "$UPPER" "$WORK" "$KERNEL" "$@"
}

# Owners are the same number inside and outside only by chance: compare without them.
listing() {
	find . -mindepth 1 \( -type d -printf '%P %y %m %T@\n' -o -printf '%P %y %m %s %T@ %n %l\n' \) | sort
	find . -type f -print0 | sort -z | xargs -0 -r sha256sum --
	find . \( -type f -o -type d \) -print0 | sort -z | xargs -0 -r getfattr -h -d -m user. -e hex -- 2>/dev/null
}
export -f listing

changes() {
	echo changed >>file
	rm exec d/b
	rm -r d/sub replaced empty
	mkdir replaced
	echo >empty
	mv link link2
	chmod 600 big
	setfattr -n user.x -v 1 secret
	ln -s target newlink
	mkfifo newfifo
	touch one
	ln one two
}
export -f changes

@test "the same layers look the same" {
	mount_dirs_ro "$LOWERS"
	diff <(in_kernel_mount bash -c listing) <(cd "$MNT" && listing)
}

@test "an upper written by nacrefs looks the same to the kernel" {
	mount_dirs -o metacopy=off "$LOWERS" # the kernel reads no user.overlay.metacopy
	(cd "$MNT" && changes)
	(cd "$MNT" && listing) >"$BATS_TEST_TMPDIR/nacrefs"
	unmount
	assert_equal "$(getfattr -n user.overlay.opaque --only-values --absolute-names "$UPPER/replaced")" y
	assert_equal "$(stat -c '%F %t:%T' "$UPPER/exec")" "character special file 0:0"
	diff "$BATS_TEST_TMPDIR/nacrefs" <(in_kernel_mount bash -c listing)
}

@test "an upper written by the kernel looks the same to nacrefs" {
	in_kernel_mount bash -c 'set -e; changes; listing' >"$BATS_TEST_TMPDIR/kernel.list"
	mount_dirs "$LOWERS"
	diff "$BATS_TEST_TMPDIR/kernel.list" <(cd "$MNT" && listing)
}

@test "nacrefs is mounted in a user namespace, by its root" {
	# shellcheck disable=SC2016
	unshare -Urm bash -c 'set -e
		"$1" -o "lowerdir=$2,upperdir=$3,workdir=$4" "$5"
		cd "$5"
		changes
		test "$(stat -c %u file)" = 0
		cd /
		umount "$5"' - "$NACREFS" "$LOWERS" "$UPPER" "$WORK" "$KERNEL" 3>&-
	mount_dirs "$LOWERS"
	in_python <<-'END'
		eq(read("file"), b"hello\nchanged\n")
		eq(names("replaced"), [])
		fails(errno.ENOENT, os.lstat, "exec")
	END
}
