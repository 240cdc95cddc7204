#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Owners, modes, times, inode numbers, xattrs and ACLs.
# shellcheck disable=SC2011,SC2034,SC2154
bats_require_minimum_version 1.5.0
load ../lib/common
load ../lib/fs

setup_file() { make_lowers base_tree; }
setup() { setup_store; }
teardown() { unmount_all; }
teardown_file() { lowers_unchanged; }

@test "st_ino is stable over copy-up, rename and remount, and d_ino is the same" {
	while fresh_mount; do
		in_python <<-'END'
			import json
			inos = {p: os.lstat(p).st_ino for p in walk()}
			write("new", b"")
			os.mkdir("newdir")
			inos["./new"] = os.lstat("new").st_ino
			inos["./newdir"] = os.lstat("newdir").st_ino
			append("file", b"!")
			os.chmod("d", 0o700)
			os.chmod("d/a", 0o600)
			append("hl1", b"!")
			os.utime("link", ns=(1, 1), follow_symlinks=False)
			for p, ino in inos.items():
			    eq(os.lstat(p).st_ino, ino, p)
			for old, new in (("exec", "d/exec"), ("tree", "d/tree"), ("new", "d/new"), ("fifo", "d/fifo")):
			    os.rename(old, new)
			    for p in list(inos):
			        if p == "./" + old or p.startswith("./" + old + "/"):
			            inos["./" + new + p[2 + len(old):]] = inos.pop(p)
			for p, ino in inos.items():
			    eq(os.lstat(p).st_ino, ino, p + " renamed")
			for d in ".", "d", "d/tree", "newdir":
			    same_listing(d)
			# What is only linked keeps its number for the life of this mount.
			with open("../inos", "w") as f:
			    json.dump({p: i for p, i in inos.items() if not os.path.islink(p) and not stat.S_ISFIFO(os.lstat(p).st_mode)}, f)
		END
		for _ in 1 2; do
			remount
			in_python <<-'END'
				import json
				with open("../inos") as f:
				    inos = json.load(f)
				for p, ino in inos.items():
				    eq(os.lstat(p).st_ino, ino, p + " after a remount")
				for d in ".", "d", "d/tree", "newdir":
				    same_listing(d)
			END
		done
	done
}

@test "a listing without a lookup gives the same d_ino as a stat later" {
	while fresh_mount; do
		append_to=("$MNT/d/b" "$MNT/hl2")
		for f in "${append_to[@]}"; do
			echo >>"$f"
		done
		remount
		in_python <<-'END'
			for d in ".", "d", "tree":
			    first = {e.name: e.inode() for e in os.scandir(d)}
			    for name, ino in first.items():
			        eq(os.lstat(d + "/" + name).st_ino, ino, d + "/" + name)
		END
	done
}

@test "a copy-up keeps times to the nanosecond, also those of the folders above" {
	while fresh_mount; do
		in_python <<-'END'
			os.chmod("d/sub/deep/f", 0o600)
			eq(os.lstat("d/sub/deep/f").st_mtime_ns, OLD)
			os.setxattr("tree/x/y/3", "user.x", b"1")
			fd = os.open("tree/x/2", os.O_WRONLY)
			os.close(fd)
			append("tree/1", b"changed")
			for p in "d", "d/sub", "d/sub/deep", "tree", "tree/x", "tree/x/y", "tree/x/y/3", "tree/x/2":
			    eq(os.lstat(p).st_mtime_ns, OLD, p)
			assert os.lstat("tree/1").st_mtime_ns > OLD
			root = os.lstat(".").st_mtime_ns
			os.chmod("empty", 0o700)
			eq(os.lstat("empty").st_mtime_ns, OLD)
			eq(os.lstat(".").st_mtime_ns, root)
		END
		remount
		in_python <<-'END'
			for p in "d", "d/sub", "d/sub/deep", "tree", "tree/x", "tree/x/y", "tree/x/y/3", "tree/x/2", "empty":
			    eq(os.lstat(p).st_mtime_ns, OLD, p)
		END
	done
}

