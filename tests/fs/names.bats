#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Making, moving and taking away names.
# shellcheck disable=SC2011,SC2034,SC2154
bats_require_minimum_version 1.5.0
load ../lib/common
load ../lib/fs

# Not only files have several names.
linked_specials() {
	ln -s target symlink1
	ln -P symlink1 symlink2
	mkfifo fifo1
	ln fifo1 fifo2
}

two_hundred_folders() {
	for i in $(seq 200); do
		mkdir -p "folders/d$i/sub"
	done
}

setup_file() { make_lowers base_tree linked_specials two_hundred_folders; }
setup() { setup_store; }
teardown() { unmount_all; }
teardown_file() { lowers_unchanged; }

@test "every type of file is made, and there after a remount" {
	while fresh_mount; do
		in_python <<-'END'
			os.mkdir("newdir", 0o711)
			os.mkdir("newdir/sub")
			os.symlink("../file", "newdir/link")
			os.mkfifo("newdir/fifo", 0o640)
			s = socket.socket(socket.AF_UNIX)
			s.bind("newdir/sock")
			s.listen()
			c = socket.socket(socket.AF_UNIX)
			c.connect("newdir/sock")
			if os.getuid() == 0:
			    os.mknod("newdir/null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
			    os.mknod("newdir/block", 0o600 | stat.S_IFBLK, os.makedev(7, 1))
			    os.chmod("newdir/null", 0o666)
			    write("newdir/null", b"into nothing")
			    eq(read("newdir/null"), b"")
			fails(errno.EEXIST, os.mkdir, "newdir")
			fails(errno.EEXIST, os.mkdir, "file")
			fails(errno.EEXIST, os.mkfifo, "file")
			fails(errno.EEXIST, os.symlink, "x", "d")
		END
		remount
		in_python <<-'END'
			eq(mode("newdir"), 0o711)
			eq(read("newdir/link"), b"hello\n")
			assert stat.S_ISFIFO(os.lstat("newdir/fifo").st_mode)
			assert stat.S_ISSOCK(os.lstat("newdir/sock").st_mode)
			eq(mode("newdir/fifo"), 0o640)
			if os.getuid() == 0:
			    eq(os.lstat("newdir/null").st_rdev, os.makedev(1, 3))
			    eq(os.lstat("newdir/block").st_rdev, os.makedev(7, 1))
			    assert stat.S_ISBLK(os.lstat("newdir/block").st_mode)
			    eq(read("newdir/null"), b"")
			same_listing("newdir")
			eq(os.lstat("newdir").st_nlink, 3)
		END
	done
}

@test "two processes talk through a fifo of a lower" {
	while fresh_mount; do
		echo through >"$MNT/fifo" &
		assert_equal "$(cat "$MNT/fifo")" through
		wait $!
	done
}

@test "a 0:0 character device is one to whoever made it, and hides nothing of ours" {
	while fresh_mount; do
		in_python <<-'END'
			os.mknod("whiteout", stat.S_IFCHR | 0o600, 0)
			os.mknod("d/whiteout", stat.S_IFCHR, 0)
			os.unlink("file")
			os.mknod("file", stat.S_IFCHR, 0)
			os.link("whiteout", "tree/linked")
			os.rename("d/whiteout", "tree/x/2")
			os.mkdir("new")
			os.mknod("new/one", stat.S_IFCHR, 0)
			os.rename("new", "d/new")
			os.chmod("whiteout", 0o640)
		END
		for _ in 1 2; do
			in_python <<-'END'
				for name in "whiteout", "file", "tree/linked", "tree/x/2", "d/new/one":
				    st = os.lstat(name)
				    assert stat.S_ISCHR(st.st_mode) and st.st_rdev == 0 and st.st_size == 0, name
				    if os.getuid() == 0:
				        fails(errno.ENXIO, os.open, name, os.O_RDONLY)
				eq(os.lstat("whiteout").st_nlink, 2)
				eq(mode("whiteout"), 0o640)
				fails(errno.ENOENT, os.lstat, "d/whiteout")
				for d in ".", "d", "d/new", "tree", "tree/x":
				    same_listing(d)
			END
			remount
		done
		rm "$MNT/whiteout" "$MNT/file"
		[ -c "$MNT/tree/linked" ] && [ ! -e "$MNT/file" ]
		remount
		[ -c "$MNT/tree/linked" ] && [ ! -e "$MNT/file" ] && [ ! -e "$MNT/whiteout" ]
		# Whoever reads the upper without us finds no device that would be a whiteout of ours.
		is_root || is_fake || assert_equal "$(find "$UPPER/tree" "$UPPER/d/new" -type c)" ""
	done
}

@test "names that begin with .wh. cannot be made" {
	while fresh_mount; do
		in_python <<-'END'
			for name in ".wh.file", ".wh..wh..opq", "d/.wh.", ".wh.x":
			    fails(errno.EINVAL, os.open, name, os.O_CREAT | os.O_WRONLY, 0o644)
			    fails(errno.EINVAL, os.mkdir, name)
			    fails(errno.EINVAL, os.mkfifo, name)
			    fails(errno.EINVAL, os.mknod, name, stat.S_IFREG | 0o600)
			    fails(errno.EINVAL, os.symlink, "x", name)
			    fails(errno.EINVAL, os.rename, "d", name)
			    fails(errno.EINVAL, renameat2, "d", name, RENAME_NOREPLACE)
			    fails(errno.EINVAL, os.rename, "file", name)
			    fails(errno.EINVAL, os.link, "file", name)
			    fails(errno.ENOENT, os.lstat, name)
			eq(read("file"), b"hello\n")
			for name in ".wh", ".whx", "a.wh.b", ".wha.":
			    write(name, b"fine")
		END
		remount
		in_python <<-'END'
			eq([read(n) for n in (".wh", ".whx", "a.wh.b", ".wha.")], [b"fine"] * 4)
		END
	done
}

@test "unlink of lower, upper and copied-up files; names come back new" {
	while fresh_mount; do
		in_python <<-'END'
			os.unlink("file")
			os.unlink("d/a")
			append("d/b", b"copied")
			os.unlink("d/b")
			write("new", b"")
			os.unlink("new")
			for p in "file", "d/a", "d/b", "new":
			    fails(errno.ENOENT, os.lstat, p)
			    fails(errno.ENOENT, os.unlink, p)
			eq(names("d"), ["hl3", "sub"])
			fails(errno.EISDIR, os.unlink, "d")
			fails(errno.ENOTDIR, os.rmdir, "exec")
			os.unlink("dangling")
			os.unlink("fifo")
			write("file", b"again")
			os.mkdir("d/a")
			os.symlink("x", "d/b")
		END
		remount
		in_python <<-'END'
			eq(read("file"), b"again")
			eq(names("d/a"), [])
			eq(os.readlink("d/b"), "x")
			for p in "dangling", "fifo", "new":
			    fails(errno.ENOENT, os.lstat, p)
			same_listing()
			same_listing("d")
		END
	done
}

@test "rmdir: only what looks empty, merged or not" {
	while fresh_mount; do
		in_python <<-'END'
			fails(errno.ENOTEMPTY, os.rmdir, "d")
			os.rmdir("empty")
			fails(errno.ENOENT, os.rmdir, "empty")
			os.unlink("replaced/old")
			write("replaced/new", b"")
			fails(errno.ENOTEMPTY, os.rmdir, "replaced")
			os.unlink("replaced/new")
			os.rmdir("replaced")
			os.mkdir("newdir")
			os.rmdir("newdir")
			eq([n for n in names() if n in ("empty", "replaced", "newdir")], [])
		END
		remount
		in_python <<-'END'
			for p in "empty", "replaced", "replaced/old", "newdir":
			    fails(errno.ENOENT, os.lstat, p)
		END
	done
}

@test "a folder made over a whiteout is opaque, and stays so" {
	while fresh_mount; do
		rm -r "$MNT/tree" "$MNT/replaced"
		mkdir "$MNT/tree" "$MNT/replaced"
		in_python <<-'END'
			eq(names("tree"), [])
			for p in "tree/1", "tree/x", "tree/x/2", "replaced/old":
			    fails(errno.ENOENT, os.lstat, p)
			write("replaced/new", b"new")
			os.mkdir("tree/x")
			eq(names("tree/x"), [])
		END
		remount
		in_python <<-'END'
			for p in "tree/1", "tree/x/2", "tree/x/y", "replaced/old":
			    fails(errno.ENOENT, os.lstat, p)
			eq(names("tree"), ["x"])
			eq(names("tree/x"), [])
			eq(names("replaced"), ["new"])
		END
	done
}

@test "a file takes a folder's place and a folder a file's" {
	while fresh_mount; do
		in_python <<-'END'
			shutil.rmtree("tree")
			write("tree", b"a file now")
			os.unlink("file")
			os.mkdir("file")
			write("file/in", b"in")
			os.unlink("link")
			os.mkfifo("link")
		END
		remount
		in_python <<-'END'
			eq(read("tree"), b"a file now")
			eq(names("file"), ["in"])
			assert stat.S_ISFIFO(os.lstat("link").st_mode)
			fails(errno.ENOTDIR, os.lstat, "tree/x")
		END
	done
}

@test "rm -rf of a lower tree, and of all" {
	while fresh_mount; do
		rm -rf "$MNT/tree"
		[ ! -e "$MNT/tree" ]
		remount
		[ ! -e "$MNT/tree" ]
		find "$MNT" -mindepth 1 -delete
		assert_equal "$(ls -A "$MNT")" ""
		remount
		assert_equal "$(ls -A "$MNT")" ""
		touch "$MNT/d"
		assert_equal "$(ls -A "$MNT")" d
	done
}

# bats test_tags=slow
@test "rm -rf of 10,000 files" {
	KINDS=$(one_kind)
	while fresh_mount; do
		in_python <<-'END'
			os.mkdir("many")
			for i in range(10000):
			    os.close(os.open("many/file-%05d" % i, os.O_CREAT | os.O_WRONLY, 0o644))
			eq(len(os.listdir("many")), 10000)
		END
		rm -rf "$MNT/many"
		[ ! -e "$MNT/many" ]
	done
}

@test "a listing while entries are made and removed loses nothing and repeats nothing" {
	KINDS=$(one_kind)
	while fresh_mount; do
		in_python <<-'END'
			os.mkdir("many")
			for i in range(2000):
			    os.close(os.open("many/stays-%d" % i, os.O_CREAT | os.O_WRONLY, 0o644))
			    os.close(os.open("many/goes-%d" % i, os.O_CREAT | os.O_WRONLY, 0o644))
			stop = False
			def churn():
			    i = 0
			    while not stop:
			        write("many/new-%d" % (i % 50), b"")
			        if i >= 10:
			            try:
			                os.unlink("many/new-%d" % ((i - 10) % 50))
			            except FileNotFoundError:
			                pass
			        if i < 2000:
			            os.unlink("many/goes-%d" % i)
			        i += 1
			thread = threading.Thread(target=churn)
			thread.start()
			for i in range(6):
			    seen = [e.name for e in os.scandir("many")]
			    stays = [n for n in seen if n.startswith("stays")]
			    eq(len(stays), 2000)
			    eq(len(set(stays)), 2000, "a name twice")
			    old = [n for n in seen if n.startswith("goes")]
			    eq(len(set(old)), len(old), "a name twice")
			stop = True
			thread.join()
			# Deleting what a listing gives, in the same pass.
			for entry in os.scandir("many"):
			    os.unlink(entry.path)
			eq(os.listdir("many"), [])
			os.rmdir("many")
		END
	done
}

@test "telldir and seekdir: a listing goes on where it was" {
	while fresh_mount; do
		cat >"$BATS_TEST_TMPDIR/seek.c" <<-'END'
			#include <dirent.h>
			#include <stdio.h>
			#include <string.h>
			int main(void)
			{
				DIR *dir = opendir("many");
				char name[600][32];
				long at[600];
				struct dirent *de;
				int n = 0;

				while ((de = readdir(dir))) {
					strcpy(name[n], de->d_name);
					at[n++] = telldir(dir);
				}
				for (int i = n - 2; i >= 0; i -= 7) {
					seekdir(dir, at[i]);
					de = readdir(dir);
					if (!de || strcmp(de->d_name, name[i + 1]) != 0)
						return 1;
				}
				rewinddir(dir);
				for (int i = 0; i < n; i++)
					if (!(de = readdir(dir)) || strcmp(de->d_name, name[i]) != 0)
						return 2;
				printf("%d\n", n);
				return 0;
			}
		END
		cc -o "$BATS_TEST_TMPDIR/seek" "$BATS_TEST_TMPDIR/seek.c"
		mkdir "$MNT/many"
		(cd "$MNT/many" && touch $(seq 500))
		assert_equal "$(cd "$MNT" && "$BATS_TEST_TMPDIR/seek")" 502
	done
}

@test "names of 255 bytes can be made, moved and removed; one more is ENAMETOOLONG" {
	while fresh_mount; do
		in_python <<-'END'
			long, longer = "n" * 255, "n" * 256
			write(long, b"long")
			os.mkdir("d/" + "ü" * 127)
			os.rename(long, "d/" + long)
			os.rename("d/" + long, long)
			os.rename("file", "m" * 255)
			os.rename("m" * 255, "file")
			fails(errno.ENAMETOOLONG, write, longer, b"")
			fails(errno.ENAMETOOLONG, os.mkdir, longer)
			fails(errno.ENAMETOOLONG, os.symlink, "x", longer)
			fails(errno.ENAMETOOLONG, os.rename, long, longer)
			fails(errno.ENAMETOOLONG, os.link, long, longer)
			os.symlink("t" * 4095, "longlink")
			eq(len(os.readlink("longlink")), 4095)
			eq(read(long), b"long")
		END
		remount
		in_python <<-'END'
			eq(read("n" * 255), b"long")
			eq(os.readlink("longlink"), "t" * 4095)
			eq(names("d/" + "ü" * 127), [])
			os.unlink("n" * 255)
			eq(read("file"), b"hello\n")
		END
	done
}

@test "odd names: every byte but slash and nul, spaces, newlines, not UTF-8" {
	while fresh_mount; do
		in_python <<-'END'
			odd = [bytes([b]) + b"x" for b in range(1, 256) if b != ord("/")]
			odd += [b" ", b"\n", b"...", b"-rf", b"a b\tc", b"\xff\xfe", b"*", b"'\"", b"a\\b", b"a:b", b"a,b"]
			os.mkdir("odd")
			for name in odd:
			    write(b"odd/" + name, name)
			eq(sorted(os.listdir(b"odd")), sorted(odd))
		END
		remount
		in_python <<-'END'
			for name in os.listdir(b"odd"):
			    eq(read(b"odd/" + name), name)
			shutil.rmtree("odd")
		END
	done
}

@test "paths longer than PATH_MAX work, step by step" {
	while fresh_mount; do
		in_python <<-'END'
			name = "deep" * 50
			for i in range(25):
			    os.mkdir(name)
			    os.chdir(name)
			write("bottom", b"5000 bytes down")
			eq(read("bottom"), b"5000 bytes down")
			append("bottom", b"!")
			os.rename("bottom", "moved")
			os.link("moved", "linked")
			eq(os.lstat("linked").st_nlink, 2)
			eq(names(), ["linked", "moved"])
		END
		remount
		in_python <<-'END'
			name = "deep" * 50
			for i in range(25):
			    os.chdir(name)
			eq(read("moved"), b"5000 bytes down!")
			os.chmod("moved", 0o600)
			eq(mode("linked"), 0o600)
			for i in range(25):
			    os.chdir("..")
			eq(read("file"), b"hello\n")
		END
		rm -rf "${MNT:?}/$(printf 'deep%.0s' {1..50})"
	done
}

@test "hard links of new files: one inode, counted" {
	while fresh_mount; do
		in_python <<-'END'
			write("one", b"1")
			os.link("one", "d/two")
			os.link("d/two", "empty/three")
			sts = [os.lstat(p) for p in ("one", "d/two", "empty/three")]
			eq(len({s.st_ino for s in sts}), 1)
			eq([s.st_nlink for s in sts], [3] * 3)
			append("d/two", b"2")
			eq(read("empty/three"), b"12")
			os.unlink("one")
			eq(os.lstat("d/two").st_nlink, 2)
			fails(errno.EEXIST, os.link, "d/two", "file")
			fails(errno.EPERM, os.link, "d", "dir2")
			os.link("link", "link2", follow_symlinks=False)
			eq(os.readlink("link2"), "file")
			eq(os.lstat("link").st_nlink, 2)
			# A lower's file that had one name.
			os.link("file", "file2")
			eq([os.lstat(p).st_nlink for p in ("file", "file2")], [2, 2])
			eq(os.lstat("file").st_ino, os.lstat("file2").st_ino)
		END
		remount
		in_python <<-'END'
			eq(os.lstat("d/two").st_nlink, 2)
			eq(os.lstat("d/two").st_ino, os.lstat("empty/three").st_ino)
			append("file2", b"both")
			eq(read("file"), b"hello\nboth")
			eq(os.lstat("file").st_ino, os.lstat("file2").st_ino)
			eq([os.lstat(p).st_nlink for p in ("file", "link2")], [2, 2])
		END
	done
}

@test "hard links of a lower stay one inode after a copy-up through any name" {
	for name in hl1 hl2 d/hl3; do
		KINDS_DONE=0
		while fresh_mount; do
			in_python "$MNT" "$name" <<-'END'
				all3 = ["hl1", "hl2", "d/hl3"]
				fd = os.open([n for n in all3 if n != sys.argv[1]][0], os.O_RDONLY)
				ino = os.lstat(sys.argv[1]).st_ino
				append(sys.argv[1], b"!")
				for p in all3:
				    eq(read(p), b"linked!", p)
				    eq((os.lstat(p).st_nlink, os.lstat(p).st_ino), (3, ino), p)
				eq(os.pread(fd, 100, 0), b"linked!")
				eq(os.fstat(fd).st_ino, ino)
			END
			remount
			in_python "$MNT" "$name" <<-'END'
				all3 = ["hl1", "hl2", "d/hl3"]
				for p in all3:
				    eq(read(p), b"linked!", p)
				eq(len({os.lstat(p).st_ino for p in all3}), 1)
				eq([os.lstat(p).st_nlink for p in all3], [3] * 3)
				others = [p for p in all3 if p != sys.argv[1]]
				append(others[0], b"?")
				eq([read(p) for p in all3], [b"linked!?"] * 3)
				os.unlink(others[1])
				eq(os.lstat(others[0]).st_nlink, 2)
				os.link(others[0], "hl4")
				eq(os.lstat("hl4").st_nlink, 3)
				os.unlink(sys.argv[1])
				eq(read("hl4"), b"linked!?")
			END
			remount
			in_python "$MNT" "$name" <<-'END'
				left = [p for p in ("hl1", "hl2", "d/hl3", "hl4") if exists(p)]
				eq(len(left), 2)
				eq([read(p) for p in left], [b"linked!?"] * 2)
				eq([os.lstat(p).st_nlink for p in left], [2, 2])
				eq(len({os.lstat(p).st_ino for p in left}), 1)
			END
		done
	done
}

@test "hard links of a lower's symlinks and fifos stay one inode after a copy-up" {
	while fresh_mount; do
		in_python <<-'END'
			def linked(one, two):
			    return os.lstat(one).st_ino == os.lstat(two).st_ino
			assert linked("symlink1", "symlink2")
			# tar has no word for a second name of a fifo.
			for one, two in [("symlink1", "symlink2")] + [("fifo2", "fifo1")] * linked("fifo1", "fifo2"):
			    os.utime(one, ns=(5, 5), follow_symlinks=False)
			    eq([(os.lstat(p).st_mtime_ns, os.lstat(p).st_nlink) for p in (one, two)], [(5, 2)] * 2)
			    eq(os.lstat(one).st_ino, os.lstat(two).st_ino)
			os.rename("symlink2", "moved")
			os.link("moved", "third", follow_symlinks=False)
			eq([os.lstat(p).st_nlink for p in ("symlink1", "moved", "third")], [3] * 3)
			os.unlink("symlink1")
		END
		remount
		in_python <<-'END'
			eq([os.readlink(p) for p in ("moved", "third")], ["target"] * 2)
			eq([os.lstat(p).st_mtime_ns for p in ("moved", "third")], [5] * 2)
			# The count is kept in an xattr, and a plain user may set none on a symlink.
			if os.geteuid() == 0:
			    eq([os.lstat(p).st_nlink for p in ("moved", "third")], [2, 2])
			eq(os.lstat("moved").st_ino, os.lstat("third").st_ino)
			eq(os.lstat("fifo1").st_mtime_ns == 5, os.lstat("fifo2").st_mtime_ns == 5)
		END
	done
}

@test "unlink of a lower's hard link counts down, copied up or not" {
	while fresh_mount; do
		in_python <<-'END'
			os.unlink("hl2")
			eq([os.lstat(p).st_nlink for p in ("hl1", "d/hl3")], [2, 2])
			append("hl1", b"!")
			eq(read("d/hl3"), b"linked!")
			eq([os.lstat(p).st_nlink for p in ("hl1", "d/hl3")], [2, 2])
			os.unlink("d/hl3")
			eq(os.lstat("hl1").st_nlink, 1)
		END
		remount
		in_python <<-'END'
			eq(read("hl1"), b"linked!")
			eq(os.lstat("hl1").st_nlink, 1)
			for p in "hl2", "d/hl3":
			    fails(errno.ENOENT, os.lstat, p)
		END
	done
}

@test "rename of one of a lower's hard links, before and after the copy-up" {
	while fresh_mount; do
		in_python <<-'END'
			os.rename("hl1", "moved")
			eq(os.lstat("moved").st_nlink, 3)
			append("hl2", b"!")
			eq(read("moved"), b"linked!")
			os.rename("d/hl3", "hl1")
			eq({os.lstat(p).st_ino for p in ("moved", "hl2", "hl1")}, {os.lstat("hl1").st_ino})
			# Onto another name of the same file: nothing happens.
			os.rename("hl1", "hl2")
			eq(sorted(p for p in ("hl1", "hl2") if exists(p)), ["hl1", "hl2"])
			eq(os.lstat("hl1").st_nlink, 3)
		END
		remount
		in_python <<-'END'
			eq([read(p) for p in ("moved", "hl1", "hl2")], [b"linked!"] * 3)
			eq([os.lstat(p).st_nlink for p in ("moved", "hl1", "hl2")], [3] * 3)
			fails(errno.ENOENT, os.lstat, "d/hl3")
		END
	done
}

@test "what others have open stays what it is while its name goes to a whiteout and comes back" {
	while fresh_mount timeout=0; do
		in_python <<-'END'
			wrong, done = [], threading.Event()
			def expect(function, *args):
			    try:
			        return function(*args)
			    except OSError as e:
			        if e.errno not in (errno.ENOENT, errno.ESTALE):
			            wrong.append((function.__name__, args, e))
			def look():
			    while not done.is_set():
			        for p in "d/a", "empty":
			            fd = expect(os.open, p, os.O_RDONLY)
			            if fd is None:
			                continue
			            for i in range(10):
			                expect(os.fstat, fd)
			                expect(os.pread, fd, 1, 0) if p == "d/a" else expect(os.listdir, fd)
			            expect(os.close, fd)
			lookers = [threading.Thread(target=look) for i in range(3)]
			for t in lookers: t.start()
			for i in range(300):
			    os.unlink("d/a")
			    os.rmdir("empty")
			    os.mkdir("empty")
			    write("d/a", b"%d" % i)
			done.set()
			for t in lookers: t.join()
			assert not wrong, wrong[:5]
		END
	done
}

@test "a folder is asked about while others enter it for the first time" {
	while fresh_mount timeout=0; do
		in_python <<-'END'
			wrong = []
			def each(function, fds):
			    try:
			        for fd in fds:
			            function(fd)
			    except OSError as e:
			        wrong.append((function.__name__, e))
			fds = [os.open("folders/" + n, os.O_RDONLY) for n in os.listdir("folders")]
			threads = [threading.Thread(target=each, args=a) for a in
			           ((os.fstat, fds), (os.listdir, fds), (os.fstat, fds[::-1]), (os.listdir, fds[::-1]))]
			for t in threads: t.start()
			for t in threads: t.join()
			assert not wrong, wrong[:5]
			for fd in fds: os.close(fd)
		END
	done
}
