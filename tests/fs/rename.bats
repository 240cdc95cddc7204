#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# rename(2) in all combinations of what moves and what is there.
# shellcheck disable=SC2011,SC2034,SC2154
bats_require_minimum_version 1.5.0
load ../lib/common
load ../lib/fs

setup_file() { make_lowers base_tree; }
setup() { setup_store; }
teardown() { unmount_all; }
teardown_file() { lowers_unchanged; }

@test "a file of a lower, of the upper, copied up: renamed onto every kind of target" {
	while fresh_mount; do
		in_python <<-'END'
			append("d/b", b"+")
			os.unlink("file")                  # a whiteout
			write("upper-file", b"u")
			os.rename("d/a", "file")           # lower onto whiteout
			os.rename("d/b", "secret")         # copied up onto lower
			os.rename("tree/1", "upper-file")  # lower onto upper
			os.rename("tree/x/2", "new-name")  # lower onto nothing
			append("exec", b"")
			os.rename("tree/x/y/3", "exec")    # lower onto copied up
			write("u1", b"u1")
			os.rename("u1", "tree/1")          # upper onto the whiteout a rename left
			write("u2", b"u2")
			os.rename("u2", "hl1")             # upper onto one of a lower's hard links
			want = {"file": b"a", "secret": b"b+", "upper-file": b"1", "new-name": b"2", "exec": b"3",
			        "tree/1": b"u1", "hl1": b"u2", "hl2": b"linked"}
			for p, data in want.items():
			    eq(read(p), data, p)
			for p in "d/a", "d/b", "tree/x/2", "tree/x/y/3", "u1", "u2":
			    fails(errno.ENOENT, os.lstat, p)
			eq(os.lstat("hl2").st_nlink, 2)
		END
		remount
		in_python <<-'END'
			want = {"file": b"a", "secret": b"b+", "upper-file": b"1", "new-name": b"2", "exec": b"3",
			        "tree/1": b"u1", "hl1": b"u2", "hl2": b"linked"}
			for p, data in want.items():
			    eq(read(p), data, p)
			for p in "d/a", "d/b", "tree/x/2", "tree/x/y/3", "u1", "u2":
			    fails(errno.ENOENT, os.lstat, p)
			eq(os.lstat("hl2").st_nlink, 2)
		END
	done
}

@test "symlinks, fifos and devices of a lower are renamed" {
	while fresh_mount; do
		in_python <<-'END'
			os.rename("link", "d/link")
			os.rename("fifo", "d/fifo")
			os.rename("dangling", "link")
			eq(os.readlink("d/link"), "file")
			if os.getuid() == 0:
			    os.rename("cdev", "d/cdev")
		END
		remount
		in_python <<-'END'
			eq(os.readlink("d/link"), "file")
			eq(os.readlink("link"), "nowhere")
			assert stat.S_ISFIFO(os.lstat("d/fifo").st_mode)
			if os.getuid() == 0:
			    eq(os.lstat("d/cdev").st_rdev, os.makedev(1, 3))
			    fails(errno.ENOENT, os.lstat, "cdev")
			eq(os.lstat("d/link").st_mtime_ns, OLD)
		END
	done
}

@test "a lower folder is renamed without EXDEV and keeps all that is in it" {
	while fresh_mount; do
		in_python <<-'END'
			os.rename("tree", "moved")
			eq(read("moved/x/y/3"), b"3")
			fails(errno.ENOENT, os.lstat, "tree")
			append("moved/x/2", b"+")
			os.unlink("moved/1")
			os.mkdir("tree")
			eq(names("tree"), [])
			# Into another folder, and what is inside once more.
			os.rename("d/sub", "empty/sub")
			os.rename("empty/sub/deep", "moved/deep")
			eq(read("moved/deep/f"), b"deep")
			os.rename("moved", "empty/moved")
			same_listing("empty/moved")
		END
		remount
		in_python <<-'END'
			eq(read("empty/moved/x/y/3"), b"3")
			eq(read("empty/moved/x/2"), b"2+")
			eq(read("empty/moved/deep/f"), b"deep")
			eq(names("empty/moved"), ["deep", "x"])
			eq(names("empty/sub"), [])
			eq(names("tree"), [])
			eq(names("d"), ["a", "b", "hl3"])
			same_listing("empty/moved")
			os.rename("empty/moved/x", "x")
			os.rename("x/y", "y")
		END
		remount
		in_python <<-'END'
			eq(read("y/3"), b"3")
			eq(names("x"), ["2"])
			eq(names("empty/moved"), ["deep"])
		END
	done
}