@test "a copy-up keeps mode, owner, xattrs, type" {
	while fresh_mount; do
		in_python <<-'END'
			def look(p):
			    st = os.lstat(p)
			    return (oct(st.st_mode), st.st_uid, st.st_gid, st.st_rdev, st.st_size, st.st_mtime_ns,
			            [(n, os.getxattr(p, n, follow_symlinks=False)) for n in os.listxattr(p, follow_symlinks=False)])
			paths = ["file", "exec", "secret", "suid", "d", "d/sub", "empty", "hl1", "empty-file", "sparse"]
			before = {p: look(p) for p in paths}
			for p in paths:
			    st = os.stat(p)
			    os.utime(p, ns=(5, st.st_mtime_ns))    # changes nothing that look() sees
			for p in paths:
			    eq(look(p), before[p], p)
			for p in "link", "fifo":
			    was = look(p)
			    os.utime(p, ns=(5, OLD), follow_symlinks=False)
			    eq(look(p), was, p)
		END
		remount # what the kernel remembered is not asked any more
		in_python <<-'END'
			for p in "file", "d", "d/sub", "hl1", "hl2", "d/hl3", "link", "fifo":
			    eq(os.lstat(p).st_mtime_ns, OLD, p)
		END
	done
}

@test "a write sets mtime and ctime at once, a read neither" {
	while fresh_mount; do
		in_python <<-'END'
			before = time.time_ns() - 20000000
			st = os.lstat("file")
			read("file")
			eq(os.lstat("file").st_mtime_ns, OLD)
			append("file", b"x")
			after = os.lstat("file")
			assert after.st_mtime_ns >= before, "mtime of a copied-up file"
			assert after.st_ctime_ns >= before
			os.utime("file", ns=(1, 2))
			eq((os.lstat("file").st_atime_ns, os.lstat("file").st_mtime_ns), (1, 2))
			append("file", b"x")
			assert os.lstat("file").st_mtime_ns >= before
			os.utime("file", ns=(1, 2))
			os.truncate("file", 3)
			assert os.lstat("file").st_mtime_ns >= before
			# A time set while a descriptor has written stays.
			fd = os.open("d/a", os.O_WRONLY)
			os.write(fd, b"data")
			os.utime("d/a", ns=(3, 4))
			os.close(fd)
			eq(os.lstat("d/a").st_mtime_ns, 4)
			os.chmod("d/a", 0o600)
			eq(os.lstat("d/a").st_mtime_ns, 4)
			# A folder's, when a name comes or goes.
			os.utime("d", ns=(1, 2))
			os.unlink("d/b")
			assert os.lstat("d").st_mtime_ns >= before, "mtime of a folder after unlink"
			os.utime("d", ns=(1, 2))
			write("d/b", b"")
			assert os.lstat("d").st_mtime_ns >= before, "mtime of a folder after create"
			os.utime("d", ns=(1, 2))
			append("d/hl3", b"x")
			eq(os.lstat("d").st_mtime_ns, 2)
		END
		remount
		in_python <<-'END'
			eq(os.lstat("d/a").st_mtime_ns, 4)
			eq(os.lstat("d").st_mtime_ns, 2)
			eq(read("d/a"), b"data")
		END
	done
}

@test "utimens: past, future, fractions, now, omit, of links" {
	while fresh_mount; do
		in_python <<-'END'
			for ns in (0, 1, 999999999, -1, -1500000000, 4102444800123456789):
			    for p in "file", "d", "link", "empty-file", "fifo":
			        os.utime(p, ns=(ns, ns), follow_symlinks=False)
			        st = os.lstat(p)
			        eq((st.st_atime_ns, st.st_mtime_ns), (ns, ns), p)
			now = time.time_ns()
			os.utime("file")
			assert abs(os.lstat("file").st_mtime_ns - now) < 10**10
			eq(os.stat("link", follow_symlinks=False).st_mtime_ns, 4102444800123456789)
		END
		touch -a -d '2010-01-01 00:00:00.5' "$MNT/exec"
		assert_equal "$(stat -c '%x|%y' "$MNT/exec")" \
			"2010-01-01 00:00:00.500000000 +0000|2001-02-03 04:05:06.123456789 +0000"
		touch -m -d '2011-01-01 00:00:00.25' "$MNT/exec"
		remount
		assert_equal "$(stat -c '%x|%y' "$MNT/exec")" \
			"2010-01-01 00:00:00.500000000 +0000|2011-01-01 00:00:00.250000000 +0000"
	done
}

