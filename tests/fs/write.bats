#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2011,SC2034,SC2154
bats_require_minimum_version 1.5.0
load ../lib/common
load ../lib/fs

setup_file() { make_lowers base_tree; }
setup() { setup_store; }
teardown() { unmount_all; }
teardown_file() { lowers_unchanged; }

@test "new files are created, written, read back, and there after a remount" {
	while fresh_mount; do
		in_python <<-'END'
			write("new", b"one")
			append("new", b" two")
			eq(read("new"), b"one two")
			write("d/new", b"x" * 5000000)
			write("d/sub/deep/new", b"")
			fails(errno.EEXIST, os.open, "new", os.O_CREAT | os.O_EXCL | os.O_WRONLY)
			fails(errno.EISDIR, os.open, "d", os.O_WRONLY)
			fails(errno.ENOENT, os.open, "missing/new", os.O_CREAT | os.O_WRONLY)
			fails(errno.ENOTDIR, os.open, "file/new", os.O_CREAT | os.O_WRONLY)
			eq(names("d"), ["a", "b", "hl3", "new", "sub"])
		END
		remount
		in_python <<-'END'
			eq(read("new"), b"one two")
			eq(read("d/new"), b"x" * 5000000)
			eq(read("d/sub/deep/new"), b"")
			eq(read("d/sub/deep/f"), b"deep")
			same_listing("d")
		END
	done
}

@test "a lower's file is changed: appended, in its middle, past its end" {
	while fresh_mount; do
		in_python <<-'END'
			append("file", b"more\n")
			eq(read("file"), b"hello\nmore\n")
			fd = os.open("big", os.O_RDWR)
			os.pwrite(fd, b"middle", 150000)
			os.pwrite(fd, b"end", 400000)
			os.close(fd)
			eq(os.lstat("big").st_size, 400003)
			eq(read("big"), b"x" * 150000 + b"middle" + b"x" * 149994 + bytes(100000) + b"end")
			fd = os.open("d/a", os.O_RDWR)
			eq(os.read(fd, 10), b"a")
			os.write(fd, b"ppend")
			os.close(fd)
			eq(read("d/a"), b"append")
		END
		remount
		in_python <<-'END'
			eq(read("file"), b"hello\nmore\n")
			eq(len(read("big")), 400003)
			eq(read("big")[150000:150006], b"middle")
			eq(read("d/a"), b"append")
			eq(read("d/b"), b"b")
		END
	done
}

@test "O_TRUNC and truncate of a lower's file, shorter, longer and to nothing" {
	while fresh_mount; do
		in_python <<-'END'
			write("file", b"new")
			eq(read("file"), b"new")
			os.truncate("big", 5)
			eq(read("big"), b"xxxxx")
			os.truncate("big", 10)
			eq(read("big"), b"xxxxx" + bytes(5))
			os.truncate("d/a", 4)
			eq(read("d/a"), b"a\0\0\0")
			os.close(os.open("d/b", os.O_WRONLY | os.O_TRUNC))
			eq(os.lstat("d/b").st_size, 0)
			fd = os.open("exec", os.O_RDWR)
			os.ftruncate(fd, 2)
			eq(os.fstat(fd).st_size, 2)
			os.close(fd)
			eq(mode("exec"), 0o755)
			fails(errno.EISDIR, os.truncate, "d", 0)
		END
		remount
		in_python <<-'END'
			eq([read(p) for p in ("file", "big", "d/a", "d/b", "exec")],
			   [b"new", b"xxxxx" + bytes(5), b"a\0\0\0", b"", b"ru"])
		END
	done
}

@test "a descriptor opened before the copy-up sees later writes" {
	while fresh_mount; do
		in_python <<-'END'
			fd = os.open("file", os.O_RDONLY)
			eq(os.read(fd, 100), b"hello\n")
			write("file", b"HELLO THERE\n")
			eq(os.pread(fd, 100, 0), b"HELLO THERE\n")
			eq(os.fstat(fd).st_size, 12)
			eq(os.fstat(fd).st_ino, os.lstat("file").st_ino)
			# Never read before the copy-up.
			fd = os.open("d/a", os.O_RDONLY)
			append("d/a", b"!")
			eq(os.pread(fd, 100, 0), b"a!")
			# Two descriptors that write.
			one = os.open("d/b", os.O_RDWR)
			two = os.open("d/b", os.O_RDWR)
			os.pwrite(one, b"1", 0)
			os.pwrite(two, b"2", 1)
			eq(os.pread(one, 10, 0), b"12")
			eq(read("d/b"), b"12")
		END
	done
}

