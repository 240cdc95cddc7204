#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# An upper on NFS.  Of renames only the plain one is there, so names are not exchanged; and version 3 has no xattrs.  There is
# no NFS without a server: a library says to the driver what NFS says.
# shellcheck disable=SC2016,SC2034,SC2154
bats_require_minimum_version 1.5.0
load ../lib/common
load ../lib/fs

setup_file() { make_lowers base_tree; }
setup() { setup_store; }
teardown() { unmount_all; }
teardown_file() { lowers_unchanged; }

KINDS=dirs

# As on NFS of version $1.
nacrefs() {
	with_run_options "$@"
	LD_PRELOAD=$NACRE_BUILD/tests/fault/libnacre_fault.so NACRE_FAULT_NFS=$VERSION "$NACREFS" "${WITH_RUN_OPTIONS[@]}" 3>&- 4>&-
}

# Folders where whiteouts are, and whiteouts where folders are.
change() {
	in_python <<-'END'
		import shutil
		shutil.rmtree("tree")
		os.mkdir("tree")                    # over a whiteout, and hides what the lower has
		os.mkdir("new")
		os.mkdir("new/in")
		shutil.rmtree("replaced")
		os.rename("new", "replaced")        # so does one that moves there
		os.mkdir("one"); os.mkdir("two")
		os.rename("one", "two")             # onto an empty folder of the upper
		os.remove("file")
		os.mkdir("file")
		os.rmdir("empty")
		os.rmdir("tree")                    # back to a whiteout
		os.mkdir("d/sub/made")
		shutil.rmtree("d/sub")              # what is in the upper, too
		write("two/f", b"x")
	END
}

check() {
	in_python <<-'END'
		eq(len(os.listdir(".")), len(set(os.listdir("."))))
		for gone in "tree", "new", "one", "empty", "d/sub":
		    fails(errno.ENOENT, os.lstat, gone)
		    fails(errno.ENOENT, os.listdir, gone)
		eq((sorted(os.listdir("replaced")), os.listdir("file"), os.listdir("two")), (["in"], [], ["f"]))
	END
}

# bats test_tags=slow
@test "folders take the places of whiteouts, and whiteouts those of folders, where names cannot be exchanged" {
	VERSION=4
	while fresh_mount; do
		change
		check
		mv "$MNT/d" "$MNT/moved"
		remount
		check
		assert_equal "$(cat "$MNT/moved/a")" a
		[ ! -e "$MNT/d" ]
	done
}

# bats test_tags=slow
@test "without xattrs, too: a folder is opaque by a file, and one that lowers have is copied where it would be renamed" {
	VERSION=3
	while fresh_mount; do
		change
		check
		in_python <<<'fails(errno.EXDEV, os.rename, "d", "moved")'
		mv "$MNT/d" "$MNT/moved"
		remount
		check
		assert_equal "$(cat "$MNT/moved/a")" a
		[ ! -e "$MNT/d" ]
	done
}

# bats test_tags=slow
@test "owners that nothing can record are refused at once" {
	VERSION=3
	mkdir -p "$UPPER" "$WORK"
	assert_refused "upperdir $UPPER: owners and modes are recorded in user.containers.override_stat, which cannot be set" \
		nacrefs -o "lowerdir=$LOWERS,upperdir=$UPPER,workdir=$WORK,fakeroot" "$MNT"
	run ! mountpoint -q "$MNT"
}