@test "chmod of files and folders, all bits" {
	while fresh_mount; do
		in_python <<-'END'
			for p in "file", "d", "big", "empty":
			    for m in 0o777, 0o600, 0o1755, 0o2711, 0o4755, 0o6755, 0o7777, 0o700:
			        os.chmod(p, m)
			        eq(oct(mode(p)), oct(m), p)
			eq(os.lstat("big").st_size, 300000)
			os.chmod("file", 0o444)
			os.chmod("d", 0o2750)
		END
		remount
		in_python <<-'END'
			eq(mode("file"), 0o444)
			eq(mode("d"), 0o2750)
			eq(read("file"), b"hello\n")
		END
	done
}

@test "a file of mode 0 is read and written by root, and its folder too" {
	is_root || KINDS="fakeroot fakestore"
	while fresh_mount; do
		in_python <<-'END'
			os.chmod("file", 0)
			eq(read("file"), b"hello\n")
			append("file", b"!")
			write("new", b"new")
			os.chmod("new", 0)
			append("new", b"!")
			eq(read("new"), b"new!")
			os.chmod("d", 0)
			write("d/x", b"x")
			eq(read("d/x"), b"x")
			os.unlink("d/x")
			eq((mode("file"), mode("new"), mode("d")), (0, 0, 0))
		END
		remount
		in_python <<-'END'
			eq((mode("file"), mode("new"), mode("d")), (0, 0, 0))
			eq(read("file"), b"hello\n!")
			append("new", b"?")
			eq(read("new"), b"new!?")
			eq(names("d"), ["a", "b", "hl3", "sub"])
		END
	done
}

@test "chown by root, real or fake: any owner, recorded, and shown after a remount" {
	is_root || KINDS="fakeroot fakestore"
	while fresh_mount; do
		in_python <<-'END'
			me = (os.getuid(), os.getgid())
			for p in "file", "d", "big", "fifo", "hl2":
			    os.chown(p, 1000, 100)
			os.lchown("link", 33, 44)
			write("new", b"x")
			os.chown("new", 5, -1)
			os.mkdir("newdir")
			os.chown("newdir", -1, 6)
			os.symlink("x", "newlink")
			os.lchown("newlink", 7, 8)
			os.chown("exec", 4294967294, 4294967294)
			def owner(p):
			    return os.lstat(p).st_uid, os.lstat(p).st_gid
			eq([owner(p) for p in ("file", "d", "big", "fifo", "hl1", "d/hl3")], [(1000, 100)] * 6)
			eq(owner("link"), (33, 44))
			eq(owner("newlink"), (7, 8))
			eq(os.readlink("newlink"), "x")
			eq(os.readlink("link"), "file")
			assert stat.S_ISLNK(os.lstat("newlink").st_mode)
			assert stat.S_ISFIFO(os.lstat("fifo").st_mode)
			eq(owner("new")[0], 5)
			eq(owner("newdir")[1], 6)
			eq(os.lstat("file").st_mtime_ns, OLD)
			os.chmod("file", 0o640)
			eq(owner("file"), (1000, 100))
		END
		remount
		in_python <<-'END'
			def owner(p):
			    return os.lstat(p).st_uid, os.lstat(p).st_gid
			eq([owner(p) for p in ("file", "d", "big", "fifo", "hl1", "d/hl3")], [(1000, 100)] * 6)
			eq(owner("link"), (33, 44))
			eq(owner("newlink"), (7, 8))
			eq(os.readlink("newlink"), "x")
			eq(os.readlink("link"), "file")
			assert stat.S_ISFIFO(os.lstat("fifo").st_mode)
			eq(owner("exec"), (4294967294, 4294967294))
			eq((owner("new")[0], owner("newdir")[1]), (5, 6))
			eq(mode("file"), 0o640)
			eq(read("big"), b"x" * 300000)
			eq(read("new"), b"x")
			write("d/x", b"still root")
		END
	done
}