@test "a mapping made before the copy-up sees later writes" {
	while fresh_mount; do
		in_python <<-'END'
			f = open("big", "rb")
			m = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)
			eq(m[:3], b"xxx")
			fd = os.open("big", os.O_WRONLY)
			os.pwrite(fd, b"new", 0)
			eq(m[:4], b"newx")
			eq(m[200000:200002], b"xx")
		END
	done
}

@test "a shared mapping is written, a private one is not" {
	while fresh_mount; do
		in_python <<-'END'
			f = open("big", "r+b")
			m = mmap.mmap(f.fileno(), 0)
			m[0:6] = b"mapped"
			m[299998:300000] = b"ZZ"
			m.flush()
			eq(read("big")[:7], b"mappedx")
			m.close()
			private = mmap.mmap(f.fileno(), 0, flags=mmap.MAP_PRIVATE)
			private[0:6] = b"hidden"
			eq(read("big")[:7], b"mappedx")
			private.close()
			f.close()
			# Written and closed, never synced.
			f = open("d/a", "r+b")
			m = mmap.mmap(f.fileno(), 1)
			m[0:1] = b"m"
			del m, f
		END
		remount
		in_python <<-'END'
			data = read("big")
			eq((data[:7], data[-3:], len(data)), (b"mappedx", b"xZZ", 300000))
			eq(read("d/a"), b"m")
		END
	done
}

@test "what one process writes another reads at once" {
	while fresh_mount; do
		in_python <<-'END'
			r, w = os.pipe()
			r2, w2 = os.pipe()
			if os.fork() == 0:
			    for i in range(200):
			        os.read(r, 1)
			        n = int(read("d/a"))
			        os.write(w2, b"y" if n == i else b"n")
			    os._exit(0)
			for i in range(200):
			    write("d/a", b"%d" % i)
			    os.write(w, b"x")
			    eq(os.read(r2, 1), b"y", "write %d" % i)
			os.wait()
		END
	done
}

@test "O_APPEND by two processes loses nothing" {
	while fresh_mount; do
		in_python <<-'END'
			pids = []
			for n in range(2):
			    pid = os.fork()
			    if pid == 0:
			        fd = os.open("file", os.O_WRONLY | os.O_APPEND)
			        for i in range(500):
			            os.write(fd, b"%d %06d\n" % (n, i))
			        os._exit(0)
			    pids.append(pid)
			for pid in pids:
			    os.waitpid(pid, 0)
			lines = read("file").split(b"\n")
			eq(lines[0], b"hello")
			eq(len(lines), 1002)
			for n in range(2):
			    eq([l for l in lines if l.startswith(b"%d " % n)], [b"%d %06d" % (n, i) for i in range(500)])
		END
	done
}

@test "O_DIRECT, O_SYNC, fsync and fdatasync of copied-up and new files" {
	while fresh_mount; do
		in_python <<-'END'
			fd = os.open("big", os.O_RDWR | os.O_DIRECT)
			page = mmap.mmap(-1, 4096)
			page[:] = b"D" * 4096
			eq(os.pwritev(fd, [page], 4096), 4096)
			page[:] = bytes(4096)
			eq(os.preadv(fd, [page], 4096), 4096)
			eq(page[:], b"D" * 4096)
			eq(read("big")[4095:4098], b"xDD")
			os.close(fd)
			fd = os.open("new", os.O_WRONLY | os.O_CREAT | os.O_SYNC, 0o644)
			os.write(fd, b"synced")
			os.fsync(fd)
			os.fdatasync(fd)
			os.close(fd)
			for p in "file", "d", ".":
			    fd = os.open(p, os.O_RDONLY)
			    os.fsync(fd)
			    os.close(fd)
			os.sync()
			eq(read("new"), b"synced")
		END
	done
}