@test "a chain of renames of a folder ends where it says" {
	while fresh_mount; do
		in_python <<-'END'
			os.rename("tree", "t1")
			os.rename("t1", "d/t2")
			os.rename("d", "D")
			os.rename("D/t2", "t3")
			os.rename("t3/x", "tree")
			os.rename("tree/y", "t3/tree")
			eq(read("t3/tree/3"), b"3")
		END
		remount
		in_python <<-'END'
			eq(read("t3/tree/3"), b"3")
			eq(names("tree"), ["2"])
			eq(names("t3"), ["1", "tree"])
			eq(names("D"), ["a", "b", "hl3", "sub"])
			os.rename("t3", "tree/t3")
			os.rename("tree", "t1")
		END
		remount
		in_python <<-'END'
			eq(read("t1/t3/tree/3"), b"3")
			fails(errno.ENOENT, os.lstat, "tree")
			fails(errno.ENOENT, os.lstat, "d")
		END
	done
}

@test "a folder is renamed back to its own name" {
	while fresh_mount; do
		in_python <<-'END'
			os.rename("tree", "away")
			os.rename("away", "tree")
			eq(names("tree"), ["1", "x"])
			os.rename("d/sub", "sub")
			os.rename("sub", "d/sub")
			eq(read("d/sub/deep/f"), b"deep")
		END
		remount
		in_python <<-'END'
			eq(names("tree"), ["1", "x"])
			eq(read("tree/x/y/3"), b"3")
			eq(read("d/sub/deep/f"), b"deep")
			fails(errno.ENOENT, os.lstat, "away")
		END
	done
}

@test "a folder is renamed onto a whiteout, and what was there stays hidden" {
	while fresh_mount; do
		in_python <<-'END'
			shutil.rmtree("replaced")
			os.rename("tree", "replaced")      # lower folder onto the whiteout of a folder
			eq(names("replaced"), ["1", "x"])
			os.unlink("file")
			os.mkdir("new")
			write("new/n", b"n")
			os.rename("new", "file")           # new folder onto the whiteout of a file
			shutil.rmtree("d")
			os.mkdir("new")
			write("new/n", b"n")
			os.rename("new", "d")              # new folder onto the whiteout of a folder: opaque
			eq(names("d"), ["n"])
		END
		remount
		in_python <<-'END'
			eq(names("replaced"), ["1", "x"])
			fails(errno.ENOENT, os.lstat, "replaced/old")
			eq(names("file"), ["n"])
			eq(names("d"), ["n"])
			fails(errno.ENOENT, os.lstat, "d/a")
			fails(errno.ENOENT, os.lstat, "tree")
		END
	done
}

@test "a folder is renamed onto an empty one: of a lower, emptied, new" {
	while fresh_mount; do
		in_python <<-'END'
			os.rename("tree", "empty")         # lower onto empty lower
			eq(names("empty"), ["1", "x"])
			os.unlink("replaced/old")          # emptied: a whiteout is in it
			os.rename("d", "replaced")
			eq(names("replaced"), ["a", "b", "hl3", "sub"])
			os.mkdir("n1")
			os.mkdir("n2")
			write("n1/f", b"f")
			os.rename("n1", "n2")
			eq(names("n2"), ["f"])
			fails(errno.ENOTEMPTY, os.rename, "n2", "replaced")
			fails(errno.ENOTEMPTY, os.rename, "empty", "replaced")
			os.mkdir("n3")
			os.rename("empty/x", "n3")
			eq(names("n3"), ["2", "y"])
		END
		remount
		in_python <<-'END'
			eq(names("empty"), ["1"])
			eq(names("n3"), ["2", "y"])
			eq(names("replaced"), ["a", "b", "hl3", "sub"])
			eq(names("n2"), ["f"])
			for p in "tree", "d", "n1", "replaced/old":
			    fails(errno.ENOENT, os.lstat, p)
		END
	done
}