@test "under fakeroot the mounting user owns what is root's, and what he makes" {
	is_root && KINDS=fakeroot || KINDS="fakeroot fakestore"
	while fresh_mount; do
		in_python <<-'END'
			write("new", b"")
			me = (os.getuid(), os.getgid())
			eq((os.lstat("new").st_uid, os.lstat("new").st_gid), me)
			os.mkdir("newdir")
			eq(os.lstat("newdir").st_uid, me[0])
			os.symlink("x", "newlink")
			eq(os.lstat("newlink").st_uid, me[0])
			os.mkfifo("newfifo", 0o644)
			assert stat.S_ISFIFO(os.lstat("newfifo").st_mode)
			if "store" not in KIND:
			    eq(os.lstat("file").st_uid, me[0])
		END
		# The kernel lets nobody else make devices, whatever the file system says.
		is_root || continue
		mknod "$MNT/null" c 1 3
		mknod "$MNT/block" b 259 70000
		for _ in 1 2; do
			assert_equal "$(stat -c '%F %t:%T %s %u' "$MNT/null")" "character special file 1:3 0 0"
			assert_equal "$(stat -c '%F %t:%T' "$MNT/block")" "block special file 103:11170"
			remount
		done
	done
}

@test "fakeroot: an archive is unpacked with its owners as root would" {
	is_root && KINDS=dirs || KINDS="fakeroot fakestore"
	python3 - "$BATS_TEST_TMPDIR/in.tar" <<-'END'
		import io, sys, tarfile
		with tarfile.open(sys.argv[1], "w", format=tarfile.PAX_FORMAT) as tar:
		    def add(name, kind, mode, uid, gid, data=b"", **more):
		        info = tarfile.TarInfo(name)
		        info.type, info.mode, info.uid, info.gid, info.size, info.mtime = kind, mode, uid, gid, len(data), 12345
		        for k, v in more.items():
		            setattr(info, k, v)
		        tar.addfile(info, io.BytesIO(data))
		    add("in", tarfile.DIRTYPE, 0o2755, 5, 6)
		    add("in/f", tarfile.REGTYPE, 0o640, 7, 8, b"content")
		    add("in/suid", tarfile.REGTYPE, 0o4755, 0, 9, b"#!")
		    add("in/l", tarfile.SYMTYPE, 0o777, 10, 11, linkname="f")
		    add("in/hard", tarfile.LNKTYPE, 0o640, 7, 8, linkname="in/f")
		    add("in/fifo", tarfile.FIFOTYPE, 0o600, 3, 4)
	END
	while fresh_mount; do
		tar -C "$MNT" --same-owner --same-permissions --numeric-owner -xf "$BATS_TEST_TMPDIR/in.tar"
		for _ in 1 2; do
			assert_equal "$(cd "$MNT" && stat -c '%n %F %a %u:%g %s %Y %t:%T %h' in/f in/suid in/l in/fifo)" \
				"in/f regular file 640 7:8 7 12345 0:0 2
in/suid regular file 4755 $(id -u):9 2 12345 0:0 1
in/l symbolic link 777 10:11 1 12345 0:0 1
in/fifo fifo 600 3:4 0 12345 0:0 1"
			assert_equal "$(stat -c '%a %u:%g' "$MNT/in")" "2755 5:6"
			assert_equal "$(readlink "$MNT/in/l")" f
			remount
		done
	done
}

@test "umask and the caller's ids make the mode and owner of what is new" {
	while fresh_mount; do
		(
			umask 027
			cd "$MNT"
			touch f
			mkdir m
			mkfifo p
			ln -s x s
		)
		assert_equal "$(cd "$MNT" && stat -c '%n %a' f m p s | xargs)" "f 640 m 750 p 640 s 777"
		(umask 0 && touch "$MNT/g" && mkfifo "$MNT/q" && mkdir "$MNT/n")
		assert_equal "$(cd "$MNT" && stat -c '%n %a' g n q | xargs)" "g 666 n 777 q 666"
		is_fake || assert_equal "$(stat -c %u:%g "$MNT/f")" "$(id -u):$(id -g)"
	done
}

