#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2011,SC2034,SC2154
bats_require_minimum_version 1.5.0
load ../lib/common
load ../lib/fs

# Three layers with every way to hide something in a form that an archive has too.
lowest() {
	base_tree
	mkdir -p hidden-dir gone-and-back/sub opaque/inner shadowed was-dir
	printf x >hidden-dir/x
	printf x >hidden-file
	printf x >gone-and-back/old
	printf x >gone-and-back/sub/old
	printf x >opaque/old
	printf x >opaque/inner/old
	printf x >shadowed/from-lowest
	printf x >was-dir/x
	printf x >was-file
}
middle() {
	mkdir -p d opaque shadowed
	: >.wh.hidden-dir
	: >.wh.hidden-file
	: >.wh.gone-and-back
	: >opaque/.wh..wh..opq
	printf new >opaque/new
	printf x >shadowed/from-middle
	: >d/.wh.a
	printf B >d/b
	chmod 640 d/b
}
topmost() {
	mkdir -p gone-and-back shadowed was-file opaque
	printf y >gone-and-back/new
	printf y >shadowed/from-top
	printf y >was-dir
	printf y >was-file/y
	printf y >opaque/top
	printf last >d-sibling
}

setup_file() { make_lowers lowest middle topmost; }
setup() { setup_store; }
teardown() { unmount_all; }
teardown_file() { lowers_unchanged; }

@test "the listing is merged from all layers" {
	while fresh_mount; do
		assert_equal "$(ls "$MNT/shadowed" | xargs)" "from-lowest from-middle from-top"
		assert_equal "$(ls "$MNT/d" | xargs)" "b hl3 sub"
		assert_equal "$(cat "$MNT/d/b")" "B"
		assert_equal "$(stat -c %a "$MNT/d/b")" 640
		in_python <<-'END'
			for d in ".", "d", "shadowed", "empty", "gone-and-back":
			    same_listing(d)
		END
	done
}

@test "whiteouts hide files and folders, also from a lookup by name" {
	while fresh_mount; do
		in_python <<-'END'
			for name in "hidden-file", "hidden-dir", "hidden-dir/x", "d/a", ".wh.hidden-file", "opaque/.wh..wh..opq":
			    fails(errno.ENOENT, os.lstat, name)
			assert not [p for p in walk() if "/.wh." in p]
		END
	done
}

@test "an opaque folder hides what is below it, and only that" {
	while fresh_mount; do
		assert_equal "$(ls "$MNT/opaque" | xargs)" "new top"
		in_python <<-'END'
			fails(errno.ENOENT, os.lstat, "opaque/old")
			fails(errno.ENOENT, os.lstat, "opaque/inner")
		END
	done
}

@test "a whiteout in a middle layer ends the merge, though a higher layer has the folder again" {
	while fresh_mount; do
		assert_equal "$(ls "$MNT/gone-and-back")" new
		in_python <<-'END'
			fails(errno.ENOENT, os.lstat, "gone-and-back/old")
			fails(errno.ENOENT, os.lstat, "gone-and-back/sub")
			fails(errno.ENOENT, os.lstat, "gone-and-back/sub/old")
		END
	done
}

@test "a file replaces a folder and a folder a file" {
	while fresh_mount; do
		assert_equal "$(cat "$MNT/was-dir")" y
		assert_equal "$(cat "$MNT/was-file/y")" y
		assert_equal "$(ls "$MNT/was-file")" y
	done
}

@test "content is read: small, large, empty, with holes, in pieces" {
	while fresh_mount; do
		in_python <<-'END'
			eq(read("file"), b"hello\n")
			eq(read("empty-file"), b"")
			eq(read("big"), b"x" * 300000)
			sparse = read("sparse")
			eq(len(sparse), 1 << 20)
			eq(sparse[524288:524292], b"data")
			eq(sparse.count(0), (1 << 20) - 4)
			fd = os.open("file", os.O_RDONLY)
			eq(os.pread(fd, 3, 2), b"llo")
			eq(os.pread(fd, 100, 4), b"o\n")
			eq(os.pread(fd, 100, 6), b"")
			eq(os.pread(fd, 100, 1000000), b"")
			with open("big", "rb") as f:
			    m = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)
			    eq(m[299990:], b"x" * 10)
		END
	done
}

