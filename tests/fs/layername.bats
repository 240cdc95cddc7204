#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Which layer a file comes from: the xattr user.nacre.layer.
# shellcheck disable=SC2034,SC2153,SC2154
bats_require_minimum_version 1.5.0
load ../lib/common
load ../lib/fs

bottom() { mkdir both d && echo 1 >low && echo 1 >both/low && echo 1 >gone && echo 1 >changed && ln low low2; }
top() { mkdir both && echo 2 >both/high && echo 2 >high && echo 2 >changed; }

setup_file() { make_lowers bottom top; }
setup() { setup_store; }
teardown() { unmount_all; }
teardown_file() { lowers_unchanged; }

layer_of() { getfattr --only-values --absolute-names -n user.nacre.layer "$MNT/$1"; }

# What the lowest and the highest layer are called in this kind of mount.
names() {
	local ref=lowers:1
	case $KIND in
	fakestore) ref=rooted:1 ;;
	esac
	case $KIND in
	*store) mapfile -t NAMES < <(nacre --store "$LOWERS_STORE" layers --json "$ref" | jq -r '.[].DiffId') ;;
	*) NAMES=("$LOWERS_DIR/1" "$LOWERS_DIR/2") ;;
	esac
}

@test "the layer of files and folders is the topmost that has them, and the upper after a change" {
	while fresh_mount; do
		names
		for file in low both/low d low2; do
			assert_equal "$(layer_of "$file")" "${NAMES[0]}"
		done
		for file in high both/high both changed .; do
			[ "$file" = . ] || assert_equal "$(layer_of "$file")" "${NAMES[1]}"
		done
		echo new >"$MNT/new"
		echo more >>"$MNT/low"
		mkdir "$MNT/newdir"
		for file in new low low2 newdir .; do
			assert_equal "$(layer_of "$file")" upper
		done
		remount
		assert_equal "$(layer_of low)" upper
		assert_equal "$(layer_of high)" "${NAMES[1]}"
	done
}

@test "it is listed nowhere, cannot be set or removed, and is not copied up" {
	while fresh_mount; do
		run getfattr --absolute-names -d -m - "$MNT/low" "$MNT/both" "$MNT"
		refute_output_has nacre.layer
		for change in "-n user.nacre.layer -v x" "-x user.nacre.layer"; do
			# shellcheck disable=SC2086
			run setfattr $change "$MNT/low"
			assert_status 1
			assert_output_has "Operation not permitted"
		done
		setfattr -n user.other -v x "$MNT/low"
		run getfattr --absolute-names -d -m - "$UPPER/low"
		refute_output_has nacre.layer
		cp -a "$MNT/high" "$MNT/copied"
		assert_equal "$(layer_of copied)" upper
	done
}

@test "what a lower's file has by that name neither shows nor is copied up" {
	mkdir -p "$BATS_TEST_TMPDIR/l" "$BATS_TEST_TMPDIR/u" "$BATS_TEST_TMPDIR/w" "$MNT"
	echo x >"$BATS_TEST_TMPDIR/l/file"
	setfattr -n user.nacre.layer -v lie "$BATS_TEST_TMPDIR/l/file"
	setfattr -n user.true -v y "$BATS_TEST_TMPDIR/l/file"
	nacrefs -o "lowerdir=$BATS_TEST_TMPDIR/l,upperdir=$BATS_TEST_TMPDIR/u,workdir=$BATS_TEST_TMPDIR/w" "$MNT"
	assert_equal "$(layer_of file)" "$BATS_TEST_TMPDIR/l"
	assert_equal "$(getfattr --absolute-names -d -m '^user' "$MNT/file" | grep -c '^user')" 1
	echo y >>"$MNT/file"
	assert_equal "$(getfattr --absolute-names -d -m '^user.nacre' "$BATS_TEST_TMPDIR/u/file")" ""
	assert_equal "$(layer_of file)" upper
}

# Such a mount tells the kernel to ask for no xattr any more: unless somebody wants to know the layer.
@test "of read-only layers without xattrs it is answered with layer_xattr, whatever was asked before" {
	UPPER='' KINDS=$(is_root && echo store || echo store fakestore)
	while fresh_mount layer_xattr; do
		names
		run getfattr --absolute-names -n user.none "$MNT/low"
		assert_output_has "No such attribute"
		run getfattr --absolute-names -d -m - "$MNT/low"
		refute_output_has user.nacre
		assert_equal "$(layer_of low)" "${NAMES[0]}"
		assert_equal "$(layer_of .)" "${NAMES[1]}"
	done
	KINDS=store KINDS_DONE=0
	while fresh_mount; do
		run getfattr --absolute-names -n user.none "$MNT/low"
		run getfattr --absolute-names -n user.nacre.layer "$MNT/low"
		assert_output_has "Operation not supported"
	done
}