@test "in a setgid folder what is new has its group, and folders are setgid too" {
	is_root && KINDS="dirs store fakeroot" || KINDS="fakeroot fakestore"
	while fresh_mount; do
		in_python <<-'END'
			for d in "d/sub", "newdir":
			    if d == "newdir":
			        os.mkdir(d)
			    os.chown(d, 0, 4242)
			    os.chmod(d, 0o2775)
			    write(d + "/f", b"")
			    os.mkdir(d + "/m")
			    os.symlink("x", d + "/s")
			    write(d + "/m/f", b"")
			    eq([os.lstat(d + "/" + p).st_gid for p in ("f", "m", "s", "m/f")], [4242] * 4)
			    eq(mode(d + "/m") & stat.S_ISGID, stat.S_ISGID)
			    eq(mode(d + "/f") & stat.S_ISGID, 0)
			os.unlink("d/a")
			os.chown("d", 0, 4343)
			os.chmod("d", 0o2775)
			write("d/a", b"over a whiteout")
			eq(os.lstat("d/a").st_gid, 4343)
			os.unlink("d/b")
			os.mkdir("d/b")
			eq((os.lstat("d/b").st_gid, mode("d/b") & stat.S_ISGID), (4343, stat.S_ISGID))
		END
	done
}

@test "setuid, setgid and capabilities go with a write by somebody else, and stay with root's" {
	KINDS="dirs store"
	while fresh_mount; do
		if is_root; then
			in_python <<-'END'
				def fresh(p, m):
				    os.chmod(p, m)
				    return p
				write("new", b"new")
				for p in "new", "big":
				    fresh(p, 0o6777)
				    append(p, b"by root")
				    eq(oct(mode(p)), oct(0o6777), "root's write to " + p)
				    as_ids(4711, 4711, append, p, b"x")
				    eq(oct(mode(p)), oct(0o777), "a user's write to " + p)
				    fresh(p, 0o6777)
				    as_ids(4711, 4711, os.truncate, p, 3)
				    eq(oct(mode(p)), oct(0o777), "a user's truncate of " + p)
				    fresh(p, 0o2767)    # no x for the group: it stays with a write by a member
				    as_ids(4711, os.stat(p).st_gid, append, p, b"x")
				    eq(oct(mode(p)), oct(0o2767), "a member's write to " + p)
				    as_ids(4711, 4711, append, p, b"x")
				    eq(oct(mode(p)), oct(0o767), "a stranger's write to " + p)
				    fresh(p, 0o6777)
				    os.chown(p, 4711, -1)
				    eq(oct(mode(p)), oct(0o777), "a chown of " + p)
				# Straight from the lower: the copy-up must not bring them back.
				eq(oct(mode("suid")), oct(0o6755))
				append("suid", b"by root")
				eq(oct(mode("suid")), oct(0o6755))
				as_ids(1234, 5678, append, "suid", b"x")
				eq(oct(mode("suid")), oct(0o755))
			END
			setcap cap_net_raw+ep "$MNT/exec"
			[[ $(getcap "$MNT/exec") == *cap_net_raw* ]]
			echo changed >>"$MNT/exec"
			assert_equal "$(getcap "$MNT/exec")" ""
		else
			in_python <<-'END'
				append("suid", b"x")
				eq(oct(mode("suid")), oct(0o755))
				write("new", b"")
				os.chmod("new", 0o4755)
				os.truncate("new", 10)
				eq(oct(mode("new")), oct(0o755))
			END
		fi
	done
}

@test "that a lower's file has no xattrs is forgotten once it has one" {
	while fresh_mount; do
		in_python <<-'END'
			for name in "d/a", "tree/x", "empty-file":
			    for i in range(2):
			        eq(os.listxattr(name), [])
			        fails(errno.ENODATA, os.getxattr, name, "user.x")
			    os.setxattr(name, "user.x", b"1")
			    eq(os.listxattr(name), ["user.x"])
			    eq(os.getxattr(name, "user.x"), b"1")
			    os.removexattr(name, "user.x")
			    eq(os.listxattr(name), [])
			    fails(errno.ENODATA, os.getxattr, name, "user.x")
		END
	done
}