@test "fallocate: room, size, holes and zeroes" {
	while fresh_mount; do
		in_python <<-'END'
			fd = os.open("file", os.O_RDWR)
			fallocate(fd, 0, 0, 8192)
			eq(os.fstat(fd).st_size, 8192)
			eq(os.pread(fd, 10, 0), b"hello\n" + bytes(4))
			fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 1 << 20)
			eq(os.fstat(fd).st_size, 8192)
			assert os.fstat(fd).st_blocks >= (1 << 20) // 512
			big = os.open("big", os.O_RDWR)
			fallocate(big, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4096, 8192)
			eq(os.pread(big, 8194, 4095), b"x" + bytes(8192) + b"x")
			fallocate(big, FALLOC_FL_ZERO_RANGE, 200000, 100)
			eq(os.pread(big, 102, 199999), b"x" + bytes(100) + b"x")
			eq(os.fstat(big).st_size, 300000)
			fails(errno.EINVAL, fallocate, fd, 0, 0, 0)
			fails(errno.EBADF, fallocate, os.open("d/a", os.O_RDONLY), 0, 0, 10)
		END
	done
}

@test "holes are found, and kept over a copy-up" {
	while fresh_mount; do
		in_python <<-'END'
			fd = os.open("sparse", os.O_RDWR)
			eq(os.lseek(fd, 0, os.SEEK_END), 1 << 20)
			os.pwrite(fd, b"D", 524288)
			eq(os.pread(fd, 4, 524288), b"Data")
			fails(errno.ENXIO, os.lseek, fd, 1 << 20, os.SEEK_DATA)
			if "store" not in KIND:  # its archive knew of no hole
			    eq(os.lseek(fd, 0, os.SEEK_DATA), 524288)
			    eq(os.lseek(fd, 524288, os.SEEK_HOLE), 524288 + 4096)
			    assert os.fstat(fd).st_blocks < 100, "%d blocks" % os.fstat(fd).st_blocks
			# A file without holes: data at once, the one hole is its end.
			fd = os.open("big", os.O_RDONLY)
			eq(os.lseek(fd, 7, os.SEEK_DATA), 7)
			eq(os.lseek(fd, 7, os.SEEK_HOLE), 300000)
			new = os.open("new", os.O_RDWR | os.O_CREAT)
			os.pwrite(new, b"x", 1 << 20)
			os.fsync(new)
			eq(os.lseek(new, 0, os.SEEK_DATA), 1 << 20)
			eq(os.lseek(new, 0, os.SEEK_HOLE), 0)
		END
	done
}

@test "copy_file_range within the mount, also from a lower and within one file" {
	while fresh_mount; do
		in_python <<-'END'
			src = os.open("big", os.O_RDONLY)
			dst = os.open("new", os.O_RDWR | os.O_CREAT)
			done = 0
			while done < 300000:
			    n = os.copy_file_range(src, dst, 300000 - done, done, done)
			    assert n > 0
			    done += n
			eq(os.copy_file_range(src, dst, 10, 300000, 300000), 0)
			eq(read("new"), b"x" * 300000)
			target = os.open("file", os.O_RDWR)
			eq(os.copy_file_range(src, target, 3, 0, 2), 3)
			eq(read("file"), b"hexxx\n")
			same = os.open("d/a", os.O_RDWR)
			os.pwrite(same, b"0123456789", 0)
			eq(os.copy_file_range(same, same, 5, 0, 10), 5)
			eq(read("d/a"), b"012345678901234")
		END
		cp --reflink=auto "$MNT/big" "$MNT/copied"
		cmp "$MNT/big" "$MNT/copied"
	done
}

@test "sendfile and splice out of and into the mount" {
	while fresh_mount; do
		in_python <<-'END'
			src = os.open("big", os.O_RDONLY)
			dst = os.open("sent", os.O_RDWR | os.O_CREAT)
			done = 0
			while done < 300000:
			    done += os.sendfile(dst, src, done, 300000 - done)
			eq(read("sent"), b"x" * 300000)
			r, w = os.pipe()
			os.write(w, b"through a pipe")
			dst = os.open("spliced", os.O_RDWR | os.O_CREAT)
			eq(os.splice(r, dst, 100, offset_dst=0), 14)
			eq(read("spliced"), b"through a pipe")
			eq(os.splice(src, w, 10, offset_src=0), 10)
			eq(os.read(r, 100), b"x" * 10)
		END
	done
}