@test "symlinks are read and followed" {
	while fresh_mount; do
		in_python <<-'END'
			eq(os.readlink("link"), "file")
			eq(os.readlink("dangling"), "nowhere")
			eq(os.lstat("link").st_size, 4)
			eq(read("link"), b"hello\n")
			eq(read("dirlink/b"), b"B")
			fails(errno.ENOENT, os.stat, "dangling")
			fails(errno.EINVAL, os.readlink, "file")
			eq(mode("link"), 0o777)
		END
	done
}

@test "stat tells type, mode, owner, size, device and time to the nanosecond" {
	while fresh_mount; do
		in_python <<-'END'
			def kind(p):
			    return stat.S_IFMT(os.lstat(p).st_mode)
			for p, k in (("file", stat.S_IFREG), ("d", stat.S_IFDIR), ("link", stat.S_IFLNK), ("fifo", stat.S_IFIFO)):
			    eq(kind(p), k, p)
			for p, m in (("file", 0o644), ("exec", 0o755), ("secret", 0o600), ("d/sub", 0o2775), ("suid", 0o6755)):
			    eq(mode(p), m, p)
			for p in "file", "link", "fifo", "empty", "d/sub/deep/f":
			    eq(os.lstat(p).st_mtime_ns, OLD, p)
			eq(os.lstat("big").st_size, 300000)
			eq(os.lstat("empty-file").st_size, 0)
			if os.getuid() == 0:
			    eq(kind("cdev"), stat.S_IFCHR)
			    eq(os.lstat("cdev").st_rdev, os.makedev(1, 3))
			    eq(kind("bdev"), stat.S_IFBLK)
			    eq(os.lstat("bdev").st_rdev, os.makedev(7, 99))
			    eq((os.lstat("suid").st_uid, os.lstat("suid").st_gid), (1234, 5678))
			eq(len({os.lstat(p).st_dev for p in walk()}), 1, "one st_dev")
			assert os.lstat("big").st_blocks >= 300000 // 512, "st_blocks of big"
			assert os.lstat("sparse").st_blocks <= 2048 + 8
		END
	done
}

@test "hard links of a lower are one inode with the right link count" {
	while fresh_mount; do
		in_python <<-'END'
			sts = [os.lstat(p) for p in ("hl1", "hl2", "d/hl3")]
			eq({s.st_ino for s in sts}, {sts[0].st_ino})
			eq([s.st_nlink for s in sts], [3, 3, 3])
			eq(os.lstat("file").st_nlink, 1)
			# Different files have different numbers.
			inos = {}
			for p in walk():
			    st = os.lstat(p)
			    other = inos.setdefault(st.st_ino, p)
			    assert other == p or st.st_nlink > 1, "%s and %s share an inode number" % (p, other)
		END
	done
}

@test "a folder's link count is two and its subfolders, merged ones once" {
	while fresh_mount; do
		in_python <<-'END'
			for d in ".", "d", "empty", "tree", "tree/x", "shadowed", "opaque", "was-file", "gone-and-back":
			    subdirs = sum(e.is_dir(follow_symlinks=False) for e in os.scandir(d))
			    eq(os.lstat(d).st_nlink, 2 + subdirs, d)
		END
	done
}

@test "a name of 255 bytes that is not there is ENOENT, one more ENAMETOOLONG" {
	while fresh_mount; do
		in_python <<-'END'
			fails(errno.ENOENT, os.lstat, "n" * 255)
			fails(errno.ENAMETOOLONG, os.lstat, "n" * 256)
			fails(errno.ENOTDIR, os.lstat, "file/x")
			eq(os.pathconf(".", "PC_NAME_MAX"), 255)
		END
	done
}