@test "xattrs are set, read, listed and removed, on lower and new files and folders" {
	while fresh_mount; do
		in_python <<-'END'
			eq(os.listxattr("file"), ["user.one"])
			eq(os.getxattr("file", "user.one"), b"1")
			eq(os.getxattr("d", "user.dir"), b"yes")
			os.setxattr("file", "user.two", b"\0binary\xff")
			os.setxattr("d", "user.two", b"2")
			os.removexattr("file", "user.one")
			write("new", b"")
			os.setxattr("new", "user.empty", b"")
			os.setxattr("new", "user.big", b"x" * 2000)
			os.mkdir("newdir")
			os.setxattr("newdir", "user.a", b"1", os.XATTR_CREATE)
			fails(errno.EEXIST, os.setxattr, "newdir", "user.a", b"2", os.XATTR_CREATE)
			fails(errno.ENODATA, os.setxattr, "newdir", "user.b", b"2", os.XATTR_REPLACE)
			os.setxattr("newdir", "user.a", b"2", os.XATTR_REPLACE)
			fails(errno.ENODATA, os.getxattr, "file", "user.one")
			fails(errno.ENODATA, os.removexattr, "file", "user.one")
			fails(errno.EPERM, os.setxattr, "link", "user.x", b"1", follow_symlinks=False)
			eq(os.lstat("file").st_mtime_ns, OLD)
		END
		for _ in 1 2; do
			in_python <<-'END'
				eq(os.listxattr("file"), ["user.two"])
				eq(os.getxattr("file", "user.two"), b"\0binary\xff")
				eq(sorted(os.listxattr("d")), ["user.dir", "user.two"])
				eq(sorted(os.listxattr("new")), ["user.big", "user.empty"])
				eq(os.getxattr("new", "user.empty"), b"")
				eq(os.getxattr("new", "user.big"), b"x" * 2000)
				eq(os.getxattr("newdir", "user.a"), b"2")
				eq(read("file"), b"hello\n")
			END
			remount
		done
	done
}

@test "overlay's own xattrs are not shown, and those of a nested overlay are never taken for them" {
	while fresh_mount; do
		in_python <<-'END'
			# Everything that leaves marks in the upper.
			append("file", b"!")
			shutil.rmtree("replaced")
			os.mkdir("replaced")
			os.rename("tree", "moved")
			append("hl1", b"!")
			os.chmod("d", 0o700)
			write("new", b"")
			for p in ".", "file", "replaced", "moved", "hl1", "d", "new":
			    bad = [n for n in os.listxattr(p) if "overlay" in n or "containers" in n]
			    eq(bad, [], p)
			own = ["user.overlay.opaque", "user.overlay.redirect", "user.fuseoverlayfs.opaque",
			       "user.containers.override_stat", "user.overlay.overlay.opaque", "user.overlay.nacre.ino"]
			if os.getuid() == 0:
			    own += ["trusted.overlay.opaque", "trusted.overlay.overlay.overlay.redirect"]
			was = os.lstat("d")
			for name in own:
			    fails(errno.ENODATA, os.getxattr, "replaced", name)
			    fails(errno.ENODATA, os.removexattr, "replaced", name)
			    os.setxattr("d", name, b"y")
			    eq(os.getxattr("d", name), b"y")
			os.setxattr("file", "user.overlay.metacopy", b"")
			os.setxattr("d", "user.overlayx", b"y")
			eq(sorted(os.listxattr("d")), sorted(own + ["user.overlayx", "user.dir"]))
			fails(errno.ERANGE, os.setxattr, "d", "user.overlay." + "x" * 242, b"y")
			eq(names("replaced"), [])
		END
		# Nothing was hidden, redirected or given away by it.
		remount
		in_python <<-'END'
			eq(names("d"), ["a", "b", "hl3", "sub"])
			eq(read("file"), b"hello\n!")
			eq(mode("d"), 0o700)
			for name in os.listxattr("d"):
			    if name != "user.dir":
			        os.removexattr("d", name)
			eq(os.listxattr("d"), ["user.dir"])
			eq(os.listxattr("file"), ["user.one", "user.overlay.metacopy"])
		END
	done
}

