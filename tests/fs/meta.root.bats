#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What needs root to be seen: a kernel that forgets, other users, odd file systems below.
# shellcheck disable=SC2011,SC2034,SC2154
bats_require_minimum_version 1.5.0
load ../lib/common
load ../lib/fs

setup_file() { make_lowers base_tree; }
setup() { setup_store; }
teardown() { unmount_all; }
teardown_file() { lowers_unchanged; }

@test "st_ino, nlink and content are the same after the kernel has forgotten them" {
	KINDS="dirs store"
	while fresh_mount; do
		in_python <<-'END'
			def drop():
			    with open("/proc/sys/vm/drop_caches", "w") as f:
			        f.write("2")
			append("hl1", b"!")
			os.rename("tree", "moved")
			os.rename("d/a", "a")
			os.unlink("d/b")
			os.chmod("moved/x", 0o700)
			held = os.open("exec", os.O_RDWR)
			os.unlink("exec")
			def look():
			    return {p: (os.lstat(p).st_ino, os.lstat(p).st_nlink, os.lstat(p).st_mode, os.lstat(p).st_mtime_ns)
			            for p in walk()}
			before = look()
			for i in range(5):
			    drop()
			    eq(look(), before)
			    same_listing("moved")
			    eq(read("d/hl3"), b"linked!")
			    eq(os.pread(held, 10, 0), b"run\n")
			os.write(held, b"RUN")
			drop()
			eq(os.pread(held, 10, 0), b"RUN\n")
			eq(os.fstat(held).st_nlink, 0)
		END
	done
}

@test "a lower file that has lost its other names, was copied up and got new ones stays one inode" {
	KINDS="dirs store"
	while fresh_mount; do
		in_python <<-'END'
			os.unlink("hl2")
			os.unlink("d/hl3")
			append("hl1", b"copied")
			os.mkdir("new")
			os.link("hl1", "new/a")
			os.link("hl1", "new/b")
			for i in range(3):
			    with open("/proc/sys/vm/drop_caches", "w") as f:
			        f.write("2")
			    eq([os.stat(p).st_nlink for p in ("hl1", "new/a", "new/b")], [3, 3, 3])
			    append("new/a", b"!")
			    os.utime("hl1", ns=(i, i))
			    eq(read("hl1"), b"linkedcopied" + b"!" * (i + 1))
			    eq([read("new/a"), read("new/b")], [read("hl1")] * 2)
			    eq([os.stat(p).st_mtime_ns for p in ("new/a", "new/b")], [i, i])
		END
	done
}

@test "a write-back of a file whose path the kernel has forgotten finds it" {
	KINDS="dirs store"
	while fresh_mount; do
		in_python <<-'END'
			fd = os.open("d/sub/deep/f", os.O_RDWR)
			os.write(fd, b"written")
			os.rename("d", "moved")
			for i in range(3):
			    with open("/proc/sys/vm/drop_caches", "w") as f:
			        f.write("2")
			os.write(fd, b" twice")
			os.close(fd)
			eq(read("moved/sub/deep/f"), b"written twice")
		END
		remount
		assert_equal "$(cat "$MNT/moved/sub/deep/f")" "written twice"
	done
}

# Kilobytes of memory that the driver of the mount has for itself.
driver_memory() {
	awk '/^RssAnon/ { print $2 }' "/proc/$(driver_pids "$MNT")/status"
}

# Not in the sanitizers' builds: they keep what is freed.
# bats test_tags=slow
@test "what the kernel forgets is given back to the system" {
	local before full try
	KINDS="dirs"
	while fresh_mount; do
		mkdir "$MNT/many"
		python3 -c '
import os, sys
for i in range(30000):
    os.mknod(f"{sys.argv[1]}/{i:0100d}")' "$UPPER/many"
		remount
		before=$(driver_memory)
		# More than once where another test makes the kernel forget meanwhile.
		for try in {1..30}; do
			find "$MNT/many" -printf %s >/dev/null
			full=$(driver_memory)
			[ "$((full - before))" -le 5000 ] || break
		done
		[ "$((full - before))" -gt 5000 ]
		for try in {1..100}; do
			drop_caches
			[ "$(($(driver_memory) - before))" -gt 2000 ] || break
			sleep 0.1
		done
		echo "before $before, full $full, after $(driver_memory) after $try tries"
		[ "$(($(driver_memory) - before))" -le 2000 ]
	done
}

@test "trusted and security xattrs, and those of a symlink stay on it" {
	while fresh_mount; do
		in_python <<-'END'
			os.setxattr("file", "trusted.mine", b"t")
			os.setxattr("link", "trusted.link", b"l", follow_symlinks=False)
			os.setxattr("d", "security.mine", b"s")
			eq(sorted(os.listxattr("file")), ["trusted.mine", "user.one"])
			eq(os.listxattr("link", follow_symlinks=False), ["trusted.link"])
			os.chmod("file", 0o600)
		END
		remount
		in_python <<-'END'
			eq(os.getxattr("file", "trusted.mine"), b"t")
			eq(os.getxattr("link", "trusted.link", follow_symlinks=False), b"l")
			eq(os.getxattr("d", "security.mine"), b"s")
		END
	done
}

