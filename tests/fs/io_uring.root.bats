#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Requests by way of io_uring: when they come so, and what is said when they cannot.  What the mount does is the same:
# tests/run.sh runs the other suites with it, too.
# shellcheck disable=SC2016,SC2034,SC2154
bats_require_minimum_version 1.5.0
load ../lib/common
load ../lib/fs
load ../lib/uring

setup_file() { make_lowers base_tree; }
setup() { setup_store; }
teardown() {
	unmount_all
	uring_off
}
teardown_file() { lowers_unchanged; }

# Not the lock's descriptor, which a driver would keep.
nacrefs() {
	with_run_options "$@"
	"$NACREFS" "${WITH_RUN_OPTIONS[@]}" 3>&- 4>&- 8<&-
}

by_ring() { nacrefs --stats --json "$MNT" | jq .RequestsByIoUring; }

mount_ring() {
	mount_dirs -o io_uring "$LOWERS_DIR/1"
	stat "$MNT/nothing" 2>/dev/null || true
	[ "$(by_ring)" -gt 0 ] || fail "no request came by the ring"
}

# with_switch TEXT: mount with io_uring as if the kernel's switch said that, for those who ask; "": as if there were none.
# The mount is used and taken away at once: only there it looks so.
with_switch() {
	local dir=$BATS_TEST_TMPDIR/switch
	rm -rf "$dir"
	mkdir "$dir"
	[ -z "$1" ] || printf '%s\n' "$1" >"$dir/${URING_SWITCH##*/}"
	unshare --mount --propagation private bash -ec '
		mount --bind "$1" "$2"
		"$NACREFS" -o "lowerdir=$3,io_uring,io_uring_q_depth=8" "$4" 2>&1
		cat "$4/file"
		"$NACREFS" --stats --json "$4" | jq .RequestsByIoUring
		umount "$4"' - "$dir" "${URING_SWITCH%/*}" "$LOWERS_DIR/1" "$MNT" 3>&- 4>&- 8<&-
}

# Said once; and the mount works, without it.
assert_left_out() {
	assert_status 0
	assert_equal "$output" "nacrefs: warning: option io_uring is left out: $1
hello
0"
}

@test "requests come by the ring: large and small, many at a time, holes in data that was not yet written" {
	skip_without_kernel "FUSE over io_uring" uring_on
	mount_ring
	in_python <<-'END'
		eq(sorted(os.listdir("."))[0], "bdev")
		data = os.urandom(3 << 20)
		write("new", data)
		eq(read("new"), data)
		fd = os.open("new", os.O_RDWR | os.O_DIRECT)
		area = mmap.mmap(-1, 1 << 20)
		eq(os.preadv(fd, [area], 1 << 20), 1 << 20)
		eq(bytes(area), data[1 << 20:2 << 20])
		area[:] = data[:1 << 20]
		eq(os.pwrite(fd, area, 2 << 20), 1 << 20)
		os.close(fd)
		eq(read("new"), data[:2 << 20] + data[:1 << 20])
		fails(errno.ENOENT, os.stat, "x" * 200)
		os.setxattr("new", "user.large", data[:3000])
		eq(os.getxattr("new", "user.large"), data[:3000])

		# The answer of these comes from another thread, which waits for the kernel's WRITE.
		fd = os.open("holes", os.O_CREAT | os.O_RDWR)
		os.ftruncate(fd, 1 << 20)
		for at in 65536, 262144, 524288:
		    os.pwrite(fd, b"x" * 4096, at)
		    eq(os.lseek(fd, at - 32768, os.SEEK_DATA), at)
		    eq(os.lseek(fd, at, os.SEEK_HOLE), at + 4096)

		def work(n):
		    for i in range(60):
		        name = "t%d.%d" % (n, i)
		        write(name, b"%d" % i)
		        eq(read(name), b"%d" % i)
		        os.rename(name, name + "r")
		        if i % 2:
		            os.unlink(name + "r")
		threads = [threading.Thread(target=work, args=(n,)) for n in range(12)]
		for t in threads:
		    t.start()
		for t in threads:
		    t.join()
		eq(len([n for n in os.listdir(".") if n.startswith("t") and n.endswith("r")]), 12 * 30)
	END
	[ "$(by_ring)" -gt 3000 ]
	unmount
	[ "$(find "$UPPER" -name 't*r' | wc -l)" = 360 ]
}