@test "ACLs: set, read, obeyed, kept over a copy-up, and default ACLs make the mode" {
	KINDS="dirs store"
	while fresh_mount; do
		setfacl -m u:4711:r,g:4712:rw "$MNT/secret"
		setfacl -d -m u:4711:rwx,o::- "$MNT/d"
		(umask 077 && touch "$MNT/d/new" && mkdir "$MNT/d/newdir")
		[[ $(getfacl -cpn "$MNT/d/new" | xargs) == *"user:4711:rwx #effective:rw-"* ]] ||
			fail "$(getfacl -cpn "$MNT/d/new")"
		assert_equal "$(stat -c %a "$MNT/d/new")" 660
		assert_equal "$(stat -c %a "$MNT/d/newdir")" 770
		[[ $(getfacl -cpn "$MNT/d/newdir" | xargs) == *"default:user:4711:rwx"* ]]
		chmod 600 "$MNT/d/new"
		[[ $(getfacl -cpn "$MNT/d/new" | xargs) == *"mask::---"* ]]
		echo more >>"$MNT/secret"
		for _ in 1 2; do
			[[ $(getfacl -cpn "$MNT/secret" | xargs) == "user::rw- user:4711:r-- group::--- group:4712:rw- mask::rw- other::---" ]] ||
				fail "$(getfacl -cpn "$MNT/secret")"
			if is_root; then
				in_python <<-'END'
					as_ids(4711, 4711, read, "secret")
					fails(errno.EACCES, as_ids, 4711, 4711, append, "secret", b"x")
					as_ids(99, 4712, read, "secret")
					fails(errno.EACCES, as_ids, 99, 99, read, "secret")
				END
			fi
			remount
		done
		setfacl -b "$MNT/secret"
		assert_equal "$(getfacl -cpn "$MNT/secret" | xargs)" "user::rw- group::--- other::---"
	done
}

@test "noacl and noxattrs: none can be set, everything else works" {
	while fresh_mount noxattrs; do
		in_python <<-'END'
			fails(errno.ENOTSUP, os.setxattr, "file", "user.x", b"1")
			eq(os.listxattr("file"), [])
			append("file", b"!")
			eq(read("file"), b"hello\n!")
		END
	done
}

@test "static_nlink: folders have one link" {
	while fresh_mount static_nlink; do
		assert_equal "$(stat -c %h "$MNT/d")" 1
		assert_equal "$(stat -c %h "$MNT/hl1")" 3
		find "$MNT" >/dev/null
	done
}

@test "what is said of a file is what its file in the upper has, after each of many changes" {
	KINDS="dirs store"
	while fresh_mount; do
		in_python "$MNT" "$UPPER" "$(is_root && echo root || true)" <<-'END'
			upper, root = sys.argv[1], sys.argv[2] == "root"
			FIELDS = ("st_mode", "st_uid", "st_gid", "st_nlink", "st_size", "st_mtime_ns")
			def same(name, what):
			    got, want = os.lstat(name), os.lstat(upper + "/" + name)
			    for field in FIELDS:
			        eq(getattr(got, field), getattr(want, field), what + ": " + field)
			changes = {
			    "write": lambda fd: os.pwrite(fd, b"x" * 9000, 0),
			    "chmod": lambda fd: os.fchmod(fd, 0o640),
			    "utime": lambda fd: os.utime(fd, ns=(OLD, OLD + 1)),
			    "chown": lambda fd: os.fchown(fd, 99 if root else -1, 98 if root else os.getgid()),
			    "setuid": lambda fd: os.fchmod(fd, 0o6755),
			    "chown of setuid": lambda fd: os.fchown(fd, 97 if root else -1, 96 if root else os.getgid()),
			    "xattr": lambda fd: os.setxattr(fd, "user.x", b"1" * 300),
			    "truncate": lambda fd: os.ftruncate(fd, 5000),
			    "utime now": lambda fd: os.utime(fd),
			    "allocate": lambda fd: fallocate(fd, 0, 8192, 8192),
			    "hole": lambda fd: fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096),
			    "mtime alone": lambda fd: os.utime(fd, ns=(os.fstat(fd).st_atime_ns, OLD + 7)),
			    "append": lambda fd: os.pwrite(fd, b"y", os.fstat(fd).st_size),
			}
			rng = random.Random(7)
			for n in range(12):
			    name = "f%d" % n
			    fd = os.open(name, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o644)
			    if n == 1:
			        os.link(name, "second")
			    for what in rng.sample(list(changes), len(changes)) if n else changes:
			        changes[what](fd)
			        os.fsync(fd)
			        if rng.random() < 0.3:
			            os.rename(name, name + "new")
			            name += "new"
			        if rng.random() < 0.7:
			            same(name, what)
			    same(name, "in the end")
			    os.close(fd)
		END
	done
}