@test "a folder that holds whiteouts moves with them" {
	while fresh_mount; do
		in_python <<-'END'
			os.unlink("d/a")
			shutil.rmtree("d/sub")
			os.rename("d", "moved")
			eq(names("moved"), ["b", "hl3"])
			os.unlink("tree/x/2")
			os.rename("tree/x", "tree/z")
			eq(names("tree/z"), ["y"])
		END
		remount
		in_python <<-'END'
			eq(names("moved"), ["b", "hl3"])
			eq(names("tree/z"), ["y"])
			fails(errno.ENOENT, os.lstat, "tree/x")
		END
	done
}

@test "an opaque folder stays opaque when it moves onto a name of a lower" {
	while fresh_mount; do
		in_python <<-'END'
			shutil.rmtree("d")
			os.mkdir("d")
			write("d/new", b"new")
			shutil.rmtree("tree")
			os.rename("d", "tree")
			eq(names("tree"), ["new"])
		END
		remount
		in_python <<-'END'
			eq(names("tree"), ["new"])
			fails(errno.ENOENT, os.lstat, "d")
			fails(errno.ENOENT, os.lstat, "tree/x")
			os.rename("tree", "d")
		END
		remount
		in_python <<-'END'
			eq(names("d"), ["new"])
			fails(errno.ENOENT, os.lstat, "tree")
		END
	done
}

@test "a new folder takes the name of a lower folder that moved away" {
	while fresh_mount; do
		in_python <<-'END'
			os.rename("tree", "moved")
			os.mkdir("tree")
			write("tree/mine", b"")
			os.mkdir("tree/x")
			os.rename("tree/x", "moved/z")
			os.rename("moved/x", "tree/x")
			eq(names("tree"), ["mine", "x"])
			eq(names("tree/x"), ["2", "y"])
		END
		remount
		in_python <<-'END'
			eq(names("tree"), ["mine", "x"])
			eq(names("tree/x"), ["2", "y"])
			eq(names("moved"), ["1", "z"])
			eq(names("moved/z"), [])
		END
	done
}

@test "RENAME_NOREPLACE" {
	while fresh_mount; do
		in_python <<-'END'
			fails(errno.EEXIST, renameat2, "file", "exec", RENAME_NOREPLACE)
			fails(errno.EEXIST, renameat2, "tree", "empty", RENAME_NOREPLACE)
			fails(errno.EEXIST, renameat2, "file", "link", RENAME_NOREPLACE)
			os.unlink("secret")
			renameat2("file", "secret", RENAME_NOREPLACE)
			renameat2("tree", "moved", RENAME_NOREPLACE)
			eq(read("secret"), b"hello\n")
			eq(names("moved"), ["1", "x"])
			fails(errno.ENOENT, renameat2, "missing", "new", RENAME_NOREPLACE)
		END
	done
}

