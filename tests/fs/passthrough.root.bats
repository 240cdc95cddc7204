#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# io=passthrough: the kernel uses files of the upper, and of lowers that nothing can change, in the driver's place.  That
# the suites pass with it as well is tests/run.sh's to see; here is what only this mode has.
# shellcheck disable=SC2016,SC2034,SC2154
bats_require_minimum_version 1.5.0
load ../lib/common
load ../lib/fs
load ../lib/passthrough

setup_file() { make_lowers base_tree; }
setup() {
	skip_without_passthrough
	setup_store
}
teardown() { unmount_all; }
teardown_file() { lowers_unchanged; }

# Python that counts the requests for data between two calls.
count='
import json
def counts():
    out = subprocess.run([os.environ["NACREFS"], "--stats", "--json", "."], check=True, stdout=subprocess.PIPE).stdout
    by = json.loads(out)["RequestsByOpcode"]
    return by["READ"], by["WRITE"]
def asked(call):
    before = counts()
    call()
    return tuple(b - a for a, b in zip(before, counts()))
'

@test "files of the upper are read, written and mapped without a request" {
	KINDS="dirs store"
	while fresh_mount io=passthrough; do
		in_python <<-END
			$count
			def use():
			    write("new", b"x" * 100000)
			    eq(read("new"), b"x" * 100000)
			    fd = os.open("big", os.O_RDWR) # a lower's: copied up here
			    eq(os.pread(fd, 3, 299997), b"xxx")
			    os.pwrite(fd, b"y", 5)
			    m = mmap.mmap(fd, 300000)
			    eq(m[4:7], b"xyx")
			    m[6:7] = b"z"
			    eq(os.pread(fd, 4, 4), b"xyzx")
			    os.close(fd)
			    eq(read("big")[:8], b"xxxxxyzx")
			    with open("file", "a") as f:
			        f.write("more")
			    eq(read("file"), b"hello\nmore")
			    write("d/a", b"") # what is cut off is not copied
			eq(asked(use), (0, 0))
			eq(os.stat("new").st_size, 100000)
		END
		remount
		in_python <<-'END'
			eq(read("big")[:8], b"xxxxxyzx")
			eq((read("file"), read("d/a")), (b"hello\nmore", b""))
		END
	done
}

@test "without an upper the files of lowers are read and mapped without a request, and cannot be written" {
	UPPER=''
	KINDS="dirs"
	while fresh_mount io=passthrough; do
		in_python <<-END
			$count
			def use():
			    eq(read("big"), b"x" * 300000)
			    with open("big", "rb") as f:
			        eq(mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)[299999:], b"x")
			    eq(read("d/sub/deep/f"), b"deep")
			eq(asked(use), (0, 0))
			fails(errno.EROFS, os.open, "file", os.O_RDWR)
		END
	done
	KINDS=store KINDS_DONE=0
	while fresh_mount io=passthrough; do
		in_python <<-END
			eq(read("big"), b"x" * 300000)
			eq(read("file"), b"hello\n")
			eq(read("empty-file"), b"")
			fails(errno.EROFS, os.open, "file", os.O_RDWR)
		END
	done
}

@test "large content of a store is read without a request" {
	local dir=$BATS_TEST_TMPDIR/image
	mkdir -p "$dir"
	head -c 4000000 /dev/urandom >"$dir/large"
	tar -C "$dir" -cf "$BATS_TEST_TMPDIR/image.tar" .
	import_layers "$LOWERS_STORE" large:1 "$BATS_TEST_TMPDIR/image.tar"
	mkdir -p "$MNT"
	nacrefs -o "io=passthrough,store=$LOWERS_STORE,image=large:1" "$MNT"
	in_python "$MNT" "$dir/large" <<-END
		$count
		def use():
		    eq(read("large"), read(sys.argv[1]))
		eq(asked(use), (0, 0))
	END
}

@test "who has a lower file open sees what others write to it" {
	KINDS="dirs store"
	while fresh_mount io=passthrough; do
		in_python <<-'END'
			old = os.open("big", os.O_RDONLY)
			m = mmap.mmap(old, 300000, prot=mmap.PROT_READ)
			eq(os.pread(old, 2, 0), b"xx")
			eq(m[:2], b"xx")
			new = os.open("big", os.O_RDWR)
			os.pwrite(new, b"ab", 0)
			eq(os.pread(old, 2, 0), b"ab")
			eq(m[:2], b"ab")
			w = mmap.mmap(new, 300000)
			w[1:2] = b"c"
			eq(os.pread(old, 2, 0), b"ac")
			os.truncate("big", 100)
			eq(os.fstat(old).st_size, 100)
			eq(os.pread(old, 10, 95), b"xxxxx")
			third = os.open("big", os.O_WRONLY | os.O_APPEND)
			os.write(third, b"end")
			eq(os.pread(old, 10, 98), b"xxend")
			m.close()
			w.close()
			for fd in (old, new, third):
			    os.close(fd)
			# From now on it is the upper's, and passed through.
			eq(read("big")[:2] + read("big")[-4:], b"acxend")
		END
	done
}

