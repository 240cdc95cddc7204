#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# A lower that changes or vanishes under the mount.
# shellcheck disable=SC2011,SC2016,SC2034,SC2154
bats_require_minimum_version 1.5.0
load ../lib/common
load ../lib/fs

setup() {
	setup_store
	LOW=$BATS_TEST_TMPDIR/low
	mkdir "$LOW"
	(cd "$LOW" && base_tree)
}
teardown() { unmount_all; }

@test "files and folders that vanish from a lower are errors, and the mount goes on" {
	mount_dirs "$LOW"
	# Known to the mount, by name, by attributes, by content; and not known at all.
	ls -lR "$MNT/d" >/dev/null
	cat "$MNT/big" >/dev/null
	exec 8<"$MNT/d/a" 9<"$MNT/hl1"
	rm -r "$LOW/d" "$LOW/big" "$LOW/tree" "$LOW/hl1"
	in_python <<-'END'
		GONE = (errno.ESTALE, errno.EIO, errno.ENOENT)
		def gone(function, *args):
		    try:
		        function(*args)
		    except OSError as e:
		        assert e.errno in GONE, "%s%r: %r" % (function.__name__, args, e)
		        return True
		    return False
		for p in "d/a", "tree/1", "tree/x/y/3", "d/sub/deep/f", "d/hl3":
		    gone(read, p)
		    assert gone(append, p, b"!"), p
		    assert gone(os.truncate, p, 0), p
		    assert gone(os.chmod, p, 0o600), p
		for d in "d", "tree", "d/sub":
		    gone(os.listdir, d)
		    gone(os.mkdir, d + "/new")
		    gone(os.chmod, d, 0o700)
		gone(os.rename, "tree", "moved")
		gone(os.unlink, "big")
		gone(shutil.rmtree, "d")
		# What is there works as ever.
		eq(read("file"), b"hello\n")
		append("file", b"!")
		eq(read("file"), b"hello\n!")
		write("new", b"new")
		os.mkdir("newdir")
		os.unlink("exec")
		eq(read("hl2"), b"linked")
	END
	[ -z "$(find "$WORK/work" -mindepth 1 ! -name whiteout)" ] || fail "$(find "$WORK/work")"
	exec 8<&- 9<&-
	remount_dirs "$LOW"
	assert_equal "$(cat "$MNT/file" "$MNT/new" | xargs)" "hello !new"
	[ ! -e "$MNT/exec" ]
}

@test "a lower that is replaced as a whole: the mount keeps to the folder that it was given" {
	mount_dirs "$LOW"
	mv "$LOW" "$LOW.moved"
	mkdir "$LOW"
	echo other >"$LOW/file"
	in_python <<-'END'
		eq(read("file"), b"hello\n")
		append("d/a", b"!")
		eq(read("d/a"), b"a!")
		os.rename("tree", "d/tree")
		eq(read("d/tree/x/2"), b"2")
	END
	rm -r "$LOW" "$LOW.moved"
	# What is still known is there, what has to be read anew is an error: which of it is what is the kernel's choice.
	in_python <<-'END'
		for function, args in ((read, ("d/a",)), (read, ("exec",)), (write, ("new", b"new")), (os.listdir, (".",)),
		                       (os.mkdir, ("newdir",)), (os.rename, ("d", "e"))):
		    try:
		        function(*args)
		    except OSError as e:
		        assert e.errno in (errno.ESTALE, errno.EIO, errno.ENOENT), e
		assert stat.S_ISDIR(os.lstat(".").st_mode)
	END
}

@test "an entry of another type than it was is an error or the new one, never a crash" {
	mount_dirs "$LOW"
	ls -lR "$MNT" >/dev/null
	rm -r "$LOW/tree" "$LOW/file" "$LOW/link" "$LOW/d/a"
	echo "a file now" >"$LOW/tree"
	mkdir "$LOW/file" "$LOW/d/a"
	mkfifo "$LOW/link"
	in_python <<-'END'
		for function, args in ((read, ("file",)), (append, ("file", b"!")), (os.listdir, ("tree",)), (read, ("tree/1",)),
		                       (os.readlink, ("link",)), (read, ("d/a",)), (os.rename, ("tree", "moved")),
		                       (os.truncate, ("file", 0)), (os.unlink, ("d/a",)), (shutil.rmtree, ("tree",))):
		    try:
		        function(*args)
		    except (OSError, shutil.Error):
		        pass
		eq(read("exec"), b"run\n")
		append("exec", b"!")
		write("new", b"alive")
	END
}