@test "RENAME_EXCHANGE of files and folders of every origin" {
	while fresh_mount; do
		in_python <<-'END'
			x = RENAME_EXCHANGE
			write("new", b"new")
			renameat2("file", "new", x)        # lower and upper file
			renameat2("d/a", "d/b", x)         # two lower files
			renameat2("tree", "d", x)          # two lower folders
			eq(names("tree"), ["a", "b", "hl3", "sub"])
			eq(names("d"), ["1", "x"])
			renameat2("exec", "replaced", x)   # a lower file and a lower folder
			os.mkdir("newdir")
			write("newdir/n", b"n")
			renameat2("newdir", "empty", x)    # a new folder and a lower one
			renameat2("link", "fifo", x)
			fails(errno.ENOENT, renameat2, "secret", "missing", x)
			fails(errno.ENOENT, renameat2, "missing", "secret", x)
			fails(errno.EINVAL, renameat2, "file", "new", RENAME_EXCHANGE | RENAME_NOREPLACE)
		END
		for _ in 1 2; do
			in_python <<-'END'
				eq([read("file"), read("new")], [b"new", b"hello\n"])
				eq(names("tree"), ["a", "b", "hl3", "sub"])
				eq([read("tree/a"), read("tree/b")], [b"b", b"a"])
				eq(names("d"), ["1", "x"])
				eq(names("exec"), ["old"])
				eq(read("replaced"), b"run\n")
				eq(names("empty"), ["n"])
				eq(names("newdir"), [])
				eq(os.readlink("fifo"), "file")
				assert stat.S_ISFIFO(os.lstat("link").st_mode)
				for d in ".", "tree", "d", "exec", "empty":
				    same_listing(d)
			END
			remount
		done
	done
}

@test "RENAME_EXCHANGE across folders of different depth keeps the tree a tree" {
	while fresh_mount; do
		in_python <<-'END'
			renameat2("tree/x", "d/sub", RENAME_EXCHANGE)
			eq(read("tree/x/deep/f"), b"deep")
			eq(read("d/sub/y/3"), b"3")
			renameat2("tree/x/deep/f", "d/sub/y", RENAME_EXCHANGE)
			fails(errno.EINVAL, renameat2, "tree", "tree/x", RENAME_EXCHANGE)
			fails(errno.EINVAL, os.rename, "tree", "tree/x/in")
		END
		for _ in 1 2; do
			in_python <<-'END'
				eq(read("d/sub/y"), b"deep")
				eq(read("tree/x/deep/f/3"), b"3")
			END
			remount
		done
	done
}

@test "what rename(2) refuses" {
	while fresh_mount; do
		in_python <<-'END'
			fails(errno.ENOENT, os.rename, "missing", "new")
			fails(errno.ENOENT, os.rename, "file", "missing/new")
			fails(errno.EISDIR, os.rename, "file", "empty")
			fails(errno.ENOTDIR, os.rename, "empty", "file")
			fails(errno.ENOTEMPTY, os.rename, "empty", "d")
			fails(errno.EINVAL, os.rename, "d", "d/sub/new")
			fails(errno.ENOTEMPTY, os.rename, "d/sub", "d")
			os.rename("file", "file")
			os.rename("d", "d")
			fails(errno.EINVAL, renameat2, "file", "new", RENAME_WHITEOUT | RENAME_EXCHANGE)
			fails(errno.EEXIST, renameat2, "file", "d/a", RENAME_WHITEOUT | RENAME_NOREPLACE)
			fails(errno.EINVAL, renameat2, "file", "new", 1 << 10)
			eq(read("file"), b"hello\n")
			eq(names("d"), ["a", "b", "hl3", "sub"])
		END
	done
}

@test "a rename keeps owner, mode, times, xattrs and inode number" {
	while fresh_mount; do
		in_python <<-'END'
			def look(p):
			    st = os.lstat(p)
			    return (st.st_ino, st.st_mode, st.st_uid, st.st_gid, st.st_mtime_ns, st.st_size,
			            [(n, os.getxattr(p, n)) for n in os.listxattr(p, follow_symlinks=False)])
			for old, new in (("file", "d/f2"), ("suid", "s2"), ("tree", "t2"), ("link", "l2"), ("d", "d2")):
			    before = look(old)
			    os.rename(old, new)
			    eq(look(new), before, old)
		END
	done
}

@test "the times of both folders change with a rename, the mover's do not" {
	while fresh_mount; do
		in_python <<-'END'
			start = time.time_ns() - 1000000000
			os.rename("d/a", "empty/a")
			for d in "d", "empty":
			    assert os.lstat(d).st_mtime_ns > start, d
			eq(os.lstat("empty/a").st_mtime_ns, OLD)
			eq(os.lstat("tree").st_mtime_ns, OLD)
			os.rename("tree", "empty/tree")
			eq(os.lstat("empty/tree").st_mtime_ns, OLD)
			eq(os.lstat("empty/tree/x").st_mtime_ns, OLD)
			assert os.lstat("empty/a").st_ctime_ns > start
		END
	done
}