@test "what was read through the mount's own pages is not shown once it was changed behind them" {
	KINDS=dirs
	while fresh_mount io=passthrough; do
		in_python <<-'END'
			eq(read("big"), b"x" * 300000)
			fd = os.open("big", os.O_RDWR)
			os.pwrite(fd, b"new", 4096)
			os.close(fd)
			os.chmod("big", 0o4755) # from now on not passed through
			for _ in range(2):
			    eq(read("big")[4096:4100], b"newx")
		END
	done
}

@test "the times of a file follow writes through a mapping, also when it is not open any more" {
	KINDS=dirs
	while fresh_mount io=passthrough; do
		in_python <<-'END'
			write("f", b"x" * 8192)
			fd = os.open("f", os.O_RDWR)
			m = mmap.mmap(fd, 8192)
			for at in 0, 4096:
			    os.utime("f", (5, 5))
			    eq(os.stat("f").st_mtime, 5)
			    m[at:at + 1] = b"y"
			    m.flush()
			    assert os.stat("f").st_mtime > 5
			    if at == 0:
			        os.close(fd)
			eq(read("f")[4096:4098], b"yx")
		END
	done
}

@test "opens of all kinds, changes of mode and copy-ups at once never fail" {
	KINDS="dirs store"
	while fresh_mount io=passthrough; do
		in_python <<-'END'
			import threading
			failed = []
			def run(call):
			    try:
			        for i in range(150):
			            call(i)
			    except BaseException as e:
			        failed.append(repr(e))
			def reading(i):
			    with open("big", "rb") as f:
			        assert len(f.read(4096)) == 4096
			def writing(i):
			    fd = os.open("big", os.O_RDWR)
			    os.pwrite(fd, b"x", i)
			    os.close(fd)
			def mode(i):
			    os.chmod("big", 0o4755 if i % 2 else 0o644)
			def names(i):
			    os.rename("big", "big")
			    os.stat("big")
			calls = [reading, reading, writing, mode, names]
			threads = [threading.Thread(target=run, args=(c,)) for c in calls]
			[t.start() for t in threads]
			[t.join() for t in threads]
			eq(failed, [])
			eq(read("big"), b"x" * 300000)
		END
	done
}

@test "files without a name are passed through as well" {
	KINDS=dirs
	while fresh_mount io=passthrough; do
		in_python <<-END
			$count
			def use():
			    fd = os.open(".", os.O_TMPFILE | os.O_RDWR, 0o600)
			    os.write(fd, b"nameless")
			    eq(os.pread(fd, 8, 0), b"nameless")
			    link_fd(fd, "named")
			    os.close(fd)
			    eq(read("named"), b"nameless")
			    fd = os.open("named", os.O_RDWR)
			    os.unlink("named")
			    os.pwrite(fd, b"gone", 0)
			    again = os.open("/proc/self/fd/%d" % fd, os.O_RDONLY)
			    eq(os.read(again, 8), b"goneless")
			    eq(os.fstat(fd).st_nlink, 0)
			eq(asked(use), (0, 0))
		END
	done
}

@test "an upper with a limit of its size is not written behind the driver's back" {
	KINDS=dirs
	while fresh_mount io=passthrough,size=1m; do
		in_python <<-END
			$count
			def use():
			    fd = os.open("new", os.O_CREAT | os.O_WRONLY)
			    def writing():
			        for _ in range(40):
			            os.write(fd, b"x" * 65536)
			    fails(errno.ENOSPC, writing)
			    os.close(fd)
			assert asked(use)[1] > 0
		END
	done
}

@test "an upper on overlayfs is passed through as well" {
	local below=$BATS_TEST_TMPDIR/below
	mkdir -p "$below/l" "$below/u" "$below/w" "$below/merged" "$MNT"
	mount -t overlay overlay -o "lowerdir=$below/l,upperdir=$below/u,workdir=$below/w" "$below/merged"
	mkdir "$below/merged/u" "$below/merged/w"
	nacrefs -o "io=passthrough,lowerdir=$LOWERS,upperdir=$below/merged/u,workdir=$below/merged/w" "$MNT"
	in_python <<-END
		$count
		def use():
		    write("new", b"x" * 100000)
		    eq(read("new"), b"x" * 100000)
		eq(asked(use), (0, 0))
	END
	unmount "$MNT"
	umount "$below/merged"
}