@test "times are not changed by a copy-up on a file system with coarse times" {
	mkdir "$BATS_TEST_TMPDIR/tmpfs"
	mount -t tmpfs tmpfs "$BATS_TEST_TMPDIR/tmpfs"
	UPPER=$BATS_TEST_TMPDIR/tmpfs/upper WORK=$BATS_TEST_TMPDIR/tmpfs/work
	KINDS=dirs
	while fresh_mount; do
		in_python <<-'END'
			os.chmod("d/sub/deep/f", 0o600)
			append("hl1", b"!")
			os.rename("tree", "d/tree")
			eq(os.lstat("d/sub/deep/f").st_mtime_ns, OLD)
			eq(read("hl2"), b"linked!")
			eq(read("d/tree/x/2"), b"2")
		END
		remount
		in_python <<-'END'
			eq(read("hl2"), b"linked!")
			eq(read("d/tree/x/2"), b"2")
			eq(names("d/tree"), ["1", "x"])
			fails(errno.ENOENT, os.lstat, "tree")
		END
	done
}

@test "ENOSPC of the upper comes back at the write, fsync or close, and a failed copy-up leaves no trace" {
	mkdir "$BATS_TEST_TMPDIR/small"
	mount -t tmpfs -o size=256k tmpfs "$BATS_TEST_TMPDIR/small"
	UPPER=$BATS_TEST_TMPDIR/small/upper WORK=$BATS_TEST_TMPDIR/small/work
	KINDS="dirs"
	while fresh_mount; do
		in_python <<-'END'
			fails(errno.ENOSPC, append, "big", b"x")    # 300,000 bytes do not fit
			eq(read("big")[:300000], b"x" * 300000)
			def fill():
			    fd = os.open("new", os.O_CREAT | os.O_WRONLY)
			    try:
			        for i in range(100):
			            os.write(fd, b"x" * 10000)
			        os.fsync(fd)
			    finally:
			        os.close(fd)
			fails(errno.ENOSPC, fill)
			os.unlink("new")
			# The room is free when the kernel has told the driver to forget the file, a moment later.
			end = time.monotonic() + 60
			while os.statvfs("../small").f_bavail < 10 and time.monotonic() < end:
			    time.sleep(0.01)
			write("small", b"fits again")
			eq(read("small"), b"fits again")
		END
		[ -z "$(find "$WORK" -type f -size +0)" ] || fail "left in the workdir: $(find "$WORK" -type f)"
		assert_equal "$(find "$UPPER" -name big)" ""
		remount
		assert_equal "$(stat -c %s "$MNT/big")" 300000
	done
}

@test "a lower without xattrs: no such attribute, and opens work" {
	mkdir "$BATS_TEST_TMPDIR/plain"
	mount -t ramfs ramfs "$BATS_TEST_TMPDIR/plain"
	run setfattr -n user.x -v 1 "$BATS_TEST_TMPDIR/plain"
	assert_output_has "not supported"
	echo content >"$BATS_TEST_TMPDIR/plain/file"
	mkdir "$BATS_TEST_TMPDIR/plain/d"
	mount_dirs "$BATS_TEST_TMPDIR/plain"
	in_python <<-'END'
		eq(read("file"), b"content\n")
		fails(errno.ENODATA, os.getxattr, "file", "user.x")
		eq(os.listxattr("file"), [])
		append("file", b"more\n")
		eq(read("file"), b"content\nmore\n")
		write("d/new", b"")
	END
	unmount
	umount "$BATS_TEST_TMPDIR/plain"
}

@test "two lowers on different devices whose files share a number are different files" {
	mkdir "$BATS_TEST_TMPDIR/one" "$BATS_TEST_TMPDIR/two"
	mount -t tmpfs tmpfs "$BATS_TEST_TMPDIR/one"
	mount -t tmpfs tmpfs "$BATS_TEST_TMPDIR/two"
	for d in one two; do
		for i in 1 2 3; do
			echo "$d$i" >"$BATS_TEST_TMPDIR/$d/$d$i"
			ln "$BATS_TEST_TMPDIR/$d/$d$i" "$BATS_TEST_TMPDIR/$d/$d$i-linked"
		done
	done
	assert_equal "$(stat -c %i "$BATS_TEST_TMPDIR/one/one1")" "$(stat -c %i "$BATS_TEST_TMPDIR/two/two1")"
	mount_dirs "$BATS_TEST_TMPDIR/one" "$BATS_TEST_TMPDIR/two"
	in_python <<-'END'
		eq(len({os.lstat(p).st_ino for p in names()}), 6)
		eq(len({os.lstat(p).st_dev for p in names()}), 1)
		for p in names():
		    eq(read(p), p.replace("-linked", "").encode() + b"\n")
		append("one1", b"!")
		eq(read("two1"), b"two1\n")
		eq(read("one1-linked"), b"one1\n!")
	END
	unmount
	umount "$BATS_TEST_TMPDIR/one" "$BATS_TEST_TMPDIR/two"
}