@test "many processes rename at once and nothing is lost" {
	while fresh_mount; do
		in_python <<-'END'
			pids = []
			for n in range(6):
			    pid = os.fork()
			    if pid == 0:
			        rnd = random.Random(n)
			        mine = "p%d" % n
			        os.mkdir(mine)
			        write(mine + "/f", b"%d" % n)
			        where = mine
			        for i in range(100):
			            to = rnd.choice([".", "d", "tree", "tree/x", "empty", "d/sub"]) + "/p%d-%d" % (n, i)
			            os.rename(where, to)
			            where = to
			        assert read(where + "/f") == b"%d" % n
			        os._exit(0)
			    pids.append(pid)
			for pid in pids:
			    eq(os.waitpid(pid, 0)[1], 0)
			eq(len([p for p in walk() if p.endswith("/f") and "/p" in p]), 6)
		END
	done
}

@test "RENAME_WHITEOUT leaves a 0:0 device, of lower, new and copied-up files and folders" {
	while fresh_mount; do
		in_python <<-'END'
			write("new", b"new")
			append("d/a", b"!")
			os.mkdir("newdir")
			moves = (("file", "d/file"), ("new", "d/b"), ("d/a", "moved"), ("newdir", "tree/newdir"), ("tree/x", "x"),
			         ("exec", "exec2"), ("hl1", "hl9"))
			for old, to in moves:
			    ino = os.lstat(old).st_ino
			    renameat2(old, to, RENAME_WHITEOUT)
			    eq(os.lstat(to).st_ino, ino)
			# One that is there may be moved and replaced as anything else.
			renameat2("exec2", "exec", 0)
			os.rename("file", "other")
		END
		for _ in 1 2; do
			in_python <<-'END'
				def is_left(p):
				    st = os.lstat(p)
				    return stat.S_ISCHR(st.st_mode) and st.st_rdev == 0
				for p in "new", "d/a", "newdir", "tree/x", "hl1", "other":
				    assert is_left(p), p
				eq([read(p) for p in ("d/file", "d/b", "moved", "x/2", "exec", "hl9")],
				   [b"hello\n", b"new", b"a!", b"2", b"run\n", b"linked"])
				fails(errno.ENOENT, os.lstat, "file")
				fails(errno.ENOENT, os.lstat, "exec2")
				for d in ".", "d", "tree", "x":
				    same_listing(d)
			END
			[ -z "$(find "$WORK/work" -mindepth 1 ! -name whiteout)" ] || fail "$(find "$WORK/work")"
			remount
		done
	done
}

@test "renaming what a listing gives, while it gives it, comes to an end" {
	while fresh_mount; do
		in_python <<-'END'
			os.mkdir("many")
			for i in range(3000):
			    os.close(os.open("many/f%d" % i, os.O_CREAT))
			seen = 0
			for e in os.scandir("many"):
			    os.rename(e.path, "many/tempfile")
			    os.rename("many/tempfile", e.path)
			    seen += 1
			    assert seen <= 3000, "the listing goes on"
			eq(seen, 3000)
			seen = 0
			for e in os.scandir("many"):
			    if seen % 2:
			        os.rename(e.path, "many/x" + e.name)
			    seen += 1
			    assert seen <= 3000
			eq(len(same_listing("many")), 3000)
			eq(sum(n.startswith("x") for n in os.listdir("many")), 1500)
			seen = set()
			for e in os.scandir("tree/x"):
			    os.rename(e.path, "tree/x/n" + e.name)
			    assert e.name not in seen and len(seen) < 10
			    seen.add(e.name)
			for i in range(3000):
			    os.rename("file", "file2")
			    os.rename("file2", "file")
			    if i % 500 == 0:
			        os.listdir(".")
		END
		remount
		in_python <<-'END'
			eq(len(os.listdir("many")), 3000)
			eq(read("file"), b"hello\n")
		END
	done
}
