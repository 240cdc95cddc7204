#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# size= and inodes=: the upper grows no larger, and says how much room is left.
# shellcheck disable=SC2011,SC2034,SC2154
bats_require_minimum_version 1.5.0
load ../lib/common
load ../lib/fs

setup_file() { make_lowers base_tree large_tree; }
setup() { setup_store; }
teardown() { unmount_all; }
teardown_file() { lowers_unchanged; }

large_tree() {
	head -c 1500000 /dev/zero | tr '\0' L >large
	cp large other
	ln other other2
	truncate -s 100M holes
	printf data | dd of=holes bs=1 seek=50M conv=notrunc status=none
}

# What every program here needs.  sys.argv[1] is the upper.
PRELUDE='
UPPER = sys.argv[1]
MB = 1 << 20
# Blocks that hold nothing but marks of our own on copies are counted when the upper is mounted.
MARKS = 65536

def on_disk():
    """Bytes and entries of the upper, as nacrefs(1) says that they are counted."""
    total, seen = 0, set()
    count = 0
    for top, dirs, files in os.walk(UPPER):
        count += len(dirs)
        for name in files:
            st = os.lstat(os.path.join(top, name))
            if name.startswith(".wh.") or stat.S_ISCHR(st.st_mode) and st.st_rdev == 0:
                continue
            if (st.st_dev, st.st_ino) not in seen:
                seen.add((st.st_dev, st.st_ino))
                total += st.st_blocks * 512
                count += 1
    return total, count

def said():
    vfs = os.statvfs(".")
    return (vfs.f_blocks - vfs.f_bfree) * vfs.f_frsize, vfs.f_files - vfs.f_ffree

def agrees(slack):
    bytes, entries = said()
    disk_bytes, disk_entries = on_disk()
    options = os.environ["KIND_OPTIONS"]
    return ("size" not in options or abs(bytes - disk_bytes) <= slack) and \
        ("inodes" not in options or entries == disk_entries)

def settled(slack=0):
    """The kernel forgets a removed file when it gets to it."""
    for tries in range(600):
        if agrees(slack):
            return
        time.sleep(0.05)
    eq(said(), on_disk(), "what statfs says is used is what the upper has")

def write(path, data):
    with open(path, "wb", buffering=0) as file:
        eq(file.write(data), len(data))

def fill(name, bytes=64 << 20):
    """Bytes that found a place."""
    done = 0
    with open(name, "wb", buffering=0) as file:
        try:
            while done < bytes:
                done += file.write(b"x" * 65536)
        except OSError as error:
            eq(error.errno, errno.ENOSPC)
    return done
'

with_limits() {
	local program
	program=$(cat)
	export KIND_OPTIONS
	in_python "$MNT" "$UPPER" <<<"$PRELUDE$program"
}

@test "a write beyond size= fails with ENOSPC, what fitted is there, and statfs agrees" {
	while fresh_mount size=4m,inodes=100; do
		with_limits <<-'END'
			vfs = os.statvfs(".")
			eq(vfs.f_blocks * vfs.f_frsize, 4 * MB)
			eq(vfs.f_files, 100)
			settled()
			done = fill("new")
			assert 3 * MB < done <= 4 * MB, done
			eq(os.stat("new").st_size, done)
			assert os.statvfs(".").f_bavail * vfs.f_frsize < 65536 + 8192
			assert on_disk()[0] <= 4 * MB, on_disk()
			# What has its place already can be written over.
			with open("new", "r+b", buffering=0) as file:
			    for at in range(0, done, 65536):
			        file.seek(at)
			        file.write(b"y" * 65536)
			fails(errno.ENOSPC, write, "more", b"z" * 100000)
			os.unlink("new")
			os.unlink("more")
			settled()
			eq(fill("again", 3 * MB), 3 * MB)
		END
		remount
		with_limits <<-'END'
			settled()
			done = fill("new")
			assert done <= MB, done
			assert on_disk()[0] <= 4 * MB
			os.truncate("again", 0)
			eq(fill("new", 3 * MB), 3 * MB)
		END
	done
}

@test "inodes= counts every entry once, also those of an earlier mount" {
	while fresh_mount inodes=12; do
		with_limits <<-'END'
			settled()
			os.mkdir("dir")
			write("dir/file", b"x")
			os.link("dir/file", "dir/link")
			os.symlink("file", "dir/sym")
			os.mkfifo("dir/pipe")
			os.unlink("file")                       # a whiteout is no entry
			settled()
			before = said()[1]
			made = 0
			try:
			    while made < 20:
			        write(f"n{made}", b"")
			        made += 1
			except OSError as error:
			    eq(error.errno, errno.ENOSPC)
			eq(made, 12 - before)
			fails(errno.ENOSPC, os.mkdir, "n")
			fails(errno.ENOSPC, os.symlink, "a", "n")
			fails(errno.ENOSPC, os.chmod, "big", 0o600)
			fails(errno.ENOSPC, os.open, ".", os.O_TMPFILE | os.O_RDWR, 0o600)
			os.link("n0", "n")                      # needs none
			os.rename("n0", "n1")
			settled()
			write("one", b"")
		END
		remount
		with_limits <<-'END'
			settled()
			fails(errno.ENOSPC, write, "another", b"")
			os.unlink("n2")
			settled()
			write("another", b"")
		END
	done
}