@test "an O_TMPFILE file has no name until it is linked, and then any number" {
	while fresh_mount; do
		in_python <<-'END'
			before = names("d")
			fd = os.open("d", os.O_TMPFILE | os.O_RDWR, 0o640)
			os.write(fd, b"nameless")
			eq(os.fstat(fd).st_nlink, 0)
			eq(stat.S_IMODE(os.fstat(fd).st_mode), 0o640)
			eq(names("d"), before)
			os.fchmod(fd, 0o600)
			eq(os.pread(fd, 100, 0), b"nameless")
			link_fd(fd, "d/named")
			eq(read("d/named"), b"nameless")
			eq(os.fstat(fd).st_nlink, 1)
			eq(os.fstat(fd).st_ino, os.lstat("d/named").st_ino)
			os.write(fd, b"!")
			os.link("d/named", "other")
			eq(os.fstat(fd).st_nlink, 2)
			eq(read("other"), b"nameless!")
			# One that never gets a name leaves nothing.
			fd = os.open(".", os.O_TMPFILE | os.O_RDWR, 0o600)
			os.write(fd, b"x" * 100000)
			os.close(fd)
		END
		remount
		in_python <<-'END'
			eq(read("d/named"), b"nameless!")
			eq(os.lstat("other").st_nlink, 2)
			eq(mode("other"), 0o600)
			same_listing("d")
			same_listing(".")
		END
		[ -z "$(find "$WORK" -type f -size +1k)" ] || fail "the file without a name is still in the workdir"
	done
}

@test "tempfile.TemporaryFile and mktemp work on top of it" {
	while fresh_mount; do
		in_python <<-'END'
			import tempfile
			with tempfile.TemporaryFile(dir=".") as f:
			    f.write(b"x" * 10000)
			    f.seek(0)
			    eq(f.read(), b"x" * 10000)
			with tempfile.NamedTemporaryFile(dir="d") as f:
			    eq(stat.S_IMODE(os.fstat(f.fileno()).st_mode), 0o600)
		END
		rm "$(mktemp -p "$MNT")"
	done
}

@test "a file is used after its last name is gone, whatever layer it is from" {
	while fresh_mount; do
		in_python <<-'END'
			# In a lower only, open for reading.
			fd = os.open("file", os.O_RDONLY)
			os.unlink("file")
			eq(os.pread(fd, 100, 0), b"hello\n")
			st = os.fstat(fd)
			eq((st.st_nlink, st.st_size), (0, 6))
			os.fchmod(fd, 0o600)
			eq(stat.S_IMODE(os.fstat(fd).st_mode), 0o600)
			fails(errno.ENOENT, os.stat, "file")
			# In a lower, written only after it lost its name.
			fd = os.open("big", os.O_RDWR)
			os.unlink("big")
			os.pwrite(fd, b"new", 0)
			eq(os.pread(fd, 5, 0), b"newxx")
			os.ftruncate(fd, 4)
			eq(os.fstat(fd).st_size, 4)
			# New, and copied up.
			fd1 = os.open("new", os.O_RDWR | os.O_CREAT)
			fd2 = os.open("d/a", os.O_RDWR)
			os.write(fd2, b"A")
			os.unlink("new")
			os.unlink("d/a")
			os.write(fd1, b"still")
			eq(os.pread(fd1, 10, 0), b"still")
			eq(os.pread(fd2, 10, 0), b"A")
			eq(os.fstat(fd1).st_nlink, 0)
			fails(errno.ENOENT, link_fd, fd1, "back")
			# The name is used again meanwhile.
			write("new", b"another")
			eq(os.pread(fd1, 10, 0), b"still")
			assert os.fstat(fd1).st_ino != os.lstat("new").st_ino
		END
		remount
		in_python <<-'END'
			eq(read("new"), b"another")
			for p in "file", "big", "d/a":
			    fails(errno.ENOENT, os.stat, p)
		END
	done
}

