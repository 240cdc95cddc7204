#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Errors of the file systems below: they come back, and leave no trace.
# shellcheck disable=SC2011,SC2016,SC2034,SC2154
bats_require_minimum_version 1.5.0
load ../lib/common
load ../lib/fs

setup_file() { make_lowers base_tree large; }
setup() {
	setup_store
	DISK=$BATS_TEST_TMPDIR/disk
	UPPER=$DISK/upper WORK=$DISK/work
	mkdir "$DISK"
}
teardown() { unmount_all; }
teardown_file() { lowers_unchanged; }

large() {
	mkdir -p d/sub/deep
	head -c 20000000 /dev/zero | tr '\0' x >d/sub/deep/large
}

# small_disk [OPTIONS]: an ext4 of 16 MiB at $DISK.
small_disk() {
	truncate -s 16M "$BATS_TEST_TMPDIR/image"
	mkfs.ext4 -q "$@" "$BATS_TEST_TMPDIR/image"
	skip_without_kernel "loop devices" mount -o loop "$BATS_TEST_TMPDIR/image" "$DISK"
}

# All that the upper and work/ hold, but for the whiteout that all others are links to.
snapshot() {
	find "$UPPER" -printf '%P %y %s %m %U:%G %T@\n' | sort
	find "$WORK/work" "$WORK/links" -mindepth 1 ! -name whiteout -printf '%P %y %s\n' | sort
	find "$UPPER" | sort | tr '\n' '\0' | xargs -0 getfattr --absolute-names -h -d -m -
}

# unchanged COMMAND...: it leaves the upper as it was.
unchanged() {
	snapshot >"$BATS_TEST_TMPDIR/before"
	"$@"
	diff "$BATS_TEST_TMPDIR/before" <(snapshot)
}

copyups_fail() {
	in_python "$MNT" "$1" <<-'END'
		err = getattr(errno, sys.argv[1])
		fails(err, append, "d/sub/deep/large", b"!")
		fails(err, os.truncate, "d/sub/deep/large", 19000000)
		def synced():
		    fd = os.open("d/sub/deep/large", os.O_WRONLY)
		    try:
		        os.write(fd, b"!")
		        os.fsync(fd)
		    finally:
		        os.close(fd)
		fails(err, synced)
		with open("d/sub/deep/large", "rb") as f:
		    f.seek(10000000)
		    eq(f.read(10), b"x" * 10)
	END
}