@test "a copy-up that has no room fails and leaves nothing; attributes alone need none" {
	while fresh_mount size=1m; do
		with_limits <<-'END'
			def append(name):
			    with open(name, "ab", buffering=0) as file:
			        file.write(b"more")

			settled()
			before = said()
			fails(errno.ENOSPC, append, "large")
			fails(errno.ENOSPC, append, "other2")
			eq(os.stat("large").st_size, 1500000)
			eq(os.listdir(os.path.join(UPPER, "..", "work", "work")), [])
			os.chmod("large", 0o640)
			fails(errno.ENOSPC, append, "large")
			eq(os.stat("large").st_mode & 0o777, 0o640)
			with open("large", "rb") as file:
			    eq(file.read(), b"L" * 1500000)
			append("file")
			append("holes")
			eq(os.stat("holes").st_size, (100 << 20) + 4)
			os.truncate("large", 100000)
			append("large")
			settled(MARKS)
		END
		remount
		with_limits <<-'END'
			settled()
			with open("large", "rb") as file:
			    eq(file.read(), b"L" * 100000 + b"more")
		END
	done
}

@test "attributes and xattrs are changed first, and then the data: both fit, and what is used is right" {
	while fresh_mount size=8m; do
		with_limits <<-'END'
			settled()
			for name in "large", "other":
			    os.chmod(name, 0o640)
			    os.setxattr(name, "user.before", b"1")
			    with open(name, "ab", buffering=0) as file:
			        file.write(b"more")
			    os.setxattr(name, "user.after", b"2")
			    eq(sorted(os.listxattr(name)), ["user.after", "user.before"])
			    with open(name, "rb") as file:
			        eq(file.read(), b"L" * 1500000 + b"more")
			settled(MARKS)
		END
	done
}

@test "holes are free, what fallocate gave has its place, and a punched hole gives it back" {
	while fresh_mount size=3m; do
		with_limits <<-'END'
			os.truncate("file", 1 << 30)
			with open("file", "r+b", buffering=0) as file:
			    file.seek(1 << 29)
			    file.write(b"x")
			with open("room", "wb", buffering=0) as file:
			    os.posix_fallocate(file.fileno(), 0, 2 * MB)
			    settled()
			    try:
			        os.posix_fallocate(file.fileno(), 2 * MB, 2 * MB)
			        raise AssertionError("fallocate beyond the limit")
			    except OSError as error:
			        eq(error.errno, errno.ENOSPC)
			    fill("rest")
			    for at in range(0, 2 * MB, 65536):
			        os.pwrite(file.fileno(), b"y" * 65536, at)
			    fallocate(file.fileno(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, MB)
			settled()
			write("more", b"z" * (MB - 65536))
			assert on_disk()[0] <= 3 * MB
		END
	done
}

@test "with the write-back cache the error comes with fsync or close at the latest" {
	while fresh_mount size=1m,writeback=1,io=cached; do
		with_limits <<-'END'
			def write_and(end):
			    fd = os.open("new", os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o644)
			    try:
			        for i in range(48):
			            os.write(fd, b"x" * 65536)
			        if end == "fsync":
			            os.fsync(fd)
			    finally:
			        os.close(fd)

			fails(errno.ENOSPC, write_and, "fsync")
			fails(errno.ENOSPC, write_and, "close")
			assert on_disk()[0] <= MB, on_disk()
		END
	done
}

@test "many writers together do not go beyond it" {
	KINDS=$(one_kind)
	while fresh_mount size=8m; do
		with_limits <<-'END'
			done = [0] * 6

			def work(n):
			    done[n] = fill(f"f{n}")

			threads = [threading.Thread(target=work, args=(n,)) for n in range(len(done))]
			for thread in threads:
			    thread.start()
			for thread in threads:
			    thread.join()
			assert 6 * MB < sum(done) <= 8 * MB, done
			assert on_disk()[0] <= 8 * MB
			settled()
		END
	done
}

@test "after all kinds of changes what is said to be used is what the upper has, now and after a remount" {
	while fresh_mount size=64m,inodes=10000; do
		with_limits <<-'END'
			for i in range(20):
			    write(f"f{i}", bytes(1000 * i))
			for i in range(0, 20, 3):
			    os.unlink(f"f{i}")
			os.rename("f1", "f2")
			os.link("f4", "l4")
			os.link("hl1", "l1")
			os.unlink("hl2")
			os.unlink("f4")
			for name in "file", "d/a", "other", "exec", "tree/x/2":
			    with open(name, "a") as file:
			        file.write("x" * 10000)
			for name in "big", "large", "link", "fifo", "d/sub":
			    os.utime(name, follow_symlinks=False)
			os.truncate("big", 10)
			os.symlink("x" * 200, "long")
			os.setxattr("f5", "user.x", b"v" * 2000)
			os.setxattr("f5", "user.x", b"v")
			os.makedirs("a/b/c")
			os.rename("a/b", "a/e")
			os.rmdir("a/e/c")
			os.mkdir("full")
			os.rename("a/e", "full")
			os.rename("tree", "moved")
			shutil.rmtree("moved")
			os.mkdir("tree")
			with open("f7", "r+b") as file:
			    os.unlink("f7")
			    file.write(b"n" * 300000)
			fd = os.open(".", os.O_TMPFILE | os.O_RDWR, 0o600)
			os.write(fd, b"t" * 100000)
			os.close(fd)
			os.replace("f8", "file")
			settled(MARKS)
		END
		remount
		with_limits <<-'END'
			settled()
		END
	done
}

@test "an upper that holds more than the limit mounts, and nothing can be added until there is room" {
	KINDS="$(one_kind) dirs"
	while fresh_mount; do
		in_python <<-'END'
			write("old", b"o" * 3000000)
		END
		KIND_OPTIONS=size=1m
		remount
		with_limits <<-'END'
			eq(os.statvfs(".").f_bavail, 0)
			fails(errno.ENOSPC, write, "new", b"n" * 5000)
			with open("old", "r+b", buffering=0) as file:
			    file.write(b"O" * 100000)
			os.unlink("old")
			settled()
			write("new", b"n" * 5000)
		END
	done
}