@test "statfs is the upper's file system" {
	while fresh_mount; do
		# GNU stat reads the type by name; the sizes are the backing's.
		assert_equal "$(stat -f -c %T "$MNT")" fuseblk
		assert_equal "$(stat -f -c '%S %b' "$MNT")" "$(stat -f -c '%S %b' "$UPPER")"
		df "$MNT" >/dev/null
	done
}

@test "without an upper everything that writes fails with EROFS" {
	UPPER=
	while fresh_mount; do
		in_python <<-'END'
			ro = errno.EROFS
			fails(ro, os.open, "file", os.O_WRONLY)
			fails(ro, os.open, "new", os.O_WRONLY | os.O_CREAT, 0o644)
			fails(ro, os.mkdir, "newdir")
			fails(ro, os.unlink, "file")
			fails(ro, os.rmdir, "empty")
			fails(ro, os.rename, "file", "file2")
			fails(ro, os.link, "file", "file2")
			fails(ro, os.symlink, "x", "newlink")
			fails(ro, os.mkfifo, "newfifo")
			fails(ro, os.chmod, "file", 0o600)
			fails(ro, os.utime, "file", ns=(1, 1))
			fails(ro, os.truncate, "file", 0)
			fails(ro, os.setxattr, "file", "user.x", b"1")
			fails(ro, os.removexattr, "file", "user.one")
			eq(read("file"), b"hello\n")
			eq(names("shadowed"), ["from-lowest", "from-middle", "from-top"])
			assert os.statvfs(".").f_flag & os.ST_RDONLY
		END
	done
}

@test "ro with an upper shows the upper and changes nothing" {
	while fresh_mount; do
		echo changed >"$MNT/file"
		remount ro
		assert_equal "$(cat "$MNT/file")" changed
		in_python <<-'END'
			fails(errno.EROFS, os.open, "file", os.O_WRONLY)
			fails(errno.EROFS, os.mkdir, "newdir")
		END
	done
}

@test "permissions are those of the file system" {
	if is_root; then
		while fresh_mount; do
			in_python <<-'END'
				def user(f, *a):
				    return as_ids(4711, 4711, f, *a)
				user(read, "file")
				fails(errno.EACCES, user, read, "secret")
				fails(errno.EACCES, user, write, "file", b"x")
				fails(errno.EACCES, user, write, "new", b"x")
				fails(errno.EACCES, user, os.mkdir, "empty/new")
				fails(errno.EACCES, user, os.unlink, "file")
				fails(errno.EPERM, user, os.chmod, "file", 0o777)
				fails(errno.EPERM, user, os.utime, "file", (1, 1))
				os.chmod("empty", 0o700)
				fails(errno.EACCES, user, os.listdir, "empty")
				os.chmod("empty", 0o1777)
				write("empty/roots", b"")
				fails(errno.EPERM, user, os.unlink, "empty/roots")
				user(write, "empty/users", b"mine")
				eq(os.lstat("empty/users").st_uid, 4711)
			END
		done
	else
		while fresh_mount; do
			is_fake && continue
			in_python <<-'END'
				os.chmod("secret", 0)
				fails(errno.EACCES, read, "secret")
				fails(errno.EACCES, append, "secret", b"x")
				os.chmod("d", 0o500)
				fails(errno.EACCES, write, "d/new", b"x")
				fails(errno.EACCES, os.unlink, "d/b")
				os.chmod("d", 0o700)
				os.unlink("d/b")
			END
		done
	fi
}

@test "access(2) asks the file system" {
	while fresh_mount; do
		in_python <<-'END'
			assert os.access("file", os.R_OK)
			assert os.access("file", os.W_OK)
			assert os.access("exec", os.X_OK)
			assert not os.access("missing", os.F_OK)
			# Not even root may execute what nobody may.
			assert not os.access("file", os.X_OK), "X_OK of a file without x"
			fails(errno.EACCES, os.execv, "./file", ["file"])
		END
	done
}

@test "a program in the mount is executed" {
	while fresh_mount; do
		cp "$(type -P true)" "$MNT/program"
		"$MNT/program"
		printf '#!/bin/sh\necho ran\n' >"$MNT/exec"
		assert_equal "$("$MNT/exec")" ran
	done
}
