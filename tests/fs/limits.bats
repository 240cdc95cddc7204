#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Limits: xattr sizes, path lengths, fallocate's flags.
# shellcheck disable=SC2011,SC2016,SC2034,SC2154
bats_require_minimum_version 1.5.0
load ../lib/common
load ../lib/fs

setup_file() { make_lowers base_tree; }
setup() { setup_store; }
teardown() { unmount_all; }
teardown_file() { lowers_unchanged; }

@test "xattrs of every size: taken or refused as in a plain file of the upper's file system" {
	KINDS="dirs store"
	while fresh_mount; do
		in_python <<-'END'
			def outcome(path, bytes):
			    try:
			        os.setxattr(path, "user.sized", b"v" * bytes)
			    except OSError as e:
			        return e.errno
			    eq(os.getxattr(path, "user.sized"), b"v" * bytes)
			    return 0
			write("../plain", b"")
			for p in "new", "file", "d":
			    if p == "new":
			        write(p, b"")
			    for n in 0, 1, 100, 1000, 3000, 4096, 20000, 65535, 65536, 65537:
			        eq(outcome(p, n), outcome("../plain", n), "%s, %d bytes" % (p, n))
			# What was there stays when another is refused.
			eq(os.getxattr("file", "user.one"), b"1")
			# As many as fit: the same number.
			def many(path):
			    os.removexattr(path, "user.sized")
			    for i in range(1000):
			        try:
			            os.setxattr(path, "user.many%d" % i, b"x" * 50)
			        except OSError as e:
			            return i, e.errno
			    return 1000, 0
			eq(many("new"), many("../plain"))
			eq(sorted(os.listxattr("new")), sorted(os.listxattr("../plain")))
			os.unlink("../plain")
		END
	done
}

@test "getxattr and listxattr tell the size, and say ERANGE where the room is short" {
	while fresh_mount; do
		in_python <<-'END'
			def call(function, path, *args):
			    buf = ctypes.create_string_buffer(args[-1] or 1)
			    return check(function(os.fsencode(path), *args[:-1], buf, args[-1]))
			get, list_ = libc.lgetxattr, libc.llistxattr
			for copied_up in 0, 1:
			    eq(call(get, "file", b"user.one", 0), 1)
			    eq(call(get, "d", b"user.dir", 0), 3)
			    fails(errno.ERANGE, call, get, "d", b"user.dir", 2)
			    eq(call(get, "d", b"user.dir", 3), 3)
			    eq(call(list_, "d", 0), 9)
			    fails(errno.ERANGE, call, list_, "d", 8)
			    eq(call(list_, "d", 9), 9)
			    os.chmod("d", 0o755)
			    os.chmod("file", 0o644)
		END
	done
}

@test "a path of 4,095 bytes is used in one call, one more is ENAMETOOLONG" {
	while fresh_mount; do
		in_python <<-'END'
			part = "p" * 99
			os.mkdir(part)
			fd = os.open(part, os.O_RDONLY)
			for i in range(39):
			    os.mkdir(part, dir_fd=fd)
			    deeper = os.open(part, os.O_RDONLY, dir_fd=fd)
			    os.close(fd)
			    fd = deeper
			top = "/".join([part] * 40)    # 3,999 bytes
			longest = top + "/" + "f" * 95
			eq(len(longest), 4095)
			write(longest, b"deep")
			eq(read(longest), b"deep")
			append(longest, b"er")
			fails(errno.ENAMETOOLONG, os.lstat, longest + "f")
			os.rename(longest, "short")
			os.link("short", longest)
			eq(os.lstat(longest).st_nlink, 2)
			os.symlink(longest, "to-longest")
			eq(os.readlink("to-longest"), longest)
			eq(read("to-longest"), b"deeper")
		END
		remount
		in_python <<-'END'
			longest = "/".join(["p" * 99] * 40) + "/" + "f" * 95
			eq(read(longest), b"deeper")
			eq(os.readlink("to-longest"), longest)
		END
		rm -rf "$MNT"/ppp*
	done
}

@test "deeper than PATH_MAX in a lower: copy-up, rename, hard links and removal there" {
	local low=$BATS_TEST_TMPDIR/deep
	mkdir "$low"
	in_python "$low" <<-'END'
		for i in range(25):
		    os.mkdir("deep" * 50)
		    os.chdir("deep" * 50)
		write("file", b"bottom")
		write("other", b"other")
		write("gone", b"")
		os.link("file", "hard")
		os.mkdir("dir")
		write("dir/f", b"in dir")
	END
	mount_dirs "$low"
	in_python <<-'END'
		for i in range(25):
		    os.chdir("deep" * 50)
		append("file", b"!")
		eq(read("hard"), b"bottom!")
		os.rename("other", "renamed")
		os.rename("dir", "moved")
		# The path to it is longer than an xattr may be: who moves it elsewhere has to copy it.
		os.mkdir("elsewhere")
		try:
		    os.rename("moved", "elsewhere/moved")
		    os.rename("elsewhere/moved", "moved")
		except OSError as e:
		    eq(e.errno, errno.EXDEV)
		os.rmdir("elsewhere")
		os.unlink("gone")
		append("moved/f", b"!")
		os.chdir("moved")
		eq(os.listdir("."), ["f"])
	END
	remount_dirs "$low"
	in_python <<-'END'
		for i in range(25):
		    os.chdir("deep" * 50)
		eq(names(), ["file", "hard", "moved", "renamed"])
		eq([read(p) for p in ("file", "hard", "renamed", "moved/f")], [b"bottom!", b"bottom!", b"other", b"in dir!"])
	END
	unmount
	rm -rf "$low" "$UPPER"
}

@test "fallocate: what FUSE passes on does what it does on the upper's file system, the rest is EOPNOTSUPP" {
	KINDS="dirs store"
	while fresh_mount; do
		in_python <<-'END'
			KEEP, PUNCH, COLLAPSE, ZERO, INSERT, UNSHARE = 1, 2, 8, 16, 32, 64
			def outcome(path, mode, offset, length):
			    fd = os.open(path, os.O_RDWR)
			    try:
			        fallocate(fd, mode, offset, length)
			        r = 0
			    except OSError as e:
			        r = e.errno
			    st = os.fstat(fd)
			    data = os.pread(fd, 1 << 20, 0)
			    os.close(fd)
			    return r, st.st_size, data
			modes = [(0, 0, 8192), (0, 290000, 30000), (KEEP, 0, 1 << 20), (PUNCH | KEEP, 4096, 8192),
			         (PUNCH | KEEP, 5000, 100), (PUNCH, 0, 4096), (ZERO, 100, 5000), (ZERO | KEEP, 299000, 9000),
			         (ZERO, 299000, 9000), (PUNCH | ZERO, 0, 4096)]
			for mode, offset, length in modes:
			    shutil.copyfile("big", "../plain")
			    shutil.copyfile("big", "new")
			    eq(outcome("new", mode, offset, length), outcome("../plain", mode, offset, length), (mode, offset, length))
			for mode in COLLAPSE, INSERT, UNSHARE:
			    eq(outcome("new", mode, 4096, 4096)[0], errno.EOPNOTSUPP)
			# Straight on a lower's file.
			shutil.copyfile("big", "../plain")
			eq(outcome("big", PUNCH | KEEP, 4096, 8192), outcome("../plain", PUNCH | KEEP, 4096, 8192))
			os.unlink("../plain")
		END
		remount
		assert_equal "$(head -c 20000 "$MNT/big" | tr -d '\0' | wc -c)" $((20000 - 8192))
	done
}