@test "a file is used while it is renamed and its copy-up comes later" {
	while fresh_mount; do
		in_python <<-'END'
			fd = os.open("file", os.O_RDWR)
			os.rename("file", "d/renamed")
			eq(os.pread(fd, 10, 0), b"hello\n")
			os.pwrite(fd, b"J", 0)
			eq(read("d/renamed"), b"Jello\n")
			# Its folder is renamed.
			fd = os.open("d/sub/deep/f", os.O_RDWR)
			os.rename("d", "e")
			os.write(fd, b"DEEP")
			eq(read("e/sub/deep/f"), b"DEEP")
			# It is replaced by a rename.
			fd = os.open("exec", os.O_RDWR)
			write("new", b"new")
			os.rename("new", "exec")
			eq(os.pread(fd, 10, 0), b"run\n")
			os.pwrite(fd, b"R", 0)
			eq(os.pread(fd, 10, 0), b"Run\n")
			eq(os.fstat(fd).st_nlink, 0)
			eq(read("exec"), b"new")
		END
		remount
		in_python <<-'END'
			eq([read(p) for p in ("e/renamed", "e/sub/deep/f", "exec")], [b"Jello\n", b"DEEP", b"new"])
		END
	done
}

@test "a process works in a folder that is removed" {
	while fresh_mount; do
		in_python <<-'END'
			os.mkdir("gone")
			os.chdir("gone")
			fd = os.open(".", os.O_RDONLY)
			os.rmdir("../gone")
			eq(os.listdir(fd), [])
			fails(errno.ENOENT, os.open, "x", os.O_CREAT | os.O_WRONLY)
			fails(errno.ENOENT, os.mkdir, "x")
			eq(os.fstat(fd).st_nlink, 0)
		END
		in_python <<-'END'
			# Folders of a lower, of which the driver has nothing open, and of both.
			for name in ("d/sub/deep", "tree/x/y"):
			    for f in os.listdir(name):
			        os.unlink(name + "/" + f)
			    fd = os.open(name, os.O_RDONLY)
			    mode = os.fstat(fd).st_mode
			    os.rmdir(name)
			    eq(os.fstat(fd).st_nlink, 0)
			    eq(os.fstat(fd).st_mode, mode)
			    eq(os.listdir(fd), [])
			    os.close(fd)
		END
	done
}

@test "locks: flock and POSIX, between processes" {
	while fresh_mount; do
		in_python <<-'END'
			fd = os.open("file", os.O_RDWR)
			fcntl.flock(fd, fcntl.LOCK_EX)
			other = os.open("file", os.O_RDWR)
			fails(errno.EAGAIN, fcntl.flock, other, fcntl.LOCK_EX | fcntl.LOCK_NB)
			fcntl.flock(fd, fcntl.LOCK_UN)
			fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
			fcntl.lockf(fd, fcntl.LOCK_EX, 3, 0)
			def locked():
			    f = os.open("file", os.O_RDWR)
			    fcntl.lockf(f, fcntl.LOCK_EX | fcntl.LOCK_NB, 3, 3)
			    fails(errno.EAGAIN, fcntl.lockf, f, fcntl.LOCK_EX | fcntl.LOCK_NB, 3, 0)
			pid = os.fork()
			if pid == 0:
			    try:
			        locked()
			        os._exit(0)
			    except BaseException as e:
			        print(e, file=sys.stderr)
			        os._exit(1)
			eq(os.waitpid(pid, 0)[1], 0)
		END
	done
}

@test "many threads copy up one file: there is one file, and no write is lost" {
	while fresh_mount; do
		in_python <<-'END'
			def writer(n):
			    fd = os.open("big", os.O_WRONLY)
			    for i in range(20):
			        os.pwrite(fd, b"%02d" % n, 1000 * n + 2 * i)
			    os.close(fd)
			threads = [threading.Thread(target=writer, args=(n,)) for n in range(16)]
			for t in threads:
			    t.start()
			for t in threads:
			    t.join()
			data = read("big")
			for n in range(16):
			    eq(data[1000 * n:1000 * n + 42], b"%02d" % n * 20 + b"xx")
			eq(len(data), 300000)
		END
		remount
		in_python <<-'END'
			eq(read("big")[15000:15042], b"15" * 20 + b"xx")
		END
	done
}

@test "a file of many megabytes is changed at its end and keeps the rest" {
	while fresh_mount; do
		in_python <<-'END'
			block = random.Random(7).randbytes(1 << 20)
			with open("large", "wb") as f:
			    for i in range(16):
			        f.write(block)
			fd = os.open("large", os.O_RDWR)
			os.pwrite(fd, b"end", (16 << 20) - 3)
			os.close(fd)
			data = read("large")
			eq(data[:15 << 20] == block * 15, True)
			eq(data[-3:], b"end")
		END
	done
}
