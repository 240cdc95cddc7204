#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# An overlay on top of the mount: its xattrs, its whiteouts, nacrefs on nacrefs.
# shellcheck disable=SC2011,SC2016,SC2034,SC2154
bats_require_minimum_version 1.5.0
load ../lib/common
load ../lib/fs

setup_file() { make_lowers base_tree; }
setup() {
	setup_store
	TOP=$BATS_TEST_TMPDIR/top
	mkdir -p "$TOP"
}
teardown() { unmount_all; }
teardown_file() { lowers_unchanged; }

# mount_nested [OPTIONS]: nacrefs at $TOP, with its upper in the mount at $MNT.
mount_nested() {
	mkdir -p "$MNT/inner/upper" "$MNT/inner/work"
	nacrefs -o "lowerdir=$BATS_TEST_TMPDIR/lower,upperdir=$MNT/inner/upper,workdir=$MNT/inner/work,${1:-}" "$TOP"
}

nested_changes() {
	in_python "$TOP" <<-'END'
		os.unlink("file")
		shutil.rmtree("d/sub")
		shutil.rmtree("replaced")
		os.mkdir("replaced")
		write("replaced/mine", b"mine")
		os.rename("tree", "d/moved")
		os.rename("exec", "d/exec")
		append("d/a", b"!")
		append("hl1", b"!")
		os.unlink("link")
		write("link", b"no link any more")
	END
}

nested_check() {
	in_python "$TOP" <<-'END'
		for p in "file", "d/sub", "tree", "exec":
		    fails(errno.ENOENT, os.lstat, p)
		eq(names("replaced"), ["mine"])
		eq(names("d"), ["a", "b", "exec", "hl3", "moved"])
		eq(read("d/moved/x/y/3"), b"3")
		eq([read(p) for p in ("d/a", "hl2", "d/hl3", "link")], [b"a!", b"linked!", b"linked!", b"no link any more"])
		for d in ".", "d", "d/moved", "replaced":
		    same_listing(d)
	END
}

@test "nacrefs with its upper on nacrefs: everything can be deleted, replaced and renamed, and stays so" {
	mkdir "$BATS_TEST_TMPDIR/lower"
	(cd "$BATS_TEST_TMPDIR/lower" && base_tree)
	while fresh_mount; do
		mount_nested
		nested_changes
		nested_check
		unmount "$TOP"
		mount_nested
		nested_check
		unmount "$TOP"
		remount
		mount_nested
		nested_check
		# The mount below shows the marks as the nested overlay made them, and obeys none of them.
		[ -c "$MNT/inner/upper/file" ]
		getfattr --absolute-names -d -m overlay.opaque "$MNT/inner/upper/replaced" | grep -q '\.overlay\.opaque="y"'
		assert_equal "$(ls -A "$MNT/inner/upper/replaced")" mine
		unmount "$TOP"
		chmod -R u+rwX "$MNT/inner"
		rm -rf "$MNT/inner"
		[ ! -e "$MNT/inner" ]
	done
}

@test "nacrefs on top of nacrefs as its lower" {
	while fresh_mount; do
		in_python <<-'END'
			os.unlink("file")
			shutil.rmtree("replaced")
			os.rename("tree", "d/moved")
			append("d/a", b"!")
		END
		mkdir -p "$BATS_TEST_TMPDIR/u" "$BATS_TEST_TMPDIR/w"
		nacrefs -o "lowerdir=$MNT,upperdir=$BATS_TEST_TMPDIR/u,workdir=$BATS_TEST_TMPDIR/w" "$TOP"
		assert_same_tree "$MNT" "$TOP"
		in_python "$TOP" <<-'END'
			os.rename("d/moved/x", "x")
			os.unlink("d/a")
			write("file", b"again")
			append("hl1", b"!")
			eq([read(p) for p in ("x/2", "file", "hl2", "d/moved/1")], [b"2", b"again", b"linked!", b"1"])
		END
		in_python <<-'END'
			eq(read("d/a"), b"a!")
			eq(read("hl1"), b"linked")
			eq(read("d/moved/x/2"), b"2")
		END
		unmount "$TOP"
		chmod -R u+rwX "$BATS_TEST_TMPDIR/u" "$BATS_TEST_TMPDIR/w"
		rm -rf "$BATS_TEST_TMPDIR/u" "$BATS_TEST_TMPDIR/w"
	done
}

@test "a nested overlay's upper that is committed keeps its whiteouts in the image" {
	local base
	mkdir "$BATS_TEST_TMPDIR/lower"
	(cd "$BATS_TEST_TMPDIR/lower" && base_tree)
	for base in lowers $(is_root || echo rooted); do
		NACRE_STORE=$LOWERS_STORE nacre mount --rw "$base:1" "$MNT" >/dev/null
		mount_nested
		nested_changes
		unmount "$TOP"
		NACRE_STORE=$LOWERS_STORE nacre commit "$MNT" "$base:nested" >/dev/null
		NACRE_STORE=$LOWERS_STORE nacre umount "$MNT"
		NACRE_STORE=$LOWERS_STORE nacre mount "$base:nested" "$MNT" >/dev/null
		# What an image has of our own marks would be obeyed; what it has of a nested overlay's is its content.
		[ -e "$MNT/file" ] && [ -e "$MNT/tree/x/2" ] && [ -e "$MNT/replaced/old" ]
		nacrefs -o "lowerdir=$MNT/inner/upper:$BATS_TEST_TMPDIR/lower" "$TOP"
		in_python "$TOP" <<-'END'
			for p in "file", "d/sub", "tree", "exec":
			    fails(errno.ENOENT, os.lstat, p)
			eq(names("replaced"), ["mine"])
			eq(read("d/moved/x/y/3"), b"3")
		END
		unmount "$TOP"
		NACRE_STORE=$LOWERS_STORE nacre umount "$MNT"
	done
}
