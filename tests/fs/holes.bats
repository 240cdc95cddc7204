#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2154
#
# SEEK_DATA and SEEK_HOLE while what was written is only in the kernel's write-back cache: nobody closes, syncs or waits
# before asking.
bats_require_minimum_version 1.5.0
load ../lib/common
load ../lib/fs

setup_file() { make_lowers base_tree; }
setup() { setup_store; }
teardown() { unmount_all; }
teardown_file() { lowers_unchanged; }

# The bytes of a file as a program sees them that goes by its holes.
BY_HOLES='
def by_holes(fd):
    size, at, data = os.fstat(fd).st_size, 0, bytearray(os.fstat(fd).st_size)
    while at < size:
        try:
            start = os.lseek(fd, at, os.SEEK_DATA)
        except OSError as e:
            eq(e.errno, errno.ENXIO)
            break
        at = os.lseek(fd, start, os.SEEK_HOLE)
        assert start < at <= size, (start, at, size)
        data[start:at] = os.pread(fd, at - start, start)
    return bytes(data)
'

@test "what is written into a hole is data at once" {
	while fresh_mount; do
		in_python <<-END
			$BY_HOLES
			fd = os.open("new", os.O_RDWR | os.O_CREAT)
			os.ftruncate(fd, 1 << 20)
			os.pwrite(fd, b"middle", 524288)
			eq(os.lseek(fd, 0, os.SEEK_DATA), 524288)
			assert os.lseek(fd, 524288, os.SEEK_HOLE) > 524288
			want = bytearray(1 << 20)
			want[524288:524294] = b"middle"
			for at in 0, 99999, 131072, 131073, 700000, (1 << 20) - 3, 1200000:
			    if at > len(want):
			        want += bytes(at - len(want))
			    want[at:at + 3] = b"new"
			    os.pwrite(fd, b"new", at)
			    eq(by_holes(fd), bytes(want))
			    eq(os.lseek(fd, at, os.SEEK_DATA), at)
			fails(errno.ENXIO, os.lseek, fd, len(want), os.SEEK_DATA)
			eq(os.lseek(fd, len(want) - 1, os.SEEK_HOLE), len(want))
		END
	done
}

@test "a lower's sparse file has data where it was just written, also for another who reads it" {
	while fresh_mount; do
		in_python <<-END
			$BY_HOLES
			fd, reader = os.open("sparse", os.O_RDWR), os.open("sparse", os.O_RDONLY)
			want = bytearray(1 << 20)
			want[524288:524292] = b"data"
			eq(by_holes(reader), bytes(want))
			for at in 65536, 1 << 20:
			    want[at:at + 4] = b"more"
			    os.pwrite(fd, b"more", at)
			    eq(by_holes(reader), bytes(want))
		END
	done
}

# The kernel writes back while they wait: were they to hold all threads that serve it, nobody would answer.
@test "many ask for holes of their unwritten files at the same time" {
	while fresh_mount; do
		in_python <<-END
			$BY_HOLES
			files = 24
			together = threading.Barrier(files)
			def one(i):
			    fd = os.open("f%d" % i, os.O_RDWR | os.O_CREAT)
			    os.ftruncate(fd, 4 << 20)
			    for at in range(0, 4 << 20, 1 << 20):
			        os.pwrite(fd, b"%d" % i, at + 4096 * i)
			    together.wait()
			    for at in range(0, 4 << 20, 1 << 20):
			        eq(os.lseek(fd, at, os.SEEK_DATA), at + 4096 * i)
			    eq(by_holes(fd).replace(b"\0", b""), b"%d" % i * 4)
			    done.append(i)
			done = []
			threads = [threading.Thread(target=one, args=(i,)) for i in range(files)]
			[t.start() for t in threads]
			[t.join() for t in threads]
			eq(sorted(done), list(range(files)))
		END
	done
}