@test "it is refused to who may not have it, with the reason, and nothing is mounted" {
	mkdir -p "$MNT" "$BATS_TEST_TMPDIR/low"
	chmod -R a+rX "$BATS_TEST_TMPDIR"
	run -1 setpriv "--reuid=$NACRE_TEST_USER" --clear-groups \
		"$NACREFS" -o "io=passthrough,lowerdir=$BATS_TEST_TMPDIR/low" "$MNT"
	assert_output_has "option io=passthrough: only root"
	run -1 unshare --user --map-root-user --mount \
		"$NACREFS" -o "io=passthrough,lowerdir=$BATS_TEST_TMPDIR/low" "$MNT"
	assert_output_has "root of a user namespace"
	run ! mountpoint -q "$MNT"
}

@test "who walks is told what the kernel wrote meanwhile, by listings that are made ahead too" {
	mount_kinds() { one_kind; }
	fresh_mount io=passthrough
	in_python <<-'END'
		for a in range(12):
		    for b in range(6):
		        os.makedirs("n/a%d/b%d" % (a, b))
		        for f in range(4):
		            write("n/a%d/b%d/f%d" % (a, b, f), b"x" * (a + b + f))
	END
	remount
	in_python <<-'END'
		import time
		want = {"n/a%d/b%d/f%d" % (a, b, f): a + b + f for a in range(12) for b in range(6) for f in range(4)}
		paths, opened, seen, steps = list(want), {}, 0, 0
		# In a folder that is yet to come, as one that he has been to: written and kept open, or closed again.
		def change():
		    global steps
		    steps += 1
		    for path in (paths[(steps * 17) % len(paths)], paths[(steps * 29 + 5) % len(paths)]):
		        fd = opened.pop(path, None) or os.open(path, os.O_WRONLY | os.O_APPEND)
		        os.write(fd, b"more")
		        want[path] += 4
		        if steps % 3:
		            opened[path] = fd
		        else:
		            os.close(fd)
		def walk(top, changes):
		    global seen
		    if changes:
		        change()
		    with os.scandir(top) as entries:
		        entries = list(entries)
		    for entry in entries:
		        if entry.is_dir(follow_symlinks=False):
		            walk(entry.path, changes)
		        else:
		            seen += 1
		            eq((entry.path, os.stat(entry.path).st_size), (entry.path, want[entry.path]))
		tops = os.listdir("n")
		for i, top in enumerate(tops):
		    # First he is one who walks and changes nothing, so that what comes next has been made when it changes.
		    if i < 6:
		        time.sleep(.05)
		    if i == 6:
		        for path in paths:
		            if path.startswith("n/%s/" % top):
		                with open(path, "ab") as file:
		                    file.write(b"y")
		                want[path] += 1
		    walk("n/" + top, i > 6)
		eq(seen, len(want))
		for path, size in want.items():
		    eq(os.stat(path).st_size, size)
		for path, fd in opened.items():
		    eq(os.lseek(fd, 0, os.SEEK_END), want[path])
		    os.write(fd, b"end")
		    os.close(fd)
		    eq(len(read(path)), want[path] + 3)
	END
	remount
	in_python <<-'END'
		import json, time
		def made():
		    text = subprocess.run([os.environ["NACREFS"], "--stats", "--json", "."], check=True,
		                          stdout=subprocess.PIPE).stdout
		    return json.loads(text)["ListingsAhead"]["Made"]
		for top, dirs, files in os.walk("."):
		    pass
		# It begins whenever that thread gets its turn.
		for i in range(200 if len(os.sched_getaffinity(0)) > 1 else 0):
		    if made() > 0:
		        break
		    time.sleep(.05)
		else:
		    eq(len(os.sched_getaffinity(0)), 1, "nothing was made ahead")
	END
}

@test "layers are not added to it, and it goes on as it was" {
	mkdir "$BATS_TEST_TMPDIR/more"
	echo more >"$BATS_TEST_TMPDIR/more/more"
	KINDS=dirs
	while fresh_mount io=passthrough; do
		assert_refused "not with io=passthrough" nacre layer add "$MNT" "$BATS_TEST_TMPDIR/more"
		[ ! -e "$MNT/more" ]
		assert_equal "$(cat "$MNT/file")" hello
		echo new >"$MNT/new"
		assert_equal "$(cat "$UPPER/new")" new
	done
}
