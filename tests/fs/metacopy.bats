#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# A change of attributes or names leaves the data of a lower file where it is, until the data changes.
# shellcheck disable=SC2034,SC2154
bats_require_minimum_version 1.5.0
load ../lib/common
load ../lib/fs

# 16 files of 128 KiB: some have more than one place to be found in.
lowest() {
	mkdir -p d/sub e
	local n
	for n in 0 1 2 3 4 5 6 7; do
		yes "line of file $n" | head -c 131072 >"f$n"
		yes "below $n" | head -c 131072 >"d/sub/g$n"
	done
	printf small >small
	chmod 4755 f7
	find . -exec touch -h -d '2001-02-03 04:05:06.123456789' {} +
}
topmost() {
	mkdir -p d/sub
	yes "above" | head -c 140000 >d/sub/g1
	find . -exec touch -h -d '2001-02-03 04:05:06.123456789' {} +
}

setup_file() { make_lowers lowest topmost; }
setup() { setup_store; }
teardown() { unmount_all; }
teardown_file() { lowers_unchanged; }

upper_kib() { du -sk "$UPPER" | cut -f1; }

# in_tree: the python program, with the helpers of this file.
in_tree() {
	local program
	program=$(cat)
	in_python "$MNT" "$@" <<-END
		SIZE = 131072
		def data(what, size=SIZE):
		    line = what.encode() + b"\n"
		    return (line * (size // len(line) + 1))[:size]
		def file(n):
		    return data("line of file %d" % n)
		def below(n):
		    return data("below %d" % n) if n != 1 else data("above", 140000)
		$program
	END
}

@test "chown, chmod, utimes, xattrs and renames write next to nothing" {
	while fresh_mount; do
		in_tree <<-'END'
			for n in range(8):
			    os.chmod("f%d" % n, 0o640)
			    os.chown("d/sub/g%d" % n, -1, os.getgid())
			    os.utime("d/sub/g%d" % n, ns=(OLD, OLD + 1))
			os.setxattr("f1", "user.x", b"1")
			os.rename("f2", "d/f2")
			os.rename("d/sub", "moved")
			os.rename("moved/g3", "g3")
			os.rename("g3", "e/g3")
			for n in (0, 1, 3, 4, 5, 6, 7):
			    eq(read("f%d" % n), file(n))
			eq(read("d/f2"), file(2))
			eq(read("e/g3"), below(3))
			eq(read("moved/g1"), below(1))
			st = os.lstat("f0")
			eq((st.st_size, st.st_mtime_ns, st.st_blocks), (SIZE, OLD, SIZE // 512))
		END
		[ "$(upper_kib)" -lt 256 ] || fail "the upper has $(upper_kib) KiB"
		remount
		in_tree <<-'END'
			for n in (0, 1, 3, 4, 5, 6, 7):
			    eq(read("f%d" % n), file(n))
			    eq(mode("f%d" % n), 0o640)
			eq(os.lstat("f0").st_blocks, SIZE // 512)
			eq(os.getxattr("f1", "user.x"), b"1")
			eq(read("d/f2"), file(2))
			eq(read("e/g3"), below(3))
			for n in (0, 1, 2, 4, 5, 6, 7):
			    eq(read("moved/g%d" % n), below(n))
			    eq(os.lstat("moved/g%d" % n).st_mtime_ns, OLD + 1)
			os.rename("moved", "d/sub")
			os.rename("e/g3", "back")
			eq(os.listxattr("back"), [])
		END
		remount
		in_tree <<-'END'
			eq(read("back"), below(3))
			eq(read("d/sub/g7"), below(7))
		END
	done
}

@test "a write of any kind completes it, at once and after a remount" {
	while fresh_mount; do
		for round in 1 2; do
			in_tree "$round" <<-'END'
				where = "f%d" if sys.argv[1] == "1" else "d/sub/g%d"
				for n in (0, 2, 3, 4, 5, 6, 7):
				    os.chmod(where % n, 0o4711 if n == 7 else 0o600)
			END
			[ "$round" = 1 ] || remount
			in_tree "$round" <<-'END'
				where, whole = ("f%d", file) if sys.argv[1] == "1" else ("d/sub/g%d", below)
				append(where % 0, b"more")
				eq(read(where % 0), whole(0) + b"more")
				fd = os.open(where % 2, os.O_RDWR)
				os.pwrite(fd, b"XX", 70000)
				eq(os.pread(fd, 6, 69998), whole(2)[69998:70000] + b"XX" + whole(2)[70002:70004])
				os.close(fd)
				os.truncate(where % 3, 1000)
				eq(read(where % 3), whole(3)[:1000])
				os.truncate(where % 3, 3000)
				eq(read(where % 3), whole(3)[:1000] + bytes(2000))
				write(where % 4, b"all new")
				eq(read(where % 4), b"all new")
				with open(where % 5, "r+b") as f:
				    m = mmap.mmap(f.fileno(), 0)
				    m[100:103] = b"map"
				    m.close()
				eq(read(where % 5), whole(5)[:100] + b"map" + whole(5)[103:])
				fd = os.open(where % 6, os.O_RDWR)
				fallocate(fd, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, 4096, 4096)
				os.close(fd)
				eq(read(where % 6), whole(6)[:4096] + bytes(4096) + whole(6)[8192:])
				st = os.lstat(where % 7)
				os.link(where % 7, "link")
				eq(read("link"), whole(7))
				eq((mode("link"), os.lstat("link").st_mtime_ns), (stat.S_IMODE(st.st_mode), OLD))
				eq(os.lstat("link").st_ino, st.st_ino)
			END
			remount
			in_tree "$round" <<-'END'
				where, whole = ("f%d", file) if sys.argv[1] == "1" else ("d/sub/g%d", below)
				eq(read(where % 0), whole(0) + b"more")
				eq(read(where % 3), whole(3)[:1000] + bytes(2000))
				eq(read(where % 4), b"all new")
				eq(read(where % 5), whole(5)[:100] + b"map" + whole(5)[103:])
				eq(read(where % 6), whole(6)[:4096] + bytes(4096) + whole(6)[8192:])
				eq(read("link"), whole(7))
				eq(read(where % 7), whole(7))
				os.unlink("link")
			END
		done
	done
}

@test "a descriptor sees the same file over copy-up, completion, rename and unlink" {
	while fresh_mount; do
		in_tree <<-'END'
			fd = os.open("f0", os.O_RDWR)
			os.fchmod(fd, 0o600)
			os.rename("f0", "d/sub/other")
			os.unlink("d/sub/other")
			eq(os.pread(fd, SIZE, 0), file(0))
			eq(os.fstat(fd).st_size, SIZE)
			os.pwrite(fd, b"!", SIZE)
			eq(os.pread(fd, 2 * SIZE, 0), file(0) + b"!")
			os.close(fd)
			reader = os.open("f1", os.O_RDONLY)
			unlinked = os.open("f2", os.O_RDWR)
			os.unlink("f2")
			os.fchmod(unlinked, 0o600)
			eq(os.pread(unlinked, SIZE, 0), file(2))
			os.chmod("f1", 0o600)
			append("f1", b"more")
			eq(os.pread(reader, 2 * SIZE, 0), file(1) + b"more")
			assert not exists("f2")
		END
		remount
		in_tree <<-'END'
			assert not exists("f0") and not exists("f2") and not exists("d/sub/other")
			eq(read("f1"), file(1) + b"more")
		END
	done
}

@test "many at once complete and read it" {
	while fresh_mount; do
		in_tree <<-'END'
			for n in range(8):
			    os.chmod("d/sub/g%d" % n, 0o600)
			errors = []
			def work(id):
			    try:
			        for n in range(8):
			            p = "d/sub/g%d" % n
			            want = below(n)
			            eq(os.lstat(p).st_mode & 0o600, 0o600)
			            if id % 2:
			                fd = os.open(p, os.O_WRONLY)
			                os.pwrite(fd, b"%d" % id, len(want) + id)
			                os.close(fd)
			            else:
			                eq(read(p)[:len(want)], want)
			                os.chmod(p, 0o640 if id % 4 else 0o660)
			    except BaseException as e:
			        errors.append(e)
			threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
			for t in threads: t.start()
			for t in threads: t.join()
			assert not errors, errors
			for n in range(8):
			    got, want = read("d/sub/g%d" % n), below(n)
			    eq(got[:len(want)], want)
			    eq(got[len(want):], b"\x001\x003\x005\x007")
			    assert mode("d/sub/g%d" % n) in (0o640, 0o660)
		END
		remount
		in_tree <<-'END'
			for n in range(8):
			    eq(read("d/sub/g%d" % n), below(n) + b"\x001\x003\x005\x007")
		END
	done
}

@test "metacopy=off copies the data, metacopy=on also of a small file does not; the default copies small ones" {
	KINDS=dirs
	while fresh_mount metacopy=off; do
		chmod 600 "$MNT/f0"
		cmp "$UPPER/f0" "${LOWERS##*:}/f0"
	done
	KINDS_DONE=0
	while fresh_mount metacopy=on; do
		chmod 600 "$MNT/small" "$MNT/f0"
		[ "$(cat "$MNT/small")" = small ]
		[ "$(cat "$UPPER/small")" != small ]
	done
	KINDS_DONE=0
	while fresh_mount; do
		chmod 600 "$MNT/small"
		[ "$(cat "$UPPER/small")" = small ]
	done
}

@test "a commit has the data of a metacopy" {
	local image=lowers:1
	is_root || image=rooted:1
	export NACRE_STORE=$LOWERS_STORE
	mkdir -p "$MNT"
	nacre mount --rw "$image" "$MNT"
	in_tree <<-'END'
		os.chmod("f0", 0o600)
		os.rename("f1", "e/renamed")
		os.rename("d/sub", "e/sub")
		os.rename("e/sub/g2", "g2")
	END
	nacre commit "$MNT" changed:1
	nacre umount "$MNT"
	nacre mount changed:1 "$MNT"
	in_tree <<-'END'
		eq(read("f0"), file(0))
		eq(mode("f0"), 0o600)
		eq(read("e/renamed"), file(1))
		eq(read("g2"), below(2))
		eq(read("e/sub/g1"), below(1))
	END
}

@test "data-only lowers hold what metacopies of the others lead to, and show nothing else" {
	local data=$BATS_TEST_TMPDIR/data lower=$BATS_TEST_TMPDIR/lower
	mkdir -p "$data/1/blobs" "$data/2/blobs/aa" "$lower/d" "$MNT" "$UPPER" "$WORK"
	yes one | head -c 100000 >"$data/1/blobs/one"
	yes two | head -c 50000 >"$data/2/blobs/aa/two"
	local ns=user
	is_root && ns=trusted
	truncate -s 100000 "$lower/d/one"
	truncate -s 50000 "$lower/two" "$lower/lost"
	setfattr -n $ns.overlay.metacopy "$lower/d/one" "$lower/two" "$lower/lost"
	setfattr -n $ns.overlay.redirect -v /blobs/one "$lower/d/one"
	setfattr -n $ns.overlay.redirect -v /blobs/aa/two "$lower/two"
	setfattr -n $ns.overlay.redirect -v /blobs/none "$lower/lost"
	nacrefs -o "lowerdir=$lower::$data/1::$data/2,upperdir=$UPPER,workdir=$WORK" "$MNT"
	in_python <<-'END'
		eq(names(), ["d", "lost", "two"])
		eq(read("d/one"), b"one\n" * 25000)
		eq(read("two"), (b"two\n" * 12500))
		eq(os.listxattr("two"), [])
		fails(errno.EIO, read, "lost")
		os.chmod("two", 0o600)
		os.rename("two", "d/2")
		eq(read("d/2"), b"two\n" * 12500)
		append("d/one", b"more")
		eq(read("d/one"), b"one\n" * 25000 + b"more")
	END
	unmount
	nacrefs -o "lowerdir=$lower::$data/1::$data/2,upperdir=$UPPER,workdir=$WORK" "$MNT"
	in_python <<-'END'
		eq(read("d/2"), b"two\n" * 12500)
		eq(read("d/one"), b"one\n" * 25000 + b"more")
	END
}