# More questions for holes than there are threads: each waits for a WRITE of the kernel's, which takes a thread too.
@test "questions for holes leave threads for the writes that they wait for" {
	skip_without_kernel "FUSE over io_uring" uring_on
	mount_ring
	in_python <<-'END'
		def ask(n):
		    fd = os.open("holes%d" % n, os.O_CREAT | os.O_RDWR)
		    os.ftruncate(fd, 64 << 20)
		    for i in range(20):
		        at = (i + 1) << 20
		        os.pwrite(fd, b"x" * 4096, at)
		        eq(os.lseek(fd, at, os.SEEK_DATA), at)
		        # Data may be seen where there is none, never the other way round.
		        assert os.lseek(fd, at - 65536, os.SEEK_DATA) <= at
		        assert os.lseek(fd, at, os.SEEK_HOLE) >= at + 4096
		    os.close(fd)
		threads = [threading.Thread(target=ask, args=(n,)) for n in range(80)]
		for t in threads:
		    t.start()
		for t in threads:
		    t.join()
	END
	unmount
}

@test "where the kernel has it switched off or not at all, it is left out with a warning that says so" {
	run with_switch N
	assert_left_out "the kernel has it switched off for FUSE (root can switch it on: echo Y >$URING_SWITCH)"
	run with_switch ''
	assert_left_out \
		"this kernel has no io_uring for FUSE (6.14 and newer have it, if built with CONFIG_FUSE_IO_URING)"
}

@test "where one thread is asked for it is left out" {
	skip_without_kernel "FUSE over io_uring" uring_on
	local option
	for option in threaded=0 max_threads=1; do
		run nacrefs -o "lowerdir=$LOWERS_DIR/1,io_uring,$option" "$MNT"
		assert_status 0
		assert_equal "$output" "nacrefs: warning: option io_uring is left out: one thread is asked for, and it needs some\
 for each processor"
		assert_equal "$(cat "$MNT/file")" hello
		assert_equal "$(by_ring)" 0
		unmount
	done
}

@test "without memory for its threads it is left out, and the others have theirs" {
	skip_without_kernel "FUSE over io_uring" uring_on
	[ -z "$NACRE_SANITIZER" ] || return 0 # their own memory is beyond any limit
	run bash -c 'ulimit -v 300000 && exec "$NACREFS" -o "lowerdir=$1,io_uring" "$2"' - "$LOWERS_DIR/1" "$MNT" 3>&- 4>&- 8<&-
	assert_status 0
	assert_output_has "nacrefs: warning: option io_uring is left out: no threads and memory for it: "
	assert_equal "$(cat "$MNT/file")" hello
	assert_equal "$(by_ring)" 0
}

@test "libfuse's own words for its own rings change nothing" {
	skip_without_kernel "FUSE over io_uring" uring_on
	local NACRE_MOUNT_OPTIONS='' # it is not asked for here
	local -x FUSE_URING_ENABLE=1 FUSE_URING_QUEUE_DEPTH=3
	mount_dirs "$LOWERS_DIR/1"
	assert_equal "$(cat "$MNT/file")" hello
	echo new >"$MNT/new"
	assert_equal "$(find "/proc/$(driver_pids "$MNT")/fd" -lname '*io_uring*')" ''
	assert_equal "$(by_ring)" 0
	unmount
	mount_ring
	assert_equal "$(cat "$MNT/file" "$MNT/new")" "hello
new"
	# One for each thread of ours.
	assert_equal "$(find "/proc/$(driver_pids "$MNT")/fd" -lname '*io_uring*' | wc -l)" \
		"$(($(getconf _NPROCESSORS_CONF) * ($(getconf _NPROCESSORS_CONF) > 16 ? 8 : 32)))"
}

@test "a plain user's mount, as root in it" {
	skip_without_kernel "FUSE over io_uring" uring_on
	setup_user
	mkdir "$USER_DIR/mnt" "$USER_DIR/lower" "$USER_DIR/upper" "$USER_DIR/work"
	chown "$NACRE_TEST_USER": "$USER_DIR"/*
	as_user nacrefs -o "lowerdir=$USER_DIR/lower,upperdir=$USER_DIR/upper,workdir=$USER_DIR/work,io_uring,fakeroot" \
		"$USER_DIR/mnt" 8<&-
	as_user bash -c 'cd "$1" && echo hello >file && chown 12:34 file && stat -c %u:%g file' - "$USER_DIR/mnt" 8<&- |
		grep -qx 12:34
	[ "$(as_user nacrefs --stats --json "$USER_DIR/mnt" 8<&- | jq .RequestsByIoUring)" -gt 0 ]
}