@test "the mount point over one of its own lowers, and over its upper's parent" {
	mkdir -p "$BATS_TEST_TMPDIR/lower/d" "$BATS_TEST_TMPDIR/below"
	echo one >"$BATS_TEST_TMPDIR/lower/f"
	MNT=$BATS_TEST_TMPDIR/lower
	mount_dirs "$BATS_TEST_TMPDIR/lower" "$BATS_TEST_TMPDIR/below"
	timeout 60 bash -c 'cd "$1" && echo two >>f && cat f && mkdir d/new && rm -r d' - "$MNT"
	assert_equal "$(timeout 60 cat "$MNT/f" | xargs)" "one two"
	unmount
	assert_equal "$(cat "$BATS_TEST_TMPDIR/lower/f")" one
	[ -d "$BATS_TEST_TMPDIR/lower/d" ]
}

@test "500 lowers" {
	local i
	local -a lowers=()
	for ((i = 0; i < 500; i++)); do
		mkdir "$BATS_TEST_TMPDIR/L$i" "$BATS_TEST_TMPDIR/L$i/common"
		echo "$i" >"$BATS_TEST_TMPDIR/L$i/common/f$i"
		echo "$i" >"$BATS_TEST_TMPDIR/L$i/top"
		lowers+=("$BATS_TEST_TMPDIR/L$i")
	done
	mount_dirs "${lowers[@]}"
	assert_equal "$(cat "$MNT/top")" 0
	assert_equal "$(find "$MNT/common" -type f | wc -l)" 500
	assert_equal "$(cat "$MNT/common/f499")" 499
	mv "$MNT/common" "$MNT/moved"
	assert_equal "$(find "$MNT/moved" -type f | wc -l)" 500
}

@test "a capability set on an open file outlives what was written before, setuid root's fallocate" {
	while fresh_mount; do
		in_python <<-'END'
			CAP = (0x02000001).to_bytes(4, "little") + (1 << 10).to_bytes(4, "little") + bytes(12)
			def made(name):
			    fd = os.open(name, os.O_RDWR | os.O_CREAT)
			    os.pwrite(fd, b"x" * 10000, 0)
			    os.setxattr(name, "security.capability", CAP)
			    return fd
			def has_it(name):
			    return "security.capability" in os.listxattr(name)
			fd = made("kept")
			os.fsync(fd)
			assert has_it("kept")
			m = mmap.mmap(fd, 10000)
			m[0] = 65
			m.flush()
			m.close()
			os.fsync(fd)
			os.close(fd)
			assert has_it("kept"), "after a write through a mapping"
			fd = made("lost")
			os.fsync(fd)
			os.pwrite(fd, b"y", 0)
			os.fsync(fd)
			os.close(fd)
			assert not has_it("lost")
			os.chmod("file", 0o6755)
			fd = os.open("file", os.O_RDWR)
			fallocate(fd, 0, 0, 100)
			eq(mode("file"), 0o6755)
			os.close(fd)
			os.truncate("d/a", 1) # the size that it has
			write("big", b"short")
			times = {p: os.lstat(p).st_mtime_ns for p in ("d/a", "file", "big", "kept")}
			eq(times["d/a"], OLD)
			import json
			with open("../times", "w") as f:
			    json.dump(times, f)
		END
		remount
		in_python <<-'END'
			import json
			eq({p: os.lstat(p).st_mtime_ns for p in ("d/a", "file", "big", "kept")}, json.load(open("../times")))
			assert "security.capability" in os.listxattr("kept")
		END
	done
}

@test "reading the merged tree leaves the access times of the layers as they are" {
	local lower=$BATS_TEST_TMPDIR/low
	mkdir -p "$lower/d/sub" "$UPPER/d" "$WORK"
	echo x >"$lower/d/f"
	find "$lower" "$UPPER" -exec touch -a -d 2001-01-01 {} +
	mount_dirs "$lower"
	find "$MNT" -ls >/dev/null
	cat "$MNT/d/f"
	unmount
	# Not find: it would look into the folders.
	assert_equal "$(stat -c %X "$lower" "$lower/d" "$lower/d/sub" "$lower/d/f" "$UPPER/d" | sort -u)" \
		"$(date -d 2001-01-01 +%s)"
}
