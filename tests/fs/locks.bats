#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Locks and leases, between processes, over copy-ups and renames.
# shellcheck disable=SC2011,SC2016,SC2034,SC2154
bats_require_minimum_version 1.5.0
load ../lib/common
load ../lib/fs

setup_file() { make_lowers base_tree; }
setup() { setup_store; }
teardown() { unmount_all; }
teardown_file() { lowers_unchanged; }

@test "flock, POSIX and open-file locks of one process keep another out, before and after a copy-up" {
	while fresh_mount; do
		in_python <<-'END'
			import struct
			F_OFD_SETLK = 37
			WHOLE = struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 0, 0)

			def child(*tests):
			    """Each must hold in another process."""
			    pid = os.fork()
			    if pid == 0:
			        try:
			            for test in tests:
			                test()
			            os._exit(0)
			        except BaseException as e:
			            print(repr(e), file=sys.stderr)
			            os._exit(1)
			    eq(os.waitpid(pid, 0)[1], 0)

			def free(path, lock):
			    def test():
			        f = os.open(path, os.O_RDWR)
			        lock(f)
			        os.close(f)
			    return test

			def taken(path, lock):
			    return lambda: fails(errno.EAGAIN, free(path, lock))

			def flock(f):
			    fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
			def posix(f):
			    fcntl.lockf(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
			def posix_end(f):
			    fcntl.lockf(f, fcntl.LOCK_EX | fcntl.LOCK_NB, 10, 100)
			def ofd(f):
			    fcntl.fcntl(f, F_OFD_SETLK, WHOLE)

			for path, lock in (("file", flock), ("exec", posix), ("big", ofd)):
			    child(free(path, lock))
			    reader = os.open(path, os.O_RDONLY)    # from before the copy-up
			    holder = os.open(path, os.O_RDWR)
			    lock(holder)
			    child(taken(path, lock))
			    os.pwrite(holder, b"X", 0)
			    os.fsync(holder)
			    child(taken(path, lock))
			    os.rename(path, "d/" + path)
			    child(taken("d/" + path, lock))
			    os.link("d/" + path, "linked")
			    child(taken("linked", lock))
			    os.unlink("linked")
			    os.close(holder)
			    child(free("d/" + path, lock))
			    # The descriptor from before locks the same file.
			    if lock is flock:
			        lock(reader)
			        child(taken("d/" + path, lock))
			        fcntl.flock(reader, fcntl.LOCK_UN)
			        child(free("d/" + path, lock))
			# A range, and one that waits.
			f = os.open("d/a", os.O_RDWR)
			fcntl.lockf(f, fcntl.LOCK_EX, 10, 0)
			child(taken("d/a", posix), free("d/a", posix_end))
			r, w = os.pipe()
			pid = os.fork()
			if pid == 0:
			    g = os.open("d/a", os.O_RDWR)
			    os.write(w, b"-")
			    fcntl.lockf(g, fcntl.LOCK_EX)
			    os._exit(0 if os.pread(g, 9, 0) == b"done" else 1)
			os.read(r, 1)
			os.pwrite(f, b"done", 0)
			fcntl.lockf(f, fcntl.LOCK_UN)
			eq(os.waitpid(pid, 0)[1], 0)
		END
	done
}

@test "a lease is taken, and who opens the file for writing breaks it" {
	while fresh_mount; do
		in_python <<-'END'
			broken = []
			signal.signal(signal.SIGIO, lambda *_: broken.append(1))
			fd = os.open("file", os.O_RDONLY)
			fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
			eq(fcntl.fcntl(fd, fcntl.F_GETLEASE), fcntl.F_RDLCK)
			pid = os.fork()
			if pid == 0:
			    signal.signal(signal.SIGIO, signal.SIG_DFL)
			    os.close(fd)
			    os._exit(1 if os.open("file", os.O_RDONLY) < 0 else 0)
			eq(os.waitpid(pid, 0)[1], 0)
			eq(broken, [])
			pid = os.fork()
			if pid == 0:
			    os.close(fd)
			    append("file", b"!")
			    os._exit(0)
			while not broken:
			    signal.sigtimedwait([signal.SIGUSR1], 0.01)
			fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
			eq(os.waitpid(pid, 0)[1], 0)
			eq(os.pread(fd, 100, 0), b"hello\n!")
		END
	done
}