@test "a full disk: no trace of a copy-up that did not fit, and writes tell" {
	small_disk
	KINDS="dirs store"
	while fresh_mount; do
		unchanged copyups_fail ENOSPC
		in_python <<-'END'
			def fill(finish):
			    fd = os.open("new", os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
			    try:
			        for i in range(300):
			            os.write(fd, b"x" * 100000)
			        finish(fd)
			    finally:
			        os.close(fd)
			fails(errno.ENOSPC, fill, os.fsync)
			fails(errno.ENOSPC, fill, lambda fd: None)    # its close
			os.unlink("new")
		END
		remount
		in_python <<-'END'
			eq(os.lstat("d/sub/deep/large").st_size, 20000000)
			os.truncate("d/sub/deep/large", 1000)    # that much fits
			write("new", b"fits")
			eq((read("new"), os.lstat("d/sub/deep/large").st_size), (b"fits", 1000))
		END
		unmount
	done
}

everything_fails() {
	in_python "$MNT" "$1" <<-'END'
		err = getattr(errno, sys.argv[1])
		fails(err, os.open, "new", os.O_CREAT | os.O_WRONLY)
		fails(err, os.mkdir, "new")
		fails(err, os.symlink, "x", "new")
		fails(err, os.mkfifo, "new")
		fails(err, os.open, ".", os.O_TMPFILE | os.O_RDWR)
		fails(err, os.chmod, "file", 0o600)
		fails(err, os.chmod, "d", 0o700)
		fails(err, os.setxattr, "exec", "user.x", b"1")
		fails(err, os.truncate, "big", 10)
		fails(err, os.rename, "d/a", "d/moved")
		fails(err, os.rename, "tree", "d/moved")
		fails(err, os.link, "exec", "new")
		eq(exists("new"), False)
		eq([read(p) for p in ("file", "d/a", "tree/x/2")], [b"hello\n", b"a", b"2"])
		eq(mode("file"), 0o644)
		same_listing(".")
		same_listing("d")
	END
}

@test "no inodes left: nothing can be made or copied up, nothing is left behind, and with one free it goes on" {
	small_disk -N 64
	KINDS="dirs store"
	while fresh_mount; do
		in_python "$DISK" <<-'END'
			os.mkdir("filler")
			try:
			    for i in range(100):
			        write("filler/%d" % i, b"")
			except OSError as e:
			    eq(e.errno, errno.ENOSPC)
		END
		unchanged everything_fails ENOSPC
		rm -r "$DISK/filler"
		in_python <<-'END'
			append("file", b"!")
			os.rename("tree", "d/moved")
			os.mkdir("new")
		END
		remount
		in_python <<-'END'
			eq([read(p) for p in ("file", "d/moved/x/2")], [b"hello\n!", b"2"])
		END
		unmount
	done
}

@test "the upper's file system becomes read-only: EROFS, and all is as it was when it is writable again" {
	small_disk
	KINDS="dirs store"
	while fresh_mount; do
		mount -o remount,ro "$DISK"
		everything_fails EROFS
		in_python <<-'END'
			fails(errno.EROFS, os.unlink, "file")
			fails(errno.EROFS, os.rmdir, "empty")
			fails(errno.EROFS, os.open, "big", os.O_WRONLY | os.O_TRUNC)
		END
		mount -o remount,rw "$DISK"
		in_python <<-'END'
			append("file", b"!")
			os.unlink("d/a")
			os.rename("tree", "d/moved")
			write("new", b"new")
		END
		remount
		in_python <<-'END'
			eq([read(p) for p in ("file", "d/moved/x/2", "new", "exec")], [b"hello\n!", b"2", b"new", b"run\n"])
			eq(names("d"), ["b", "hl3", "moved", "sub"])
		END
		unmount
	done
}

@test "what the mounting user may not read is EACCES, and leaves no trace" {
	local own=$BATS_TEST_TMPDIR/own
	rmdir "$DISK"
	UPPER=$USER_DIR/upper WORK=$USER_DIR/work
	mkdir -p "$own/closed"
	echo secret >"$own/secret"
	echo inside >"$own/closed/f"
	echo open >"$own/open"
	chmod 600 "$own/secret"
	chmod 700 "$own/closed"
	as_user mkdir "$UPPER" "$WORK" "$USER_DIR/mnt"
	MNT=$USER_DIR/mnt
	as_user nacrefs -o "lowerdir=$own,upperdir=$UPPER,workdir=$WORK,fakeroot" "$MNT"
	denied() {
		as_user /usr/bin/python3 - "$MNT" <<-'END'
			import errno, os, sys
			os.chdir(sys.argv[1])
			def denied(function, *args):
			    try:
			        function(*args)
			    except PermissionError as e:
			        assert e.errno == errno.EACCES, e
			        return
			    sys.exit("%s%r was not refused" % (function.__name__, args))
			def read(path):
			    with open(path) as f:
			        return f.read()
			denied(read, "secret")
			denied(os.truncate, "secret", 3)
			denied(os.listdir, "closed")
			denied(read, "closed/f")
			assert read("open") == "open\n"
		END
	}
	unchanged denied
	as_user sh -c 'echo more >>"$1/open" && cat "$1/open"' - "$MNT"
	as_user fusermount3 -u "$MNT"
}

@test "damaged content of the store is EIO, read or copied up, and leaves no trace" {
	rmdir "$DISK"
	KINDS=store
	cp -a "$LOWERS_STORE" "$BATS_TEST_TMPDIR/damaged"
	find "$BATS_TEST_TMPDIR/damaged/packs" "$BATS_TEST_TMPDIR/damaged/objects" -type f -exec truncate -s 10 {} +
	LOWERS_STORE=$BATS_TEST_TMPDIR/damaged
	while fresh_mount; do
		damaged() {
			in_python <<-'END'
				for p in "d/sub/deep/large", "big":
				    fails(errno.EIO, read, p)
				    fails(errno.EIO, os.truncate, p, 5000)
				    fails(errno.EIO, append, p, b"!")
				eq(read("empty-file"), b"")
				eq(os.readlink("link"), "file")
			END
		}
		unchanged damaged
		in_python <<-'END'
			write("big", b"new content needs none of the old")
			eq(read("big"), b"new content needs none of the old")
		END
	done
}
